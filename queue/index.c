/*
 * The tables of live messages and of segments (index.h). Decides what a record does to a message's state, what keeps a
 * segment on the disk, and nothing else. Called by the loop (log.c, read.c, reclaim.c) and, on tables of its own, by the
 * scan of a start.
 */
#include "queue/index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

#define ARRIVED_MOST	((INT64_C(1) << 39) - 1)	/* far from here, and fits into the bits for it */

/* idmap.h: what a record begins with. */
_Static_assert(offsetof(struct message, id) == 0 && offsetof(struct message, link) == sizeof(uint64_t), "struct message");

void
index_init(struct index *ix)
{
	*ix = (struct index){ 0 };
	idmap_init(&ix->messages, sizeof(struct message));
}

/* What it has outside of its record. */
static void
message_empty(struct message *m)
{
	if (m->n_open > 1)
		free(m->open.many);
	if (m->many_slots)
		free(m->slots.many);
	m->n_open = 0;
	m->many_slots = false;
}

void
index_free(struct index *ix)
{
	struct message *m;
	uint32_t at = 0;

	while ((m = idmap_next(&ix->messages, &at)) != NULL)
		message_empty(m);
	idmap_free(&ix->messages);
	for (size_t i = 0; i < ix->n_segments; i++) {
		free(ix->segments[i]->graves);
		free(ix->segments[i]);
	}
	free(ix->segments);
	index_init(ix);
}

/* Segments. */

