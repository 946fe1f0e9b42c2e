/*
 * The tables of live messages and of segments (index.h). Decides what a record does to a message's state, what keeps a
 * segment on the disk, and nothing else. Called by the loop (log.c, read.c, reclaim.c) and, on tables of its own, by the
 * scan of a start.
 */
#include "queue/index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

static void *
grow(void *list, size_t n, size_t size)
{
	list = realloc(list, (n > 0 ? n : 1) * size);
	if (list == NULL)
		log_fatal("event=out-of-memory");
	return list;
}

static void
message_free(struct message *m)
{
	free(m->open);
	free(m->slots);
	free(m);
}

void
index_free(struct index *ix)
{
	size_t at = 0;
	void *m;

	while ((m = idmap_next(&ix->messages, &at)) != NULL)
		message_free(m);
	idmap_free(&ix->messages);
	for (size_t i = 0; i < ix->n_segments; i++) {
		free(ix->segments[i]->graves);
		free(ix->segments[i]);
	}
	free(ix->segments);
	*ix = (struct index){ 0 };
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
	struct segment *s = calloc(1, sizeof(*s));

	if (s == NULL)
		log_fatal("event=out-of-memory");
	s->header = *h;
	s->limit = SEGMENT_UNKNOWN;
	ix->segments = grow(ix->segments, ix->n_segments + 1, sizeof(struct segment *));
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
		s->graves = grow(s->graves, s->graves_room, sizeof(*s->graves));
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
	return idmap_get(&ix->messages, id);
}

/* Recipients from m->n_rcpts to n - 1 are there and open. */
static void
rcpts_add(struct message *m, uint32_t n)
{
	m->open = grow(m->open, m->n_open + (size_t)(n - m->n_rcpts), sizeof(*m->open));
	for (; m->n_rcpts < n; m->n_rcpts++)
		m->open[m->n_open++] = (struct index_rcpt){ .index = m->n_rcpts, .slot = INDEX_BASE };
}

