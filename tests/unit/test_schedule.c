/*
 * The scheduler over simulated days: nothing starves, nobody is hammered, everything is delivered or expires, and a
 * message that kills its process is found out. Time is a number here; chance comes from a seed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/lanes.h"
#include "queue/schedule.h"
#include "tests/unit/run.h"

#define SECOND	INT64_C(1000)
#define MINUTE	(60 * SECOND)
#define HOUR	(60 * MINUTE)
#define DAY	(24 * HOUR)

static const struct schedule_limits limits = {
	.jobs = { 8, 20, 40 }, .hop_jobs = 10,
	.retry_first_ms = 5 * MINUTE, .retry_most_ms = 4 * HOUR, .expire_ms = 5 * DAY,
};

static struct schedule *
new_schedule(uint64_t seed)
{
	struct schedule *s = schedule_new(&limits, seed);

	for (int a = 0; a < SCHEDULE_AGENTS; a++)
		schedule_agent_up(s, (enum schedule_agent)a, true);
	return s;
}

static void
add(struct schedule *s, int64_t now, uint64_t id, uint32_t index, const char *hop)
{
	schedule_add(s, now, &(struct schedule_entry){ .message = id, .index = index, .hop = hop,
	    .agent = SCHEDULE_DELIVERY, .arrived_ms = now, .due_ms = now });
}

static void
settle_all(struct schedule_job *j)
{
	for (uint32_t i = 0; i < schedule_job_size(j); i++)
		schedule_settle(j, i);
}

static struct schedule_job *
must_start(struct schedule *s, int64_t now)
{
	struct schedule_job *j = NULL;

	ck_assert_int_eq(schedule_next(s, now, &j), SCHEDULE_START);
	return j;
}

static void
must_be_idle(struct schedule *s, int64_t now)
{
	struct schedule_job *j;

	ck_assert_int_eq(schedule_next(s, now, &j), SCHEDULE_NOTHING);
}

START_TEST(recipients_at_one_hop_go_together)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	uint32_t index, attempts;

	for (uint32_t i = 0; i < 250; i++)
		add(s, 0, 7, i, "mx:a.example");
	add(s, 0, 7, 250, "mx:b.example");
	for (int n = 0; n < 2; n++) {
		j = must_start(s, 0);
		ck_assert_uint_le(schedule_job_size(j), SCHEDULE_JOB_RCPTS);
		ck_assert(schedule_job_rcpt(j, 0, &index, &attempts));
		ck_assert_uint_eq(attempts, 0);
		settle_all(j);
		ck_assert_int_eq(schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL), SCHEDULE_NEVER);
	}
	while (schedule_has(s, 7)) {
		j = must_start(s, 0);
		settle_all(j);
		schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL);
	}
	must_be_idle(s, 0);
	schedule_free(s);
}
END_TEST

START_TEST(limit_grows_with_success)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *running[16];
	size_t n = 0;

	for (uint64_t id = 1; id <= 100; id++)
		add(s, 0, id, 0, "mx:a.example");
	while (schedule_next(s, 0, &running[n]) == SCHEDULE_START)
		n++;
	ck_assert_uint_eq(n, 2);
	for (int round = 0; round < 20; round++) {
		settle_all(running[0]);
		schedule_finish(s, 0, running[0], SCHEDULE_ANSWERED, NULL);
		memmove(running, running + 1, --n * sizeof(running[0]));
		while (schedule_next(s, 0, &running[n]) == SCHEDULE_START)
			n++;
	}
	ck_assert_uint_eq(n, limits.hop_jobs);
	schedule_free(s);
}
END_TEST

/* After a reload other limits hold, for hops and mail that are known already, and for what is under way nothing breaks. */
START_TEST(other_limits_take_hold)
{
	struct schedule_limits other = limits;
	struct schedule *s = new_schedule(1);
	struct schedule_job *running[16], *j;
	size_t n = 0;

	other.hop_jobs = 1;
	other.expire_ms = HOUR;
	for (uint64_t id = 1; id <= 10; id++)
		add(s, 0, id, 0, "mx:a.example");
	while (schedule_next(s, 0, &running[n]) == SCHEDULE_START)
		n++;
	ck_assert_uint_eq(n, 2);
	schedule_limit(s, &other);
	must_be_idle(s, 0);
	settle_all(running[0]);
	schedule_finish(s, 0, running[0], SCHEDULE_ANSWERED, NULL);
	must_be_idle(s, 0);		/* one still runs, and one may */
	settle_all(running[1]);
	schedule_finish(s, 0, running[1], SCHEDULE_ANSWERED, NULL);
	j = must_start(s, 0);
	must_be_idle(s, 0);
	ck_assert(!schedule_job_expired(s, j, HOUR - MINUTE));
	ck_assert(schedule_job_expired(s, j, HOUR + MINUTE));
	schedule_free(s);
}
END_TEST

