/*
 * What is due when: a binary heap of entries that live inside other structs. Pure; used by the scheduler,
 * whose time is an argument (lib/clock.h's timers are for everything that may look at the clock).
 */
#ifndef QUEUE_DUE_H
#define QUEUE_DUE_H

#include <stdint.h>

struct due {
	int64_t		at;
	uint32_t	slot;		/* 1-based place in the heap; 0: not in it */
	uint8_t		kind;		/* the owner's */
};

struct due_heap {
	struct due	**entries;
	uint32_t	  n, room;
};

/* Zeroed memory is an empty heap. */
void		 due_free(struct due_heap *);
void		 due_set(struct due_heap *, struct due *, int64_t at);	/* puts in, or moves */
void		 due_remove(struct due_heap *, struct due *);		/* not in it is fine */
struct due	*due_first(const struct due_heap *);			/* the earliest, NULL when empty */

#endif