static struct index_rcpt *
rcpt_find(struct message *m, uint32_t index)
{
	size_t low = 0, high = m->n_open, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (m->open[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n_open && m->open[low].index == index ? &m->open[low] : NULL;
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
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_open; i++)
		if (!is_settled(m->open[i].state))
			m->open[n++] = m->open[i];
	m->n_open = n;
}

/* The states that a COPY or STATE gives, whatever they were before. */
static void
rcpts_reset(struct message *m, const struct record *r, uint32_t slot)
{
	struct index_rcpt *p;

	m->n_open = m->n_rcpts = 0;
	rcpts_add(m, r->first + r->n_added);
	for (uint32_t i = 0; i < m->n_open; i++)
		m->open[i].slot = slot;
	/* An ACCEPT with a parent speaks of the parent's. */
	for (uint32_t i = 0; i < r->n_outcomes && r->parent == 0; i++)
		if ((p = rcpt_find(m, r->outcomes[i].index)) != NULL) {
			p->state = (uint8_t)r->outcomes[i].state;
			p->attempts = r->outcomes[i].attempts;
			p->next_try = r->outcomes[i].next_try;
		}
	rcpts_sweep(m);
}

struct message *
index_add(struct index *ix, const struct record *r)
{
	struct message *m;

	if (index_find(ix, r->id))
		return NULL;
	if ((m = calloc(1, sizeof(*m))) == NULL)
		log_fatal("event=out-of-memory");
	m->id = r->id;
	m->arrived = r->arrived;
	m->size = r->size;
	m->flags = r->sender.flags;
	m->in_file = r->in_file;
	m->base_rcpts = r->n_added;
	rcpts_reset(m, r, INDEX_BASE);
	idmap_put(&ix->messages, m->id, m);
	ix->n_messages++;
	return m;
}

void
index_forget(struct index *ix, struct message *m)
{
	idmap_remove(&ix->messages, m->id);
	ix->n_messages--;
	message_free(m);
}

void
index_placed_base(struct index *ix, struct message *m, struct place at)
{
	m->base = at;
	place_hold(ix, at);
}

static uint32_t
slot_new(struct message *m)
{
	uint32_t i = 0;

	while (i < m->n_slots && m->slots[i].refs > 0)
		i++;
	if (i == m->n_slots)
		m->slots = grow(m->slots, ++m->n_slots, sizeof(*m->slots));
	m->slots[i] = (struct index_slot){ .refs = 1 };		/* held until it is placed */
	return i;
}

static void
slot_unref(struct index *ix, struct message *m, uint32_t slot, uint32_t n, int64_t now)
{
	struct index_slot *s = &m->slots[slot];

	if ((s->refs -= n) > 0)
		return;
	if (s->at.segment != 0)
		place_drop(ix, s->at, now);
	s->at = (struct place){ 0 };
	while (m->n_slots > 0 && m->slots[m->n_slots - 1].refs == 0)
		m->n_slots--;
}

/* One recipient's new state; its last word was elsewhere. */
static void
change_rcpt(struct message *m, struct change *c, uint32_t index, const struct log_outcome *o)
{
	struct index_rcpt *p = rcpt_find(m, index);

	if (p == NULL || is_settled(p->state))
		return;
	if (p->slot != INDEX_BASE) {
		c->old = grow(c->old, c->n_old + 1, sizeof(*c->old));
		c->old[c->n_old++] = p->slot;
	}
	p->slot = c->slot;
	p->changes++;
	m->slots[c->slot].refs++;
	p->state = o ? (uint8_t)o->state : LOG_FAILED;
	if (o && !is_settled(p->state)) {
		p->attempts = o->attempts;
		p->next_try = o->next_try;
	}
}

/* COPY and STATE say everything again: all slots are let go once it is placed. */
static void
change_snapshot(struct message *m, const struct record *r, struct change *c)
{
	c->all_old = true;
	for (uint32_t i = 0; i < m->n_slots; i++)
		if (i != c->slot && m->slots[i].refs > 0) {
			c->old = grow(c->old, c->n_old + 1, sizeof(*c->old));
			c->old[c->n_old++] = i;
		}
	if (r->kind == RECORD_COPY)
		m->base_rcpts = r->n_added;
	rcpts_reset(m, r, c->slot);
	if (c->slot != INDEX_BASE)
		m->slots[c->slot].refs += m->n_open + 1;	/* 1: what it says of those settled and added */
}

void
index_change(struct message *m, const struct record *r, struct change *c)
{
	*c = (struct change){ .message = m, .slot = r->kind == RECORD_COPY ? INDEX_BASE : slot_new(m) };
	m->pending++;
	m->version++;
	if (r->kind == RECORD_COPY || r->kind == RECORD_STATE) {
		if (r->kind == RECORD_COPY || r->first == m->base_rcpts)
			change_snapshot(m, r, c);
		return;
	}
	if (r->kind == RECORD_ACCEPT)
		for (uint32_t i = 0; i < r->n_parent; i++)
			change_rcpt(m, c, r->parent_rcpts[i], NULL);
	if (r->n_added > 0 && r->kind == RECORD_EXPAND && r->first == m->n_rcpts) {
		rcpts_add(m, r->first + r->n_added);
		m->slots[c->slot].refs++;
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
	m->version++;
	m->ending = true;
	idmap_remove(&ix->messages, m->id);
	ix->n_messages--;
}

static void
placed_end(struct index *ix, struct message *m, struct place at, int64_t now)
{
	for (uint32_t i = 0; i < m->n_slots; i++)
		if (m->slots[i].refs > 0 && m->slots[i].at.segment != 0)
			place_drop(ix, m->slots[i].at, now);
	grave_add(ix, m->base.segment, m->id, at.segment);
	place_drop(ix, m->base, now);
	message_free(m);
}

/* The record's own place, before what it replaces is let go. */
static void
placed_record(struct index *ix, struct message *m, struct change *c, struct place at, int64_t now)
{
	struct place old = m->base;

	place_hold(ix, at);
	if (c->slot != INDEX_BASE) {
		m->slots[c->slot].at = at;
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
			slot_unref(ix, m, c->old[i], c->all_old ? m->slots[c->old[i]].refs : 1, now);
		if (c->slot != INDEX_BASE)
			slot_unref(ix, m, c->slot, 1, now);
	}
	free(c->old);
	*c = (struct change){ 0 };
}

void
index_abandon(struct change *c)
{
	if (c->message && c->end)
		message_free(c->message);
	free(c->old);
	*c = (struct change){ 0 };
}

void
index_merge(struct index *ix, struct index *from)
{
	struct segment **all = grow(NULL, ix->n_segments + from->n_segments, sizeof(struct segment *));
	struct message *m;
	size_t at = 0;

	while ((m = idmap_next(&from->messages, &at)) != NULL)
		idmap_put(&ix->messages, m->id, m);
	ix->n_messages += from->n_messages;
	if (from->n_segments > 0)
		memcpy(all, from->segments, from->n_segments * sizeof(struct segment *));
	if (ix->n_segments > 0)
		memcpy(all + from->n_segments, ix->segments, ix->n_segments * sizeof(struct segment *));
	free(ix->segments);
	free(from->segments);
	ix->segments = all;
	ix->n_segments += from->n_segments;
	idmap_free(&from->messages);
	*from = (struct index){ 0 };
}