START_TEST(trouble_is_shared_and_a_probe_opens)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *a, *b;
	int64_t now = 0, again;

	for (uint64_t id = 1; id <= 50; id++)
		add(s, 0, id, 0, "mx:dead.example");
	a = must_start(s, 0);
	b = must_start(s, 0);
	again = schedule_finish(s, now = 10, a, SCHEDULE_TROUBLE, "timed out");
	ck_assert_int_ge(again, now + 4 * MINUTE);
	ck_assert_int_eq(schedule_finish(s, 11, b, SCHEDULE_TROUBLE, "timed out"), again);
	must_be_idle(s, 12);
	ck_assert_int_eq(schedule_due(s), again);
	a = must_start(s, again);		/* one probe, and only one */
	must_be_idle(s, again);
	ck_assert_str_eq(schedule_job_trouble(a), "timed out");
	settle_all(a);
	schedule_finish(s, again + 1, a, SCHEDULE_ANSWERED, NULL);
	must_start(s, again + 1);		/* it is back: the rest goes without waiting */
	must_start(s, again + 1);
	schedule_free(s);
}
END_TEST

START_TEST(own_trouble_stops_nobody_else)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *bad, *good;

	add(s, 0, 1, 0, "mx:a.example");
	add(s, 0, 2, 0, "mx:a.example");
	add(s, 0, 3, 0, "mx:a.example");
	bad = must_start(s, 0);
	good = must_start(s, 0);
	settle_all(good);
	schedule_finish(s, 5, good, SCHEDULE_ANSWERED, NULL);
	ck_assert_int_gt(schedule_finish(s, 6, bad, SCHEDULE_TROUBLE, "closed"), 4 * MINUTE);
	must_start(s, 7);
	schedule_free(s);
}
END_TEST

START_TEST(fresh_mail_passes_a_backlog)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	char hop[40];
	int n = 0;

	/* A hundred hops with old mail, none of which answers for now: they may not take every place. */
	for (uint64_t id = 1; id <= 100; id++) {
		snprintf(hop, sizeof(hop), "mx:old%d.example", (int)id);
		schedule_add(s, 0, &(struct schedule_entry){ .message = id, .hop = hop, .agent = SCHEDULE_DELIVERY,
		    .attempts = 3 });
	}
	while (schedule_next(s, 0, &j) == SCHEDULE_START)
		n++;
	ck_assert_int_eq(n, 30);
	add(s, 1, 1000, 0, "mx:new.example");
	j = must_start(s, 1);
	ck_assert_uint_eq(schedule_job_message(j), 1000);
	schedule_free(s);
}
END_TEST

START_TEST(nothing_expires_untried)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	int64_t now = 100 * DAY;

	for (uint64_t id = 1; id <= 3; id++)
		schedule_add(s, now, &(struct schedule_entry){ .message = id, .hop = "mx:a.example",
		    .agent = SCHEDULE_DELIVERY, .attempts = 40, .arrived_ms = now - 6 * DAY, .due_ms = now - HOUR });
	j = must_start(s, now);
	ck_assert(schedule_job_expired(s, j, now));
	settle_all(j);
	schedule_finish(s, now, j, SCHEDULE_TROUBLE, "no route");
	/* The first failed for all of them. */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(schedule_next(s, now, &j), SCHEDULE_EXPIRE);
		ck_assert_str_eq(schedule_job_trouble(j), "no route");
		settle_all(j);
		schedule_finish(s, now, j, SCHEDULE_PUT_BACK, NULL);
	}
	must_be_idle(s, now);
	ck_assert(!schedule_has(s, 2));
	schedule_free(s);
}
END_TEST

/* Mail that is to wait longer, by any of its recipients; its age is the same as ever. */
START_TEST(some_live_longer)
{
	struct schedule_limits other = limits;
	struct schedule *s = new_schedule(1);
	struct schedule_entry e = { .message = 1, .hop = "mx:a.example", .agent = SCHEDULE_DELIVERY, .longer_ms = 3 * DAY };
	struct schedule_job *j;

	schedule_add(s, 0, &e);
	e.index = 1;
	e.longer_ms = 2 * DAY;
	schedule_add(s, 0, &e);
	j = must_start(s, 0);
	ck_assert(!schedule_job_expired(s, j, 8 * DAY - MINUTE));
	ck_assert(schedule_job_expired(s, j, 8 * DAY));
	ck_assert_int_eq(schedule_job_arrived(j), 0);
	other.expire_ms = DAY;
	schedule_limit(s, &other);
	ck_assert(!schedule_job_expired(s, j, 4 * DAY - MINUTE));
	ck_assert(schedule_job_expired(s, j, 4 * DAY));
	ck_assert_int_eq(schedule_job_arrived(j), 0);
	settle_all(j);
	schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL);
	schedule_free(s);
}
END_TEST

