/*
 * The files behind lookup's memory (lookup/state.c): one gdbm file for each generation of a table, read once at the start and
 * then only written, all by one thread. Nobody waits for it: what it is told is a list in memory, what it has to say comes from
 * the loop. minimta-state(5) says what is in the files and what becomes of each kind of damage.
 */
#ifndef LOOKUP_STATE_STORE_H
#define LOOKUP_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct event_base;
struct state_store;

#define STORE_BYTES_MAX	1200U		/* of a record */

struct store_record {
	unsigned	 table;			/* its place among the names */
	uint32_t	 generation;
	uint64_t	 key;
	const void	*bytes;
	size_t		 len;
};

struct store_header {			/* of a file */
	unsigned	 table;
	uint32_t	 generation;
	time_t		 since;
	uint32_t	 period_s;
};

/* All from the loop. Reading: a file's header, then its records; of a table the newest file's first. */
struct store_events {
	void	(*header)(void *arg, const struct store_header *);
	void	(*record)(void *arg, const struct store_record *);
	/* All is read. clean: it was left in order; else all should be written anew. */
	void	(*loaded)(void *arg, bool clean);
	/* All that was told before state_store_fence() is in the files. */
	void	(*written)(void *arg);
	/* Writing has failed, and all that is told from now on is ignored until state_store_resume(). */
	void	(*failed)(void *arg, const char *why);
	void	(*stopped)(void *arg);
};

/* dir: the folder where they are, open, which is taken over; named so in the log. names: of the tables, borrowed. */
struct state_store *state_store_new(struct event_base *, int dir, const char *folder, const char *const *names, unsigned n_names,
		    const struct store_events *, void *arg);
void		 state_store_start(struct state_store *);
/* A generation's file: made, or its header written again. Before its first record. */
void		 state_store_begin(struct state_store *, const struct store_header *);
void		 state_store_put(struct state_store *, const struct store_record *);
/* The file goes, also after a failure. */
void		 state_store_drop(struct state_store *, unsigned table, uint32_t generation);
/* Leads to written(), unless something told before it has failed. */
void		 state_store_fence(struct state_store *);
void		 state_store_resume(struct state_store *);
/* What has been told and not done. */
size_t		 state_store_backlog(struct state_store *);
/* Ends the thread, after what it was told; stopped() follows, after most_ms at the latest. Once. */
void		 state_store_stop(struct state_store *, uint32_t most_ms);
void		 state_store_free(struct state_store *);	/* after stopped(), not from inside it; one whose thread hangs stays */

#endif
