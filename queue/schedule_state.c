/*
 * The scheduler's lists (queue/schedule_state.h): where a job and a hop stand, and what success and
 * failure do to a hop. Which job is next and what a result means for it, queue/schedule.c decides; it is
 * the only caller beside schedule_facts.c, which asks.
 */
#include "queue/schedule_state.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

#define START_LIMIT	2		/* jobs at once to a hop of which nothing is known */
#define WHY_MAX		512
#define ASKED_LEAST	8		/* a pause that is asked for is no shorter than this part of our own */

/* xorshift64*: chance that a test can repeat. */
static uint64_t
next_random(struct schedule *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return s->random * UINT64_C(2685821657736338717);
}

int64_t
sched_longest(const struct schedule *s)
{
	return s->limits.n_intervals > 0 ? s->limits.intervals[s->limits.n_intervals - 1] : s->limits.retry_most_ms;
}

static int64_t
sched_pause_first(const struct schedule *s)
{
	return s->limits.n_intervals > 0 ? s->limits.intervals[0] : s->limits.retry_first_ms;
}

/* The pause after `failures` of them: grows by half, to `most`, a tenth more or less. */
int64_t
sched_pause_after(struct schedule *s, uint32_t failures, int64_t most)
{
	int64_t pause = s->limits.retry_first_ms;

	if (s->limits.n_intervals > 0)
		pause = s->limits.intervals[failures > s->limits.n_intervals ? s->limits.n_intervals - 1 : failures > 0 ? failures - 1 : 0];
	while (s->limits.n_intervals == 0 && failures-- > 1 && pause < most)
		pause += pause / 2 + 1;
	if (pause > most)
		pause = most;
	return pause - pause / 10 + (int64_t)(next_random(s) % (uint64_t)(pause / 5 + 1));
}

int64_t
sched_pause_asked(struct schedule *s, uint32_t failures, int64_t most, uint32_t asked_ms)
{
	int64_t own = sched_pause_after(s, failures, most), least = own / ASKED_LEAST, asked = asked_ms;

	if (asked == 0)
		return own;
	asked = asked < least ? least : asked > sched_longest(s) ? sched_longest(s) : asked;
	return asked + (int64_t)(next_random(s) % (uint64_t)(asked / 10 + 1));	/* not earlier than it was asked for */
}

/* ---- hops ---- */

uint32_t
sched_hop_most(const struct schedule *s, const char *name, enum schedule_agent agent)
{
	if (agent == SCHEDULE_LOOKUP || (agent == SCHEDULE_MDA && s->limits.jobs_of == NULL))
		return s->limits.jobs[agent];
	return s->limits.jobs_of != NULL ? s->limits.jobs_of(s->limits.jobs_arg, name) : s->limits.hop_jobs;
}

struct hop *
sched_hop_get(struct schedule *s, const char *name, enum schedule_agent agent)
{
	uint32_t number;
	struct hop *h;

	HASH_FIND_STR(s->hops, name, h);
	if (h != NULL)
		return h;
	number = slab_take(&s->hop_records);
	h = slab_at(&s->hop_records, number);
	h->number = number;
	h->name = alloc_text(name);
	h->agent = &s->agents[agent];
	h->most = sched_hop_most(s, name, agent);
	/* Our own processes are no strangers: all their places at once. */
	h->limit = agent == SCHEDULE_DELIVERY && h->most > START_LIMIT ? START_LIMIT : h->most;
	h->epoch = 1;
	h->last_success = INT64_MIN;
	fair_init(&h->fresh);
	fair_init(&h->backlog);
	HASH_ADD_KEYPTR(hh, s->hops, h->name, strlen(h->name), h);
	return h;
}

void
sched_hop_free(struct schedule *s, struct hop *h)
{
	due_remove(&s->probes, &h->due);
	HASH_DEL(s->hops, h);
	fair_free(&h->fresh);
	fair_free(&h->backlog);
	free(h->why);
	free(h->name);
	slab_give(&s->hop_records, h->number);
}

void
sched_hop_unlist(struct hop *h)
{
	if (h->listed == HOP_FRESH)
		flows_remove(&h->agent->fresh, h);
	else if (h->listed == HOP_BACKLOG)
		flows_remove(&h->agent->backlog, h);
	h->listed = HOP_IDLE;
}

static bool
hop_pauses(const struct schedule *s, const struct hop *h)
{
	return h->trouble && s->now < h->not_before;
}

/* Listed as the hop of that job's sender, or both are none. */
static bool
is_in_flow(const struct hop *h, const struct schedule_job *first)
{
	if (h->listed == HOP_IDLE || first == NULL)
		return h->listed == HOP_IDLE && first == NULL;
	return h->flow == (h->listed == HOP_FRESH ? h->agent->fresh.flows : h->agent->backlog.flows) + first->sender;
}

