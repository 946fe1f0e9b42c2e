/*
 * What filters remember, under a clock of its own: each border of greylisting's times, pools of hosts, standing, rates, and a
 * million entries.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/greylist_key.h"
#include "filters/memory_core.h"
#include "tests/unit/run.h"

#define START	((time_t)1795291200)
#define MINUTE	60
#define HOUR	3600
#define DAY	86400

static struct memory_core *core;
static time_t now;

static void
setup(void)
{
	core = memory_core_new(NULL);
	now = START;
}

static void
teardown(void)
{
	memory_core_free(core);
}

static struct memory_question
questioned(const char *network)
{
	return (struct memory_question){ .op = MEMORY_GREYLIST, .key = network, .wait_s = 300, .window_s = DAY, .keep_s = 36 * DAY,
	    .passes = 5 };
}

static struct memory_answer
ask_times(const char *network, const char *sender, const char *rcpt, bool peek)
{
	char other[MEMORY_OTHER_MAX];
	struct memory_question q = questioned(network);
	struct memory_answer a;

	q.peek = peek;
	q.other = greylist_key_other(other, sender, "", rcpt);
	memory_core_ask(core, &q, now, &a);
	return a;
}

static enum memory_grey
ask(const char *network, const char *sender)
{
	return ask_times(network, sender, "alice@demo.example", false).grey;
}

START_TEST(borders_of_the_wait)
{
	static const struct {
		int64_t		 after;
		enum memory_grey grey;
		uint32_t	 left_s;
	} steps[] = {
		{ 0, MEMORY_GREY_NEW, 300 },
		{ 0, MEMORY_GREY_EARLY, 300 },
		{ 1, MEMORY_GREY_EARLY, 299 },
		{ 299, MEMORY_GREY_EARLY, 1 },		/* each of these tries would restart a worse clock */
		{ 300, MEMORY_GREY_PASSED, 0 },
		{ 301, MEMORY_GREY_PASSED, 0 },
	};
	struct memory_answer a;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		now = START + steps[i].after;
		a = ask_times("192.0.2.0/24", "s@far.example", "alice@demo.example", false);
		ck_assert_msg(a.grey == steps[i].grey && a.left_s == steps[i].left_s, "step %zu: %d, %u left", i, (int)a.grey, a.left_s);
	}
}
END_TEST

START_TEST(borders_of_the_window)
{
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_NEW);
	ck_assert_int_eq(ask("198.51.100.0/24", "a@far.example"), MEMORY_GREY_NEW);
	now = START + DAY - 1;
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_PASSED);
	now = START + DAY;
	ck_assert_int_eq(ask("198.51.100.0/24", "a@far.example"), MEMORY_GREY_NEW);
}
END_TEST

static void
pass(const char *network, const char *sender)
{
	ck_assert_int_eq(ask(network, sender), MEMORY_GREY_NEW);
	now += 300;
	ck_assert_int_eq(ask(network, sender), MEMORY_GREY_PASSED);
}

START_TEST(borders_of_keeping)
{
	pass("192.0.2.0/24", "a@far.example");
	now += 36 * DAY - 1;
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_PASSED);	/* which is a use: it lives on */
	now += 36 * DAY - 1;
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_PASSED);
	now += 36 * DAY;
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_NEW);
}
END_TEST

START_TEST(expiry_in_the_background)
{
	pass("192.0.2.0/24", "a@far.example");
	ck_assert_int_eq(ask("198.51.100.0/24", "b@far.example"), MEMORY_GREY_NEW);
	for (int day = 0; day < 75; day++) {
		now += DAY;
		memory_core_expire(core, now);
		if (day >= 2)
			ck_assert_uint_eq(memory_table_count(memory_core_table(core, MEMORY_WAITING)), 0);
		if (day < 35)
			ck_assert_uint_eq(memory_table_count(memory_core_table(core, MEMORY_PASSED)), 1);
	}
	ck_assert_uint_eq(memory_table_count(memory_core_table(core, MEMORY_PASSED)), 0);
	ck_assert_uint_eq(memory_table_count(memory_core_table(core, MEMORY_NETWORKS)), 0);
}
END_TEST

