/*
 * A binary heap with the place of each entry written in it, so that it can be moved and removed (queue/due.h).
 * Called by queue/schedule.c.
 */
#include "queue/due.h"

#include <stdlib.h>

#include "lib/alloc.h"

static struct due *
due_of(const struct due_heap *h, uint32_t number)
{
	return (struct due *)(void *)((unsigned char *)slab_at(h->slab, number) + h->offset);
}

static int64_t
time_at(const struct due_heap *h, uint32_t slot)
{
	return due_of(h, h->entries[slot])->at;
}

static void
place(struct due_heap *h, uint32_t slot, uint32_t number)
{
	h->entries[slot] = number;
	due_of(h, number)->slot = slot;
}

/* Up or down to where the record at this slot belongs. */
static void
sift(struct due_heap *h, uint32_t slot)
{
	uint32_t number = h->entries[slot], child;
	int64_t when = time_at(h, slot);

	for (; slot > 1 && time_at(h, slot / 2) > when; slot /= 2)
		place(h, slot, h->entries[slot / 2]);
	for (; (child = slot * 2) <= h->n; slot = child) {
		if (child < h->n && time_at(h, child + 1) < time_at(h, child))
			child++;
		if (time_at(h, child) >= when)
			break;
		place(h, slot, h->entries[child]);
	}
	place(h, slot, number);
}

void
due_init(struct due_heap *h, const struct slab *slab, size_t offset)
{
	*h = (struct due_heap){ .slab = slab, .offset = offset };
}

void
due_free(struct due_heap *h)
{
	free(h->entries);
	due_init(h, h->slab, h->offset);
}

void
due_set(struct due_heap *h, uint32_t number, int64_t at)
{
	struct due *d = due_of(h, number);

	d->at = at;
	if (d->slot == 0) {
		if (h->n + 2 > h->room) {
			h->room += h->room / 4 + 64;
			h->entries = alloc_resize(h->entries, h->room, sizeof(*h->entries));
		}
		place(h, ++h->n, number);
	}
	sift(h, d->slot);
}

void
due_remove(struct due_heap *h, struct due *d)
{
	uint32_t slot = d->slot, last;

	if (slot == 0)
		return;
	d->slot = 0;
	last = h->entries[h->n--];
	if (slot > h->n)
		return;
	place(h, slot, last);
	sift(h, slot);
}

int64_t
due_first(const struct due_heap *h)
{
	return h->n == 0 ? INT64_MAX : time_at(h, 1);
}

void *
due_take(struct due_heap *h, int64_t now)
{
	uint32_t number = h->n == 0 ? 0 : h->entries[1];

	if (number == 0 || time_at(h, 1) > now)
		return NULL;
	due_remove(h, due_of(h, number));
	return slab_at(h->slab, number);
}
