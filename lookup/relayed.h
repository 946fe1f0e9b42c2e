/*
 * Recipients in domains whose mail is only relayed from here (relay_domains): which of them the file of known ones has. It is
 * read again when it has changed.
 */
#ifndef LOOKUP_RELAYED_H
#define LOOKUP_RELAYED_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/address.h"

struct conf;
struct relayed;

#define RELAYED_LINE_MAX	1000

enum relayed_verdict {
	RELAYED_NOT_OURS,		/* no such domain */
	RELAYED_KNOWN,
	RELAYED_UNKNOWN,		/* the file does not have it, and nobody else is asked */
	RELAYED_ASK,			/* by a callback to where its mail goes */
	RELAYED_TEMPORARY,		/* the file cannot be read */
};

struct relayed	*relayed_new(void);
void		 relayed_free(struct relayed *);	/* NULL is fine */
/* Whether it is one of relay_domains. */
bool		 relayed_domain(const struct conf *, const char *domain);
enum relayed_verdict relayed_find(struct relayed *, const struct conf *, const struct address *);

/* For tests and fuzzing: the text of a file. How many lines were passed over, for they are no address and no @domain. */
unsigned	 relayed_take(struct relayed *, const char *text, size_t len);
bool		 relayed_has(const struct relayed *, const char *delimiter, const struct address *);
size_t		 relayed_count(const struct relayed *);

#endif
