/*
 * The scheduler (queue/schedule.h has its rules). A job waits in a heap until its own time, then in its
 * hop's list until the hop may be tried; hops that may be tried wait in their agent's lists, and those are
 * served in turn. So that one message costs little, its jobs are all that there is of it: 64 bytes each, with
 * a single recipient in it and several in an array of eight bytes each.
 */
#include "queue/schedule.h"

#include <stdlib.h>

#include "lib/alloc.h"
#include "queue/schedule_state.h"

#define BACKLOG_TURN	4		/* every fourth start is one that waited, if any did */
#define SOON_MS		10000		/* the pause when the trouble was ours, not the next hop's */
#define ALONE_MS	10000		/* others wait so long for a suspect, before and after its start; a death comes early */

/* ---- what to do next ---- */

/* What is due by now leaves its heap. */
static void
run_due(struct schedule *s)
{
	struct schedule_job *j;
	struct hop *h;

	while ((j = due_take(&s->waiting, s->now)) != NULL)
		sched_make_ready(s, j);
	while ((h = due_take(&s->probes, s->now)) != NULL)
		sched_hop_update(s, h);
}

/* A suspect is tried while nothing else runs, as far as that can be had in ALONE_MS. Sets *hold_r: start no others. */
static struct schedule_job *
pick_suspect(struct schedule *s, struct agent *a, bool *hold_r)
{
	struct schedule_job *j = TAILQ_FIRST(&a->suspects);

	while (j != NULL && j->hop->paused)
		j = TAILQ_NEXT(j, next);
	*hold_r = true;
	if (a->alone != NULL && s->now < a->alone_until)
		return NULL;
	*hold_r = false;
	if (j == NULL)
		a->drain_until = 0;
	if (a->died)		/* while it was away nobody had his time */
		a->suspects_after = s->now + ALONE_MS;
	a->died = false;
	if (j == NULL || a->alone != NULL || s->now < a->suspects_after)
		return NULL;
	if (a->drain_until == 0)
		a->drain_until = s->now + ALONE_MS;
	if (a->active > 0 && s->now < a->drain_until) {
		*hold_r = true;
		return NULL;
	}
	a->held_since = a->drain_until - ALONE_MS;
	a->drain_until = 0;
	a->alone = j;
	a->alone_until = s->now + ALONE_MS;
	return j;
}

static struct schedule_job *
pick(struct agent *a)
{
	bool backlog_may = a->active_backlog < a->most - a->most / 4 || a->most < 4;
	bool backlog_first = ++a->turn % BACKLOG_TURN == 0;
	struct hop *h = flows_first(&a->fresh), *b = backlog_may ? flows_first(&a->backlog) : NULL;
	struct schedule_job *j;

	if (a->active >= a->most)
		return NULL;
	if (h == NULL || (backlog_first && b != NULL))
		h = b;
	if (h == NULL)
		return NULL;
	flows_turn(h->listed == HOP_FRESH ? &a->fresh : &a->backlog);
	if (fair_is_empty(&h->fresh) ||
	    (backlog_may && ++h->turn % BACKLOG_TURN == 0 && !fair_is_empty(&h->backlog)))
		j = fair_first(&h->backlog);
	else
		j = fair_first(&h->fresh);
	fair_served(j->backlog ? &h->backlog : &h->fresh, j);
	return j;
}

static struct schedule_job *
pick_for(struct schedule *s, struct agent *a)
{
	struct schedule_job *j;
	bool hold;

	if (!a->up)
		return NULL;
	j = pick_suspect(s, a, &hold);
	return j != NULL || hold ? j : pick(a);
}

