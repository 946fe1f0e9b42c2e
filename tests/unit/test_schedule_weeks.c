/*
 * Six weeks of mail through the scheduler in one process, with a clock that is a number: hosts that fail and come back by
 * chance, messages for several recipients at several hosts, processes that die, starts that find everything anew, and an
 * administrator who pauses, holds, releases, retries and removes. What the log would remember is kept beside it, and the end is
 * held against it: each recipient was delivered once, bounced once, removed by a person, or is still there for a reason that
 * mailq names.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/lanes.h"
#include "queue/schedule.h"
#include "tests/unit/run.h"

#define SECOND		INT64_C(1000)
#define MINUTE		(60 * SECOND)
#define HOUR		(60 * MINUTE)
#define DAY		(24 * HOUR)

#define HOSTS		40
#define MESSAGES	4000
#define RCPTS		6
#define RUNNING_MAX	128
#define WEEKS		(42 * DAY)
#define LAST_MAIL	(40 * DAY)

enum fate { NOT_YET, WAITS, HELD, DELIVERED, BOUNCED, REMOVED };

/* As the log would have it. */
struct rcpt {
	enum fate	fate;
	int		host;
	uint32_t	attempts;
	int64_t		next;
	unsigned	delivered, bounced, warned;
};

struct mail {
	int64_t		arrived;
	uint32_t	sender, n;
	struct rcpt	rcpts[RCPTS];
};

struct running {
	struct schedule_job	*job;
	int64_t			 ends;
};

struct world {
	struct schedule		*s;
	int64_t			 now;
	uint64_t		 chance;
	struct mail		 mails[MESSAGES + 1];
	uint64_t		 n_mails;
	struct running		 running[RUNNING_MAX];
	size_t			 n_running;
	bool			 up[HOSTS], paused[HOSTS];
	int			 probes_at[HOSTS];	/* attempts under way at hosts in trouble */
	unsigned		 starts, deaths, attempts, delivered, bounced, removed, waiting, warned, rejected;
};

static const struct schedule_limits limits = {
	.jobs = { 8, 20, 30 }, .hop_jobs = 6,
	.retry_first_ms = 5 * MINUTE, .retry_most_ms = 4 * HOUR, .expire_ms = 5 * DAY,
};

static uint64_t
pick(struct world *w, uint64_t n)
{
	w->chance ^= w->chance << 13;
	w->chance ^= w->chance >> 7;
	w->chance ^= w->chance << 17;
	return w->chance % n;
}

static void
add(struct world *w, uint64_t id, uint32_t index, int64_t due)
{
	struct mail *m = &w->mails[id];
	char hop[32];

	snprintf(hop, sizeof(hop), "mx:h%d", m->rcpts[index].host);
	schedule_add(w->s, w->now, &(struct schedule_entry){ .message = id, .index = index, .attempts = m->rcpts[index].attempts,
	    .hop = hop, .agent = SCHEDULE_DELIVERY, .arrived_ms = m->arrived, .due_ms = due, .sender = m->sender,
	    .warn_ms = m->rcpts[index].warned > 0 ? SCHEDULE_NEVER : m->arrived + 4 * HOUR });
}

/* ---- what happens ---- */

static void
new_mail(struct world *w)
{
	uint64_t id = ++w->n_mails;
	struct mail *m = &w->mails[id];

	m->arrived = w->now;
	m->sender = (uint32_t)pick(w, 20);
	m->n = 1 + (uint32_t)pick(w, RCPTS);
	for (uint32_t i = 0; i < m->n; i++) {
		m->rcpts[i] = (struct rcpt){ .fate = WAITS, .host = (int)pick(w, HOSTS) };
		add(w, id, i, w->now);
	}
}

/* All that waits is found anew; what was under way counts as not tried, or as an attempt. */
static void
restart(struct world *w)
{
	w->deaths++;
	schedule_free(w->s);
	w->s = schedule_new(&limits, 1 + pick(w, 1000000));
	w->n_running = 0;
	memset(w->paused, 0, sizeof(w->paused));
	memset(w->probes_at, 0, sizeof(w->probes_at));
	for (uint64_t id = 1; id <= w->n_mails; id++)
		for (uint32_t i = 0; i < w->mails[id].n; i++)
			if (w->mails[id].rcpts[i].fate == WAITS)
				add(w, id, i, w->mails[id].rcpts[i].next);
	schedule_agent_up(w->s, SCHEDULE_DELIVERY, true);
}

