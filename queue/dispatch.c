/*
 * Starts attempts (queue/dispatch.h): asks the scheduler at the end of each turn of the loop, reads the
 * envelope, and hands the attempt to transfer.c or expansion.c. Decides who runs what, and what a process
 * that went away means for what it was doing.
 */
#include "queue/dispatch.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/route.h"
#include "queue/attempt.h"

#define LOOKUP_JOBS	8		/* expansions at once, each with up to a hundred recipients */
#define MDA_JOBS	20
#define HOP_EXPAND	"expand"
#define SWEEP_MS	60000
#define NO_ROOM_MS	5000
#define ATTEMPT_MS	(4 * 3600 * 1000)	/* then it is cancelled: RFC 5321, 4.5.3.2 allows long waits, not endless ones */
#define CANCEL_MS	(10 * 60 * 1000)	/* then whoever does not end it is ended */

static const struct {
	enum proc	proc;
} agents[SCHEDULE_AGENTS] = {
	[SCHEDULE_LOOKUP] = { PROC_LOOKUP },
	[SCHEDULE_MDA] = { PROC_MDA },
	[SCHEDULE_DELIVERY] = { PROC_DELIVERY },
};

static int64_t	since(int64_t);
static void	clamp(const struct dispatch *, struct schedule_entry *);

/* ---- attempts ---- */

static void
set_string(char **to, const char *from)
{
	free(*to);
	if ((*to = strdup(from)) == NULL)
		log_fatal("event=out-of-memory");
}

void
attempt_set(struct attempt_rcpt *r, enum attempt_result result, const char *enhanced, const char *text)
{
	if (r->result != RESULT_NONE)
		return;
	r->result = result;
	set_string(&r->enhanced, enhanced);
	set_string(&r->host, "");
	set_string(&r->text, text);
}

void
attempt_free_rcpts(struct attempt_rcpt *rcpts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		envelope_free_rcpt(&rcpts[i].rcpt);
		for (uint32_t t = 0; t < rcpts[i].n_targets; t++)
			envelope_free_rcpt(&rcpts[i].targets[t]);
		free(rcpts[i].targets);
		free(rcpts[i].enhanced);
		free(rcpts[i].host);
		free(rcpts[i].text);
	}
	free(rcpts);
}

static void
attempt_free(struct attempt *a)
{
	HASH_DEL(a->dispatch->attempts, a);
	attempt_free_rcpts(a->rcpts, a->n);
	expansion_forget(a);
	free(a->sender);
	free(a->session);
	free(a->head);
	free(a);
}

static enum log_flight
flight_of(enum schedule_end end)
{
	if (end == SCHEDULE_CRASHED)
		return LOG_CRASHED;
	return end == SCHEDULE_PUT_BACK || end == SCHEDULE_AWAY ? LOG_PUT_BACK : LOG_ENDED;
}

void
attempt_end(struct attempt *a, enum schedule_end end)
{
	struct dispatch *d = a->dispatch;
	uint64_t message;

	if (!a->over)
		a->end = end;
	a->over = true;
	if (a->reading)
		return;
	message = a->message;
	outcome_conclude(a, a->end);
	log_attempt(d->queue->log, message, flight_of(a->end));
	attempt_free(a);
	giveup_poke(d, message);
	dispatch_kick(d);
}

/* The configuration has changed since this was planned: it goes another way. */
static bool
reroute(struct attempt *a, const struct log_envelope *e, uint32_t index, uint32_t attempts)
{
	const struct envelope_rcpt *r = &e->rcpts[index].rcpt;
	char hop[ROUTE_HOP_MAX];
	struct schedule_entry s = { .message = a->message, .index = index, .attempts = attempts, .hop = hop,
	    .arrived_ms = since(e->message.arrived), .due_ms = clock_ms() };

	if (a->agent != SCHEDULE_DELIVERY || a->expiring)
		return false;
	s.agent = dispatch_route(a->dispatch, r->address, r->local, r->final, hop);
	if (strcmp(hop, schedule_job_hop(a->job)) == 0)
		return false;
	clamp(a->dispatch, &s);
	schedule_add(a->dispatch->schedule, clock_ms(), &s);
	return true;
}

/* Copies of the scheduler's recipients, from the envelope; those that are not open any more leave the schedule. */
static void
take_rcpts(struct attempt *a, const struct log_envelope *e)
{
	uint32_t size = schedule_job_size(a->job), index, attempts;
	const struct log_envelope_rcpt *from;
	struct attempt_rcpt *r;

	if (a->rcpts == NULL && (a->rcpts = calloc(size, sizeof(*a->rcpts))) == NULL)
		log_fatal("event=out-of-memory");
	for (uint32_t i = 0; i < size; i++) {
		if (!schedule_job_rcpt(a->job, i, &index, &attempts) || index >= e->message.n_rcpts ||
		    e->rcpts[index].state != LOG_OPEN || reroute(a, e, index, attempts)) {
			schedule_settle(a->job, i);
			continue;
		}
		from = &e->rcpts[index];
		r = &a->rcpts[a->n++];
		r->slot = i;
		r->index = index;
		r->attempts = attempts;
		r->rcpt = (struct envelope_rcpt){ .local = from->rcpt.local, .final = from->rcpt.final };
		set_string(&r->rcpt.address, from->rcpt.address);
		if (a->expiring)
			outcome_expire(r, from->text, schedule_job_trouble(a->job));
	}
}