enum schedule_action
schedule_next(struct schedule *s, int64_t now, struct schedule_job **job_r)
{
	struct schedule_job *j;

	s->now = now;
	run_due(s);
	if ((j = TAILQ_FIRST(&s->given_up)) != NULL) {
		sched_job_hand_out(s, j);
		*job_r = j;
		return SCHEDULE_EXPIRE;
	}
	if ((j = TAILQ_FIRST(&s->to_warn)) != NULL) {
		sched_job_hand_out(s, j);
		*job_r = j;
		return SCHEDULE_WARN;
	}
	for (int a = 0; a < SCHEDULE_AGENTS; a++) {
		if ((j = pick_for(s, &s->agents[a])) == NULL)
			continue;
		sched_job_start(s, j);
		*job_r = j;
		return SCHEDULE_START;
	}
	return SCHEDULE_NOTHING;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t
schedule_due(const struct schedule *s)
{
	int64_t at = earlier(due_first(&s->waiting), due_first(&s->probes));

	for (int i = 0; i < SCHEDULE_AGENTS; i++) {
		const struct agent *a = &s->agents[i];

		if (!a->up)
			continue;
		if (a->alone != NULL && a->alone_until > s->now)
			at = earlier(at, a->alone_until);
		if (a->drain_until > s->now)
			at = earlier(at, a->drain_until);
		if (!TAILQ_EMPTY(&a->suspects) && a->suspects_after > s->now)
			at = earlier(at, a->suspects_after);
	}
	return TAILQ_EMPTY(&s->given_up) && TAILQ_EMPTY(&s->to_warn) ? at : s->now;
}

/* ---- what came of it ---- */

static uint32_t
job_attempts(const struct schedule_job *j)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < j->n; i++)
		if (sched_job_rcpts(j)[i].attempts < least)
			least = sched_job_rcpts(j)[i].attempts;
	return least;
}

/* A suspect with several recipients: each by itself from now on, for one of them may be the reason. */
static void
job_split(struct schedule *s, struct schedule_job *j, int64_t until)
{
	struct schedule_job *each;

	while (j->n > 1) {
		each = sched_job_new(s, j, j->hop);
		sched_job_append(each, j->many[j->n - 1]);
		sched_job_shorten(j, j->n - 1U);
		sched_make_wait(s, each, until);
	}
}

/* Its own next time; the last one is when it expires. */
static int64_t
job_wait(struct schedule *s, struct schedule_job *j, bool soon)
{
	int64_t expires = sched_job_expires(s, j), until = s->now + (soon ? SOON_MS :
	    sched_pause_asked(s, job_attempts(j), sched_longest(s), j->pause_ms));

	if (expires > s->now && until > expires)
		until = expires;
	if (j->crashes >= SCHED_CRASHES_ALONE)
		job_split(s, j, until);
	sched_make_wait(s, j, until);
	return until;
}

/* Trouble is the job's own when other mail went through since it started, or since it last met trouble here. */
static bool
trouble_is_own(const struct schedule_job *j)
{
	return j->hop->last_success > j->started || (j->met != 0 && j->met != j->hop->epoch);
}

int64_t
schedule_finish(struct schedule *s, int64_t now, struct schedule_job *j, enum schedule_end end, const char *why)
{
	struct hop *h = j->hop;
	bool counted = j->counted, own = true, attempted = end != SCHEDULE_PUT_BACK && end != SCHEDULE_AWAY;
	int64_t until = SCHEDULE_NEVER;

	s->now = now;
	sched_job_stop(s, j, end == SCHEDULE_CRASHED);
	if (counted && end == SCHEDULE_ANSWERED) {
		sched_hop_succeeded(s, h);
	} else if (counted && end == SCHEDULE_TROUBLE) {
		own = trouble_is_own(j);
		j->met = h->epoch;
		if (own)
			h->limit = h->limit > 1 ? h->limit / 2 : 1;
		else
			sched_hop_failed(s, h, j, why);
	}
	if (end == SCHEDULE_CRASHED)
		j->crashes += j->crashes < SCHED_CRASHES_MOST;
	else if (attempted)
		j->crashes = 0;
	sched_job_compact(s, j, attempted);
	if (j->n == 0) {
		sched_job_free(s, j);
	} else if (end == SCHEDULE_PUT_BACK || !own) {
		until = own ? now : h->not_before;
		sched_make_ready(s, j);
	} else {
		until = job_wait(s, j, end == SCHEDULE_AWAY || (end == SCHEDULE_CRASHED && j->crashes < SCHED_CRASHES_ALONE));
	}
	sched_hop_update(s, h);
	return until;
}

