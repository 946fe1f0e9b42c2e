/*
 * Linear hashing (queue/idmap.h): as records come and go, one list is split or joined with its other half at a time, so
 * that no addition pays for all the others. Called by index.c and schedule*.c.
 */
#include "queue/idmap.h"

#include <stdlib.h>

#include "lib/alloc.h"

#define LISTS_LEAST	16U
#define SPREAD		UINT64_C(0x9e3779b97f4a7c15)	/* ids may be consecutive (Fibonacci hashing) */

static uint64_t
id_of(const void *record)
{
	return *(const uint64_t *)record;
}

static uint32_t *
link_of(const struct idmap *m, uint32_t number)
{
	return (uint32_t *)(void *)((uint64_t *)slab_at(&m->slab, number) + 1);
}

static void *
record_of(const struct idmap *m, uint32_t number)
{
	return number == 0 ? NULL : slab_at(&m->slab, number);
}

/* The largest power of two that is not above n. */
static uint32_t
power_below(uint32_t n)
{
	return UINT32_C(1) << (31 - __builtin_clz(n));
}

/* Lists that are not split yet hold what belongs to both halves. */
static uint32_t *
list_of(const struct idmap *m, uint64_t id)
{
	uint32_t half = power_below(m->n_lists), at;

	id *= SPREAD;
	at = (uint32_t)((id ^ id >> 32) * SPREAD >> 32) & (2 * half - 1);
	return &m->lists[at < m->n_lists ? at : at - half];
}

static void
room(struct idmap *m, uint32_t n)
{
	if (n <= m->room)
		return;
	m->room = n < LISTS_LEAST ? LISTS_LEAST : n + n / 4;
	m->lists = alloc_resize(m->lists, m->room, sizeof(*m->lists));
}

static void
put(struct idmap *m, uint32_t number)
{
	uint32_t *list = list_of(m, id_of(slab_at(&m->slab, number)));

	*link_of(m, number) = *list;
	*list = number;
}

/* Puts a list's records where they belong now, in their order. */
static void
spread(struct idmap *m, uint32_t first)
{
	uint32_t reversed = 0, next;

	for (; first != 0; first = next) {
		next = *link_of(m, first);
		*link_of(m, first) = reversed;
		reversed = first;
	}
	for (; reversed != 0; reversed = next) {
		next = *link_of(m, reversed);
		put(m, reversed);
	}
}

static void
split(struct idmap *m)
{
	uint32_t at = m->n_lists == 0 ? 0 : m->n_lists - power_below(m->n_lists), first;

	room(m, m->n_lists + 1);
	m->lists[m->n_lists++] = 0;
	first = m->lists[at];
	m->lists[at] = 0;
	spread(m, first);
}

static void
join(struct idmap *m)
{
	uint32_t first = m->lists[--m->n_lists];

	spread(m, first);
}

void
idmap_init(struct idmap *m, size_t size)
{
	*m = (struct idmap){ 0 };
	slab_init(&m->slab, size);
}

void
idmap_free(struct idmap *m)
{
	size_t size = m->slab.size;

	slab_free(&m->slab);
	free(m->lists);
	idmap_init(m, size);
}

void *
idmap_add(struct idmap *m, uint64_t id)
{
	uint32_t number = slab_take(&m->slab);

	*(uint64_t *)slab_at(&m->slab, number) = id;
	if (m->used++ >= m->n_lists)
		split(m);
	put(m, number);
	return slab_at(&m->slab, number);
}

static void *
find(const struct idmap *m, uint32_t number, uint64_t id)
{
	while (number != 0 && id_of(slab_at(&m->slab, number)) != id)
		number = *link_of(m, number);
	return record_of(m, number);
}

void *
idmap_get(const struct idmap *m, uint64_t id)
{
	return m->n_lists == 0 ? NULL : find(m, *list_of(m, id), id);
}

void *
idmap_again(const struct idmap *m, const void *record)
{
	return find(m, *(const uint32_t *)(const void *)((const uint64_t *)record + 1), id_of(record));
}

/* Where its number is written: its list, or the link of the one before it. */
static uint32_t *
reference(const struct idmap *m, const void *record)
{
	uint32_t *at = list_of(m, id_of(record));

	while (slab_at(&m->slab, *at) != record)
		at = link_of(m, *at);
	return at;
}

uint32_t
idmap_number(const struct idmap *m, const void *record)
{
	return *reference(m, record);
}

void
idmap_remove(struct idmap *m, void *record)
{
	uint32_t *at = reference(m, record), number = *at;

	*at = *link_of(m, number);
	slab_give(&m->slab, number);
	if (--m->used < m->n_lists / 2 && m->n_lists > LISTS_LEAST)
		join(m);
}

void *
idmap_next(const struct idmap *m, uint32_t *at)
{
	uint32_t list = 0;

	if (*at != 0) {
		list = (uint32_t)(list_of(m, id_of(slab_at(&m->slab, *at))) - m->lists) + 1;
		*at = *link_of(m, *at);
	}
	while (*at == 0 && list < m->n_lists)
		*at = m->lists[list++];
	return record_of(m, *at);
}

void
idmap_merge(struct idmap *m, struct idmap *from)
{
	uint32_t shift = slab_merge(&m->slab, &from->slab), next;

	for (uint32_t i = 0; i < from->n_lists; i++)
		for (uint32_t number = from->lists[i]; number != 0; number = next) {
			next = *link_of(m, number + shift);
			if (m->used++ >= m->n_lists)
				split(m);
			put(m, number + shift);
		}
	idmap_free(from);
}
