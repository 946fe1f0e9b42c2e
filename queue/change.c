/*
 * What an administrator does to messages and their recipients: hold, release, remove, retry, bounce, reroute, replace, add.
 * Decides what a change is in the log, one record for each message with what was tried before kept, and that the scheduler
 * follows when it is durable; who may, and to what, is decided in admin.c and selection.c. Called by admin.c.
 *
 * The answer: K lines (id, index, address) for each recipient changed, or that would be; X lines (id, why not); an E line
 * (messages, recipients, what they are now, "dry-run").
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "queue/attempt.h"
#include "queue/past.h"
#include "queue/record.h"
#include "queue/request.h"

struct change_kind {
	const char	*word;		/* what they are then */
	/* Which of the selected recipients; NULL: each. */
	bool		(*fits)(const struct request *, const struct log_envelope *, uint32_t index);
	/* Does it: a struct doing, whose end says what was done, or says it at once. */
	void		(*apply)(struct request *, const struct log_envelope *, const uint32_t *indexes, uint32_t n);
	enum log_state	state;		/* of apply_state: what they become */
};

/* One message's change on its way to the disk. */
struct doing {
	struct request		*r;
	struct dispatch		*dispatch;
	uint64_t		 id;
	int64_t			 arrived;
	char			*sender;
	uint32_t		 n, *indexes;
	char			**addresses;
	/* to be scheduled after it */
	struct envelope_rcpt	*rcpts;
	uint32_t		*at, n_rcpts;
};

/* ---- what is said ---- */

static void
say_changed(struct request *r, uint64_t id, uint32_t index, const char *address)
{
	r->changed++;
	caller_say(r->caller, "K\t%s\t%u\t%s\n", id_text(id), index, address);
}

static void
say_problem(struct request *r, uint64_t id, const char *why)
{
	caller_say(r->caller, "X\t%s\t%s\n", id_text(id), why);
}

static void
finish(struct request *r)
{
	caller_say(r->caller, "E\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\n", r->changed_messages, r->changed, r->change->word,
	    r->dry_run ? "dry-run" : "");
	caller_end(r->caller);
}

static void
visited(struct request *r)
{
	if (r->pending == 0)
		finish(r);
}

/* ---- one message ---- */

static void
doing_free(struct doing *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		free(d->addresses[i]);
	for (uint32_t i = 0; i < d->n_rcpts; i++)
		envelope_free_rcpt(&d->rcpts[i]);
	free(d->addresses);
	free(d->indexes);
	free(d->rcpts);
	free(d->at);
	free(d->sender);
	free(d);
}

/* With room for one recipient more than these. */
static struct doing *
doing_new(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	struct doing *d = alloc_new(1, sizeof(*d));

	d->r = r;
	d->dispatch = r->queue->dispatch;
	d->id = e->message.id;
	d->arrived = e->message.arrived;
	d->sender = alloc_text(e->sender.address);
	d->n = n;
	d->indexes = alloc_new(n + 1U, sizeof(*d->indexes));
	d->addresses = alloc_new(n + 1U, sizeof(*d->addresses));
	d->rcpts = alloc_new(n + 1U, sizeof(*d->rcpts));
	d->at = alloc_new(n + 1U, sizeof(*d->at));
	for (uint32_t i = 0; i < n; i++) {
		d->indexes[i] = indexes[i];
		d->addresses[i] = alloc_text(e->rcpts[indexes[i]].rcpt.address);
		log_info("msg=%s event=%s to=%s uid=%u", id_text(d->id), r->change->word, logq(d->addresses[i]), r->uid);
	}
	r->pending++;
	return d;
}

static void
doing_schedule(struct doing *d, const struct envelope_rcpt *rcpt, uint32_t index)
{
	envelope_copy_rcpt(&d->rcpts[d->n_rcpts], rcpt);
	d->at[d->n_rcpts++] = index;
}

static void
on_done(void *arg, const char *error)
{
	struct doing *d = arg;
	struct request *r = d->r;
	struct log_message m;

	for (uint32_t i = 0; i < d->n_rcpts && error == NULL; i++)
		dispatch_add(d->dispatch, d->id, d->arrived, d->sender, &d->rcpts[i], d->at[i], 1);
	if (!log_find(r->queue->log, d->id, &m))
		log_info("msg=%s event=done", id_text(d->id));
	r->pending--;
	if (request_still_wanted(r)) {
		if (error != NULL)
			say_problem(r, d->id, error);
		for (uint32_t i = 0; i < d->n && error == NULL; i++)
			say_changed(r, d->id, d->indexes[i], d->addresses[i]);
		r->changed_messages += error == NULL;
		if (r->ids != NULL)
			request_more(r);
		else if (r->pending == 0 && !r->reading)
			finish(r);
	}
	doing_free(d);
}

