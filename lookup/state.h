/*
 * What lookup keeps for others: the memory of filters (filters/memory_core.h), and results that cost something to get. A
 * table in memory answers; a thread writes gdbm files behind it, in the folder `memory` below `state` (minimta-state(5)).
 * Neither a slow, full or broken disk nor what lies on it is felt by those who ask: at worst all is forgotten.
 */
#ifndef LOOKUP_STATE_H
#define LOOKUP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "filters/memory.h"

struct conf;
struct event_base;
struct state;

#define STATE_KEY_MAX	320		/* bytes, with the NUL */
#define STATE_VALUE_MAX	512

/* Opens the folder: before the sandbox. One that cannot be used is said once, and then all is in memory only. */
struct state	*state_new(struct event_base *, const struct conf *);
/* Starts the thread, which reads first what is there: within the sandbox. */
void		 state_start(struct state *);
/* Writes what is left, waiting two seconds at most, and lets go of the files: `done` from the loop. Later changes are in
 * memory only. */
void		 state_stop(struct state *, void (*done)(void *), void *arg);

void		 state_free(struct state *);	/* after that; NULL is fine */

/* The answer at once, from memory; while the files are still being read, later, but within three seconds. cancel forgets all
 * questions with that arg. */
void		 state_ask(struct state *, const struct memory_question *, uint64_t id, void (*done)(void *arg, uint64_t id,
		    const struct memory_answer *), void *arg);
void		 state_cancel(struct state *, const void *arg);

/*
 * Results of others, as text: `kind` is theirs ("callback"). get: whether there is one that has not expired; value:
 * STATE_VALUE_MAX bytes. put: until `expires`, which may be in the past to forget it. Any letter case of key is the same.
 */
bool		 state_get(struct state *, const char *kind, const char *key, char *value);
void		 state_put(struct state *, const char *kind, const char *key, const char *value, time_t expires);

/* "memory=kept waiting=12 …" */
void		 state_status(const struct state *, char *to, size_t size);
/* The command "memory\t…" of a tool (minimtactl(8)); privileged: it may change something. */
void		 state_command(struct state *, const char *line, bool privileged, FILE *out);

#endif
