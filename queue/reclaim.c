/*
 * Reclaiming: which closed segment is emptied next, and when its file goes (rule 6). Messages and outcomes that still
 * count are copied forward, ends that older segments still need are said again; index.c knows when nothing holds a
 * segment any more. Called by log.c when something ceased to count, and by the clock.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "queue/disk.h"
#include "queue/log_private.h"
#include "queue/writer.h"

#define SOON_MS		100
#define DEAD_MOST_MS	(30 * 60 * 1000)	/* ended mail leaves the disk within the hour */
#define ASK_AGAIN_MS	60000			/* for a new segment, should it have failed */
#define UNDER_WAY_MOST	16U
#define BYTES_MOST	(2U << 20)		/* of messages being copied at once */
#define ENDS_MOST	1024U

void
reclaim_poke(struct log *l)
{
	if (l->scanned && !l->closing && !timer_running(&l->reclaim.soon))
		timer_start(&l->reclaim.soon, SOON_MS);
}

/* Removing. */

struct leaving {
	struct work	 work;		/* first */
	struct log	*log;
	uint32_t	 number;
	int		 result;
};

static void
leaving_run(void *w)
{
	struct leaving *v = w;
	char name[WRITER_NAME_MAX];

	writer_name(name, v->number, "idx");
	v->result = disk_unlink(v->log->segfd, name, "index");
	writer_name(name, v->number, "seg");
	if (v->result == 0)
		v->result = disk_unlink(v->log->segfd, name, "segment");
	if (v->result == 0)
		v->result = disk_sync_dir(v->log->segfd, "segment");
}

static void
leaving_done(void *w)
{
	struct leaving *v = w;
	struct log *l = v->log;
	struct segment *s = index_segment(&l->index, v->number);

	if (s && v->result == 0) {
		index_segment_remove(&l->index, s);
		l->reclaim.freed++;
		if (!l->space.spare)
			commit_kick(l->commit, false);
		space_look(l);
	} else if (s) {
		s->leaving = false;
		s->kept = true;
		log_trouble(l, "segment %08" PRIx32 " of the log could not be removed", v->number);
	}
	free(v);
	reclaim_poke(l);
}

static void
remove_free(struct log *l)
{
	struct leaving *v;
	struct segment *s;

	for (size_t i = 0; i < l->index.n_segments; i++) {
		s = l->index.segments[i];
		if (!index_segment_free(&l->index, s) || s->kept)
			continue;
		v = alloc_new(1, sizeof(*v));
		v->log = l;
		v->number = s->header.number;
		s->leaving = true;
		commit_work(l->commit, &v->work, leaving_run, leaving_done);
	}
}

/* Choosing. */

static bool
is_old(const struct segment *s)
{
	return s->dead_since != 0 && clock_ms() - s->dead_since > DEAD_MOST_MS;
}

/* With little room even a segment that is three quarters full is worth emptying, if it fits into what is left. */
static bool
is_wanted(const struct log *l, const struct segment *s)
{
	uint64_t size = l->options.segment_size;

	if (s->open || s->leaving || s->kept || (s->live == 0 && s->needed == 0))
		return false;
	if (!l->space.spare)
		return s->live_bytes < size / 4 * 3 && l->space.used + s->live_bytes < size / 4 * 3;
	return s->refused || s->damaged || s->live_bytes < size / 4 || is_old(s);
}

/* The oldest first: the ends that newer ones hold for it are then needed no longer. */
static struct segment *
choose(struct log *l)
{
	struct segment *s;

	for (size_t i = 0; i < l->index.n_segments; i++)
		if (is_wanted(l, l->index.segments[i]))
			return l->index.segments[i];
	/* The open segment too, when what ended in it has been there for long. */
	for (size_t i = 0; i < l->index.n_segments; i++) {
		s = l->index.segments[i];
		if (s->open && is_old(s) && clock_ms() - l->reclaim.asked > ASK_AGAIN_MS) {
			l->reclaim.asked = clock_ms();
			commit_kick(l->commit, true);
		}
	}
	return NULL;
}