/* Their outcomes with a new state and word; what was before them is kept. For outcome_free_list. */
static struct log_outcome *
outcomes(const struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n, enum log_state state,
    const char *what)
{
	struct log_outcome *o = alloc_new(n + 1U, sizeof(*o));

	for (uint32_t i = 0; i < n; i++) {
		const struct log_envelope_rcpt *p = &e->rcpts[indexes[i]];
		char *text = alloc_printf("%s by uid %u", what, r->uid);

		o[i] = (struct log_outcome){ .index = indexes[i], .state = state, .attempts = p->attempts, .text = text,
		    .at = clock_wall(), .marks = p->marks, .past = past_add(p->past, p->at, p->text,
		    e->message.n_rcpts > PAST_MANY_RCPTS ? PAST_LITTLE : RECORD_PAST_MAX) };
	}
	return o;
}

static void
drop(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		dispatch_drop(r->queue->dispatch, e->message.id, indexes[i]);
}

static void
visit(struct request *r, const struct log_envelope *e)
{
	uint32_t *indexes = alloc_new(e->message.n_rcpts + 1U, sizeof(*indexes)), n = request_select(r, e, indexes), kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (r->change->fits == NULL || r->change->fits(r, e, indexes[i]))
			indexes[kept++] = indexes[i];
	if (kept > 0 && r->dry_run) {
		r->changed_messages++;
		for (uint32_t i = 0; i < kept; i++)
			say_changed(r, e->message.id, indexes[i], e->rcpts[indexes[i]].rcpt.address);
	} else if (kept > 0) {
		r->change->apply(r, e, indexes, kept);
	}
	free(indexes);
}

void
change_begin(struct request *r)
{
	caller_say(r->caller, "ok\n");
	request_walk(r, visit, visited);
}

/* ---- hold, release, remove, retry ---- */

static bool
is_not_held(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	(void)r;
	return e->rcpts[index].state == LOG_OPEN;
}

static bool
is_held(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	(void)r;
	return e->rcpts[index].state == LOG_HELD;
}

static void
apply_state(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	enum log_state state = r->change->state;
	struct doing *d = doing_new(r, e, indexes, n);
	struct log_outcome *o = outcomes(r, e, indexes, n, state, r->change->word);

	if (state != LOG_OPEN)
		drop(r, e, indexes, n);
	for (uint32_t i = 0; i < n && state == LOG_OPEN; i++)
		doing_schedule(d, &e->rcpts[indexes[i]].rcpt, indexes[i]);
	log_edit(r->queue->log, e->message.id, o, n, NULL, 0, on_done, d);
	outcome_free_list(o, n);
}

/* A message's recipients wait for each other only where they share a next hop: all of it is tried. */
static void
apply_retry(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	(void)indexes;
	(void)n;
	log_info("msg=%s event=retry uid=%u", id_text(e->message.id), r->uid);
	r->changed += dispatch_retry(r->queue->dispatch, e->message.id, NULL);
	r->changed_messages++;
}

/* ---- bounce ---- */

static void
apply_bounce(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	struct attempt a = { .message = e->message.id, .arrived = e->message.arrived, .sender = e->sender.address,
	    .session = e->sender.session, .envid = e->sender.envid, .ret = e->sender.ret, .flags = e->message.flags,
	    .size = e->message.size };
	struct attempt_rcpt *rcpts = alloc_new(n, sizeof(*rcpts));
	const char *why = r->with[0] != '\0' ? r->with : "Returned by the administrator of this server.";

	drop(r, e, indexes, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct log_envelope_rcpt *from = &e->rcpts[indexes[i]];

		rcpts[i] = (struct attempt_rcpt){ .index = indexes[i], .attempts = from->attempts, .before_at = from->at,
		    .marks = from->marks, .marks_before = from->marks, .past_room = RECORD_PAST_MAX,
		    .before = alloc_text(from->text), .past = alloc_text(from->past) };
		envelope_copy_rcpt(&rcpts[i].rcpt, &from->rcpt);
		attempt_set(&rcpts[i], RESULT_FAILED, "5.0.0", why);
		log_info("msg=%s event=returned to=%s uid=%u", id_text(e->message.id), logq(from->rcpt.address), r->uid);
		say_changed(r, e->message.id, indexes[i], from->rcpt.address);
	}
	r->changed_messages++;
	tell_failed(r->queue->dispatch, &a, rcpts, n);
	tell_poke(r->queue->dispatch, e->message.id);
}

/* ---- other recipients ---- */

