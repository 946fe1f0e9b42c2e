/*
 * A table from 64-bit ids to pointers: open addressing, 16 bytes per place, for tables of hundreds of
 * thousands of messages. Ids are made by ourselves, so nobody can choose them to collide. Pure; used by
 * the scheduler.
 */
#ifndef QUEUE_IDMAP_H
#define QUEUE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_place {
	uint64_t	 id;
	void		*value;		/* NULL: free */
};

struct idmap {
	struct idmap_place	*places;
	size_t			 room, used;	/* room is a power of two, or 0 */
};

/* Zeroed memory is an empty map. */
void	 idmap_free(struct idmap *);			/* the table, not the values */
void	*idmap_get(const struct idmap *, uint64_t id);	/* NULL: not there */
void	 idmap_put(struct idmap *, uint64_t id, void *value);	/* new or replaced; value not NULL */
void	 idmap_remove(struct idmap *, uint64_t id);	/* not there is fine */
/* Walks: start with *at 0; NULL at the end. Nothing may be put or removed meanwhile. */
void	*idmap_next(const struct idmap *, size_t *at);

#endif