/* Copying. */

struct move {
	struct log	*log;
	uint64_t	 id;
	uint64_t	 bytes;
};

static void
move_free(struct move *v)
{
	v->log->reclaim.under_way--;
	v->log->reclaim.bytes -= v->bytes;
	reclaim_poke(v->log);
	free(v);
}

static void
on_moved(void *arg, const char *error)
{
	struct move *v = arg;
	struct message *m = index_find(&v->log->index, v->id);

	if (m)
		m->moving = false;
	if (error == NULL)
		v->log->reclaim.moved++;
	move_free(v);
}

/* The message as it stands in one record: all of it, or what changed since its base. */
static struct blob *
snapshot(const struct message *m, const struct read_result *res, bool whole, struct record *r)
{
	const struct log_envelope *e = &res->envelope;
	const struct record *base = &res->records[0];
	uint32_t first = whole ? 0 : m->base_rcpts, n = e->message.n_rcpts, n_out = 0;
	struct envelope_rcpt *added = alloc_new(n + 1U, sizeof(*added));
	struct log_outcome *out = alloc_new(n + 1U, sizeof(*out));

	for (uint32_t i = 0; i < n; i++) {
		const struct log_envelope_rcpt *p = &e->rcpts[i];

		added[i] = p->rcpt;
		if (p->state != LOG_OPEN || p->attempts > 0 || p->next_try != 0 || p->text[0] != '\0' ||
		    p->marks != 0 || p->past[0] != '\0')
			out[n_out++] = (struct log_outcome){ .index = i, .state = p->state, .attempts = p->attempts,
			    .next_try = p->next_try, .text = p->text, .at = p->at, .marks = p->marks, .past = p->past };
	}
	*r = (struct record){ .kind = whole ? RECORD_COPY : RECORD_STATE, .id = m->id, .first = first,
	    .n_added = n - first, .added = added + first, .n_outcomes = n_out, .outcomes = out };
	if (whole) {
		r->arrived = base->arrived;
		r->size = base->size;
		r->in_file = base->in_file;
		r->sender = base->sender;
		r->head = base->head;
		r->n_sums = base->n_sums;
		r->sums = base->sums;
		r->content = base->content;
		r->content_len = base->content_len;
	}
	return record_encode(r);
}

static bool
stands_in(const struct message *m, uint32_t segment)
{
	uint32_t n;
	const struct index_slot *slots = index_slots(m, &n);
	bool found = m->base.segment == segment;

	for (uint32_t i = 0; i < n && !found; i++)
		found = slots[i].refs > 0 && slots[i].at.segment == segment;
	return found;
}

/* It cannot be moved, so its segment stays, with it. */
static void
move_failed(struct log *l, struct message *m, const char *why)
{
	struct segment *s = index_segment(&l->index, l->reclaim.segment);

	m->broken = true;
	if (s)
		s->kept = true;
	log_trouble(l, "message %s could not be copied forward (%s)", id_text(m->id), why);
}

/* What was read is copied only if nothing was said of the message since; otherwise the next walk finds it again. */
static void
on_read(void *arg, struct message *m, const struct read_result *res, const char *error)
{
	struct move *v = arg;
	struct log *l = v->log;
	struct blob *b;
	struct record r;

	if (m)
		m->moving = false;
	if (m && error)
		move_failed(l, m, error);
	if (m == NULL || error || l->closing || m->pending > 0 || m->changed) {
		move_free(v);
		return;
	}
	b = snapshot(m, res, m->base.segment == l->reclaim.segment, &r);
	if (b == NULL || b->len > l->record_max) {
		blob_unref(b);
		move_failed(l, m, "larger than a segment");
		move_free(v);
	} else {
		m->moving = true;
		log_append_change(l, m, &r, b, on_moved, v);
	}
	free(r.added - r.first);
	free(r.outcomes);
}

