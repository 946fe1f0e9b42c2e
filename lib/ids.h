/*
 * Ids of sessions, messages and questions: numbers inside, short words outside that can be read over the phone
 * (Crockford's base 32: no I, L, O, U; read without case, I and L as 1, O as 0).
 */
#ifndef LIB_IDS_H
#define LIB_IDS_H

#include <stdint.h>

#define ID_TEXT		14		/* room for any id with its NUL */

/* Without leading zeros. One of eight static buffers in turn. */
const char	*id_text(uint64_t);
int		 id_parse(const char *, uint64_t *id_r);	/* 0 or -1 */
uint64_t	 id_random(void);	/* 40 random bits, never 0: for sessions */

#endif
