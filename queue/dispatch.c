/*
 * What is to be tried (queue/dispatch.h): asks the scheduler at the end of each turn of the loop and starts attempts
 * (attempt.c). Decides which next hop a recipient has, when new and found mail is due, and what a process that went away means
 * for what it was doing.
 */
#include "queue/dispatch.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/route.h"
#include "queue/attempt.h"
#include "queue/await.h"
#include "queue/bouncecap.h"
#include "queue/lanes.h"
#include "queue/past.h"

#define LOOKUP_JOBS	8		/* expansions at once, each with up to a hundred recipients */
#define MDA_JOBS	20
#define COMMAND_JOBS	10		/* beside them; as many as mda runs at once */
#define HOP_EXPAND	"expand"
#define SWEEP_MS	60000
#define NO_ROOM_MS	5000
#define ATTEMPT_MS	(4 * 3600 * 1000)	/* then it is cancelled: RFC 5321, 4.5.3.2 allows long waits, not endless ones */
#define CANCEL_MS	(10 * 60 * 1000)	/* then whoever does not end it is ended */

/* ---- the schedule ---- */

void
dispatch_kick(struct dispatch *d)
{
	event_active(d->turn, 0, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	struct schedule_job *job;
	enum schedule_action action;
	int64_t now = clock_ms(), due;
	void (*stopped)(void *) = d->stopped;

	(void)fd;
	(void)what;
	if (!d->stopping && !log_room(d->queue->log)) {		/* for outcomes: what was delivered and not recorded would go twice */
		timer_start(&d->due, NO_ROOM_MS);
		return;
	}
	while (!d->stopping && (action = schedule_next(d->schedule, now, &job)) != SCHEDULE_NOTHING)
		attempt_start(d, job, action);
	await_look(d->queue);
	due = schedule_due(d->schedule);
	if (due == SCHEDULE_NEVER || d->stopping)
		timer_stop(&d->due);
	else
		timer_start(&d->due, due > now ? due - now : 0);
	if (d->stopping && d->attempts == NULL && LIST_EMPTY(&d->tells) && stopped != NULL) {
		d->stopped = NULL;
		stopped(d->stopped_arg);
	}
}

static void
on_due(void *arg)
{
	dispatch_kick(arg);
}

/* Nothing is waited for without an end. */
static void
on_sweep(void *arg)
{
	struct dispatch *d = arg;
	struct attempt *a, *tmp;
	int64_t age;

	HASH_ITER(hh, d->attempts, a, tmp) {
		age = clock_ms() - a->started_ms;
		if (age > ATTEMPT_MS + CANCEL_MS && a->ipc != NULL)
			ipc_fail(a->ipc, "job %" PRIu64 " does not end", a->id);
		else if (age > ATTEMPT_MS)
			transfer_cancel(a);
	}
	timer_start(&d->sweep, SWEEP_MS);
}

/* Whose mail lies in a Maildir of its own, wherever others' is. */
static bool
is_root(const char *address, const char *at)
{
	return strncasecmp(address, "root@", 5) == 0 && at == address + 4;
}

enum schedule_agent
dispatch_route(const struct dispatch *d, const char *sender, const struct envelope_rcpt *r, char *to)
{
	const char *at = strrchr(r->address, '@');

	if (r->hop != NULL && strlen(r->hop) < ROUTE_HOP_MAX) {		/* where somebody wants it to go */
		memcpy(to, r->hop, strlen(r->hop) + 1);
		return SCHEDULE_DELIVERY;
	}
	/* What was accepted as somebody else's is ours when the configuration says so by now. */
	if (!r->local && (at == NULL || !conf_is_local(d->queue->p.conf, at + 1))) {
		route_hop(to, d->queue->p.conf, sender, at == NULL ? "" : at + 1);
		return SCHEDULE_DELIVERY;
	}
	if (r->final && r->part <= ENVELOPE_MAILBOX && at != NULL && conf_is_lmtp(d->queue->p.conf, at + 1) && !is_root(r->address, at)) {
		route_hop_lmtp(to, d->queue->p.conf);
		return SCHEDULE_DELIVERY;
	}
	if (r->final && (r->part == ENVELOPE_ALIAS_COMMAND || r->part == ENVELOPE_FORWARD_COMMAND)) {
		memcpy(to, HOP_COMMAND, sizeof(HOP_COMMAND));
		return SCHEDULE_MDA;
	}
	memcpy(to, r->final ? HOP_LOCAL : HOP_EXPAND, r->final ? sizeof(HOP_LOCAL) : sizeof(HOP_EXPAND));
	return r->final ? SCHEDULE_MDA : SCHEDULE_LOOKUP;
}

int64_t
dispatch_warn_ms(const struct dispatch *d, int64_t arrived_ms, int warned)
{
	return warned < d->n_warnings ? arrived_ms + d->warn_ms[warned] : SCHEDULE_NEVER;
}

/* By our clock, of what the disk says in seconds of the wall clock: once for a message, for that one may be set later. */
static int64_t
since(int64_t seconds)
{
	return clock_ms() + (seconds - clock_wall()) * 1000;
}

/* Mail for a domain that is only relayed waits longer for its host than other mail. */
int64_t
dispatch_longer_ms(const struct dispatch *d, const struct envelope_rcpt *r)
{
	const struct conf *conf = d->queue->p.conf;
	const char *at = strrchr(r->address, '@');

	if (r->local || at == NULL || conf->relay_expire_ms <= conf->expire_ms)
		return 0;
	for (size_t i = 0; conf->relay_domains[i] != NULL; i++)
		if (strcasecmp(conf->relay_domains[i], at + 1) == 0)
			return conf->relay_expire_ms - conf->expire_ms;
	return 0;
}

/* A set clock may have been far off when a message came or was tried: neither is in the future for long. */
static void
clamp(const struct dispatch *d, struct schedule_entry *e)
{
	int64_t now = clock_ms(), most = now + 2 * d->longest_ms;

	if (e->arrived_ms > now)
		e->arrived_ms = now;
	if (e->due_ms > most)
		e->due_ms = most;
}

/* One that nobody has tried yet: at once, unless its sender leaves it to a run of the queue. The pause is our own run. */
static int64_t
first_due(const struct dispatch *d, int64_t arrived_ms, uint32_t flags)
{
	return (flags & ENVELOPE_LATER) != 0 ? arrived_ms + d->queue->p.conf->retry_first_ms : clock_ms();
}

void
dispatch_schedule(struct dispatch *d, struct schedule_entry e, const char *sender, const struct envelope_rcpt *r, int warned)
{
	char hop[ROUTE_HOP_MAX];

	if (e.hop == NULL) {
		e.agent = dispatch_route(d, sender, r, hop);
		e.hop = hop;
	}
	clamp(d, &e);
	e.sender = lanes_key(sender);
	e.longer_ms = dispatch_longer_ms(d, r);
	e.warn_ms = dispatch_warn_ms(d, e.arrived_ms, warned);
	schedule_add(d->schedule, clock_ms(), &e);
}

static void
add(struct dispatch *d, struct schedule_entry e, const char *sender, const struct envelope_rcpt *rcpts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++, e.index++)
		dispatch_schedule(d, e, sender, &rcpts[i], 0);
	dispatch_kick(d);
}

