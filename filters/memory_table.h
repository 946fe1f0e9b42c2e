/*
 * A table of what is remembered: bounded, in two generations. What is written goes into the young one; when that is full or
 * a period old, it becomes the old one, and the old one is dropped as a whole. So what was not written again for a
 * period is gone after two at the latest, and expiring costs nothing. How long an entry counts its user decides, by its
 * stamp. For filters/memory_core.c. Pure: the time is an argument.
 */
#ifndef FILTERS_MEMORY_TABLE_H
#define FILTERS_MEMORY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MEMORY_VALUES	4

struct memory_entry {
	uint64_t	key;			/* a hash of what it is about */
	uint32_t	v[MEMORY_VALUES];	/* v[0] is its stamp, in seconds since 1970; the others are its user's */
};

/* What someone who keeps the table elsewhere, too, must hear. Called from within the functions below. */
struct memory_events {
	void	(*put)(void *arg, unsigned table, uint32_t generation, const struct memory_entry *);
	void	(*dropped)(void *arg, unsigned table, uint32_t generation);
	void	*arg;
};

struct memory_table;

/* most: entries of one generation; number: the table's, for its events, which may be NULL and are borrowed. */
struct memory_table *memory_table_new(unsigned number, size_t most, uint32_t period_s, const struct memory_events *);
void		 memory_table_free(struct memory_table *);

/* The young generation's before the old one's. */
bool		 memory_table_get(const struct memory_table *, uint64_t key, struct memory_entry *);
void		 memory_table_put(struct memory_table *, const struct memory_entry *, time_t now);
void		 memory_table_delete(struct memory_table *, uint64_t key);
/* From a copy: counts unless a later one of the same key is there; goes where its stamp says. No event. */
void		 memory_table_load(struct memory_table *, const struct memory_entry *, time_t now);

/* Its entries must be kept for so long, up to a year: a period shorter than that becomes as long. */
void		 memory_table_keep(struct memory_table *, uint32_t period_s);
/* What has become too old goes without a put, too; for the background. */
void		 memory_table_expire(struct memory_table *, time_t now);

struct memory_generation_facts {
	uint32_t	number;			/* grows with each; 0: there is none */
	time_t		since;			/* it became the young one */
	size_t		count;			/* entries; deleted ones included */
	unsigned	layout;			/* changes when places do: a walk begins again */
};

#define MEMORY_YOUNG	0U
#define MEMORY_OLD	1U

struct memory_generation_facts memory_table_generation(const struct memory_table *, unsigned which);
/* Another number for it, so that a copy begins anew; young: and since when. */
uint32_t	 memory_table_renumber(struct memory_table *, unsigned which);
/* Continues what a copy says, before anything is loaded. */
void		 memory_table_continue(struct memory_table *, unsigned which, uint32_t number, time_t since);
/* The next entry; *at begins with 0. False at the end. Deleted ones are passed over. */
bool		 memory_table_walk(const struct memory_table *, unsigned which, size_t *at, struct memory_entry *);
size_t		 memory_table_count(const struct memory_table *);
size_t		 memory_table_bytes(const struct memory_table *);
uint32_t	 memory_table_period(const struct memory_table *);

#endif
