/*
 * The scheduler (queue/schedule.h has its rules). A job waits in a heap until its own time, then in its
 * hop's list until the hop may be tried; hops that may be tried wait in their agent's lists, and those are
 * served in turn. So that one message costs little, a job is the only thing that is linked anywhere: its
 * recipients are an array of eight bytes each.
 */
#include "queue/schedule.h"

#include <stdlib.h>

#include "queue/schedule_state.h"

#define BACKLOG_TURN	4		/* every fourth start is one that waited, if any did */
#define SOON_MS		10000		/* the pause when the trouble was ours, not the next hop's */
#define ALONE_MS	10000		/* others wait so long for a suspect, before and after its start; a death comes early */

/* ---- what to do next ---- */

/* What is due by now leaves the heap. */
static void
run_due(struct schedule *s)
{
	struct due *d;

	while ((d = due_first(&s->heap)) != NULL && d->at <= s->now) {
		due_remove(&s->heap, d);
		if (d->kind == DUE_JOB)
			sched_make_ready(s, (struct schedule_job *)d);
		else
			sched_hop_update(s, (struct hop *)d);
	}
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
		sched_job_unlink(s, j);
		j->state = JOB_ACTIVE;
		*job_r = j;
		return SCHEDULE_EXPIRE;
	}
	if ((j = TAILQ_FIRST(&s->to_warn)) != NULL) {
		sched_job_unlink(s, j);
		j->state = JOB_ACTIVE;
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
	const struct due *d = due_first(&s->heap);
	int64_t at = d == NULL ? SCHEDULE_NEVER : d->at;

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
		if (j->rcpts[i].attempts < least)
			least = j->rcpts[i].attempts;
	return least;
}

/* A suspect with several recipients: each by itself from now on, for one of them may be the reason. */
static void
job_split(struct schedule *s, struct schedule_job *j, int64_t until)
{
	struct schedule_job *each;

	while (j->n > 1) {
		each = sched_job_new(j->message, j->hop);
		each->crashes = j->crashes;
		each->warn_at = j->warn_at;
		sched_job_append(each, j->rcpts[--j->n]);
		sched_make_wait(s, each, until);
	}
}

/* Its own next time; the last one is when it expires. */
static int64_t
job_wait(struct schedule *s, struct schedule_job *j, bool soon)
{
	int64_t until = s->now + (soon ? SOON_MS :
	    sched_pause_asked(s, job_attempts(j), sched_longest(s), j->pause_ms));

	if (j->message->expires > s->now && until > j->message->expires)
		until = j->message->expires;
	if (j->crashes >= SCHED_CRASHES_ALONE)
		job_split(s, j, until);
	sched_make_wait(s, j, until);
	return until;
}

/* Trouble is the job's own when other mail went through since it started, or since it last met trouble here. */
static bool
trouble_is_own(const struct schedule_job *j)
{
	return j->hop->last_success > j->due.at || (j->met != 0 && j->met != j->hop->epoch + 1);
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
		j->met = h->epoch + 1;
		if (own)
			h->limit = h->limit > 1 ? h->limit / 2 : 1;
		else
			sched_hop_failed(s, h, j, why);
	}
	if (end == SCHEDULE_CRASHED)
		j->crashes += j->crashes < UINT8_MAX;
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
	if (until != SCHEDULE_NEVER)
		j->pause_ms = 0;
	sched_hop_update(s, h);
	return until;
}

/* ---- events from outside ---- */

static struct schedule_job *
job_for(struct schedule *s, const struct schedule_entry *e)
{
	struct message *m = idmap_get(&s->messages, e->message);
	struct hop *h = sched_hop_get(s, e->hop, e->agent);
	struct schedule_job *j;

	if (m == NULL) {
		m = sched_must(calloc(1, sizeof(*m)));
		m->id = e->message;
		m->expires = e->arrived_ms + s->limits.expire_ms;
		m->sender = e->sender % LANES;
		idmap_put(&s->messages, e->message, m);
	}
	if (e->longer_ms / 1000 > m->longer_s) {
		m->expires += (e->longer_ms / 1000 - m->longer_s) * 1000;
		m->longer_s = (uint32_t)(e->longer_ms / 1000);
	}
	for (j = m->jobs; j != NULL && e->crashes == 0; j = j->sibling)
		if (j->hop == h && j->n < SCHEDULE_JOB_RCPTS && j->crashes == 0 &&
		    (j->state == JOB_WAITING || j->state == JOB_READY))
			return j;
	j = sched_job_new(m, h);
	j->crashes = (uint8_t)(e->crashes < UINT8_MAX ? e->crashes : UINT8_MAX);
	return j;
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
		j->warn_at = e->warn_ms;
	sched_job_append(j, r);
	s->n_rcpts++;
	sched_make_wait(s, j, due);
}