void
dispatch_accepted(struct dispatch *d, uint64_t id, const struct envelope_sender *sender, const struct envelope_rcpt *rcpts,
    uint32_t n)
{
	add(d, (struct schedule_entry){ .message = id, .arrived_ms = clock_ms(), .due_ms = first_due(d, clock_ms(), sender->flags) },
	    sender->address, rcpts, n);
}

void
dispatch_add(struct dispatch *d, uint64_t id, int64_t arrived_ms, const char *sender, const struct envelope_rcpt *rcpts,
    uint32_t first, uint32_t n)
{
	add(d, (struct schedule_entry){ .message = id, .index = first, .arrived_ms = arrived_ms, .due_ms = clock_ms() }, sender,
	    rcpts, n);
}

void
dispatch_again(struct dispatch *d, uint64_t message, int64_t arrived_ms, const char *sender, uint32_t index, uint32_t attempts,
    const struct envelope_rcpt *r)
{
	dispatch_schedule(d, (struct schedule_entry){ .message = message, .index = index, .attempts = attempts,
	    .arrived_ms = arrived_ms, .due_ms = clock_ms() + d->queue->p.conf->retry_first_ms }, sender, r, LOG_WARNED);
	dispatch_kick(d);
}

/* queue itself died three times while it delivered it. */
static void
hold_found(struct dispatch *d, const struct log_envelope *e, uint32_t index)
{
	const struct log_envelope_rcpt *from = &e->rcpts[index];
	struct notice about = { .session = e->sender.session, .sender = e->sender.address, .rcpt = from->rcpt.address,
	    .arrived = e->message.arrived, .size = e->message.size };
	struct attempt_rcpt r = { .index = index, .attempts = from->attempts, .past_room = PAST_LITTLE,
	    .before = (char *)(uintptr_t)from->text, .past = (char *)(uintptr_t)from->past, .before_at = from->at,
	    .marks = from->marks };

	outcome_hold(d->queue, e->message.id, &r, "queue", &about);
	free(r.enhanced);
	free(r.host);
	free(r.text);
}