/* Puts a hop where it belongs after any change; frees one that nobody needs. Must be the last use of h. */
void
sched_hop_update(struct schedule *s, struct hop *h)
{
	const struct schedule_job *first = NULL;
	int want = HOP_IDLE;

	if (h->active < h->limit && !h->paused && !hop_pauses(s, h)) {
		if ((first = fair_first(&h->fresh)) != NULL)
			want = HOP_FRESH;
		else if ((first = fair_first(&h->backlog)) != NULL)
			want = HOP_BACKLOG;
	}
	if (want != (int)h->listed || !is_in_flow(h, first)) {
		sched_hop_unlist(h);
		if (want == HOP_FRESH)
			flows_put(&h->agent->fresh, h, first->sender);
		else if (want == HOP_BACKLOG)
			flows_put(&h->agent->backlog, h, first->sender);
		h->listed = want;
	}
	if (h->jobs > 0 || h->paused || hop_pauses(s, h))
		return;
	sched_hop_free(s, h);
}

void
sched_hop_succeeded(struct schedule *s, struct hop *h)
{
	h->last_success = s->now;
	if (h->trouble) {
		h->trouble = false;
		h->failures = 0;
		h->epoch += h->epoch < UINT16_MAX ? 1 : 2;
		h->limit = h->most < START_LIMIT ? h->most : START_LIMIT;
		due_remove(&s->probes, &h->due);
	} else if (h->limit < h->most) {
		h->limit++;
	}
}

static bool
is_expired(const struct schedule *s, const struct schedule_job *j)
{
	return sched_job_expires(s, j) <= s->now;
}

static bool
is_late(const struct schedule *s, const struct schedule_job *j)
{
	return j->warn_at <= s->now;
}

/* What waits for this hop and has to be said of it. */
static void
give_up_expired(struct schedule *s, struct fair *ready)
{
	struct job_list expired = TAILQ_HEAD_INITIALIZER(expired), late = TAILQ_HEAD_INITIALIZER(late);
	struct schedule_job *j;

	fair_take(ready, is_expired, s, &expired);
	fair_take(ready, is_late, s, &late);
	TAILQ_FOREACH(j, &expired, next)
		j->state = JOB_GIVEN_UP;
	TAILQ_FOREACH(j, &late, next)
		j->state = JOB_TO_WARN;
	TAILQ_CONCAT(&s->given_up, &expired, next);
	TAILQ_CONCAT(&s->to_warn, &late, next);
}

/* A probe failed, or the first trouble of a hop: all its mail pauses. Jobs that ran side by side count once. */
void
sched_hop_failed(struct schedule *s, struct hop *h, const struct schedule_job *j, const char *why)
{
	int64_t most = sched_longest(s) / 4;	/* fresh mail waits with the rest: not for hours */

	free(h->why);
	h->why = alloc_text_len(why == NULL ? "" : why, WHY_MAX);
	h->limit = 1;
	if (h->trouble && j->started <= h->failed_at)
		return;
	h->trouble = true;
	h->failed_at = s->now;
	h->failures++;
	if (most < sched_pause_first(s))
		most = sched_pause_first(s);
	h->not_before = s->now + sched_pause_asked(s, h->failures, most, j->pause_ms);
	due_set(&s->probes, h->number, h->not_before);
	give_up_expired(s, &h->fresh);
	give_up_expired(s, &h->backlog);
}

/* ---- jobs ---- */

/* idmap.h: what a record begins with. */
_Static_assert(offsetof(struct schedule_job, message) == 0 && offsetof(struct schedule_job, link) == sizeof(uint64_t),
    "struct schedule_job");
_Static_assert(sizeof(struct schedule_job) <= 64, "what a million of them cost");

struct schedule_job *
sched_job_of(const struct schedule *s, uint64_t message, const struct schedule_job *j)
{
	return j == NULL ? idmap_get(&s->jobs, message) : idmap_again(&s->jobs, j);
}

struct schedule_job *
sched_job_new(struct schedule *s, const struct schedule_job *like, struct hop *h)
{
	struct schedule_job *j = idmap_add(&s->jobs, like->message);

	j->longer_s = like->longer_s;
	j->arrived = like->arrived;
	j->sender = like->sender;
	j->crashes = like->crashes;
	j->warn_at = like->warn_at;
	j->hop = h;
	h->jobs++;
	return j;
}

/* How many recipients there is room for, where n are. */
static uint32_t
room_for(uint32_t n)
{
	return (n + 3) / 4 * 4;
}