START_TEST(suspects_are_tried_alone)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j, *other;
	int64_t now = 0;

	add(s, now, 1, 0, "mx:a.example");
	add(s, now, 1, 1, "mx:a.example");
	for (int death = 0; death < 2; death++) {
		j = must_start(s, now);
		now = schedule_finish(s, now, j, SCHEDULE_CRASHED, NULL);
	}
	add(s, now, 2, 0, "mx:b.example");
	j = must_start(s, now);			/* each of the two by itself */
	ck_assert_uint_eq(schedule_job_size(j), 1);
	ck_assert_uint_eq(schedule_job_crashes(j), 2);
	must_be_idle(s, now);			/* message 2 waits, but not for long */
	ck_assert_int_le(schedule_due(s), now + 10 * SECOND);
	now += 10 * SECOND;
	other = must_start(s, now);
	ck_assert_uint_eq(schedule_job_message(other), 2);
	schedule_finish(s, now, j, SCHEDULE_CRASHED, NULL);
	ck_assert_uint_eq(schedule_job_crashes(j), 3);
	schedule_free(s);
}
END_TEST

/* What a start knows of queue's own deaths: each recipient by itself, and only when nothing else runs. */
START_TEST(suspects_from_the_start)
{
	struct schedule *s = new_schedule(1);
	struct schedule_entry e = { .message = 1, .hop = "mx:a.example", .agent = SCHEDULE_DELIVERY, .crashes = 2 };
	struct schedule_job *j;

	schedule_add(s, 0, &e);
	e.index = 1;
	schedule_add(s, 0, &e);
	j = must_start(s, 0);
	ck_assert_uint_eq(schedule_job_size(j), 1);
	ck_assert_uint_eq(schedule_job_crashes(j), 2);
	must_be_idle(s, 0);
	schedule_settle(j, 0);
	schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL);
	must_be_idle(s, 0);			/* others have their turn first */
	ck_assert_int_eq(schedule_due(s), 1);
	j = must_start(s, 1);
	ck_assert_uint_eq(schedule_job_size(j), 1);
	schedule_settle(j, 0);
	schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL);
	schedule_free(s);
}
END_TEST

/* Suspects that nothing dies of are soon done, however many: no longer than they took do others go before the next one. */
START_TEST(many_innocent_suspects)
{
	struct schedule *s = new_schedule(1);
	struct schedule_entry e = { .hop = "mx:a.example", .agent = SCHEDULE_DELIVERY, .crashes = 2 };
	struct schedule_job *j, *other;
	int64_t now = 0;

	for (e.message = 1; e.message <= 100; e.message++)
		schedule_add(s, 0, &e);
	for (int i = 0; i < 100; i++) {
		j = must_start(s, now);
		ck_assert_uint_eq(schedule_job_crashes(j), 2);
		add(s, now, 1000 + (uint64_t)i, 0, "mx:b.example");
		must_be_idle(s, now += 40);
		settle_all(j);
		schedule_finish(s, now, j, SCHEDULE_ANSWERED, NULL);
		other = must_start(s, now);
		ck_assert_uint_eq(schedule_job_message(other), 1000 + (uint64_t)i);
		must_be_idle(s, now += 40);
		settle_all(other);
		schedule_finish(s, now, other, SCHEDULE_ANSWERED, NULL);
		must_be_idle(s, now);
		now = i < 99 ? schedule_due(s) : now;
	}
	ck_assert_int_le(now, 100 * (40 + 40 + 1));
	ck_assert(!schedule_has(s, 100));
	schedule_free(s);
}
END_TEST

/* One that takes long counts for as long as others had to wait, no longer; the time in which running ones ended, too. */
START_TEST(slow_suspects)
{
	struct schedule *s = new_schedule(1);
	struct schedule_entry e = { .hop = "mx:a.example", .agent = SCHEDULE_DELIVERY, .crashes = 2 };
	struct schedule_job *j, *other;

	add(s, 0, 9, 0, "mx:b.example");
	other = must_start(s, 0);
	for (e.message = 1; e.message <= 2; e.message++)
		schedule_add(s, 0, &e);
	must_be_idle(s, 0);			/* until 9 is done, or 10 seconds long */
	j = must_start(s, 10 * SECOND);
	ck_assert_uint_eq(schedule_job_crashes(j), 2);
	must_be_idle(s, HOUR);			/* the second one does not come beside it */
	settle_all(j);
	schedule_finish(s, HOUR, j, SCHEDULE_ANSWERED, NULL);
	settle_all(other);
	schedule_finish(s, HOUR, other, SCHEDULE_ANSWERED, NULL);
	ck_assert_uint_eq(schedule_job_crashes(must_start(s, HOUR)), 2);	/* others had their 20 seconds long ago */
	schedule_free(s);
}
END_TEST