void
dispatch_found(struct dispatch *d, const struct log_envelope *e)
{
	int64_t arrived_ms = since(e->message.arrived);
	struct schedule_entry s = { .message = e->message.id, .crashes = log_crashes(d->queue->log, e->message.id),
	    .arrived_ms = arrived_ms };

	if (schedule_has(d->schedule, e->message.id))
		return;
	for (uint32_t i = 0; i < e->message.n_rcpts; i++) {
		const struct log_envelope_rcpt *r = &e->rcpts[i];

		if (r->state != LOG_OPEN)
			continue;
		if (s.crashes >= OUTCOME_CRASHES_HELD) {
			hold_found(d, e, i);
			continue;
		}
		s.index = i;
		s.attempts = r->attempts;
		s.due_ms = r->next_try == 0 ? first_due(d, arrived_ms, e->message.flags) : since(r->next_try);
		dispatch_schedule(d, s, e->sender.address, &r->rcpt, r->marks & LOG_WARNED);
	}
	dispatch_kick(d);
}

/* ---- events from outside ---- */

void
dispatch_peer_up(struct dispatch *d, struct ipc *ipc)
{
	for (int i = 0; i < SCHEDULE_AGENTS; i++)
		if (attempt_procs[i] == ipc_peer(ipc))
			schedule_agent_up(d->schedule, (enum schedule_agent)i, true);
	dispatch_kick(d);
}

/*
 * What was in flight there has used up an attempt: one of them may be the reason. Not so while all of us
 * are going down, nor for what the other side had not heard of.
 */
void
dispatch_peer_down(struct dispatch *d, struct ipc *ipc)
{
	struct attempt *a, *tmp;

	for (int i = 0; i < SCHEDULE_AGENTS; i++)
		if (attempt_procs[i] == ipc_peer(ipc))
			schedule_agent_up(d->schedule, (enum schedule_agent)i,
			    process_peer(&d->queue->p, attempt_procs[i]) != NULL);
	HASH_ITER(hh, d->attempts, a, tmp) {
		if (a->ipc != ipc)
			continue;
		a->ipc = NULL;
		attempt_end(a, a->started && a->agent != SCHEDULE_LOOKUP && !d->stopping ? SCHEDULE_CRASHED :
		    SCHEDULE_PUT_BACK);
	}
}

static void
cancel_message(struct dispatch *d, uint64_t id)
{
	uint32_t index, attempts, left;
	struct attempt *a, *tmp;

	HASH_ITER(hh, d->attempts, a, tmp) {
		if (a->message != id || a->over)
			continue;
		left = 0;
		for (uint32_t i = 0; i < schedule_job_size(a->job); i++)
			left += schedule_job_rcpt(a->job, i, &index, &attempts);
		if (left == 0)
			transfer_cancel(a);
	}
}

uint32_t
dispatch_drop(struct dispatch *d, uint64_t id, uint32_t index)
{
	uint32_t n = schedule_drop(d->schedule, id, index);

	cancel_message(d, id);
	dispatch_kick(d);
	return n;
}

uint32_t
dispatch_retry(struct dispatch *d, uint64_t id, const char *hop)
{
	uint32_t n = schedule_retry(d->schedule, clock_ms(), id, hop);

	dispatch_kick(d);
	return n;
}

bool
dispatch_pause(struct dispatch *d, const char *hop, enum schedule_agent agent, bool pause)
{
	bool changed = schedule_pause(d->schedule, clock_ms(), hop, agent, pause);

	dispatch_kick(d);
	return changed;
}