static void
take_envelope(struct attempt *a, const struct log_envelope *e)
{
	a->arrived = e->message.arrived;
	a->size = e->message.size;
	a->flags = e->message.flags;
	set_string(&a->sender, e->sender.address);
	set_string(&a->session, e->sender.session);
	set_string(&a->head, e->head);
	for (uint32_t i = 0; i < e->message.n_rcpts && a->agent == SCHEDULE_LOOKUP; i++)
		if ((!e->rcpts[i].rcpt.local || e->rcpts[i].rcpt.final) &&
		    (e->rcpts[i].state == LOG_OPEN || e->rcpts[i].state == LOG_DELIVERED))
			expansion_saw(a, e->rcpts[i].rcpt.address);
	take_rcpts(a, e);
}

/* A read that failed: nothing is known of the recipients but their numbers. */
static void
end_unread(struct attempt *a, const char *error)
{
	bool gone = !log_find(a->dispatch->queue->log, a->message, &(struct log_message){ 0 });

	if (gone) {
		for (uint32_t i = 0; i < schedule_job_size(a->job); i++)
			schedule_settle(a->job, i);
	} else {
		log_error("msg=%s event=unreadable what=envelope reason=%s", id_text(a->message), logq(error));
	}
	attempt_end(a, gone ? SCHEDULE_PUT_BACK : SCHEDULE_ANSWERED);
}

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct attempt *a = arg;

	a->reading = false;
	if (a->over) {
		attempt_end(a, a->end);
		return;
	}
	if (error != NULL) {
		end_unread(a, error);
		return;
	}
	take_envelope(a, e);
	/* Whom to ask may have a successor by now. */
	if (!a->expiring)
		a->ipc = process_peer(&a->dispatch->queue->p, agents[a->agent].proc);
	if (a->n == 0 || a->expiring || a->ipc == NULL)
		attempt_end(a, SCHEDULE_PUT_BACK);
	else if (a->agent == SCHEDULE_LOOKUP)
		expansion_begin(a);
	else
		transfer_begin(a);
}

