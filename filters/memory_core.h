/*
 * What filters remember (filters/memory.h), as pure tables in memory: used by lookup, which keeps a copy on disk, by tools
 * and by tests. The time is an argument. Keys are hashes, so an entry costs 24 bytes, 32 to 64 with the free places, and
 * nobody reads in a file of it who wrote to whom.
 */
#ifndef FILTERS_MEMORY_CORE_H
#define FILTERS_MEMORY_CORE_H

#include <stddef.h>
#include <time.h>

#include "filters/memory.h"
#include "filters/memory_table.h"

/* Greylisting as it is when nobody says otherwise. */
#define MEMORY_WAIT_S	300U
#define MEMORY_WINDOW_S	86400U
#define MEMORY_KEEP_S	(36U * 86400)
#define MEMORY_PASSES	5U

enum memory_tables {
	MEMORY_WAITING,			/* triplets that have been deferred */
	MEMORY_PASSED,			/* triplets that have waited */
	MEMORY_NETWORKS,		/* networks and domains that have passed */
	MEMORY_CLIENTS,			/* how clients have behaved */
	MEMORY_PEOPLE,			/* whom local users write to */
	MEMORY_RATES,
	MEMORY_TABLES
};

struct memory_core;

/* events: borrowed, or NULL. */
struct memory_core *memory_core_new(const struct memory_events *);
void		 memory_core_free(struct memory_core *);	/* NULL is fine */
/* Answers, and remembers what the question says unless it peeks. NOTE and WROTE leave the answer zero. */
void		 memory_core_ask(struct memory_core *, const struct memory_question *, time_t now, struct memory_answer *);
/* What is known by such a key in any table goes; how many entries that were. key: a client, network, domain, or person; with
 * other: that triplet. */
unsigned	 memory_core_forget(struct memory_core *, const char *key, const char *other);
void		 memory_core_expire(struct memory_core *, time_t now);
struct memory_table *memory_core_table(struct memory_core *, enum memory_tables);
/* The times of greylisting that were asked for last: for those who only try. */
void		 memory_core_times(const struct memory_core *, struct memory_question *);
const char	*memory_grey_name(enum memory_grey);		/* "new", "early", "passed", "known" */

#endif