/* ---- events from outside ---- */

/* A recipient can join a job that has not begun. One whose message was in flight at a death makes a job of his own. */
static bool
is_for(const struct schedule_job *j, const struct hop *h, const struct schedule_entry *e)
{
	return j->hop == h && j->n < SCHEDULE_JOB_RCPTS && j->crashes == 0 && e->crashes == 0 &&
	    (j->state == JOB_WAITING || j->state == JOB_READY);
}

/* All jobs of a message have its facts: as the first one was told, and the longest life of all. */
static struct schedule_job *
job_for(struct schedule *s, const struct schedule_entry *e)
{
	struct schedule_job facts = { .message = e->message, .warn_at = SCHED_MS_MOST, .arrived = sched_ms(e->arrived_ms),
	    .longer_s = (uint32_t)(e->longer_ms / 1000), .sender = e->sender % LANES,
	    .crashes = (e->crashes < SCHED_CRASHES_MOST ? e->crashes : SCHED_CRASHES_MOST) & 15 };
	struct schedule_job *first = sched_job_of(s, e->message, NULL), *j;
	struct hop *h = sched_hop_get(s, e->hop, e->agent);

	if (first != NULL) {
		if (facts.longer_s > first->longer_s)
			for (j = first; j != NULL; j = sched_job_of(s, e->message, j))
				j->longer_s = facts.longer_s;
		facts.arrived = first->arrived;
		facts.sender = first->sender;
		facts.longer_s = first->longer_s;
	}
	for (j = first; j != NULL; j = sched_job_of(s, e->message, j))
		if (is_for(j, h, e))
			return j;
	s->n_messages += first == NULL;
	return sched_job_new(s, &facts, h);
}

void
schedule_add(struct schedule *s, int64_t now, const struct schedule_entry *e)
{
	struct rcpt r = { .index = e->index, .attempts = (uint16_t)(e->attempts < UINT16_MAX ? e->attempts : UINT16_MAX) };
	struct schedule_job *j;
	int64_t due = e->due_ms;

	s->now = now;
	j = job_for(s, e);
	if (j->n > 0) {
		if (j->state == JOB_READY || (j->state == JOB_WAITING && j->due.at < due))
			due = j->state == JOB_READY ? now : j->due.at;
		sched_job_unlink(s, j);
	}
	if (e->warn_ms != 0 && e->warn_ms < j->warn_at)
		j->warn_at = sched_ms(e->warn_ms);
	sched_job_append(j, r);
	s->n_rcpts++;
	sched_make_wait(s, j, due);
}

static uint32_t
job_drop(struct schedule *s, struct schedule_job *j, uint32_t index)
{
	struct rcpt *rcpts = sched_job_rcpts(j);
	struct hop *h = j->hop;
	uint32_t dropped = 0;

	if (index != SCHEDULE_ALL && !sched_job_may_have(j, index))
		return 0;
	for (uint32_t i = 0; i < j->n; i++) {
		if (rcpts[i].flags != 0 || (index != SCHEDULE_ALL && rcpts[i].index != index))
			continue;
		rcpts[i].flags |= RCPT_DROPPED;
		dropped++;
	}
	if (dropped == 0 || j->state == JOB_ACTIVE)
		return dropped;
	sched_job_compact(s, j, false);
	if (j->n == 0) {
		sched_job_unlink(s, j);
		sched_job_free(s, j);
		sched_hop_update(s, h);
	}
	return dropped;
}

uint32_t
schedule_drop(struct schedule *s, uint64_t message, uint32_t index)
{
	struct schedule_job *j, *after;
	uint32_t n = 0;

	for (j = sched_job_of(s, message, NULL); j != NULL; j = after) {
		after = sched_job_of(s, message, j);
		n += job_drop(s, j, index);
	}
	return n;
}