/* Each of many suspects kills the process, which comes back a minute later: others go first then, and for a while. */
START_TEST(many_guilty_suspects)
{
	struct schedule *s = new_schedule(1);
	struct schedule_entry e = { .hop = "mx:a.example", .agent = SCHEDULE_DELIVERY, .crashes = 2 };
	struct schedule_job *j;
	int64_t now = 0;

	for (e.message = 1; e.message <= 3; e.message++)
		schedule_add(s, 0, &e);
	for (uint64_t i = 0; i < 3; i++) {
		j = must_start(s, now);
		ck_assert_uint_eq(schedule_job_crashes(j), 2);
		add(s, now, 100 + i, 0, "mx:b.example");
		schedule_agent_up(s, SCHEDULE_DELIVERY, false);
		settle_all(j);
		schedule_finish(s, now, j, SCHEDULE_CRASHED, NULL);
		must_be_idle(s, now += MINUTE);
		schedule_agent_up(s, SCHEDULE_DELIVERY, true);
		j = must_start(s, now);
		ck_assert_uint_eq(schedule_job_message(j), 100 + i);
		must_be_idle(s, now);
		settle_all(j);
		schedule_finish(s, now, j, SCHEDULE_ANSWERED, NULL);
		must_be_idle(s, now);
		if (i < 2)
			ck_assert_int_eq(schedule_due(s), now + 10 * SECOND);
		now += 10 * SECOND;
	}
	schedule_free(s);
}
END_TEST

START_TEST(dropped_while_active)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	uint32_t index, attempts;

	add(s, 0, 1, 4, "mx:a.example");
	add(s, 0, 1, 5, "mx:a.example");
	j = must_start(s, 0);
	ck_assert(schedule_is_active(s, 1, 5));
	ck_assert_uint_eq(schedule_drop(s, 1, 5), 1);
	ck_assert(schedule_job_rcpt(j, 0, &index, &attempts));
	ck_assert(!schedule_job_rcpt(j, 1, &index, &attempts));
	ck_assert_int_ne(schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL), SCHEDULE_NEVER);
	ck_assert_uint_eq(schedule_drop(s, 1, SCHEDULE_ALL), 1);
	ck_assert(!schedule_has(s, 1));
	ck_assert_int_eq(schedule_due(s), SCHEDULE_NEVER);
	schedule_free(s);
}
END_TEST

static void
add_from(struct schedule *s, int64_t now, uint64_t id, const char *sender, const char *hop, uint32_t attempts)
{
	schedule_add(s, now, &(struct schedule_entry){ .message = id, .hop = hop, .agent = SCHEDULE_DELIVERY, .arrived_ms = now,
	    .due_ms = now, .sender = lanes_key(sender), .attempts = attempts });
}

/* How many others are started before this message is, when each ends as soon as it has begun. */
static unsigned
starts_before(struct schedule *s, uint64_t message)
{
	struct schedule_job *j;
	unsigned n = 0;
	bool found;

	for (;; n++) {
		j = must_start(s, 1);
		found = schedule_job_message(j) == message;
		settle_all(j);
		schedule_finish(s, 1, j, SCHEDULE_ANSWERED, NULL);
		if (found)
			return n;
	}
}

/* ATTACKS 66. One who sends ten thousand messages to a host delays nobody's single letter there; whether they were tried before or not. */
START_TEST(a_letter_passes_a_bulk_to_its_hop)
{
	struct schedule *s = new_schedule(1);
	uint32_t tried = _i == 1 ? 3 : 0;
	char sender[64];

	for (uint64_t id = 1; id <= 10000; id++) {
		snprintf(sender, sizeof(sender), "bounce-%d+x%d=y@bulk.example", (int)id, (int)id);
		add_from(s, 0, id, sender, "mx:big.example", tried);
	}
	ck_assert_uint_eq(starts_before(s, 1), 0);
	add_from(s, 1, 20000, "anna@example.org", "mx:big.example", tried);
	ck_assert_uint_le(starts_before(s, 20000), 2);
	schedule_free(s);
}
END_TEST

/* Likewise when each of them goes to another host: hops are not served one after the other, but senders. */
START_TEST(a_letter_passes_a_bulk_to_all_hops)
{
	struct schedule *s = new_schedule(1);
	char hop[40];

	for (uint64_t id = 1; id <= 10000; id++) {
		snprintf(hop, sizeof(hop), "mx:h%d.example", (int)id);
		add_from(s, 0, id, "news@bulk.example", hop, 0);
	}
	add_from(s, 1, 20000, "anna@example.org", "mx:small.example", 0);
	ck_assert_uint_le(starts_before(s, 20000), 2);
	add_from(s, 1, 20001, "anna@example.org", "mx:h5000.example", 0);	/* behind one of the bulk */
	ck_assert_uint_le(starts_before(s, 20001), 3);
	schedule_free(s);
}
END_TEST

/* And the bulk gets its turn while single letters keep coming. */
START_TEST(a_bulk_is_not_starved)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	unsigned bulk = 0;
	char sender[40];

	for (uint64_t id = 1; id <= 1000; id++)
		add_from(s, 0, id, "news@bulk.example", "mx:big.example", 0);
	for (uint64_t id = 2000; id < 2400; id++) {
		snprintf(sender, sizeof(sender), "%c%c@example.org", (char)('a' + id % 26), (char)('a' + id / 26 % 26));
		add_from(s, 1, id, sender, "mx:big.example", 0);
		j = must_start(s, 1);
		bulk += schedule_job_message(j) < 2000;
		settle_all(j);
		schedule_finish(s, 1, j, SCHEDULE_ANSWERED, NULL);
	}
	ck_assert_uint_ge(bulk, 40);		/* of 400 */
	ck_assert_uint_le(bulk, 220);
	schedule_free(s);
}
END_TEST

