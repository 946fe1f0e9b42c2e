/*
 * Two generations of open addressing (filters/memory_table.h). Where a key stands depends on a random number of this
 * process: nobody can choose keys that all fall together.
 */
#include "filters/memory_table.h"

#include <stdlib.h>
#include <sys/random.h>

#include "lib/alloc.h"
#include "lib/log.h"

#define YEAR_S		(366U * 86400)
#define FIRST_BITS	6U		/* of a generation's places, when it has any */
#define DELETED		1U		/* a stamp: the place is kept, so that what stands behind it is found */

struct generation {
	struct memory_entry	*places;	/* v[0] 0: free */
	unsigned		 bits, layout;
	size_t			 count;
	uint32_t		 number;
	time_t			 since;
};

struct memory_table {
	struct generation	 generations[2];
	unsigned		 number;
	size_t			 most;
	uint32_t		 period_s, last_number;
	uint64_t		 salt;
	const struct memory_events *events;
};

struct memory_table *
memory_table_new(unsigned number, size_t most, uint32_t period_s, const struct memory_events *events)
{
	struct memory_table *t = alloc_new(1, sizeof(*t));

	if (getrandom(&t->salt, sizeof(t->salt), 0) != (ssize_t)sizeof(t->salt))
		log_fatal("event=start-failed what=getrandom");
	t->number = number;
	t->most = most;
	t->period_s = period_s;
	t->events = events;
	t->generations[MEMORY_YOUNG].number = t->last_number = 1;
	return t;
}

void
memory_table_free(struct memory_table *t)
{
	if (t == NULL)
		return;
	free(t->generations[MEMORY_YOUNG].places);
	free(t->generations[MEMORY_OLD].places);
	free(t);
}

/* ---- one generation ---- */

static size_t
places_of(const struct generation *g)
{
	return g->places != NULL ? (size_t)1 << g->bits : 0;
}

/* Its place, or the free one where it would be. NULL: there are no places at all. */
static struct memory_entry *
find(const struct memory_table *t, const struct generation *g, uint64_t key)
{
	size_t mask = places_of(g) - 1, at;

	if (g->places == NULL)
		return NULL;
	at = (size_t)(((key ^ t->salt) * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - g->bits));
	while (g->places[at].v[0] != 0 && g->places[at].key != key)
		at = (at + 1) & mask;
	return &g->places[at];
}

/* Three quarters at most are in use: a search ends soon, and always. */
static bool
has_room(const struct generation *g)
{
	return (g->count + 1) * 4 <= places_of(g) * 3;
}

static void
grow(const struct memory_table *t, struct generation *g)
{
	struct memory_entry *old = g->places;
	size_t n = places_of(g);

	g->bits = old == NULL ? FIRST_BITS : g->bits + 1;
	g->places = alloc_new((size_t)1 << g->bits, sizeof(*g->places));
	g->count = 0;
	g->layout++;
	for (size_t i = 0; i < n; i++)
		if (old[i].v[0] > DELETED) {
			*find(t, g, old[i].key) = old[i];
			g->count++;
		}
	free(old);
}

static void
generation_put(const struct memory_table *t, struct generation *g, const struct memory_entry *e)
{
	struct memory_entry *place = find(t, g, e->key);

	if ((place == NULL || place->v[0] == 0) && !has_room(g)) {
		grow(t, g);
		place = find(t, g, e->key);
	}
	g->count += place->v[0] == 0;
	*place = *e;
}

static const struct memory_entry *
generation_get(const struct memory_table *t, const struct generation *g, uint64_t key)
{
	const struct memory_entry *place = find(t, g, key);

	return place != NULL && place->v[0] != 0 ? place : NULL;
}

/* ---- both ---- */

static void
drop_old(struct memory_table *t)
{
	struct generation *old = &t->generations[MEMORY_OLD];
	uint32_t number = old->number;

	free(old->places);
	*old = (struct generation){ .layout = old->layout + 1 };
	if (number != 0 && t->events != NULL)
		t->events->dropped(t->events->arg, t->number, number);
}

static void
turn(struct memory_table *t, time_t now)
{
	struct generation *young = &t->generations[MEMORY_YOUNG], *old = &t->generations[MEMORY_OLD];
	unsigned layout = young->layout + 1;

	drop_old(t);
	layout += old->layout;
	*old = *young;
	old->layout = layout;
	*young = (struct generation){ .number = ++t->last_number, .since = now, .layout = layout };
}