struct segment *
index_segment(const struct index *ix, uint32_t number)
{
	size_t low = 0, high = ix->n_segments, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (ix->segments[mid]->header.number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ix->n_segments && ix->segments[low]->header.number == number ? ix->segments[low] : NULL;
}

struct segment *
index_segment_add(struct index *ix, const struct segment_header *h)
{
	struct segment *s = alloc_new(1, sizeof(*s));

	s->header = *h;
	s->limit = SEGMENT_UNKNOWN;
	ix->segments = alloc_resize(ix->segments, ix->n_segments + 1, sizeof(struct segment *));
	ix->segments[ix->n_segments++] = s;
	return s;
}

void
index_segment_remove(struct index *ix, struct segment *s)
{
	struct segment *by;
	size_t at = 0;

	for (uint32_t i = 0; i < s->n_graves; i++)
		if ((by = index_segment(ix, s->graves[i].by)) != NULL)
			by->needed--;
	while (ix->segments[at] != s)
		at++;
	ix->n_segments--;
	memmove(ix->segments + at, ix->segments + at + 1, (ix->n_segments - at) * sizeof(struct segment *));
	free(s->graves);
	free(s);
}

bool
index_segment_free(const struct index *ix, const struct segment *s)
{
	const struct segment *prior = index_segment(ix, s->header.prior);

	return !s->open && !s->leaving && s->live == 0 && s->needed == 0 && s->pins == 0 && !(prior && prior->refused);
}

static void
grave_add(struct index *ix, uint32_t number, uint64_t id, uint32_t by)
{
	struct segment *s = index_segment(ix, number), *later = index_segment(ix, by);

	if (s == NULL || later == NULL || s == later)
		return;
	if (s->n_graves == s->graves_room) {
		s->graves_room = s->graves_room > 0 ? 2 * s->graves_room : 16;
		s->graves = alloc_resize(s->graves, s->graves_room, sizeof(*s->graves));
	}
	s->graves[s->n_graves++] = (struct index_grave){ .id = id, .by = by };
	later->needed++;
}

void
index_grave_move(struct index *ix, struct index_grave *g, uint32_t by)
{
	struct segment *old = index_segment(ix, g->by), *new = index_segment(ix, by);

	if (old)
		old->needed--;
	if (new)
		new->needed++;
	g->by = by;
}

static void
place_hold(struct index *ix, struct place at)
{
	struct segment *s = index_segment(ix, at.segment);

	if (s) {
		s->live++;
		s->live_bytes += at.length;
	}
}

static void
place_drop(struct index *ix, struct place at, int64_t now)
{
	struct segment *s = index_segment(ix, at.segment);

	if (s == NULL)
		return;
	s->live--;
	s->live_bytes -= at.length;
	if (s->dead_since == 0)
		s->dead_since = now;
}

/* Messages. */

struct message *
index_find(const struct index *ix, uint64_t id)
{
	struct message *m = idmap_get(&ix->messages, id);

	return m == NULL || m->ending ? NULL : m;
}

struct message *
index_next(const struct index *ix, uint32_t *at)
{
	struct message *m;

	while ((m = idmap_next(&ix->messages, at)) != NULL && m->ending)
		;
	return m;
}

static void
message_remove(struct index *ix, struct message *m)
{
	message_empty(m);
	idmap_remove(&ix->messages, m);
}

/* The n_open that are open, by index. */
static struct index_rcpt *
rcpts_open(const struct message *m)
{
	return m->n_open > 1 ? m->open.many : (struct index_rcpt *)(uintptr_t)&m->open.one;
}

/* Room for n of them, of which those that are there and fit stay; how many are open is for the caller to say. */
static struct index_rcpt *
rcpts_room(struct message *m, uint32_t n)
{
	struct index_rcpt *many = m->n_open > 1 ? m->open.many : NULL, one;

	if (n > 1) {
		one = m->open.one;
		m->open.many = alloc_resize(many, n, sizeof(*many));
		if (m->n_open == 1)
			m->open.many[0] = one;
		return m->open.many;
	}
	if (many != NULL) {
		m->open.one = many[0];
		free(many);
	}
	return &m->open.one;
}

/* Recipients from m->n_rcpts to n - 1 are there and open. */
static void
rcpts_add(struct message *m, uint32_t n, uint32_t slot)
{
	uint32_t open = m->n_open + (n - m->n_rcpts);
	struct index_rcpt *p = rcpts_room(m, open) + m->n_open;

	for (uint32_t i = m->n_rcpts; i < n; i++)
		*p++ = (struct index_rcpt){ .index = i, .slot = slot };
	m->n_rcpts = n & INDEX_RCPTS_MOST;
	m->n_open = open & INDEX_RCPTS_MOST;
}

static struct index_rcpt *
rcpt_find(struct message *m, uint32_t index)
{
	struct index_rcpt *open = rcpts_open(m);
	size_t low = 0, high = m->n_open, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (open[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n_open && open[low].index == index ? &open[low] : NULL;
}

const struct index_rcpt *
index_rcpt(const struct message *m, uint32_t index)
{
	return rcpt_find((struct message *)(uintptr_t)m, index);
}

static bool
is_settled(uint8_t state)
{
	return state != LOG_OPEN && state != LOG_HELD;
}

static void
rcpts_sweep(struct message *m)
{
	struct index_rcpt *open = rcpts_open(m);
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_open; i++)
		if (!is_settled(open[i].state))
			open[n++] = open[i];
	if (n < m->n_open)
		rcpts_room(m, n);
	m->n_open = n & INDEX_RCPTS_MOST;
}

/* The states that a COPY or STATE gives, whatever they were before. */
static void
rcpts_reset(struct message *m, const struct record *r, uint32_t slot)
{
	struct index_rcpt *p;

	rcpts_room(m, 0);
	m->n_open = m->n_rcpts = 0;
	rcpts_add(m, r->first + r->n_added, slot);
	/* An ACCEPT with a parent speaks of the parent's. */
	for (uint32_t i = 0; i < r->n_outcomes && r->parent == 0; i++)
		if ((p = rcpt_find(m, r->outcomes[i].index)) != NULL)
			p->state = r->outcomes[i].state & 7;
	rcpts_sweep(m);
}

struct message *
index_add(struct index *ix, const struct record *r)
{
	struct message *m;

	if (idmap_get(&ix->messages, r->id))
		return NULL;
	m = idmap_add(&ix->messages, r->id);
	m->arrived = r->arrived > ARRIVED_MOST ? ARRIVED_MOST : r->arrived < -ARRIVED_MOST ? -ARRIVED_MOST : r->arrived;
	m->size = r->size < INDEX_SIZE_MOST ? r->size : INDEX_SIZE_MOST;
	m->flags = r->sender.flags & 0xfff;
	m->in_file = r->in_file;
	m->base_rcpts = r->n_added & INDEX_RCPTS_MOST;
	rcpts_reset(m, r, INDEX_BASE);
	ix->n_messages++;
	return m;
}

void
index_forget(struct index *ix, struct message *m)
{
	message_remove(ix, m);
	ix->n_messages--;
}

void
index_placed_base(struct index *ix, struct message *m, struct place at)
{
	m->base = at;
	place_hold(ix, at);
}

struct index_slot *
index_slots(const struct message *m, uint32_t *n)
{
	*n = m->many_slots ? m->slots.many->n : 1;
	return m->many_slots ? m->slots.many->at : (struct index_slot *)(uintptr_t)&m->slots.one;
}

static struct index_slot *
slot_at(const struct message *m, uint32_t slot)
{
	uint32_t n;

	return &index_slots(m, &n)[slot];
}

/* Room for n of them, those that are there and fit stay; new ones are free. */
static void
slots_room(struct message *m, uint32_t n)
{
	uint32_t before;
	struct index_slot *old = index_slots(m, &before), one = old[0];
	struct index_slots *many = m->many_slots ? m->slots.many : NULL;

	if (n > 1) {
		many = alloc_resize(many, 1, sizeof(*many) + n * sizeof(many->at[0]));
		if (!m->many_slots)
			many->at[0] = one;
		for (; before < n; before++)
			many->at[before] = (struct index_slot){ 0 };
		many->n = n;
		m->slots.many = many;
	} else {
		free(many);
		m->slots.one = one;
	}
	m->many_slots = n > 1;
}

static uint32_t
slot_new(struct message *m)
{
	uint32_t n, i = 0;
	const struct index_slot *slots = index_slots(m, &n);

	while (i < n && slots[i].refs > 0)
		i++;
	if (i == n)
		slots_room(m, n + 1);
	*slot_at(m, i) = (struct index_slot){ .refs = 1 };		/* held until it is placed */
	return i;
}

static void
slot_unref(struct index *ix, struct message *m, uint32_t slot, uint32_t refs, int64_t now)
{
	struct index_slot *s = slot_at(m, slot);
	uint32_t n, most;

	if ((s->refs -= refs) > 0)
		return;
	if (s->at.segment != 0)
		place_drop(ix, s->at, now);
	s->at = (struct place){ 0 };
	s = index_slots(m, &most);
	for (n = most; n > 1 && s[n - 1].refs == 0; n--)
		;
	if (n < most)
		slots_room(m, n);
}

/* With nothing under way nobody but the recipients knows the slots' numbers: a single one goes back into the message. */
static void
slots_settle(struct message *m)
{
	struct index_rcpt *open = rcpts_open(m);
	uint32_t n, used = 0, at = 0;
	struct index_slot *slots = index_slots(m, &n);

	for (uint32_t i = 0; i < n; i++)
		if (slots[i].refs > 0) {
			at = i;
			used++;
		}
	if (used > 1)
		return;
	slots[0] = slots[at];
	for (uint32_t i = 0; i < m->n_open; i++)
		if (open[i].slot != INDEX_BASE)
			open[i].slot = 0;
	slots_room(m, 1);
}

/* One recipient's new state; its last word was elsewhere. */
static void
change_rcpt(struct message *m, struct change *c, uint32_t index, const struct log_outcome *o)
{
	struct index_rcpt *p = rcpt_find(m, index);

	if (p == NULL || is_settled(p->state))
		return;
	if (p->slot != INDEX_BASE) {
		c->old = alloc_resize(c->old, c->n_old + 1, sizeof(*c->old));
		c->old[c->n_old++] = p->slot;
	}
	p->slot = c->slot & INDEX_BASE;
	p->changes++;
	slot_at(m, c->slot)->refs++;
	p->state = (o ? o->state : LOG_FAILED) & 7;
}

/* COPY and STATE say everything again: all slots are let go once it is placed. */
static void
change_snapshot(struct message *m, const struct record *r, struct change *c)
{
	uint32_t n;
	const struct index_slot *slots = index_slots(m, &n);

	c->all_old = true;
	for (uint32_t i = 0; i < n; i++)
		if (i != c->slot && slots[i].refs > 0) {
			c->old = alloc_resize(c->old, c->n_old + 1, sizeof(*c->old));
			c->old[c->n_old++] = i;
		}
	if (r->kind == RECORD_COPY)
		m->base_rcpts = r->n_added & INDEX_RCPTS_MOST;
	rcpts_reset(m, r, c->slot);
	if (c->slot != INDEX_BASE)
		slot_at(m, c->slot)->refs += m->n_open + 1U;	/* 1: what it says of those settled and added */
}

/* Its recipients come behind so many others. */
static bool
follows(const struct record *r, uint32_t n)
{
	return r->first == n && r->n_added <= INDEX_RCPTS_MOST - n;
}

void
index_change(struct message *m, const struct record *r, struct change *c)
{
	*c = (struct change){ .message = m, .slot = r->kind == RECORD_COPY ? INDEX_BASE : slot_new(m) };
	m->pending++;
	m->changed = true;
	if (r->kind == RECORD_COPY || r->kind == RECORD_STATE) {
		if (r->kind == RECORD_COPY || follows(r, m->base_rcpts))
			change_snapshot(m, r, c);
		return;
	}
	if (r->kind == RECORD_ACCEPT)
		for (uint32_t i = 0; i < r->n_parent; i++)
			change_rcpt(m, c, r->parent_rcpts[i], NULL);
	if (r->n_added > 0 && r->kind == RECORD_EXPAND && follows(r, m->n_rcpts)) {
		rcpts_add(m, r->first + r->n_added, INDEX_BASE);
		slot_at(m, c->slot)->refs++;
	}
	for (uint32_t i = 0; i < r->n_outcomes; i++)
		change_rcpt(m, c, r->outcomes[i].index, &r->outcomes[i]);
	rcpts_sweep(m);
}

void
index_end(struct index *ix, struct message *m, struct change *c)
{
	*c = (struct change){ .message = m, .slot = INDEX_BASE, .end = true };
	m->pending++;
	m->changed = m->ending = true;
	ix->n_messages--;
}

static void
placed_end(struct index *ix, struct message *m, struct place at, int64_t now)
{
	uint32_t n;
	const struct index_slot *slots = index_slots(m, &n);

	for (uint32_t i = 0; i < n; i++)
		if (slots[i].refs > 0 && slots[i].at.segment != 0)
			place_drop(ix, slots[i].at, now);
	grave_add(ix, m->base.segment, m->id, at.segment);
	place_drop(ix, m->base, now);
	message_remove(ix, m);
}

/* The record's own place, before what it replaces is let go. */
static void
placed_record(struct index *ix, struct message *m, struct change *c, struct place at, int64_t now)
{
	struct place old = m->base;

	place_hold(ix, at);
	if (c->slot != INDEX_BASE) {
		slot_at(m, c->slot)->at = at;
		return;
	}
	m->base = at;
	grave_add(ix, old.segment, m->id, at.segment);
	place_drop(ix, old, now);
}

void
index_placed(struct index *ix, struct change *c, struct place at, int64_t now)
{
	struct message *m = c->message;

	if (m == NULL)
		return;
	m->pending--;
	if (c->end) {
		placed_end(ix, m, at, now);
	} else {
		placed_record(ix, m, c, at, now);
		for (uint32_t i = 0; i < c->n_old; i++)
			slot_unref(ix, m, c->old[i], c->all_old ? slot_at(m, c->old[i])->refs : 1, now);
		if (c->slot != INDEX_BASE)
			slot_unref(ix, m, c->slot, 1, now);
		if (m->many_slots && m->pending == 0)
			slots_settle(m);
	}
	free(c->old);
	*c = (struct change){ 0 };
}

void
index_abandon(struct change *c)
{
	free(c->old);
	*c = (struct change){ 0 };
}

void
index_merge(struct index *ix, struct index *from)
{
	struct segment **all = alloc_resize(NULL, ix->n_segments + from->n_segments, sizeof(struct segment *));

	if (from->n_segments > 0)
		memcpy(all, from->segments, from->n_segments * sizeof(struct segment *));
	if (ix->n_segments > 0)
		memcpy(all + from->n_segments, ix->segments, ix->n_segments * sizeof(struct segment *));
	free(ix->segments);
	free(from->segments);
	idmap_merge(&from->messages, &ix->messages);	/* what was found is the most of it */
	*ix = (struct index){ .messages = from->messages, .n_messages = ix->n_messages + from->n_messages, .segments = all,
	    .n_segments = ix->n_segments + from->n_segments };
	index_init(from);
}
