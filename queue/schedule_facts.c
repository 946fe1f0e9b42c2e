/*
 * What the scheduler knows (queue/schedule.h): of a message, of a job, of all. Changes nothing. Called by whoever shows the queue
 * or carries a job out.
 */
#include "queue/schedule_state.h"

/* ---- a message ---- */

bool
schedule_has(const struct schedule *s, uint64_t message)
{
	return sched_job_of(s, message, NULL) != NULL;
}

bool
schedule_is_active(const struct schedule *s, uint64_t message, uint32_t index)
{
	const struct schedule_job *j = NULL;

	while ((j = sched_job_of(s, message, j)) != NULL) {
		if (j->state != JOB_ACTIVE)
			continue;
		for (uint32_t i = 0; i < j->n; i++)
			if (index == SCHEDULE_ALL || sched_job_rcpts(j)[i].index == index)
				return true;
	}
	return false;
}

bool
schedule_rests(const struct schedule *s, int64_t now, uint64_t message)
{
	const struct schedule_job *j = NULL;

	while ((j = sched_job_of(s, message, j)) != NULL) {
		bool waits = j->state == JOB_WAITING && j->due.at > now;
		bool blocked = j->state == JOB_READY && (j->hop->paused || (j->hop->trouble && j->hop->not_before > now));

		if (!waits && !blocked)
			return false;
	}
	return true;
}

/* The job of a recipient; NULL: there is none. */
static const struct schedule_job *
find_job(const struct schedule *s, uint64_t message, uint32_t index)
{
	const struct schedule_job *j = NULL;

	while ((j = sched_job_of(s, message, j)) != NULL)
		for (uint32_t i = 0; i < j->n && sched_job_may_have(j, index); i++)
			if (sched_job_rcpts(j)[i].index == index && sched_job_rcpts(j)[i].flags == 0)
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

/* ---- a job ---- */

uint64_t
schedule_job_message(const struct schedule_job *j)
{
	return j->message;
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
	const struct rcpt *r = &sched_job_rcpts(j)[i];

	*index_r = r->index;
	*attempts_r = r->attempts;
	return (r->flags & RCPT_DROPPED) == 0;
}

int64_t
schedule_job_arrived(const struct schedule_job *j)
{
	return j->arrived;
}

bool
schedule_job_expired(const struct schedule *s, const struct schedule_job *j, int64_t now)
{
	return sched_job_expires(s, j) <= now;
}

/* ---- the whole ---- */

void
schedule_count(const struct schedule *s, struct schedule_counts *c)
{
	*c = (struct schedule_counts){ .messages = s->n_messages, .rcpts = s->n_rcpts,
	    .waiting = s->waiting.n + s->probes.n, .hops = HASH_COUNT(s->hops) };
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