START_TEST(senders_are_told_apart)
{
	ck_assert_uint_eq(lanes_key("Bounce-17+a=b@list.example"), lanes_key("bounce-99+c=d@LIST.example"));
	ck_assert_uint_ne(lanes_key("anna@example.org"), lanes_key("bob@example.org"));
	ck_assert_uint_ne(lanes_key("anna@example.org"), lanes_key("anna@example.net"));
	ck_assert_uint_lt(lanes_key(""), LANES);
	ck_assert_uint_lt(lanes_key("postmaster"), LANES);
}
END_TEST

START_TEST(fixed_intervals)
{
	struct schedule_limits fixed = limits;
	struct schedule *s;
	int64_t now = 0, next, wanted[] = { MINUTE, 10 * MINUTE, HOUR, HOUR, HOUR };

	fixed.n_intervals = 3;
	memcpy(fixed.intervals, wanted, 3 * sizeof(wanted[0]));
	s = schedule_new(&fixed, 1);
	schedule_agent_up(s, SCHEDULE_DELIVERY, true);
	add(s, 0, 1, 0, "mx:a.example");
	for (int i = 0; i < 5; i++) {
		next = schedule_finish(s, now, must_start(s, now), SCHEDULE_ANSWERED, NULL);
		ck_assert_int_ge(next - now, wanted[i] - wanted[i] / 10);
		ck_assert_int_le(next - now, wanted[i] + wanted[i] / 10);
		now = next;
	}
	schedule_free(s);
}
END_TEST

/* A pause that is asked for: as it was said, not much less than our own, no more than our longest. */
START_TEST(pauses_that_are_asked_for)
{
	static const struct { int64_t asked, least, most; bool hop; } pauses[] = {
		{ 20 * MINUTE, 20 * MINUTE, 22 * MINUTE, false }, { 90 * SECOND, 90 * SECOND, 99 * SECOND, false },
		{ 1 * SECOND, 33 * SECOND, 46 * SECOND, false }, { 3 * DAY, 4 * HOUR, 4 * HOUR + 24 * MINUTE, false },
		{ 30 * MINUTE, 30 * MINUTE, 33 * MINUTE, true } };
	struct schedule *s = new_schedule((uint64_t)_i + 1);
	struct schedule_job *j;
	int64_t next;

	add(s, 0, 1, 0, "mx:a.example");
	j = must_start(s, 0);
	schedule_ask_pause(j, pauses[_i].asked);
	next = schedule_finish(s, 0, j, pauses[_i].hop ? SCHEDULE_TROUBLE : SCHEDULE_ANSWERED, "421 later");
	ck_assert_int_ge(next, pauses[_i].least);
	ck_assert_int_le(next, pauses[_i].most);
	j = must_start(s, next);		/* said once, it holds once */
	ck_assert_int_lt(schedule_finish(s, next, j, SCHEDULE_ANSWERED, NULL) - next, 10 * MINUTE);
	schedule_free(s);
}
END_TEST

/* A dead destination: one probe at a time for all its mail, and what waits is warned of and given up all the same. */
START_TEST(a_dead_hop_is_warned_of)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	unsigned probes = 0, warned = 0, expired = 0;
	enum schedule_action action;
	int64_t now = 0;

	for (uint64_t id = 1; id <= 1000; id++)
		schedule_add(s, 0, &(struct schedule_entry){ .message = id, .hop = "mx:dead.example", .agent = SCHEDULE_DELIVERY,
		    .warn_ms = 4 * HOUR });
	for (; now < 6 * DAY; now = schedule_due(s)) {
		while ((action = schedule_next(s, now, &j)) != SCHEDULE_NOTHING) {
			if (action == SCHEDULE_WARN) {
				ck_assert_int_ge(now, 4 * HOUR);
				schedule_warn_next(j, SCHEDULE_NEVER);
				schedule_finish(s, now, j, SCHEDULE_PUT_BACK, NULL);
				warned++;
			} else if (action == SCHEDULE_EXPIRE || schedule_job_expired(s, j, now)) {
				settle_all(j);
				schedule_finish(s, now, j, SCHEDULE_PUT_BACK, NULL);
				expired++;
			} else {
				schedule_warn_next(j, now < 4 * HOUR ? 4 * HOUR : SCHEDULE_NEVER);
				warned += now >= 4 * HOUR && now < 4 * HOUR + 80 * MINUTE;
				schedule_finish(s, now, j, SCHEDULE_TROUBLE, "dead");
				probes++;
			}
		}
	}
	ck_assert_uint_eq(expired, 1000);
	ck_assert_uint_ge(warned, 999);
	ck_assert_uint_le(warned, 1003);
	ck_assert_uint_le(probes, 140);
	schedule_free(s);
}
END_TEST

