/*
 * What is due when: a binary heap of records of a slab, each with its place in the heap written in it. Pure; used by the
 * scheduler, whose time is an argument (lib/clock.h's timers are for everything that may look at the clock).
 */
#ifndef QUEUE_DUE_H
#define QUEUE_DUE_H

#include "queue/slab.h"

/* Somewhere in the record. */
struct due {
	int64_t		at;
	uint32_t	slot;		/* 1-based place in the heap; 0: not in it */
};

struct due_heap {
	const struct slab *slab;	/* of the records */
	size_t		   offset;	/* of struct due in each */
	uint32_t	  *entries;	/* numbers of records */
	uint32_t	   n, room;
};

void		 due_init(struct due_heap *, const struct slab *, size_t offset);
void		 due_free(struct due_heap *);
void		 due_set(struct due_heap *, uint32_t number, int64_t at);	/* puts the record in, or moves it */
void		 due_remove(struct due_heap *, struct due *);			/* not in it is fine */
int64_t		 due_first(const struct due_heap *);	/* when the earliest is due; INT64_MAX: there is none */
/* Takes out the earliest record that is due by now; NULL: there is none. */
void		*due_take(struct due_heap *, int64_t now);

#endif