static void
move_start(struct log *l, struct message *m)
{
	struct move *v = alloc_new(1, sizeof(*v));

	*v = (struct move){ .log = l, .id = m->id, .bytes = m->base.length };
	m->moving = true;
	m->changed = false;
	l->reclaim.under_way++;
	l->reclaim.bytes += v->bytes;
	read_message(l, m->id, on_read, v);
}

/* Whether any message still has something in s. Starts copying as many as may be under way at once. */
static bool
move_messages(struct log *l, const struct segment *s)
{
	struct message *m;
	bool any = false;
	uint32_t at = 0;

	if (s->live == 0)
		return false;
	while (l->reclaim.under_way < UNDER_WAY_MOST && l->reclaim.bytes < BYTES_MOST &&
	    (m = index_next(&l->index, &at)) != NULL) {
		if (m->base.segment == 0 || !stands_in(m, s->header.number))
			continue;
		if (m->broken)
			continue;
		any = true;
		if (!m->moving && m->pending == 0)
			move_start(l, m);
	}
	return any || l->reclaim.under_way > 0;
}

/* Ends said again. */

struct end_again {
	uint32_t	segment, grave;		/* whose grave it is for, and which of them */
	uint64_t	id;
};

static void
on_end_again(struct log *l, void *arg, uint32_t by)
{
	struct end_again *e = arg;
	struct segment *s = index_segment(&l->index, e->segment);

	if (s && by != 0 && s->graves[e->grave].id == e->id)
		index_grave_move(&l->index, &s->graves[e->grave], by);
	l->reclaim.under_way--;
	free(e);
	reclaim_poke(l);
}

static void
end_say_again(struct log *l, struct segment *s, uint32_t grave)
{
	struct end_again *e = alloc_raw(sizeof(*e));

	*e = (struct end_again){ .segment = s->header.number, .grave = grave, .id = s->graves[grave].id };
	l->reclaim.under_way++;
	log_append_end_again(l, e->id, on_end_again, e);
}

/* What older segments hold dead by a record in `s` is held dead by a later one. */
static void
move_graves(struct log *l, const struct segment *s)
{
	struct segment *older;
	struct index_grave *g;
	struct message *m;

	for (size_t i = 0; i < l->index.n_segments && l->reclaim.under_way < ENDS_MOST; i++) {
		older = l->index.segments[i];
		for (uint32_t j = 0; j < older->n_graves && l->reclaim.under_way < ENDS_MOST; j++) {
			g = &older->graves[j];
			if (g->by != s->header.number)
				continue;
			m = index_find(&l->index, g->id);
			if (m == NULL)
				end_say_again(l, older, j);
			else if (m->base.segment > s->header.number)
				index_grave_move(&l->index, g, m->base.segment);
		}
	}
}

static void
reclaim_run(void *arg)
{
	struct log *l = arg;
	struct segment *s = index_segment(&l->index, l->reclaim.segment);

	if (l->closing || !l->scanned)
		return;
	remove_free(l);
	if (s == NULL || !is_wanted(l, s)) {
		if (l->reclaim.under_way > 0)
			return;			/* what is being copied is counted by segment: let it end */
		s = choose(l);
		l->reclaim.segment = s ? s->header.number : 0;
	}
	if (s == NULL || l->space.stalled)
		return;
	if (s->live > 0) {
		if (!move_messages(l, s) && s->live > 0 && s->pins == 0 && l->requests == 0)
			s->kept = true;		/* by a message that cannot be read */
	} else if (s->needed > 0 && l->reclaim.under_way == 0)
		move_graves(l, s);
	remove_free(l);
}

void
reclaim_init(struct log *l)
{
	timer_set(&l->reclaim.soon, reclaim_run, l);
}

void
reclaim_tick(struct log *l)
{
	reclaim_run(l);
}

void
reclaim_stop(struct log *l)
{
	timer_stop(&l->reclaim.soon);
}
