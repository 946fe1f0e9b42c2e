/*
 * Records of one size, found by 64-bit ids; several may have the same. For tables of a million messages: beside the
 * records (queue/slab.h) it takes four bytes for each, and grows by one list at a time, so that nobody waits for it. Ids
 * are made by ourselves, so nobody can choose them to collide. Pure; used by the log's index and the scheduler.
 *
 * A record begins with its id (eight bytes) and four bytes that are the map's.
 */
#ifndef QUEUE_IDMAP_H
#define QUEUE_IDMAP_H

#include "queue/slab.h"

struct idmap {
	struct slab	 slab;
	uint32_t	*lists;		/* the first record's number; 0: none */
	uint32_t	 n_lists, room;
	size_t		 used;
};

void	 idmap_init(struct idmap *, size_t size);	/* of a record: as slab_init */
void	 idmap_free(struct idmap *);			/* and the records */
/* A new record, zeroed but for its id; found before others of the same id. */
void	*idmap_add(struct idmap *, uint64_t id);
void	*idmap_get(const struct idmap *, uint64_t id);	/* NULL: not there */
void	*idmap_again(const struct idmap *, const void *record);	/* the next one of the same id; NULL: none */
void	 idmap_remove(struct idmap *, void *record);
uint32_t idmap_number(const struct idmap *, const void *record);	/* in the slab */
/* Walks: start with *at 0; NULL at the end. Nothing may be added or removed meanwhile. */
void	*idmap_next(const struct idmap *, uint32_t *at);
/* Adds all of `from`, whose records stay where they are, and empties it. */
void	 idmap_merge(struct idmap *, struct idmap *from);

#endif
