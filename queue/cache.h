/*
 * Records of messages that have just come in, as they were written, so that delivery right after the commit reads no
 * disk. Bounded in bytes; the longest unused goes first. The loop's alone.
 */
#ifndef QUEUE_CACHE_H
#define QUEUE_CACHE_H

#include <stddef.h>
#include <sys/queue.h>

#include "queue/record.h"

struct message;

struct cached {
	TAILQ_ENTRY(cached)	 link;
	struct message		*message;
	struct blob		*blob;		/* the message's base record */
};

struct cache {
	TAILQ_HEAD(cached_list, cached) list;	/* the longest unused first */
	size_t			 bytes, most;
};

void		 cache_init(struct cache *, size_t most);
void		 cache_free(struct cache *);
/* Takes a reference of its own; replaces what was there. */
void		 cache_put(struct cache *, struct message *, struct blob *);
void		 cache_drop(struct cache *, struct message *);
/* Borrowed; NULL: not there. */
struct blob	*cache_get(struct cache *, struct message *);

#endif