START_TEST(retry_is_now)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;

	add(s, 0, 1, 0, "mx:a.example");
	add(s, 0, 2, 0, "mx:b.example");
	schedule_finish(s, 0, must_start(s, 0), SCHEDULE_TROUBLE, "x");
	schedule_finish(s, 0, must_start(s, 0), SCHEDULE_ANSWERED, NULL);
	must_be_idle(s, 1);
	ck_assert_uint_eq(schedule_retry(s, 1, 0, "mx:a.example"), 1);
	j = must_start(s, 1);
	ck_assert_uint_eq(schedule_job_message(j), 1);
	must_be_idle(s, 1);
	ck_assert_uint_eq(schedule_retry(s, 1, 2, NULL), 1);
	must_start(s, 1);
	ck_assert_uint_eq(schedule_retry(s, 1, 99, NULL), 0);
	schedule_free(s);
}
END_TEST

/* ---- the simulation ---- */

enum habit { GOOD, DEAD, BACK_ON_DAY_3, FLAKY, GREYLISTS, HATES_SEVENTHS, HABITS };

#define HOSTS		60
#define MESSAGES	3000
#define RUNNING_MAX	64

struct running { struct schedule_job *job; int64_t ends; };

struct world {
	struct schedule	*s;
	int64_t		 now;
	unsigned	 chance;
	struct running	 running[RUNNING_MAX];
	size_t		 n_running;
	int		 hop_active[HOSTS], hop_attempts[HOSTS];
	int64_t		 first_try[MESSAGES + 1], ended[MESSAGES + 1];
	int		 tries[MESSAGES + 1];
	bool		 expired[MESSAGES + 1];
};

static unsigned
chance(struct world *w)
{
	return (w->chance = w->chance * 1103515245U + 12345U) >> 16;
}

static int
host_of(const struct schedule_job *j)
{
	return (int)strtol(schedule_job_hop(j) + 4, NULL, 10);
}

static enum schedule_end
behave(struct world *w, struct schedule_job *j, bool *delivered_r)
{
	uint64_t id = schedule_job_message(j);
	bool ok = true, trouble = true;

	switch ((enum habit)(host_of(j) % HABITS)) {
	case DEAD:
		ok = false;
		break;
	case BACK_ON_DAY_3:
		ok = w->now > 3 * DAY;
		break;
	case FLAKY:
		ok = chance(w) % 10 >= 3;
		break;
	case GREYLISTS:
		ok = w->now - w->first_try[id] > 10 * MINUTE;
		trouble = false;
		break;
	case HATES_SEVENTHS:
		ok = id % 7 != 0;
		break;
	default:
		break;
	}
	*delivered_r = ok;
	return ok || !trouble ? SCHEDULE_ANSWERED : SCHEDULE_TROUBLE;
}

static void
end_message(struct world *w, struct schedule_job *j, bool expired)
{
	uint64_t id = schedule_job_message(j);

	settle_all(j);
	w->ended[id] = w->now;
	w->expired[id] = expired;
}

static void
finish_one(struct world *w, size_t at)
{
	struct schedule_job *j = w->running[at].job;
	bool delivered;
	enum schedule_end end = behave(w, j, &delivered);

	w->hop_active[host_of(j)]--;
	if (delivered || schedule_job_expired(w->s, j, w->now))
		end_message(w, j, !delivered);
	schedule_finish(w->s, w->now, j, end, "trouble");
	w->running[at] = w->running[--w->n_running];
}

static void
start_all(struct world *w)
{
	struct schedule_job *j;
	enum schedule_action action;
	uint64_t id;
	int host;

	while ((action = schedule_next(w->s, w->now, &j)) != SCHEDULE_NOTHING) {
		id = schedule_job_message(j);
		host = host_of(j);
		if (action == SCHEDULE_EXPIRE) {
			ck_assert_int_gt(w->hop_attempts[host], 0);
			end_message(w, j, true);
			schedule_finish(w->s, w->now, j, SCHEDULE_PUT_BACK, NULL);
			continue;
		}
		if (w->tries[id]++ == 0)
			w->first_try[id] = w->now;
		w->hop_attempts[host]++;
		ck_assert_int_le(++w->hop_active[host], (int)limits.hop_jobs);
		ck_assert_uint_lt(w->n_running, RUNNING_MAX);
		w->running[w->n_running++] = (struct running){ j,
		    w->now + (host % HABITS == DEAD ? 30 * SECOND : 200 + (int64_t)(chance(w) % 500)) };
		ck_assert_uint_le(w->n_running, limits.jobs[SCHEDULE_DELIVERY]);
	}
}

static int64_t
next_event(const struct world *w, int64_t arrival)
{
	int64_t at = schedule_due(w->s);

	for (size_t i = 0; i < w->n_running; i++)
		if (w->running[i].ends < at)
			at = w->running[i].ends;
	return arrival < at ? arrival : at;
}

