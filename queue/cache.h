/*
 * Base records of messages that have just come in, as they were written, so that delivery right after the commit reads
 * no disk. Bounded in bytes; the longest unused goes first. The loop's alone.
 */
#ifndef QUEUE_CACHE_H
#define QUEUE_CACHE_H

#include <stddef.h>

#include "queue/record.h"

struct cache {
	struct cached	*entries;	/* a table by message; in its order the longest unused is first */
	size_t		 bytes, most;
};

void		 cache_init(struct cache *, size_t most);
void		 cache_free(struct cache *);
/* Takes a reference of its own; replaces what was there. */
void		 cache_put(struct cache *, uint64_t message, struct blob *);
void		 cache_drop(struct cache *, uint64_t message);	/* not there is fine */
/* Borrowed; NULL: not there. */
struct blob	*cache_get(struct cache *, uint64_t message);

#endif