bool
schedule_has(const struct schedule *s, uint64_t message)
{
	return idmap_get(&s->messages, message) != NULL;
}

bool
schedule_is_active(const struct schedule *s, uint64_t message, uint32_t index)
{
	const struct message *m = idmap_get(&s->messages, message);

	for (const struct schedule_job *j = m == NULL ? NULL : m->jobs; j != NULL; j = j->sibling) {
		if (j->state != JOB_ACTIVE)
			continue;
		for (uint32_t i = 0; i < j->n; i++)
			if (index == SCHEDULE_ALL || j->rcpts[i].index == index)
				return true;
	}
	return false;
}

bool
schedule_rests(const struct schedule *s, int64_t now, uint64_t message)
{
	const struct message *m = idmap_get(&s->messages, message);

	for (const struct schedule_job *j = m == NULL ? NULL : m->jobs; j != NULL; j = j->sibling) {
		bool waits = j->state == JOB_WAITING && j->due.at > now;
		bool blocked = j->state == JOB_READY && (j->hop->paused || (j->hop->trouble && j->hop->not_before > now));

		if (!waits && !blocked)
			return false;
	}
	return true;
}

/* The job of a recipient; NULL: there is none. */
static struct schedule_job *
find_job(const struct schedule *s, uint64_t message, uint32_t index)
{
	const struct message *m = idmap_get(&s->messages, message);

	for (struct schedule_job *j = m == NULL ? NULL : m->jobs; j != NULL; j = j->sibling)
		for (uint32_t i = 0; i < j->n; i++)
			if (j->rcpts[i].index == index && j->rcpts[i].flags == 0)
				return j;
	return NULL;
}

bool
schedule_is_paused(const struct schedule *s, uint64_t message, uint32_t index)
{
	const struct schedule_job *j = find_job(s, message, index);

	return j != NULL && j->state != JOB_ACTIVE && j->hop->paused;
}

const char *
schedule_waits(const struct schedule *s, uint64_t message, uint32_t index, int64_t *until_r)
{
	const struct schedule_job *j = find_job(s, message, index);

	if (j == NULL || j->state != JOB_READY || !j->hop->trouble)
		return NULL;
	*until_r = j->hop->not_before;
	return schedule_job_trouble(j);
}

enum schedule_reason
schedule_reason(const struct schedule *s, uint64_t message, uint32_t index, int64_t *until_r)
{
	const struct schedule_job *j = find_job(s, message, index);

	*until_r = s->now;
	if (j == NULL)
		return SCHEDULE_UNKNOWN;
	if (j->state == JOB_ACTIVE && j->counted)
		return SCHEDULE_TRIED;
	if (j->hop->paused)
		return SCHEDULE_PAUSED;
	if (j->state == JOB_WAITING) {
		*until_r = j->due.at;
		return SCHEDULE_TIME;
	}
	if (!j->hop->agent->up)
		return SCHEDULE_PROCESS;
	if (j->state == JOB_SUSPECT)
		return SCHEDULE_ALONE;
	if (j->hop->trouble) {
		*until_r = j->hop->not_before;
		return SCHEDULE_HOP;
	}
	return SCHEDULE_PLACE;
}

static uint32_t
job_drop(struct schedule *s, struct schedule_job *j, uint32_t index)
{
	struct hop *h = j->hop;
	uint32_t dropped = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		if (j->rcpts[i].flags != 0 || (index != SCHEDULE_ALL && j->rcpts[i].index != index))
			continue;
		j->rcpts[i].flags |= RCPT_DROPPED;
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
	struct message *m = idmap_get(&s->messages, message);
	struct schedule_job *j, *after;
	uint32_t n = 0;

	for (j = m == NULL ? NULL : m->jobs; j != NULL; j = after) {
		after = j->sibling;
		n += job_drop(s, j, index);
	}
	return n;
}

static uint32_t
retry_message(struct schedule *s, struct message *m, const struct hop *at)
{
	uint32_t n = 0;

	for (struct schedule_job *j = m->jobs; j != NULL; j = j->sibling) {
		if (at != NULL && j->hop != at)
			continue;
		j->hop->not_before = s->now;
		if (j->state == JOB_WAITING) {
			sched_job_unlink(s, j);
			sched_make_ready(s, j);
		} else {
			sched_hop_update(s, j->hop);
		}
		if (!j->hop->paused)
			n += j->n;
	}
	return n;
}