START_TEST(five_passes_make_it_known)
{
	char sender[64];

	for (int i = 0; i < 5; i++) {
		snprintf(sender, sizeof(sender), "%c@far.example", 'a' + i);
		pass("192.0.2.0/24", sender);
	}
	ck_assert_int_eq(ask("192.0.2.0/24", "never.seen@far.example"), MEMORY_GREY_KNOWN);
	ck_assert_int_eq(ask("192.0.3.0/24", "never.seen@far.example"), MEMORY_GREY_NEW);
	now += 36 * DAY;
	ck_assert_int_eq(ask("192.0.2.0/24", "other@far.example"), MEMORY_GREY_NEW);
}
END_TEST

/* One mail to ten people waits ten times and is one mail. */
START_TEST(one_mail_to_many_is_one_pass)
{
	char rcpt[64];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			snprintf(rcpt, sizeof(rcpt), "user%c@demo.example", 'a' + i);
			ck_assert_int_eq(ask_times("192.0.2.0/24", "s@far.example", rcpt, false).grey,
			    round == 0 ? MEMORY_GREY_NEW : MEMORY_GREY_PASSED);
		}
		now += 300;
	}
	ck_assert_uint_eq(ask_times("192.0.2.0/24", "s@far.example", "usera@demo.example", true).count, 1);
}
END_TEST

/* A sender that tries from another host of its pool each time: under its domain all of them are one. */
START_TEST(pool_of_senders_is_not_greylisted_for_ever)
{
	char network[MEMORY_KEY_MAX];
	struct reverse_address host;

	for (int i = 0; i < 20; i++) {		/* by network it would never end: that is why the domain is the key */
		char text[40];

		snprintf(text, sizeof(text), "203.%d.113.%d", i, i);
		ck_assert_int_eq(reverse_address_parse(&host, text), 0);
		ck_assert_int_eq(ask(greylist_key_network(network, &host), "s@pool.example"), MEMORY_GREY_NEW);
		ck_assert_int_eq(ask("pool.example", "s@pool.example"), i == 0 ? MEMORY_GREY_NEW : i < 5 ? MEMORY_GREY_EARLY :
		    MEMORY_GREY_PASSED);
		now += MINUTE;
	}
}
END_TEST

START_TEST(peeking_changes_nothing)
{
	ck_assert_int_eq(ask_times("192.0.2.0/24", "a@far.example", "alice@demo.example", true).grey, MEMORY_GREY_NEW);
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_NEW);
	now += 300;
	ck_assert_int_eq(ask_times("192.0.2.0/24", "a@far.example", "alice@demo.example", true).grey, MEMORY_GREY_PASSED);
	ck_assert_uint_eq(memory_table_count(memory_core_table(core, MEMORY_PASSED)), 0);
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_PASSED);
}
END_TEST

/* What was first seen at a time that is still to come was seen now. */
START_TEST(clock_set_back)
{
	ck_assert_int_eq(ask("192.0.2.0/24", "a@far.example"), MEMORY_GREY_NEW);
	now -= 10 * DAY;
	ck_assert_uint_eq(ask_times("192.0.2.0/24", "a@far.example", "alice@demo.example", true).left_s, 300);
	pass("198.51.100.0/24", "b@far.example");
	memory_core_expire(core, now);
	ck_assert_int_eq(ask("198.51.100.0/24", "b@far.example"), MEMORY_GREY_PASSED);
}
END_TEST

START_TEST(letters_count_in_any_case)
{
	pass("Far.Example", "Someone@far.example");
	ck_assert_int_eq(ask("far.example", "someone@FAR.example"), MEMORY_GREY_PASSED);
}
END_TEST

START_TEST(forgotten_on_demand)
{
	char other[MEMORY_OTHER_MAX];

	for (int i = 0; i < 5; i++)
		pass("192.0.2.0/24", (const char *[]){ "a@f.example", "b@f.example", "c@f.example", "d@f.example", "e@f.example" }[i]);
	ck_assert_uint_eq(memory_core_forget(core, "192.0.2.0/24", ""), 1);
	ck_assert_int_eq(ask("192.0.2.0/24", "z@f.example"), MEMORY_GREY_NEW);
	ck_assert_int_eq(ask("192.0.2.0/24", "a@f.example"), MEMORY_GREY_PASSED);
	greylist_key_other(other, "a@f.example", "", "alice@demo.example");
	ck_assert_uint_eq(memory_core_forget(core, "192.0.2.0/24", other), 1);
	ck_assert_int_eq(ask("192.0.2.0/24", "a@f.example"), MEMORY_GREY_NEW);
	ck_assert_uint_eq(memory_core_forget(core, "nobody.example", ""), 0);
}
END_TEST

