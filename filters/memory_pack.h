/*
 * Questions to filters/memory.h and their answers as payloads: MEMORY_ASK and MEMORY_NOTE, MEMORY (lib/messages.h).
 */
#ifndef FILTERS_MEMORY_PACK_H
#define FILTERS_MEMORY_PACK_H

#include "filters/memory.h"

struct pack;
struct unpack;

/* What a question's strings point to once it is unpacked. */
struct memory_strings {
	char	key[MEMORY_KEY_MAX], other[MEMORY_OTHER_MAX];
};

/* Strings that are too long are cut: what asks and what tells are cut alike. */
void	memory_pack_question(struct pack *, const struct memory_question *);
void	memory_pack_answer(struct pack *, const struct memory_answer *);
/* All of the payload. 0, or -1 when it is not one. */
int	memory_unpack_question(struct unpack *, struct memory_question *, struct memory_strings *);
int	memory_unpack_answer(struct unpack *, struct memory_answer *);

#endif
