/*
 * What the two faces of filters/memory.h share: a query with its one callback. For filters/memory*.c only.
 */
#ifndef FILTERS_MEMORY_FACE_H
#define FILTERS_MEMORY_FACE_H

#include <sys/queue.h>

#include "filters/memory.h"
#include "lib/clock.h"

struct memory_face {
	size_t	query_size;			/* of the face's own struct */
	void	(*ask)(struct memory_query *, const struct memory_question *);
	void	(*forget)(struct memory_query *);	/* it is about to be freed */
	void	(*tell)(struct memory *, const struct memory_question *);
	void	(*free)(struct memory *);
};

struct memory {
	const struct memory_face	*face;
	TAILQ_HEAD(, memory_query)	 queries;
};

struct memory_query {			/* first in the struct of a face; the rest of that begins as zeroes */
	struct memory		*memory;
	memory_done_fn		*done;
	void			*arg;
	struct timer		 timer;		/* delivers `answer` */
	struct memory_answer	 answer;	/* failed, to begin with */
	TAILQ_ENTRY(memory_query) link;
};

void	memory_face_init(struct memory *, const struct memory_face *);
/* Delivered by the loop, after so long, unless memory_query_finish() comes before. */
void	memory_query_expect(struct memory_query *, const struct memory_answer *, uint32_t after_ms);
/* Now, from the loop: the callback, then the query is gone. */
void	memory_query_finish(struct memory_query *, const struct memory_answer *);

#endif