static uint32_t
job_retry(struct schedule *s, struct schedule_job *j)
{
	j->hop->not_before = s->now;
	if (j->state == JOB_WAITING) {
		sched_job_unlink(s, j);
		sched_make_ready(s, j);
	} else {
		sched_hop_update(s, j->hop);
	}
	return j->hop->paused ? 0 : j->n;
}

uint32_t
schedule_retry(struct schedule *s, int64_t now, uint64_t message, const char *hop)
{
	struct schedule_job *j = NULL;
	struct hop *at = NULL;
	uint32_t n = 0, walk = 0;

	s->now = now;
	if (hop != NULL) {
		HASH_FIND_STR(s->hops, hop, at);
		if (at == NULL)
			return 0;
	}
	while ((j = message != 0 ? sched_job_of(s, message, j) : idmap_next(&s->jobs, &walk)) != NULL)
		if (at == NULL || j->hop == at)
			n += job_retry(s, j);
	return n;
}

bool
schedule_pause(struct schedule *s, int64_t now, const char *hop, enum schedule_agent agent, bool pause)
{
	struct hop *h;

	s->now = now;
	HASH_FIND_STR(s->hops, hop, h);
	if (h == NULL && pause)
		h = sched_hop_get(s, hop, agent);
	if (h == NULL || h->paused == pause)
		return false;
	h->paused = pause;
	sched_hop_update(s, h);
	return true;
}

void
schedule_agent_up(struct schedule *s, enum schedule_agent agent, bool up)
{
	s->agents[agent].up = up;
	s->agents[agent].drain_until = 0;
}

void
schedule_warn_next(struct schedule_job *j, int64_t at)
{
	j->warn_at = sched_ms(at);
}

void
schedule_ask_pause(struct schedule_job *j, int64_t ms)
{
	if (ms > j->pause_ms)
		j->pause_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

void
schedule_settle(struct schedule_job *j, uint32_t i)
{
	sched_job_rcpts(j)[i].flags |= RCPT_SETTLED;
}

/* ---- the whole ---- */

struct schedule *
schedule_new(const struct schedule_limits *limits, uint64_t seed)
{
	struct schedule *s = alloc_new(1, sizeof(*s));

	s->limits = *limits;
	s->random = seed == 0 ? 1 : seed;
	idmap_init(&s->jobs, sizeof(struct schedule_job));
	slab_init(&s->hop_records, sizeof(struct hop));
	due_init(&s->waiting, &s->jobs.slab, offsetof(struct schedule_job, due));
	due_init(&s->probes, &s->hop_records, offsetof(struct hop, due));
	TAILQ_INIT(&s->given_up);
	TAILQ_INIT(&s->to_warn);
	for (int a = 0; a < SCHEDULE_AGENTS; a++) {
		s->agents[a].kind = (enum schedule_agent)a;
		s->agents[a].most = limits->jobs[a];
		flows_init(&s->agents[a].fresh);
		flows_init(&s->agents[a].backlog);
		TAILQ_INIT(&s->agents[a].suspects);
	}
	return s;
}

void
schedule_limit(struct schedule *s, const struct schedule_limits *limits)
{
	struct hop *h, *tmp;

	s->limits = *limits;
	for (int a = 0; a < SCHEDULE_AGENTS; a++)
		s->agents[a].most = limits->jobs[a];
	HASH_ITER(hh, s->hops, h, tmp) {
		h->most = sched_hop_most(s, h->name, h->agent->kind);
		if (h->limit > h->most)
			h->limit = h->most;
		sched_hop_update(s, h);
	}
}

void
schedule_free(struct schedule *s)
{
	struct schedule_job *j;
	struct hop *h, *tmp;
	uint32_t walk = 0;

	if (s == NULL)
		return;
	while ((j = idmap_next(&s->jobs, &walk)) != NULL)
		sched_job_shorten(j, 0);
	HASH_ITER(hh, s->hops, h, tmp)
		sched_hop_free(s, h);
	idmap_free(&s->jobs);
	slab_free(&s->hop_records);
	due_free(&s->waiting);
	due_free(&s->probes);
	free(s);
}
