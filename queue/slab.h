/*
 * Records of one size, given out one by one from blocks of many and known by a number of four bytes: where a million of
 * them stand in tables and heaps, that is half a pointer, and there is no allocator's word in front of each. A record
 * never moves. One that is given back is the next to be given out; blocks stay. Pure; used by idmap.c and the scheduler.
 */
#ifndef QUEUE_SLAB_H
#define QUEUE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_BLOCK	1024U		/* records in each */

struct slab {
	size_t		  size;		/* of a record: at least 8 bytes, and a multiple of them */
	unsigned char	**blocks;
	uint32_t	  n_blocks;
	uint32_t	  given;	/* numbers that were ever given out */
	uint32_t	  free;		/* the first of those given back; 0: none */
};

void		 slab_init(struct slab *, size_t size);
void		 slab_free(struct slab *);		/* all of it; zeroed memory is fine */
/* A zeroed record's number, never 0. */
uint32_t	 slab_take(struct slab *);
void		 slab_give(struct slab *, uint32_t number);
/* All of `from` is in `to` from now on, its numbers greater by what is returned; `from` is empty. Records stay where they are. */
uint32_t	 slab_merge(struct slab *to, struct slab *from);

/* The record with this number, which must have been given out. */
static inline void *
slab_at(const struct slab *s, uint32_t number)
{
	return s->blocks[(number - 1) / SLAB_BLOCK] + (size_t)((number - 1) % SLAB_BLOCK) * s->size;
}

#endif
