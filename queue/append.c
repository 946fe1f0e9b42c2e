/*
 * What is appended to the log and what follows when it is durable: acceptances, outcomes, expansions, an administrator's
 * actions, ends. Decides which records say a thing, that index and disk stay in step, and who is told when. Called
 * through log.h; announce.c and reclaim.c append changes of their own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/messages.h"
#include "queue/log_private.h"

#define OUTCOMES_MOST	256U		/* in one record */

/* An append with what is to happen when it is durable. */
struct appending {
	struct append	 append;	/* first */
	struct log	*log;
	uint64_t	 id;
	struct change	 change[2];
	struct message	*accepted;	/* of an acceptance */
	uint64_t	 reserved;
	struct record	 settles;	/* of an acceptance: what it says of its parent's recipients */
	uint16_t	*changes;	/* how often something had been said of each before */
	struct log_file	*file;		/* to be synced first */
	bool		 remove_file;	/* of an end: the message was a large one */
	void		(*placed)(struct log *, void *, uint32_t);
	log_done_fn	*done;
	void		*arg;
};

static void
appending_free(struct appending *q)
{
	for (unsigned i = 0; i < q->append.n; i++) {
		blob_unref(q->append.records[i]);
		index_abandon(&q->change[i]);	/* nothing is left of what was placed */
	}
	free(q->settles.outcomes);
	free(q->changes);
	q->log->requests--;
	free(q);
}

static void
appending_end(struct appending *q, const char *error)
{
	struct log *l = q->log;
	char text[LOG_ERROR_MAX];

	if (error) {
		snprintf(text, sizeof(text), "%s", error);
		error = text;
	}
	if (q->done)
		q->done(q->arg, error);
	appending_free(q);
	if (error && l->closing)
		read_fail_waiting(l, error);	/* what they wait for will not come */
	else
		read_retry_waiting(l);
}

/* What was said after it and is durable later has the last word, as it will at a start; but nobody settled comes back. */
static void
parent_compare(const struct message *parent, struct appending *q)
{
	struct record *r = &q->settles;
	const struct index_rcpt *p;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->n_outcomes; i++) {
		p = index_rcpt(parent, r->outcomes[i].index);
		if (log_state_open(r->outcomes[i].state) && (p == NULL || p->changes != q->changes[i]))
			continue;
		r->outcomes[kept++] = r->outcomes[i];
	}
	r->n_outcomes = kept;
}

/* What a child's acceptance says of its parent counts from now on; its last recipients end the parent. */
static void
parent_settle(struct log *l, struct appending *q)
{
	struct message *parent = q->settles.parent != 0 ? index_find(&l->index, q->settles.parent) : NULL;
	struct change c;

	if (parent == NULL)
		return;
	parent->pending--;
	if (q->append.error)
		return;
	parent_compare(parent, q);
	index_change(parent, &q->settles, &c);
	index_placed(&l->index, &c, q->append.at[0], clock_ms());
	if (parent->n_open == 0)
		log_append_end(l, parent);
}

static void
on_accepted(void *w)
{
	struct appending *q = w;
	struct log *l = q->log;

	log_release(l, q->reserved);
	if (q->append.error) {
		if (q->accepted->in_file)
			large_remove(l, q->id);
		index_forget(&l->index, q->accepted);
	} else {
		q->accepted->announced = true;
		index_placed_base(&l->index, q->accepted, q->append.at[0]);
		cache_put(&l->cache, q->id, q->append.records[0]);
		l->space.used = q->append.at[0].offset + q->append.at[0].length;
	}
	parent_settle(l, q);
	appending_end(q, q->append.error);
}

static void
on_changed(void *w)
{
	struct appending *q = w;
	struct log *l = q->log;

	for (unsigned i = 0; i < q->append.n && q->append.error == NULL; i++) {
		index_placed(&l->index, &q->change[i], q->append.at[i], clock_ms());
		l->space.used = q->append.at[i].offset + q->append.at[i].length;
	}
	if (q->placed)
		q->placed(l, q->arg, q->append.error == NULL ? q->append.at[0].segment : 0);
	if (q->append.records[0]->kind == RECORD_COPY)
		cache_drop(&l->cache, q->id);	/* the base is another one now */
	if (q->append.error == NULL && q->remove_file)
		large_remove(l, q->id);
	reclaim_poke(l);
	appending_end(q, q->append.error);
}