static void
simulate(struct world *w)
{
	uint64_t id = 0;
	int64_t arrival = 0, at;
	char hop[32];

	while ((at = next_event(w, arrival)) != SCHEDULE_NEVER) {
		ck_assert_int_lt(at, 20 * DAY);
		w->now = at > w->now ? at : w->now;
		if (arrival <= w->now) {
			snprintf(hop, sizeof(hop), "mx:h%d", (int)(chance(w) % HOSTS));
			add(w->s, w->now, ++id, 0, hop);
			arrival = id == MESSAGES ? SCHEDULE_NEVER : w->now + 2 * MINUTE;
		}
		for (size_t i = w->n_running; i-- > 0;)
			if (w->running[i].ends <= w->now)
				finish_one(w, i);
		start_all(w);
	}
}

START_TEST(twenty_days)
{
	struct world w = { .s = new_schedule((uint64_t)_i + 1), .chance = (unsigned)_i };
	struct schedule_counts counts;
	int expired = 0;

	simulate(&w);
	schedule_count(w.s, &counts);
	ck_assert_uint_eq(counts.messages, 0);
	ck_assert_uint_eq(counts.rcpts, 0);
	for (int id = 1; id <= MESSAGES; id++) {
		ck_assert_int_gt(w.ended[id], 0);
		ck_assert_int_le(w.tries[id], 130);	/* an hourly probe for five days */
		expired += w.expired[id];
	}
	ck_assert_int_gt(expired, MESSAGES / HABITS / 2);
	for (int host = 0; host < HOSTS; host++) {
		if (host % HABITS == DEAD)	/* ten days or so, an hour's pause in the end */
			ck_assert_int_le(w.hop_attempts[host], 350);
		if (host % HABITS == GREYLISTS)
			ck_assert_int_gt(w.hop_attempts[host], 10);
	}
	schedule_free(w.s);
}
END_TEST

/* Whoever waits for the result of a message is told when there is nothing more to wait for. */
START_TEST(a_message_rests)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j, *probe;
	int64_t until;

	ck_assert_msg(schedule_rests(s, 0, 7), "one that is not known");
	add(s, 0, 7, 0, "mx:a.example");
	ck_assert_msg(!schedule_rests(s, 0, 7), "it waits for a place only");
	j = must_start(s, 0);
	ck_assert(!schedule_rests(s, 0, 7));
	until = schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL);
	ck_assert(schedule_rests(s, 0, 7));
	ck_assert_msg(!schedule_rests(s, until, 7), "its time has come");
	ck_assert_uint_eq(schedule_retry(s, 1, 7, NULL), 1);
	ck_assert(!schedule_rests(s, 1, 7));
	schedule_pause(s, 1, "mx:a.example", SCHEDULE_DELIVERY, true);
	ck_assert_msg(schedule_rests(s, 1, 7), "its hop is paused");
	schedule_pause(s, 1, "mx:a.example", SCHEDULE_DELIVERY, false);
	settle_all(j = must_start(s, 2));
	schedule_finish(s, 2, j, SCHEDULE_ANSWERED, NULL);
	ck_assert(schedule_rests(s, 2, 7) && !schedule_has(s, 7));

	add(s, 3, 8, 0, "mx:b.example");
	add(s, 3, 9, 0, "mx:b.example");
	probe = must_start(s, 3);
	j = must_start(s, 3);
	schedule_finish(s, 4, probe, SCHEDULE_TROUBLE, "dead");
	schedule_finish(s, 4, j, SCHEDULE_TROUBLE, "dead");
	ck_assert_msg(schedule_rests(s, 5, 8) && schedule_rests(s, 5, 9), "their hop is in trouble");
	schedule_free(s);
}
END_TEST

/* A job knows when its message arrived, whatever the limits are by then. */
START_TEST(when_it_arrived)
{
	struct schedule_limits other = limits;
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;

	schedule_add(s, HOUR, &(struct schedule_entry){ .message = 7, .hop = "mx:a.example", .agent = SCHEDULE_DELIVERY,
	    .arrived_ms = -3 * DAY, .due_ms = HOUR });
	schedule_add(s, HOUR, &(struct schedule_entry){ .message = 8, .hop = "mx:b.example", .agent = SCHEDULE_DELIVERY,
	    .arrived_ms = 5, .due_ms = HOUR, .longer_ms = DAY });
	other.expire_ms = 9 * DAY;
	schedule_limit(s, &other);
	for (int i = 0; i < 2; i++) {
		j = must_start(s, HOUR);
		ck_assert_int_eq(schedule_job_arrived(j), schedule_job_message(j) == 7 ? -3 * DAY : 5);
	}
	schedule_free(s);
}
END_TEST