void
memory_table_expire(struct memory_table *t, time_t now)
{
	struct generation *young = &t->generations[MEMORY_YOUNG];

	if (young->since == 0 || young->since > now)	/* new; or the clock was set back */
		young->since = now;
	if (now - young->since < t->period_s)
		return;
	if (now - young->since >= 2 * (time_t)t->period_s)
		turn(t, now);
	turn(t, now);
}

bool
memory_table_get(const struct memory_table *t, uint64_t key, struct memory_entry *e)
{
	const struct memory_entry *found = generation_get(t, &t->generations[MEMORY_YOUNG], key);

	if (found == NULL)
		found = generation_get(t, &t->generations[MEMORY_OLD], key);
	if (found == NULL || found->v[0] == DELETED)
		return false;
	*e = *found;
	return true;
}

void
memory_table_put(struct memory_table *t, const struct memory_entry *e, time_t now)
{
	struct generation *young = &t->generations[MEMORY_YOUNG];
	struct memory_entry entry = *e;

	memory_table_expire(t, now);
	if (young->count >= t->most && generation_get(t, young, e->key) == NULL)
		turn(t, now);
	if (entry.v[0] <= DELETED)
		entry.v[0] = DELETED + 1;
	generation_put(t, young, &entry);
	if (t->events != NULL)
		t->events->put(t->events->arg, t->number, young->number, &entry);
}

void
memory_table_delete(struct memory_table *t, uint64_t key)
{
	for (unsigned which = MEMORY_YOUNG; which <= MEMORY_OLD; which++) {
		struct generation *g = &t->generations[which];
		struct memory_entry *e = find(t, g, key);

		if (e == NULL || e->v[0] <= DELETED)
			continue;
		*e = (struct memory_entry){ .key = key, .v = { DELETED } };
		if (t->events != NULL)
			t->events->put(t->events->arg, t->number, g->number, e);
	}
}

void
memory_table_load(struct memory_table *t, const struct memory_entry *e, time_t now)
{
	struct generation *young = &t->generations[MEMORY_YOUNG], *old = &t->generations[MEMORY_OLD], *g;
	const struct memory_entry *there = generation_get(t, young, e->key);

	if (there == NULL)
		there = generation_get(t, old, e->key);
	if (e->v[0] <= DELETED || (there != NULL && there->v[0] >= e->v[0]))
		return;
	if (young->since == 0)
		young->since = now;
	g = (time_t)e->v[0] >= young->since || old->number == 0 ? young : old;
	if (g->count >= t->most)
		return;
	/* What is looked at first must not be the older one. */
	if (g == old && (there = generation_get(t, young, e->key)) != NULL)
		g = young;
	generation_put(t, g, e);
}

void
memory_table_keep(struct memory_table *t, uint32_t period_s)
{
	if (period_s > YEAR_S)
		period_s = YEAR_S;
	if (period_s > t->period_s)
		t->period_s = period_s;
}

struct memory_generation_facts
memory_table_generation(const struct memory_table *t, unsigned which)
{
	const struct generation *g = &t->generations[which];

	return (struct memory_generation_facts){ g->number, g->since, g->count, g->layout };
}

uint32_t
memory_table_renumber(struct memory_table *t, unsigned which)
{
	t->generations[which].number = ++t->last_number;
	return t->last_number;
}

void
memory_table_continue(struct memory_table *t, unsigned which, uint32_t number, time_t since)
{
	struct generation *g = &t->generations[which];

	if (number > t->last_number)
		t->last_number = number;
	if (g->count > 0)
		return;
	g->number = number;
	g->since = since;
}

bool
memory_table_walk(const struct memory_table *t, unsigned which, size_t *at, struct memory_entry *e)
{
	const struct generation *g = &t->generations[which];

	for (size_t n = places_of(g); *at < n; ) {
		const struct memory_entry *place = &g->places[(*at)++];

		if (place->v[0] > DELETED) {
			*e = *place;
			return true;
		}
	}
	return false;
}

size_t
memory_table_count(const struct memory_table *t)
{
	return t->generations[MEMORY_YOUNG].count + t->generations[MEMORY_OLD].count;
}

size_t
memory_table_bytes(const struct memory_table *t)
{
	return sizeof(*t) + (places_of(&t->generations[MEMORY_YOUNG]) + places_of(&t->generations[MEMORY_OLD])) *
	    sizeof(struct memory_entry);
}

uint32_t
memory_table_period(const struct memory_table *t)
{
	return t->period_s;
}