/* ---- clients ---- */

static void
note(const char *client, enum memory_note what)
{
	struct memory_answer a;

	memory_core_ask(core, &(struct memory_question){ .op = MEMORY_NOTE, .key = client, .other = "", .note = what }, now, &a);
}

static struct facts_standing
standing(const char *client)
{
	struct memory_answer a;

	memory_core_ask(core, &(struct memory_question){ .op = MEMORY_CLIENT, .key = client, .other = "" }, now, &a);
	return a.standing;
}

START_TEST(clients_are_remembered)
{
	ck_assert(!standing("192.0.2.1").known && !standing("192.0.2.1").passed);
	note("192.0.2.1", MEMORY_GREETED);
	ck_assert(standing("192.0.2.1").passed && !standing("192.0.2.1").known);
	note("192.0.2.1", MEMORY_GOOD);
	ck_assert(standing("192.0.2.1").known);
	now += DAY - 1;
	ck_assert(standing("192.0.2.1").passed);
	now++;
	ck_assert(!standing("192.0.2.1").passed && standing("192.0.2.1").known);
	note("192.0.2.1", MEMORY_BAD);
	ck_assert(!standing("192.0.2.1").known);
	note("192.0.2.1", MEMORY_GOOD);
	ck_assert(standing("192.0.2.1").known && standing("192.0.2.1").good == 2 && standing("192.0.2.1").bad == 1);
	now += 36 * DAY;
	ck_assert(!standing("192.0.2.1").known && standing("192.0.2.1").good == 0);
	ck_assert(!standing("192.0.2.2").known);
}
END_TEST

START_TEST(traps_are_remembered_for_a_day)
{
	note("192.0.2.1", MEMORY_GOOD);
	note("192.0.2.1", MEMORY_TRAPPED);
	ck_assert(standing("192.0.2.1").trapped && !standing("192.0.2.1").known);
	now += DAY - 1;
	ck_assert(standing("192.0.2.1").trapped);
	now++;
	ck_assert(!standing("192.0.2.1").trapped && standing("192.0.2.1").known);
}
END_TEST

START_TEST(counts_do_not_run_over)
{
	for (int i = 0; i < 200000; i++)
		note("192.0.2.1", i % 4 == 0 ? MEMORY_BAD : MEMORY_GOOD);
	ck_assert(standing("192.0.2.1").known);
	ck_assert_uint_le(standing("192.0.2.1").good, 60000);
	ck_assert_uint_ge(standing("192.0.2.1").good, 2 * standing("192.0.2.1").bad);
}
END_TEST

START_TEST(people_that_were_written_to)
{
	struct memory_question wrote = { .op = MEMORY_WROTE, .key = "alice@demo.example", .other = "Friend@Far.example" };
	struct memory_question asks = { .op = MEMORY_SENDER, .key = "friend@far.example", .other = "bob@demo.example" };
	struct memory_answer a;

	memory_core_ask(core, &asks, now, &a);
	ck_assert(!a.written_to);
	memory_core_ask(core, &wrote, now, &a);
	memory_core_ask(core, &asks, now, &a);
	ck_assert(a.written_to);
	now += 90 * DAY - 1;
	memory_core_ask(core, &asks, now, &a);
	ck_assert(a.written_to);
	now++;
	memory_core_ask(core, &asks, now, &a);
	ck_assert(!a.written_to);
}
END_TEST

/* ---- rates ---- */

static struct memory_answer
count(const char *key, uint32_t most)
{
	struct memory_question q = { .op = MEMORY_RATE, .key = key, .other = "", .window_s = 60, .passes = most };
	struct memory_answer a;

	memory_core_ask(core, &q, now, &a);
	return a;
}

START_TEST(rates_are_limited)
{
	for (uint32_t i = 1; i <= 10; i++) {
		ck_assert_uint_eq(count("a", 10).count, i);
		ck_assert_uint_eq(count("b", 0).count, i);
	}
	for (int i = 0; i < 1000; i++)		/* what is refused is not counted: it does not make it last longer */
		ck_assert_uint_eq(count("a", 10).count, 11);
	ck_assert_uint_eq(count("b", 0).count, 11);
}
END_TEST

