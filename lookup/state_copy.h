/*
 * What lookup/state.c and state_copy.c share and nobody else sees: the tables in memory, and which of their generations are in
 * which files. state_copy.c decides what is written where, and when all is written anew: after an end in disorder, after a
 * failure, and when the thread could not follow.
 */
#ifndef LOOKUP_STATE_COPY_H
#define LOOKUP_STATE_COPY_H

#include <sys/queue.h>

#include "filters/memory_core.h"
#include "lib/clock.h"
#include "lookup/state.h"
#include "lookup/state_cache.h"
#include "lookup/state_store.h"

#define TABLES		(MEMORY_TABLES + 1U)
#define RESULTS		((unsigned)MEMORY_TABLES)	/* the last of them: what state_put() took */
#define FILES_MAX	8U		/* of one table: more than two after crashes only */

enum phase {
	PHASE_READING,			/* questions wait */
	PHASE_LATE,			/* reading takes long: memory answers without what is on disk */
	PHASE_KEPT,			/* what changes is written */
	PHASE_ANEW,			/* and all else is being written from the beginning */
	PHASE_BEHIND,			/* the thread did not follow: nothing is told to it now */
	PHASE_FAILED,			/* it cannot write now */
	PHASE_ALONE,			/* there are no files */
	PHASE_STOPPED,
};

struct file_list {			/* of one table */
	uint32_t	numbers[FILES_MAX];
	unsigned	n;
};

struct state {
	struct memory_events	 events;
	struct memory_core	*core;
	struct state_cache	*cache;
	struct state_store	*store;		/* NULL: none */
	struct state_store	*lost;		/* the one that there was */
	enum phase		 phase;
	struct timer		 hold, tick;
	struct timer		 step;		/* state_copy_on_step() */
	STAILQ_HEAD(, held)	 held;
	unsigned		 n_held;
	int64_t			 started_ms;
	uint64_t		 loaded, questions, failures;

	struct file_list	 files[TABLES];	/* begun, and written to */
	struct file_list	 stale[TABLES];	/* that go when all is written anew */
	uint32_t		 periods[TABLES];	/* as the files say */
	uint32_t		 results_file;
	size_t			 results_written;
	struct {
		unsigned	table, which, layout;
		size_t		at;
	}			 walk;
	bool			 has_failed;	/* and it was said */

	void			(*stopped)(void *);
	void			*stopped_arg;
	struct timer		 stop_now;
};

/* What memory's tables, the store and timers call. */
void	 state_copy_on_put(void *state, unsigned table, uint32_t number, const struct memory_entry *);
void	 state_copy_on_dropped(void *state, unsigned table, uint32_t number);
void	 state_copy_on_header(void *state, const struct store_header *);
void	 state_copy_on_written(void *state);
void	 state_copy_on_failed(void *state, const char *why);
void	 state_copy_on_step(void *state);
/* A record of the cache; nothing while nothing is written. */
void	 state_copy_result(struct state *, uint64_t number, const void *record, size_t len);
/* A new number for each generation that has anything: all is written from the beginning. */
void	 state_copy_begin_anew(struct state *);
/* Whether what was read can be written on: each file is the one of its generation. */
bool	 state_copy_fits(struct state *);

#endif