uint32_t
schedule_retry(struct schedule *s, int64_t now, uint64_t message, const char *hop)
{
	struct message *m;
	struct hop *at = NULL;
	uint32_t n = 0;
	size_t walk = 0;

	s->now = now;
	if (message != 0)
		return (m = idmap_get(&s->messages, message)) == NULL ? 0 : retry_message(s, m, NULL);
	if (hop != NULL) {
		HASH_FIND_STR(s->hops, hop, at);
		if (at == NULL)
			return 0;
	}
	while ((m = idmap_next(&s->messages, &walk)) != NULL)
		n += retry_message(s, m, at);
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

/* ---- a job's facts ---- */

uint64_t
schedule_job_message(const struct schedule_job *j)
{
	return j->message->id;
}

const char *
schedule_job_hop(const struct schedule_job *j)
{
	return j->hop->name;
}

const char *
schedule_job_trouble(const struct schedule_job *j)
{
	return j->hop->why == NULL ? "" : j->hop->why;
}

enum schedule_agent
schedule_job_agent(const struct schedule_job *j)
{
	return j->hop->agent->kind;
}

uint32_t
schedule_job_crashes(const struct schedule_job *j)
{
	return j->crashes;
}

uint32_t
schedule_job_size(const struct schedule_job *j)
{
	return j->n;
}

bool
schedule_job_rcpt(const struct schedule_job *j, uint32_t i, uint32_t *index_r, uint32_t *attempts_r)
{
	*index_r = j->rcpts[i].index;
	*attempts_r = j->rcpts[i].attempts;
	return (j->rcpts[i].flags & RCPT_DROPPED) == 0;
}

int64_t
schedule_job_arrived(const struct schedule *s, const struct schedule_job *j)
{
	return j->message->expires - s->limits.expire_ms - (int64_t)j->message->longer_s * 1000;
}

bool
schedule_job_expired(const struct schedule_job *j, int64_t now)
{
	return j->message->expires <= now;
}

void
schedule_warn_next(struct schedule_job *j, int64_t at)
{
	j->warn_at = at;
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
	j->rcpts[i].flags |= RCPT_SETTLED;
}

/* ---- the whole ---- */

void
schedule_count(const struct schedule *s, struct schedule_counts *c)
{
	*c = (struct schedule_counts){ .messages = (uint32_t)s->messages.used, .rcpts = s->n_rcpts,
	    .waiting = s->heap.n, .hops = HASH_COUNT(s->hops) };
	for (int a = 0; a < SCHEDULE_AGENTS; a++)
		c->active_jobs[a] = s->agents[a].active;
	for (const struct hop *h = s->hops; h != NULL; h = h->hh.next) {
		c->hops_in_trouble += h->trouble;
		c->hops_paused += h->paused;
	}
}

void
schedule_each_hop(const struct schedule *s, void (*fn)(void *arg, const struct schedule_hop *), void *arg)
{
	for (const struct hop *h = s->hops; h != NULL; h = h->hh.next)
		fn(arg, &(struct schedule_hop){ .name = h->name, .why = h->why != NULL && h->trouble ? h->why : "",
		    .agent = h->agent->kind, .jobs = h->jobs, .active = h->active, .limit = h->limit,
		    .failures = h->failures, .trouble = h->trouble, .paused = h->paused, .until_ms = h->not_before });
}

struct schedule *
schedule_new(const struct schedule_limits *limits, uint64_t seed)
{
	struct schedule *s = sched_must(calloc(1, sizeof(*s)));

	s->limits = *limits;
	s->random = seed == 0 ? 1 : seed;
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
	int64_t longer = limits->expire_ms - s->limits.expire_ms;
	struct message *m;
	struct hop *h, *tmp;
	size_t at = 0;

	s->limits = *limits;
	for (int a = 0; a < SCHEDULE_AGENTS; a++)
		s->agents[a].most = limits->jobs[a];
	while ((m = idmap_next(&s->messages, &at)) != NULL)
		m->expires += longer;
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
	struct message *m;
	struct hop *h, *tmp;
	size_t at = 0;

	if (s == NULL)
		return;
	while ((m = idmap_next(&s->messages, &at)) != NULL) {
		for (struct schedule_job *j = m->jobs, *after; j != NULL; j = after) {
			after = j->sibling;
			if (j->rcpts != &j->one)
				free(j->rcpts);
			free(j);
		}
		free(m);
	}
	HASH_ITER(hh, s->hops, h, tmp) {
		HASH_DEL(s->hops, h);
		fair_free(&h->fresh);
		fair_free(&h->backlog);
		free(h->why);
		free(h);
	}
	idmap_free(&s->messages);
	due_free(&s->heap);
	free(s);
}
