/*
 * The threads of the log. One writes: all that was appended while it synced goes out as one batch with the next sync.
 * Some others do whatever else touches the disk, one piece of work at a time. Results come back to the loop through an
 * eventfd, in the order in which they were finished; records in the order in which they were appended.
 *
 * Without threads (tests) the caller takes the steps itself with commit_step. Called by log.c and what stands beside it.
 */
#ifndef QUEUE_COMMIT_H
#define QUEUE_COMMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "queue/record.h"
#include "queue/segment.h"

struct event_base;
struct commit;

/* First in the struct of whoever uses it, which `run` (in a thread), then `done` (in the loop) are called with. */
struct work {
	STAILQ_ENTRY(work)	 link;
	void			(*run)(void *);
	void			(*done)(void *);
};
STAILQ_HEAD(work_list, work);

/* Where a record stands. */
struct place {
	uint32_t	segment;	/* 0: nowhere yet */
	uint32_t	offset;
	uint32_t	length;		/* line and payload */
};

/* Up to two records that go into the same batch, in this order. work.done is called when they are durable or failed. */
struct append {
	struct work	 work;
	struct blob	*records[2];	/* the writer seals them; borrowed until done */
	struct place	 at[2];
	unsigned	 n;
	bool		 can_fail;	/* somebody can be told; all else is said again until it is durable */
	bool		 can_wait;	/* nobody waits for it: a moment, so that it shares somebody else's sync */
	const char	*error;		/* NULL: durable */
};

/* What the writer tells, from the loop. */
struct commit_events {
	/* A new segment is written to; the one before it (0: none) ends at `good`, above which nothing is to be believed
	 * if `refused`. */
	void	(*on_segment)(void *arg, const struct segment_header *);
	/* Whether there is a spare segment; without one only what cannot fail is written. */
	void	(*on_room)(void *arg, bool spare, bool stalled);
	void	(*on_trouble)(void *arg, const char *what);
};

struct commit_options {
	uint64_t	segment_size;
	uint32_t	first, prior;	/* number of the first segment, and of the newest one found */
	unsigned	readers;
	bool		stepwise;
};

struct commit_counts {
	uint64_t	batches, records, bytes;
};

/* Opens the first segment, then starts the threads. NULL with a reason in err. dirfd: of the segments, borrowed. */
struct commit	*commit_new(struct event_base *, int dirfd, const struct commit_options *, const struct commit_events *,
		    void *arg, char *err, size_t size);
/* Waits for all that was given; every `done` is called (what cannot be written fails). */
void		 commit_free(struct commit *);
void		 commit_append(struct commit *, struct append *);
void		 commit_work(struct commit *, struct work *, void (*run)(void *), void (*done)(void *));
/* Without a thread: runs it now (NULL: nothing), and `done` comes from the loop as ever. For what does not touch the disk. */
void		 commit_now(struct commit *, struct work *, void (*run)(void *), void (*done)(void *));
/* Tries again for a spare segment or a stalled writer. rotate: also begins a new segment. */
void		 commit_kick(struct commit *, bool rotate);
struct commit_counts commit_counts(struct commit *);

/* Tests: one batch (writer) or one piece of work. False: there was nothing to do. */
bool		 commit_step(struct commit *, bool writer);

#endif