static void
administrate(struct world *w)
{
	uint64_t id = w->n_mails == 0 ? 0 : 1 + pick(w, w->n_mails);
	int host = (int)pick(w, HOSTS);
	char hop[32];
	struct rcpt *r;
	uint32_t i;

	snprintf(hop, sizeof(hop), "mx:h%d", host);
	if (pick(w, 4) == 0) {
		w->paused[host] = !w->paused[host];
		ck_assert(schedule_pause(w->s, w->now, hop, SCHEDULE_DELIVERY, w->paused[host]));
		return;
	}
	if (id == 0)
		return;
	i = (uint32_t)pick(w, w->mails[id].n);
	r = &w->mails[id].rcpts[i];
	if (r->fate == HELD) {
		r->fate = WAITS;
		r->next = w->now;
		add(w, id, i, w->now);
	} else if (r->fate == WAITS && !schedule_is_active(w->s, id, i)) {
		switch (pick(w, 4)) {
		case 0:
			ck_assert_uint_eq(schedule_drop(w->s, id, i), 1);
			r->fate = REMOVED;
			break;
		case 1:
			ck_assert_uint_eq(schedule_drop(w->s, id, i), 1);
			r->fate = HELD;
			break;
		default:
			schedule_retry(w->s, w->now, id, NULL);
		}
	}
}

static void
weather(struct world *w)
{
	for (int h = 0; h < HOSTS; h++)
		if (pick(w, 24) == 0)		/* some are up for a day, some for minutes; one never */
			w->up[h] = h != 0 && pick(w, 10) < (h % 4 == 3 ? 3 : 8);
}

/* ---- attempts ---- */

/* What becomes of the i-th of a job; true: it is settled. */
static bool
result(struct world *w, struct schedule_job *j, uint32_t i, bool hop_ok, bool expired)
{
	struct rcpt *r;
	uint32_t index, attempts;
	bool there = schedule_job_rcpt(j, i, &index, &attempts);

	r = &w->mails[schedule_job_message(j)].rcpts[index];
	if (!there)
		return false;
	ck_assert_uint_eq(attempts, r->attempts);
	ck_assert_int_eq(r->fate, WAITS);
	r->attempts++;
	if (hop_ok && pick(w, 10) != 0) {
		r->fate = DELIVERED;
		r->delivered++;
	} else if ((hop_ok && pick(w, 5) == 0) || expired) {
		r->fate = BOUNCED;
		r->bounced++;
	}
	return r->fate != WAITS;
}

static void
finish(struct world *w, size_t at)
{
	struct schedule_job *j = w->running[at].job;
	int host = (int)strtol(schedule_job_hop(j) + 4, NULL, 10);
	bool ok = w->up[host], expired = schedule_job_expired(w->s, j, w->now);
	uint64_t id = schedule_job_message(j);
	uint32_t n = schedule_job_size(j), index, attempts, open[SCHEDULE_JOB_RCPTS], n_open = 0;
	int64_t next;

	w->running[at] = w->running[--w->n_running];
	if (pick(w, 50) == 0) {			/* our own process could not try it */
		schedule_finish(w->s, w->now, j, SCHEDULE_AWAY, NULL);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (result(w, j, i, ok, expired))
			schedule_settle(j, i);
		else if (schedule_job_rcpt(j, i, &index, &attempts))
			open[n_open++] = index;
	}
	if (!ok && pick(w, 3) == 0)
		schedule_ask_pause(j, (int64_t)pick(w, 2 * DAY));
	schedule_warn_next(j, w->now - w->mails[id].arrived < 4 * HOUR ? w->mails[id].arrived + 4 * HOUR : SCHEDULE_NEVER);
	next = schedule_finish(w->s, w->now, j, ok ? SCHEDULE_ANSWERED : SCHEDULE_TROUBLE, "down");
	ck_assert(n_open == 0 || next != SCHEDULE_NEVER);
	for (uint32_t i = 0; i < n_open; i++)
		w->mails[id].rcpts[open[i]].next = next;
}

/* Given up, or warned of, without a try. */
static void
without_try(struct world *w, struct schedule_job *j, enum schedule_action action)
{
	uint64_t id = schedule_job_message(j);
	uint32_t index, attempts;

	for (uint32_t i = 0; i < schedule_job_size(j); i++) {
		struct rcpt *r;

		if (!schedule_job_rcpt(j, i, &index, &attempts))
			continue;
		r = &w->mails[id].rcpts[index];
		ck_assert_int_eq(r->fate, WAITS);
		if (action == SCHEDULE_WARN) {
			r->warned++;
			continue;
		}
		ck_assert_int_ge(w->now - w->mails[id].arrived, limits.expire_ms);
		r->fate = BOUNCED;
		r->bounced++;
		schedule_settle(j, i);
	}
	schedule_warn_next(j, SCHEDULE_NEVER);
	schedule_finish(w->s, w->now, j, SCHEDULE_PUT_BACK, NULL);
}