START_TEST(paused_starts_nothing)
{
	struct schedule *s = new_schedule(1);
	struct schedule_counts c;
	struct schedule_job *j;

	ck_assert(!schedule_pause(s, 0, "mx:a.example", SCHEDULE_DELIVERY, false));
	ck_assert(schedule_pause(s, 0, "mx:a.example", SCHEDULE_DELIVERY, true));
	ck_assert(!schedule_pause(s, 0, "mx:a.example", SCHEDULE_DELIVERY, true));
	add(s, 0, 1, 0, "mx:a.example");
	add(s, 0, 2, 0, "mx:b.example");
	j = must_start(s, 0);
	ck_assert_str_eq(schedule_job_hop(j), "mx:b.example");
	ck_assert(schedule_is_paused(s, 1, 0));
	ck_assert(!schedule_is_paused(s, 2, 0));
	settle_all(j);
	schedule_finish(s, 0, j, SCHEDULE_ANSWERED, NULL);
	ck_assert_uint_eq(schedule_retry(s, 0, 0, NULL), 0);
	must_be_idle(s, 30 * DAY);		/* not even to give it up */
	schedule_count(s, &c);
	ck_assert_uint_eq(c.hops_paused, 1);
	ck_assert(schedule_pause(s, 30 * DAY, "mx:a.example", SCHEDULE_DELIVERY, false));
	j = must_start(s, 30 * DAY);
	ck_assert_str_eq(schedule_job_hop(j), "mx:a.example");
	settle_all(j);
	schedule_finish(s, 30 * DAY, j, SCHEDULE_ANSWERED, NULL);
	schedule_count(s, &c);
	ck_assert_uint_eq(c.hops, 0);
	schedule_free(s);
}
END_TEST

START_TEST(paused_while_active_and_suspect)
{
	struct schedule *s = new_schedule(1);
	struct schedule_job *j;
	int64_t now = 0;

	add(s, 0, 1, 0, "mx:a.example");
	for (int deaths = 0; deaths < 2; deaths++) {
		while (schedule_next(s, now, &j) == SCHEDULE_NOTHING)
			now += SECOND;
		schedule_finish(s, now, j, SCHEDULE_CRASHED, NULL);
	}
	schedule_pause(s, now, "mx:a.example", SCHEDULE_DELIVERY, true);
	add(s, now, 2, 0, "mx:b.example");
	now += HOUR;
	j = must_start(s, now);
	ck_assert_uint_eq(schedule_job_message(j), 2);
	must_be_idle(s, now + HOUR);
	settle_all(j);
	schedule_finish(s, now + HOUR, j, SCHEDULE_ANSWERED, NULL);
	schedule_free(s);
}
END_TEST

static void
count_hop(void *arg, const struct schedule_hop *h)
{
	ck_assert_int_eq(h->agent, SCHEDULE_DELIVERY);
	snprintf(arg, 100, "%s jobs=%u active=%u paused=%d trouble=%d", h->name, h->jobs, h->active, h->paused, h->trouble);
}

START_TEST(hops_are_told)
{
	struct schedule *s = new_schedule(1);
	char seen[100] = "";

	add(s, 0, 1, 0, "mx:a.example");
	add(s, 0, 2, 1, "mx:a.example");
	must_start(s, 0);
	schedule_each_hop(s, count_hop, seen);
	ck_assert_str_eq(seen, "mx:a.example jobs=2 active=1 paused=0 trouble=0");
	schedule_free(s);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("schedule");

	tcase_add_test(t, recipients_at_one_hop_go_together);
	tcase_add_test(t, limit_grows_with_success);
	tcase_add_test(t, other_limits_take_hold);
	tcase_add_test(t, trouble_is_shared_and_a_probe_opens);
	tcase_add_test(t, own_trouble_stops_nobody_else);
	tcase_add_test(t, fresh_mail_passes_a_backlog);
	tcase_add_test(t, nothing_expires_untried);
	tcase_add_test(t, some_live_longer);
	tcase_add_test(t, suspects_are_tried_alone);
	tcase_add_test(t, suspects_from_the_start);
	tcase_add_test(t, many_innocent_suspects);
	tcase_add_test(t, slow_suspects);
	tcase_add_test(t, many_guilty_suspects);
	tcase_add_test(t, dropped_while_active);
	tcase_add_test(t, retry_is_now);
	tcase_add_loop_test(t, a_letter_passes_a_bulk_to_its_hop, 0, 2);
	tcase_add_test(t, a_letter_passes_a_bulk_to_all_hops);
	tcase_add_test(t, a_bulk_is_not_starved);
	tcase_add_test(t, senders_are_told_apart);
	tcase_add_test(t, fixed_intervals);
	tcase_add_loop_test(t, pauses_that_are_asked_for, 0, 5);
	tcase_add_test(t, a_dead_hop_is_warned_of);
	tcase_add_test(t, paused_starts_nothing);
	tcase_add_test(t, a_message_rests);
	tcase_add_test(t, when_it_arrived);
	tcase_add_test(t, paused_while_active_and_suspect);
	tcase_add_test(t, hops_are_told);
	tcase_add_loop_test(t, twenty_days, 0, 3);
	return run_case("schedule", t);
}