void
sched_job_append(struct schedule_job *j, struct rcpt r)
{
	struct rcpt *many = j->n > 1 ? j->many : NULL;
	uint32_t at;

	if (j->n == 0) {
		j->one = r;
	} else {
		if (j->n == 1 || j->n == room_for(j->n))
			many = alloc_resize(many, room_for(j->n + 1U), sizeof(*many));
		if (j->n == 1)
			many[0] = j->one;
		for (at = j->n; at > 0 && many[at - 1].index > r.index; at--)
			many[at] = many[at - 1];
		many[at] = r;
		j->many = many;
	}
	j->n++;
}

void
sched_job_shorten(struct schedule_job *j, uint32_t n)
{
	struct rcpt *many = j->many;

	if (j->n > 1 && n <= 1) {
		j->one = many[0];
		free(many);
	} else if (n > 1 && room_for(n) < room_for(j->n)) {
		j->many = alloc_resize(many, room_for(n), sizeof(*many));
	}
	j->n = n & 127;
}

/* Out of whatever list it is in. */
void
sched_job_unlink(struct schedule *s, struct schedule_job *j)
{
	switch ((enum job_state)j->state) {
	case JOB_WAITING:
		due_remove(&s->waiting, &j->due);
		break;
	case JOB_READY:
		fair_remove(j->backlog ? &j->hop->backlog : &j->hop->fresh, j);
		break;
	case JOB_SUSPECT:
		TAILQ_REMOVE(&j->hop->agent->suspects, j, next);
		break;
	case JOB_GIVEN_UP:
		TAILQ_REMOVE(&s->given_up, j, next);
		break;
	case JOB_TO_WARN:
		TAILQ_REMOVE(&s->to_warn, j, next);
		break;
	case JOB_ACTIVE:
		break;
	}
}

void
sched_job_free(struct schedule *s, struct schedule_job *j)
{
	uint64_t message = j->message;

	j->hop->jobs--;
	s->n_rcpts -= j->n;
	sched_job_shorten(j, 0);
	idmap_remove(&s->jobs, j);
	s->n_messages -= idmap_get(&s->jobs, message) == NULL;
}

void
sched_make_ready(struct schedule *s, struct schedule_job *j)
{
	j->backlog = false;
	for (uint32_t i = 0; i < j->n; i++)
		if (sched_job_rcpts(j)[i].attempts > 0)
			j->backlog = true;
	if (j->crashes >= SCHED_CRASHES_ALONE) {
		j->state = JOB_SUSPECT;
		TAILQ_INSERT_TAIL(&j->hop->agent->suspects, j, next);
		return;
	}
	j->state = JOB_READY;
	if (j->backlog)
		fair_put(&j->hop->backlog, j, &j->hop->agent->backlog);
	else
		fair_put(&j->hop->fresh, j, &j->hop->agent->fresh);
	sched_hop_update(s, j->hop);
}

void
sched_make_wait(struct schedule *s, struct schedule_job *j, int64_t until)
{
	if (until <= s->now) {
		sched_make_ready(s, j);
		return;
	}
	j->state = JOB_WAITING;
	j->due = (struct due){ 0 };
	due_set(&s->waiting, idmap_number(&s->jobs, j), until);
}

void
sched_job_hand_out(struct schedule *s, struct schedule_job *j)
{
	sched_job_unlink(s, j);
	j->state = JOB_ACTIVE;
	j->started = s->now;
	j->pause_ms = 0;
}

void
sched_job_start(struct schedule *s, struct schedule_job *j)
{
	sched_job_hand_out(s, j);
	j->counted = true;
	j->hop->active++;
	j->hop->agent->active++;
	j->hop->agent->active_backlog += j->backlog;
	sched_hop_unlist(j->hop);		/* to the end of its agent's list: hops are served in turn */
	sched_hop_update(s, j->hop);
}

/* At least half of the time is everybody else's: they get as long as they had to wait, so many suspects are soon done. */
static void
suspect_ended(const struct schedule *s, struct agent *a, bool crashed)
{
	int64_t end = s->now < a->alone_until ? s->now : a->alone_until;

	a->alone = NULL;
	a->died = crashed;
	a->suspects_after = end + (end - a->held_since) + 1;
}

void
sched_job_stop(struct schedule *s, struct schedule_job *j, bool crashed)
{
	struct agent *a = j->hop->agent;

	if (!j->counted)
		return;
	j->counted = false;
	j->hop->active--;
	a->active--;
	a->active_backlog -= j->backlog;
	if (a->alone == j)
		suspect_ended(s, a, crashed);
}

void
sched_job_compact(struct schedule *s, struct schedule_job *j, bool attempted)
{
	struct rcpt *rcpts = sched_job_rcpts(j);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		if (rcpts[i].flags != 0)
			continue;
		if (attempted && rcpts[i].attempts < UINT16_MAX)
			rcpts[i].attempts++;
		rcpts[kept++] = rcpts[i];
	}
	s->n_rcpts -= j->n - kept;
	sched_job_shorten(j, kept);
}