static bool
is_not_active(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	if (!schedule_is_active(r->queue->schedule, e->message.id, index))
		return true;
	say_problem((struct request *)(uintptr_t)r, e->message.id, "a recipient is being tried now; hold it first, or try again");
	return false;
}

/* The old ones are settled and new ones stand in their place, in one record; who was held stays so. */
static void
replace(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n, const struct envelope_rcpt *rcpts)
{
	struct log_outcome *o = outcomes(r, e, indexes, n, LOG_EXPANDED, r->change->word);
	struct doing *d = doing_new(r, e, indexes, n);
	struct log_message m = e->message;
	uint32_t n_o = n;

	if (!log_find(r->queue->log, e->message.id, &m))
		m.n_rcpts = e->message.n_rcpts;		/* it has just gone, and log_edit will say so */
	drop(r, e, indexes, n);
	o = alloc_resize(o, 2U * n + 1, sizeof(*o));
	for (uint32_t i = 0; i < n; i++) {
		if (e->rcpts[indexes[i]].state != LOG_HELD) {
			doing_schedule(d, &rcpts[i], m.n_rcpts + i);
			continue;
		}
		o[n_o] = o[i];
		o[n_o].index = m.n_rcpts + i;
		o[n_o].state = LOG_HELD;
		o[n_o].text = alloc_text(o[i].text);
		o[n_o].past = alloc_text(o[i].past);
		n_o++;
	}
	log_edit(r->queue->log, e->message.id, o, n_o, rcpts, n, on_done, d);
	outcome_free_list(o, n_o);
}

static void
apply_reroute(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	struct envelope_rcpt *rcpts = alloc_new(n, sizeof(*rcpts));

	for (uint32_t i = 0; i < n; i++) {
		rcpts[i] = e->rcpts[indexes[i]].rcpt;
		rcpts[i].hop = r->with[0] == '\0' ? NULL : (char *)(uintptr_t)r->with;
	}
	replace(r, e, indexes, n, rcpts);
	free(rcpts);
}

/* Its own address as the one that the sender meant, unless somebody said another one. */
static void
apply_replace(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	struct envelope_rcpt *rcpts = alloc_new(n, sizeof(*rcpts));
	const char *at = strrchr(r->with, '@');

	for (uint32_t i = 0; i < n; i++) {
		const struct envelope_rcpt *from = &e->rcpts[indexes[i]].rcpt;

		rcpts[i] = (struct envelope_rcpt){ .address = (char *)(uintptr_t)r->with, .notify = from->notify, .orcpt = from->orcpt,
		    .local = at != NULL && conf_is_local(r->queue->p.conf, at + 1) };
	}
	replace(r, e, indexes, n, rcpts);
	free(rcpts);
}

static bool
has_open(const struct log_envelope *e, const char *address)
{
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		if (log_state_open(e->rcpts[i].state) && strcasecmp(e->rcpts[i].rcpt.address, address) == 0)
			return true;
	return false;
}

static void
apply_add(struct request *r, const struct log_envelope *e, const uint32_t *indexes, uint32_t n)
{
	const char *at = strrchr(r->with, '@');
	struct envelope_rcpt rcpt = { .address = (char *)(uintptr_t)r->with,
	    .local = at != NULL && conf_is_local(r->queue->p.conf, at + 1) };
	struct log_message m;
	struct doing *d;

	(void)indexes;
	(void)n;
	if (has_open(e, r->with) || !log_find(r->queue->log, e->message.id, &m)) {
		say_problem(r, e->message.id, "it has this recipient already");
		return;
	}
	d = doing_new(r, e, &(uint32_t){ 0 }, 0);
	d->indexes[0] = m.n_rcpts;
	d->addresses[0] = alloc_text(r->with);
	d->n = 1;
	doing_schedule(d, &rcpt, m.n_rcpts);
	log_info("msg=%s event=added to=%s uid=%u", id_text(d->id), logq(r->with), r->uid);
	log_edit(r->queue->log, e->message.id, NULL, 0, &rcpt, 1, on_done, d);
}

/* ---- all of them ---- */

const struct change_kind change_hold = { "held", is_not_held, apply_state, LOG_HELD };
const struct change_kind change_release = { "released", is_held, apply_state, LOG_OPEN };
const struct change_kind change_remove = { "removed", NULL, apply_state, LOG_REMOVED };
const struct change_kind change_retry = { .word = "due now", .fits = is_not_held, .apply = apply_retry };
const struct change_kind change_bounce = { .word = "returned to their senders", .apply = apply_bounce };
const struct change_kind change_reroute = { .word = "rerouted", .fits = is_not_active, .apply = apply_reroute };
const struct change_kind change_replace = { .word = "replaced", .fits = is_not_active, .apply = apply_replace };
const struct change_kind change_add = { .word = "added", .apply = apply_add };