static void
start(struct dispatch *d, struct schedule_job *job, bool expiring)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (a == NULL)
		log_fatal("event=out-of-memory");
	a->id = ++d->last_id;
	a->dispatch = d;
	a->job = job;
	a->agent = schedule_job_agent(job);
	a->expiring = expiring;
	a->ipc = expiring ? NULL : process_peer(&d->queue->p, agents[a->agent].proc);
	a->message = schedule_job_message(job);
	a->started_ms = clock_ms();
	a->reading = true;
	HASH_ADD(hh, d->attempts, id, sizeof(a->id), a);
	log_attempt(d->queue->log, a->message, LOG_BEGUN);
	log_read_envelope(d->queue->log, a->message, on_envelope, a);
}

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
		start(d, job, action == SCHEDULE_EXPIRE);
	due = schedule_due(d->schedule);
	if (due == SCHEDULE_NEVER || d->stopping)
		timer_stop(&d->due);
	else
		timer_start(&d->due, due > now ? due - now : 0);
	if (d->stopping && d->attempts == NULL && LIST_EMPTY(&d->giveups) && stopped != NULL) {
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

enum schedule_agent
dispatch_route(const struct dispatch *d, const char *address, bool local, bool expanded, char *to)
{
	const char *at = strrchr(address, '@');

	/* What was accepted as somebody else's is ours when the configuration says so by now. */
	if (!local && (at == NULL || !conf_is_local(d->queue->p.conf, at + 1))) {
		route_hop(to, d->queue->p.conf, at == NULL ? "" : at + 1);
		return SCHEDULE_DELIVERY;
	}
	memcpy(to, expanded ? HOP_LOCAL : HOP_EXPAND, expanded ? sizeof(HOP_LOCAL) : sizeof(HOP_EXPAND));
	return expanded ? SCHEDULE_MDA : SCHEDULE_LOOKUP;
}

static int64_t
since(int64_t seconds)
{
	return clock_ms() + (seconds - clock_wall()) * 1000;
}

/* A set clock may have been far off when a message came or was tried: neither is in the future for long. */
static void
clamp(const struct dispatch *d, struct schedule_entry *e)
{
	int64_t now = clock_ms(), most = now + 2 * d->queue->p.conf->retry_most_ms;

	if (e->arrived_ms > now)
		e->arrived_ms = now;
	if (e->due_ms > most)
		e->due_ms = most;
}

void
dispatch_add(struct dispatch *d, uint64_t id, int64_t arrived, const struct envelope_rcpt *rcpts, uint32_t first, uint32_t n)
{
	char hop[ROUTE_HOP_MAX];
	struct schedule_entry e = { .message = id, .hop = hop, .arrived_ms = since(arrived), .due_ms = clock_ms() };

	clamp(d, &e);
	for (uint32_t i = 0; i < n; i++) {
		e.index = first + i;
		e.agent = dispatch_route(d, rcpts[i].address, rcpts[i].local, rcpts[i].final, hop);
		schedule_add(d->schedule, clock_ms(), &e);
	}
	dispatch_kick(d);
}

void
dispatch_found(struct dispatch *d, const struct log_message *m, const struct envelope_sender *sender,
    const struct log_rcpt_state *rcpts, uint32_t n)
{
	struct notice held = { .session = sender->session, .sender = sender->address, .arrived = m->arrived, .size = m->size };
	char hop[ROUTE_HOP_MAX];
	struct schedule_entry e = { .message = m->id, .hop = hop, .crashes = log_crashes(d->queue->log, m->id) };

	if (schedule_has(d->schedule, m->id))
		return;
	for (uint32_t i = 0; i < n; i++) {
		if (rcpts[i].state != LOG_OPEN)
			continue;
		if (e.crashes >= OUTCOME_CRASHES_HELD) {
			held.rcpt = rcpts[i].address;
			outcome_hold(d->queue, m->id, rcpts[i].index, "queue", &held);
			continue;
		}
		e.index = rcpts[i].index;
		e.attempts = rcpts[i].attempts;
		e.arrived_ms = since(m->arrived);
		e.due_ms = rcpts[i].next_try == 0 ? clock_ms() : since(rcpts[i].next_try);
		clamp(d, &e);
		e.agent = dispatch_route(d, rcpts[i].address, rcpts[i].local, false, hop);
		schedule_add(d->schedule, clock_ms(), &e);
	}
	dispatch_kick(d);
}

/* ---- events from outside ---- */

void
dispatch_peer_up(struct dispatch *d, struct ipc *ipc)
{
	for (int i = 0; i < SCHEDULE_AGENTS; i++)
		if (agents[i].proc == ipc_peer(ipc))
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
		if (agents[i].proc == ipc_peer(ipc))
			schedule_agent_up(d->schedule, (enum schedule_agent)i,
			    process_peer(&d->queue->p, agents[i].proc) != NULL);
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

void
dispatch_each_hop(const struct dispatch *d, void (*fn)(void *arg, const struct schedule_hop *), void *arg)
{
	schedule_each_hop(d->schedule, fn, arg);
}

bool
dispatch_is_paused(const struct dispatch *d, uint64_t id, uint32_t index)
{
	return schedule_is_paused(d->schedule, id, index);
}

bool
dispatch_is_active(const struct dispatch *d, uint64_t id, uint32_t index)
{
	return schedule_is_active(d->schedule, id, index);
}

const char *
dispatch_waits(const struct dispatch *d, uint64_t id, uint32_t index, int64_t *until_r)
{
	const char *why = schedule_waits(d->schedule, id, index, until_r);

	*until_r = clock_wall() + (*until_r - clock_ms()) / 1000;
	return why;
}

void
dispatch_count(const struct dispatch *d, struct schedule_counts *c)
{
	schedule_count(d->schedule, c);
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
	giveup_stop(d);
	dispatch_kick(d);
}

static uint32_t
jobs_of(const void *conf, const char *hop)
{
	return route_connections(conf, hop);
}

static struct schedule_limits
limits_of(const struct conf *c)
{
	return (struct schedule_limits){
		.jobs = { LOOKUP_JOBS, MDA_JOBS, c->delivery_connections },
		.jobs_of = jobs_of, .jobs_arg = c,
		.retry_first_ms = c->retry_first_ms, .retry_most_ms = c->retry_most_ms, .expire_ms = c->expire_ms,
	};
}

/* Where relays have changed, nothing waits for one that is not asked any more: all is tried, and goes where it should. */
void
dispatch_reconfigure(struct dispatch *d, const struct conf *old)
{
	struct schedule_limits limits = limits_of(d->queue->p.conf);

	schedule_limit(d->schedule, &limits);
	if (!route_same(old, d->queue->p.conf))
		schedule_retry(d->schedule, clock_ms(), 0, NULL);
	dispatch_kick(d);
}

struct dispatch *
dispatch_new(struct queue *q)
{
	struct schedule_limits limits = limits_of(q->p.conf);
	struct dispatch *d = calloc(1, sizeof(*d));

	if (d == NULL || (d->turn = event_new(q->p.base, -1, 0, on_turn, d)) == NULL)
		log_fatal("event=out-of-memory");
	d->queue = q;
	LIST_INIT(&d->giveups);
	d->schedule = schedule_new(&limits, id_random());
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
	giveup_free(d);
	event_free(d->turn);
	schedule_free(d->schedule);
	free(d);
}