static struct appending *
appending_new(struct log *l, uint64_t id, void (*on_done)(void *), log_done_fn *done, void *arg)
{
	struct appending *q = alloc_new(1, sizeof(*q));

	q->append.work.done = on_done;
	q->log = l;
	l->requests++;
	q->id = id;
	q->done = done;
	q->arg = arg;
	return q;
}

static struct blob *
end_record(uint64_t id)
{
	return record_encode(&(struct record){ .kind = RECORD_END, .id = id });
}

static void
appending_add_end(struct appending *q, struct message *m)
{
	cache_drop(&q->log->cache, m->id);
	flight_forget(q->log, m->id);
	q->remove_file = m->in_file;
	index_end(&q->log->index, m, &q->change[q->append.n]);
	q->append.records[q->append.n++] = end_record(m->id);
}

void
log_append_change(struct log *l, struct message *m, const struct record *r, struct blob *b, log_done_fn *done, void *arg)
{
	struct appending *q = appending_new(l, m->id, on_changed, done, arg);

	q->append.records[q->append.n++] = b;
	q->append.can_wait = r->kind == RECORD_OUTCOME;
	index_change(m, r, &q->change[0]);
	if (r->kind == RECORD_COPY)
		cache_drop(&l->cache, m->id);
	if (m->n_open == 0)
		appending_add_end(q, m);
	commit_append(l->commit, &q->append);
}

void
log_append_end(struct log *l, struct message *m)
{
	struct appending *q = appending_new(l, m->id, on_changed, NULL, NULL);

	appending_add_end(q, m);
	q->append.can_wait = true;
	commit_append(l->commit, &q->append);
}

void
log_append_end_again(struct log *l, uint64_t id, void (*placed)(struct log *, void *, uint32_t), void *arg)
{
	struct appending *q = appending_new(l, id, on_changed, NULL, arg);

	q->placed = placed;
	q->append.records[q->append.n++] = end_record(id);
	commit_append(l->commit, &q->append);
}

/* A record of a message that the caller knows: checked, encoded, appended. Its size is bounded by a segment's. */
static void
change_send(struct log *l, uint64_t id, const struct record *r, log_done_fn *done, void *arg)
{
	struct message *m = index_find(&l->index, id);
	struct blob *b;

	if (m == NULL || !m->announced) {
		log_later(l, done, arg, "no such message");
		return;
	}
	b = record_encode(r);
	if (b == NULL || b->len > l->record_max) {
		blob_unref(b);
		log_later(l, done, arg, "larger than a segment of the log");
		return;
	}
	log_append_change(l, m, r, b, done, arg);
}

static void
outcomes_send(struct log *l, enum record_kind kind, uint64_t id, const struct log_outcome *o, size_t n, log_done_fn *done,
    void *arg)
{
	size_t most = l->record_max / (2 * (RECORD_TEXT_MAX + RECORD_PAST_MAX + 64)), part;
	struct record r = { .kind = kind, .id = id };

	most = most < 1 ? 1 : most < OUTCOMES_MOST ? most : OUTCOMES_MOST;
	do {
		part = n < most ? n : most;
		r.outcomes = (struct log_outcome *)(uintptr_t)o;
		r.n_outcomes = (uint32_t)part;
		n -= part;
		o += part;
		change_send(l, id, &r, n == 0 ? done : NULL, arg);
	} while (n > 0);
}

void
log_outcomes(struct log *l, uint64_t id, const struct log_outcome *o, size_t n, log_done_fn *done, void *arg)
{
	if (n == 0)
		log_later(l, done, arg, NULL);
	else
		outcomes_send(l, RECORD_OUTCOME, id, o, n, done, arg);
}

void
log_edit(struct log *l, uint64_t id, const struct log_outcome *o, size_t n, const struct envelope_rcpt *added, uint32_t n_added,
    log_done_fn *done, void *arg)
{
	struct message *m = index_find(&l->index, id);
	struct record r = { .kind = RECORD_EXPAND, .id = id, .n_outcomes = (uint32_t)n, .n_added = n_added };

	if (n_added == 0 && n > 0) {
		outcomes_send(l, RECORD_ADMIN, id, o, n, done, arg);
		return;
	}
	r.first = m ? m->n_rcpts : 0;
	r.added = (struct envelope_rcpt *)(uintptr_t)added;
	r.outcomes = (struct log_outcome *)(uintptr_t)o;
	change_send(l, id, &r, done, arg);
}

