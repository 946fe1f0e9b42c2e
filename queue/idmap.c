/*
 * Open addressing with linear probing (queue/idmap.h). A removal moves later entries back, so that there are no
 * tombstones and a table that lives for years stays as quick as a new one. Called by queue/schedule.c.
 */
#include "queue/idmap.h"

#include <stdlib.h>

#include "lib/log.h"

#define IDMAP_LEAST	64

/* Ids may be consecutive: spread them over the table (Fibonacci hashing). */
static size_t
home(const struct idmap *m, uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (m->room - 1);
}

static size_t
find(const struct idmap *m, uint64_t id)
{
	size_t at = home(m, id);

	while (m->places[at].value != NULL && m->places[at].id != id)
		at = (at + 1) & (m->room - 1);
	return at;
}

static void
resize(struct idmap *m, size_t room)
{
	struct idmap old = *m;

	m->room = room;
	m->places = calloc(room, sizeof(*m->places));
	if (m->places == NULL)
		log_fatal("event=out-of-memory");
	for (size_t i = 0; i < old.room; i++)
		if (old.places[i].value != NULL)
			m->places[find(m, old.places[i].id)] = old.places[i];
	free(old.places);
}

void
idmap_free(struct idmap *m)
{
	free(m->places);
	*m = (struct idmap){ 0 };
}

void *
idmap_get(const struct idmap *m, uint64_t id)
{
	return m->room == 0 ? NULL : m->places[find(m, id)].value;
}

void
idmap_put(struct idmap *m, uint64_t id, void *value)
{
	size_t at;

	if ((m->used + 1) * 3 > m->room * 2)
		resize(m, m->room == 0 ? IDMAP_LEAST : m->room * 2);
	at = find(m, id);
	if (m->places[at].value == NULL)
		m->used++;
	m->places[at] = (struct idmap_place){ id, value };
}

void
idmap_remove(struct idmap *m, uint64_t id)
{
	size_t hole, at, mask = m->room - 1;

	if (m->room == 0 || m->places[hole = find(m, id)].value == NULL)
		return;
	/* An entry after the hole moves into it unless its home lies between the hole and where it is. */
	for (at = (hole + 1) & mask; m->places[at].value != NULL; at = (at + 1) & mask) {
		if (((at - home(m, m->places[at].id)) & mask) >= ((at - hole) & mask)) {
			m->places[hole] = m->places[at];
			hole = at;
		}
	}
	m->places[hole].value = NULL;
	m->used--;
	if (m->room > IDMAP_LEAST && m->used * 8 < m->room)
		resize(m, m->room / 2);
}

void *
idmap_next(const struct idmap *m, size_t *at)
{
	while (*at < m->room)
		if (m->places[(*at)++].value != NULL)
			return m->places[*at - 1].value;
	return NULL;
}