/* Whoever waits as long as it was told is let in, and not a second sooner. */
START_TEST(rates_say_when)
{
	static const uint32_t mosts[] = { 1, 2, 3, 7, 10, 100 };

	for (size_t i = 0; i < sizeof(mosts) / sizeof(mosts[0]); i++)
		for (uint32_t spread = 0; spread < 60; spread += 7) {
			char key[40];
			uint32_t left;

			snprintf(key, sizeof(key), "%u %u", mosts[i], spread);
			for (uint32_t n = 0; n < mosts[i]; n++) {
				ck_assert_uint_le(count(key, mosts[i]).count, mosts[i]);
				now += n == mosts[i] / 2 ? spread : 0;
			}
			left = count(key, mosts[i]).left_s;
			ck_assert_uint_gt(left, 0);
			ck_assert_uint_le(left, 120);
			now += left - 1;
			ck_assert_uint_gt(count(key, mosts[i]).left_s, 0);
			now++;
			ck_assert_uint_eq(count(key, mosts[i]).left_s, 0);
			now += HOUR;
		}
}
END_TEST

/* ---- many ---- */

START_TEST(a_million_entries)
{
	struct memory_table *t = memory_core_table(core, MEMORY_WAITING);
	char network[MEMORY_KEY_MAX], other[MEMORY_OTHER_MAX];
	struct memory_question q = questioned(network);
	struct memory_answer a;
	size_t most;

	pass("192.0.2.0/24", "good@far.example");
	q.other = greylist_key_other(other, "flood@far.example", "", "alice@demo.example");
	for (int i = 0; i < 1000000; i++) {
		snprintf(network, sizeof(network), "net %d", i);
		memory_core_ask(core, &q, now, &a);
		if (a.grey != MEMORY_GREY_NEW)
			ck_abort_msg("%s is not new", network);
	}
	ck_assert_uint_eq(memory_table_count(t), 1000000);
	ck_assert_uint_le(memory_table_bytes(t) / memory_table_count(t), 64);
	now += 300;
	ck_assert_int_eq(ask("net 5", "flood@far.example"), MEMORY_GREY_PASSED);
	ck_assert_int_eq(ask("net 999999", "flood@far.example"), MEMORY_GREY_PASSED);
	most = memory_table_bytes(t);
	for (int i = 1000000; i < 1800000; i++) {
		snprintf(network, sizeof(network), "net %d", i);
		memory_core_ask(core, &q, now, &a);
	}
	/* It does not grow without end, and who has waited is none of those who go for it. */
	ck_assert_uint_le(memory_table_bytes(t), 2 * most);
	ck_assert_uint_le(memory_table_bytes(t), 64U << 20);
	ck_assert_int_eq(ask("192.0.2.0/24", "good@far.example"), MEMORY_GREY_PASSED);
	ck_assert_int_eq(ask("net 1799999", "flood@far.example"), MEMORY_GREY_EARLY);
	ck_assert_int_eq(ask("net 6", "flood@far.example"), MEMORY_GREY_NEW);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("memory_core");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, borders_of_the_wait);
	tcase_add_test(t, borders_of_the_window);
	tcase_add_test(t, borders_of_keeping);
	tcase_add_test(t, expiry_in_the_background);
	tcase_add_test(t, five_passes_make_it_known);
	tcase_add_test(t, one_mail_to_many_is_one_pass);
	tcase_add_test(t, pool_of_senders_is_not_greylisted_for_ever);
	tcase_add_test(t, peeking_changes_nothing);
	tcase_add_test(t, clock_set_back);
	tcase_add_test(t, letters_count_in_any_case);
	tcase_add_test(t, forgotten_on_demand);
	tcase_add_test(t, clients_are_remembered);
	tcase_add_test(t, traps_are_remembered_for_a_day);
	tcase_add_test(t, counts_do_not_run_over);
	tcase_add_test(t, people_that_were_written_to);
	tcase_add_test(t, rates_are_limited);
	tcase_add_test(t, rates_say_when);
	tcase_add_test(t, a_million_entries);
	return run_case("memory_core", t);
}