void
log_expand(struct log *l, uint64_t id, uint32_t index, const struct envelope_rcpt *added, uint32_t n, log_done_fn *done,
    void *arg)
{
	struct log_outcome o = { .index = index, .state = LOG_EXPANDED };
	struct message *m = index_find(&l->index, id);
	struct record r = { .kind = RECORD_EXPAND, .id = id, .outcomes = &o, .n_outcomes = 1, .n_added = n };

	r.first = m ? m->n_rcpts : 0;
	r.added = (struct envelope_rcpt *)(uintptr_t)added;
	change_send(l, id, &r, done, arg);
}

/* Acceptance. */

/* The large file is on the disk, or is not: only now the acceptance that names it. */
static void
on_file_synced(void *arg, const char *error)
{
	struct appending *q = arg;

	if (error) {
		q->append.error = error;
		on_accepted(&q->append.work);
		return;
	}
	commit_append(q->log->commit, &q->append);
}

static void
accept_refuse(struct log *l, const struct log_accept *a, uint64_t reserved, log_done_fn *done, void *arg, const char *why)
{
	log_file_discard(a->file);
	log_release(l, reserved);
	log_later(l, done, arg, why);
}

static void
accept_parent(struct log *l, struct appending *q, const struct log_accept *a)
{
	struct message *parent = a->parent != 0 ? index_find(&l->index, a->parent) : NULL;

	if (parent == NULL)
		return;
	parent->pending++;		/* no snapshot of it is taken meanwhile */
	q->settles = (struct record){ .kind = RECORD_ACCEPT, .id = a->id, .parent = a->parent, .n_outcomes = a->n_outcomes };
	q->settles.outcomes = alloc_new(a->n_outcomes + 1U, sizeof(*a->outcomes));
	q->changes = alloc_new(a->n_outcomes + 1U, sizeof(*q->changes));
	for (uint32_t i = 0; i < a->n_outcomes; i++) {
		const struct index_rcpt *p = index_rcpt(parent, a->outcomes[i].index);

		q->settles.outcomes[i] = a->outcomes[i];
		q->settles.outcomes[i].text = q->settles.outcomes[i].past = NULL;
		q->changes[i] = p != NULL ? p->changes : 0;
	}
}

void
log_accept(struct log *l, const struct log_accept *a, uint64_t reserved, log_done_fn *done, void *arg)
{
	struct record r = {
		.kind = RECORD_ACCEPT, .id = a->id, .arrived = a->arrived, .size = a->content_len, .in_file = a->file != NULL,
		.sender = *a->sender, .head = (char *)(uintptr_t)(a->head ? a->head : ""), .n_added = a->n_rcpts,
		.added = (struct envelope_rcpt *)(uintptr_t)a->rcpts, .parent = a->parent, .n_outcomes = a->n_outcomes,
		.outcomes = (struct log_outcome *)(uintptr_t)a->outcomes,
		.content = a->content, .content_len = a->content_len,
	};
	struct log_file_end end;
	struct appending *q;
	struct blob *b;

	if (a->file) {
		large_finish(a->file, &end);
		r.size = end.size;
		r.sums = end.sums;
		r.n_sums = end.n_sums;
	}
	if (a->n_rcpts == 0 || a->content_len > MSG_INLINE_MAX) {
		accept_refuse(l, a, reserved, done, arg, "not a message that can be stored");
		return;
	}
	if ((b = record_encode(&r)) == NULL || b->len > l->record_max) {
		blob_unref(b);
		accept_refuse(l, a, reserved, done, arg, "larger than a segment of the log");
		return;
	}
	q = appending_new(l, a->id, on_accepted, done, arg);
	q->append.can_fail = true;
	q->append.records[q->append.n++] = b;
	q->reserved = reserved;
	q->accepted = index_add(&l->index, &r);
	if (q->accepted == NULL)
		log_fatal("event=bug what=\"a message's id was used twice\" id=%s", id_text(a->id));
	accept_parent(l, q, a);
	if (a->file)
		large_sync(a->file, on_file_synced, q);
	else
		commit_append(l->commit, &q->append);
}
