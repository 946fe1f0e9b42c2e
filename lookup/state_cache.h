/*
 * Results with an expiry, as text by text: what state_get() and state_put() stand on. Bounded: when it is full, what was put
 * first goes. Pure: the time is an argument. For lookup/state.c.
 */
#ifndef LOOKUP_STATE_CACHE_H
#define LOOKUP_STATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CACHE_ENTRIES	20000U
#define CACHE_BYTES_MAX	1024U		/* of an entry as a record */

struct state_cache;

struct state_cache *state_cache_new(void);
void		 state_cache_free(struct state_cache *);
/* value: size bytes. */
bool		 state_cache_get(const struct state_cache *, const char *kind, const char *key, time_t now, char *value, size_t size);
/* Its record as it is to be kept: returns its length, and a number for it. 0: it is too long, and is not taken. */
size_t		 state_cache_put(struct state_cache *, const char *kind, const char *key, const char *value, time_t expires,
		    char record[CACHE_BYTES_MAX], uint64_t *number_r);
/* From such a record; of two with one key that which expires later. 0, or -1: it is none. */
int		 state_cache_load(struct state_cache *, const void *record, size_t len, time_t now);
void		 state_cache_expire(struct state_cache *, time_t now);
size_t		 state_cache_count(const struct state_cache *);
/* Calls for each; not while it is being changed. */
void		 state_cache_walk(const struct state_cache *, void (*each)(void *arg, uint64_t number, const void *record, size_t len),
		    void *arg);

#endif