static void
start_all(struct world *w)
{
	enum schedule_action action;
	struct schedule_job *j;

	while (w->n_running < RUNNING_MAX && (action = schedule_next(w->s, w->now, &j)) != SCHEDULE_NOTHING) {
		if (action != SCHEDULE_START) {
			without_try(w, j, action);
			continue;
		}
		w->attempts++;
		w->running[w->n_running++] = (struct running){ j, w->now + SECOND + (int64_t)pick(w, 5 * MINUTE) };
		ck_assert_uint_le(w->n_running, limits.jobs[SCHEDULE_DELIVERY]);
	}
}

/* ---- the weeks ---- */

static void
live(struct world *w)
{
	int64_t mail = 0, hour = HOUR, at;

	while (w->now < WEEKS) {
		at = schedule_due(w->s);
		for (size_t i = 0; i < w->n_running; i++)
			at = w->running[i].ends < at ? w->running[i].ends : at;
		at = hour < at ? hour : at;
		at = mail < at ? mail : at;
		w->now = at > w->now ? at : w->now;
		if (w->now >= mail) {
			new_mail(w);
			mail = w->n_mails == MESSAGES ? WEEKS + DAY : mail + LAST_MAIL / MESSAGES;
		}
		if (w->now >= hour) {
			weather(w);
			administrate(w);
			if (pick(w, 100) == 0)
				restart(w);
			hour += HOUR;
		}
		for (size_t i = w->n_running; i-- > 0;)
			if (i < w->n_running && w->running[i].ends <= w->now)
				finish(w, i);
		start_all(w);
	}
}

/* Still there: mailq says why. */
static void
check_waiting(struct world *w, uint64_t id, uint32_t index)
{
	int64_t until;
	enum schedule_reason why = schedule_reason(w->s, id, index, &until);

	ck_assert_msg(why != SCHEDULE_UNKNOWN, "message %d, recipient %u waits, and nobody knows of it", (int)id, index);
	if (why == SCHEDULE_TIME)		/* a hop's may be past: it is being probed */
		ck_assert_int_gt(until, w->now);
	if (why == SCHEDULE_PAUSED)
		ck_assert(w->paused[w->mails[id].rcpts[index].host]);
	else		/* only a pause keeps anything beyond its time */
		ck_assert_int_le(w->now - w->mails[id].arrived, limits.expire_ms + 8 * DAY);
	w->waiting++;
}

static void
check_end(struct world *w)
{
	struct schedule_counts counts;

	for (uint64_t id = 1; id <= w->n_mails; id++)
		for (uint32_t i = 0; i < w->mails[id].n; i++) {
			const struct rcpt *r = &w->mails[id].rcpts[i];

			ck_assert_uint_eq(r->delivered, r->fate == DELIVERED);
			ck_assert_uint_eq(r->bounced, r->fate == BOUNCED);
			ck_assert_uint_le(r->warned, 1);
			ck_assert_uint_le(r->attempts, 400);
			w->delivered += r->delivered;
			w->bounced += r->bounced;
			w->removed += r->fate == REMOVED;
			w->warned += r->warned;
			if (r->fate == WAITS)
				check_waiting(w, id, i);
		}
	schedule_count(w->s, &counts);
	ck_assert_uint_eq(counts.rcpts, w->waiting);
}

START_TEST(six_weeks)
{
	struct world *w = calloc(1, sizeof(*w));

	ck_assert_ptr_nonnull(w);
	w->chance = 88172645463325252ULL + (uint64_t)_i * 7919;
	w->s = schedule_new(&limits, (uint64_t)_i + 1);
	schedule_agent_up(w->s, SCHEDULE_DELIVERY, true);
	for (int h = 1; h < HOSTS; h++)
		w->up[h] = true;
	live(w);
	check_end(w);
	ck_assert_uint_eq(w->n_mails, MESSAGES);
	/* It was a world in which all of it happened. */
	ck_assert_uint_gt(w->delivered, MESSAGES);
	ck_assert_uint_gt(w->bounced, 100);
	ck_assert_uint_gt(w->removed, 5);
	ck_assert_uint_gt(w->warned, 100);
	ck_assert_uint_gt(w->waiting, 10);
	ck_assert_uint_gt(w->deaths, 2);
	schedule_free(w->s);
	free(w);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("weeks");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, six_weeks, 0, 4);
	return run_case("schedule_weeks", t);
}
