/*
 * A binary heap with the place of each entry written in it, so that it can be moved and removed (queue/due.h).
 * Called by queue/schedule.c.
 */
#include "queue/due.h"

#include <stdlib.h>

#include "lib/log.h"

static void
place(struct due_heap *h, uint32_t slot, struct due *d)
{
	h->entries[slot] = d;
	d->slot = slot;
}

static void
sift_up(struct due_heap *h, struct due *d)
{
	uint32_t slot = d->slot;

	for (; slot > 1 && h->entries[slot / 2]->at > d->at; slot /= 2)
		place(h, slot, h->entries[slot / 2]);
	place(h, slot, d);
}

static void
sift_down(struct due_heap *h, struct due *d)
{
	uint32_t slot = d->slot, child;

	for (; (child = slot * 2) <= h->n; slot = child) {
		if (child < h->n && h->entries[child + 1]->at < h->entries[child]->at)
			child++;
		if (h->entries[child]->at >= d->at)
			break;
		place(h, slot, h->entries[child]);
	}
	place(h, slot, d);
}

void
due_free(struct due_heap *h)
{
	free(h->entries);
	*h = (struct due_heap){ 0 };
}

void
due_set(struct due_heap *h, struct due *d, int64_t at)
{
	d->at = at;
	if (d->slot == 0) {
		if (h->n + 2 > h->room) {
			h->room = h->room == 0 ? 64 : h->room * 2;
			h->entries = reallocarray(h->entries, h->room, sizeof(*h->entries));
			if (h->entries == NULL)
				log_fatal("event=out-of-memory");
		}
		place(h, ++h->n, d);
	}
	sift_up(h, d);
	sift_down(h, d);
}

void
due_remove(struct due_heap *h, struct due *d)
{
	struct due *last;

	if (d->slot == 0)
		return;
	last = h->entries[h->n--];
	if (last != d) {
		place(h, d->slot, last);
		sift_up(h, last);
		sift_down(h, last);
	}
	d->slot = 0;
}

struct due *
due_first(const struct due_heap *h)
{
	return h->n == 0 ? NULL : h->entries[1];
}