/* mda and delivery have ended before queue is told to, so there is little left: what there is, is put back. */
void
dispatch_stop(struct dispatch *d, void (*done)(void *), void *arg)
{
	struct attempt *a, *tmp;

	d->stopping = true;
	d->stopped = done;
	d->stopped_arg = arg;
	HASH_ITER(hh, d->attempts, a, tmp)
		transfer_cancel(a);
	tell_stop(d);
	dispatch_kick(d);
}

static uint32_t
jobs_of(const void *conf, const char *hop)
{
	if (strcmp(hop, HOP_LOCAL) == 0 || strcmp(hop, HOP_COMMAND) == 0)
		return strcmp(hop, HOP_LOCAL) == 0 ? MDA_JOBS : COMMAND_JOBS;
	return route_connections(conf, hop);
}

static struct schedule_limits
limits_of(const struct conf *c)
{
	struct schedule_limits l = {
		.jobs = { LOOKUP_JOBS, MDA_JOBS + COMMAND_JOBS, c->delivery_connections },
		.jobs_of = jobs_of, .jobs_arg = c,
		.retry_first_ms = c->retry_first_ms, .retry_most_ms = c->retry_most_ms, .expire_ms = c->expire_ms,
	};
	int n = conf_durations(c->retry_schedule, l.intervals, SCHEDULE_INTERVALS);

	l.n_intervals = n > 0 ? (uint32_t)n : 0;
	return l;
}

static void
set_times(struct dispatch *d)
{
	int64_t ms[CONF_DURATIONS_MAX];
	int n = conf_durations(d->queue->p.conf->delay_warnings, ms, CONF_DURATIONS_MAX);

	d->n_warnings = n < 0 ? 0 : n < LOG_WARNED ? n : LOG_WARNED;
	memcpy(d->warn_ms, ms, (size_t)d->n_warnings * sizeof(ms[0]));
	n = conf_durations(d->queue->p.conf->retry_schedule, ms, CONF_DURATIONS_MAX);
	d->longest_ms = n > 0 ? ms[n - 1] : d->queue->p.conf->retry_most_ms;
}

/* The file of credentials is read again: who was not let in may be now. */
static void
retry_logins(struct dispatch *d)
{
	const struct conf *conf = d->queue->p.conf;
	char hop[ROUTE_HOP_MAX];

	for (size_t i = 0; i < conf->n_destinations; i++)
		if (conf->destinations[i].login[0] != '\0')
			schedule_retry(d->schedule, clock_ms(), 0, route_hop_of(hop, conf, &conf->destinations[i]));
}

/* Where relays have changed, nothing waits for one that is not asked any more: all is tried, and goes where it should. */
void
dispatch_reconfigure(struct dispatch *d, const struct conf *old)
{
	struct schedule_limits limits = limits_of(d->queue->p.conf);

	schedule_limit(d->schedule, &limits);
	set_times(d);
	if (!route_same(old, d->queue->p.conf))
		schedule_retry(d->schedule, clock_ms(), 0, NULL);
	else
		retry_logins(d);
	dispatch_kick(d);
}

struct dispatch *
dispatch_new(struct queue *q)
{
	struct schedule_limits limits = limits_of(q->p.conf);
	struct dispatch *d = alloc_new(1, sizeof(*d));

	d->turn = alloc_must(event_new(q->p.base, -1, 0, on_turn, d));
	d->queue = q;
	set_times(d);
	LIST_INIT(&d->tells);
	d->cap = bouncecap_new();
	q->schedule = d->schedule = schedule_new(&limits, id_random());
	timer_set(&d->due, on_due, d);
	timer_set(&d->sweep, on_sweep, d);
	timer_start(&d->sweep, SWEEP_MS);
	return d;
}

void
dispatch_free(struct dispatch *d)
{
	struct attempt *a, *tmp;

	if (d == NULL)
		return;
	timer_stop(&d->due);
	timer_stop(&d->sweep);
	HASH_ITER(hh, d->attempts, a, tmp)
		attempt_free(a);
	tell_free(d);
	bouncecap_free(d->cap);
	event_free(d->turn);
	schedule_free(d->schedule);
	free(d);
}
