/*
 * Two generations of a table: nothing that still counts is lost, it stays bounded, a copy of it is told of everything, and
 * gives the same back.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "filters/memory_table.h"
#include "tests/unit/run.h"

#define START	((time_t)1795291200)
#define PERIOD	1000U
#define MOST	300U

/* A copy as a disk would have it, by generation. */
static struct {
	uint32_t		generation;
	struct memory_entry	entry;
} copy[20000];
static size_t n_copied;

static void
on_put(void *arg, unsigned table, uint32_t generation, const struct memory_entry *e)
{
	ck_assert_ptr_eq(arg, &n_copied);
	ck_assert_uint_eq(table, 3);
	for (size_t i = 0; i < n_copied; i++)
		if (copy[i].generation == generation && copy[i].entry.key == e->key) {
			copy[i].entry = *e;
			return;
		}
	ck_assert_uint_lt(n_copied, 20000);
	copy[n_copied].generation = generation;
	copy[n_copied++].entry = *e;
}

static void
on_dropped(void *arg, unsigned table, uint32_t generation)
{
	size_t n = 0;

	(void)arg;
	(void)table;
	for (size_t i = 0; i < n_copied; i++)
		if (copy[i].generation != generation)
			copy[n++] = copy[i];
	n_copied = n;
}

static const struct memory_events events = { on_put, on_dropped, &n_copied };
static struct memory_table *t;

static void
setup(void)
{
	n_copied = 0;
	t = memory_table_new(3, MOST, PERIOD, &events);
}

static void
teardown(void)
{
	memory_table_free(t);
}

static void
put(uint64_t key, time_t now, uint32_t value)
{
	struct memory_entry e = { .key = key, .v = { (uint32_t)now, value } };

	memory_table_put(t, &e, now);
}

/* -1: it is not there. */
static int64_t
get(const struct memory_table *from, uint64_t key)
{
	struct memory_entry e;

	return memory_table_get(from, key, &e) ? (int64_t)e.v[1] : -1;
}

START_TEST(kept_for_a_period_and_gone_after_two)
{
	put(7, START, 1);
	for (time_t at = START; at < START + PERIOD; at += 10) {
		memory_table_expire(t, at);
		ck_assert_int_eq(get(t, 7), 1);
	}
	memory_table_expire(t, START + PERIOD);
	ck_assert_int_eq(get(t, 7), 1);
	put(8, START + PERIOD, 2);
	memory_table_expire(t, START + 2 * PERIOD);
	ck_assert_int_eq(get(t, 7), -1);
	ck_assert_int_eq(get(t, 8), 2);
	memory_table_expire(t, START + 100 * PERIOD);
	ck_assert_uint_eq(memory_table_count(t), 0);
	ck_assert_uint_eq(n_copied, 0);
}
END_TEST

START_TEST(used_ones_live_on)
{
	for (int i = 0; i < 20; i++)
		put(7, START + i * (time_t)PERIOD * 9 / 10, (uint32_t)i);
	ck_assert_int_eq(get(t, 7), 19);
}
END_TEST

START_TEST(bounded)
{
	for (uint64_t i = 1; i <= 10000; i++) {
		put(i, START, (uint32_t)i);
		ck_assert_int_eq(get(t, i), (int64_t)i);
		ck_assert_uint_le(memory_table_count(t), 2 * MOST);
		if (i > MOST)
			ck_assert_int_eq(get(t, i - MOST + 1), (int64_t)(i - MOST + 1));	/* the last ones are there */
	}
	ck_assert_uint_le(memory_table_bytes(t), 2 * 512 * sizeof(struct memory_entry) + 400);
	ck_assert_uint_le(n_copied, 2 * MOST);
	put(10000, START, 5);		/* what is there is written, not added */
	ck_assert_int_eq(get(t, 10000), 5);
}
END_TEST

START_TEST(deleted_in_both)
{
	put(7, START, 1);
	memory_table_expire(t, START + PERIOD);
	put(7, START + PERIOD, 2);
	memory_table_delete(t, 7);
	memory_table_delete(t, 8);
	ck_assert_int_eq(get(t, 7), -1);
	put(7, START + PERIOD, 3);
	ck_assert_int_eq(get(t, 7), 3);
}
END_TEST

START_TEST(longer_periods)
{
	memory_table_keep(t, 10 * PERIOD);
	memory_table_keep(t, 2 * PERIOD);
	put(7, START, 1);
	memory_table_expire(t, START + 9 * PERIOD);
	memory_table_expire(t, START + 10 * PERIOD);
	ck_assert_int_eq(get(t, 7), 1);
	memory_table_keep(t, UINT32_MAX);
	ck_assert_uint_eq(memory_table_period(t), 366U * 86400);
}
END_TEST

/* Random use, a copy beside it; a new table made of the copy says the same of every key. */
START_TEST(copy_is_the_same)
{
	struct memory_table *other;
	struct memory_entry e;
	time_t now = START;
	size_t at = 0, n = 0;

	srand((unsigned)_i + 1);
	for (int i = 0; i < 6000; i++) {
		uint64_t key = (uint64_t)(rand() % 500 + 1) * UINT64_C(0x9e3779b97f4a7c15);

		now += rand() % 8 == 0;
		if (rand() % 5 == 0)
			memory_table_delete(t, key);
		else
			put(key, now, (uint32_t)i);
		if (rand() % 3000 == 0)
			memory_table_renumber(t, MEMORY_YOUNG);
	}
	if (_i % 2 == 0) {		/* as when it is written anew */
		n_copied = 0;
		for (unsigned which = MEMORY_YOUNG; which <= MEMORY_OLD; which++)
			for (at = 0; memory_table_walk(t, which, &at, &e); )
				on_put(&n_copied, 3, memory_table_generation(t, which).number, &e);
	}
	ck_assert_uint_lt(memory_table_generation(t, MEMORY_YOUNG).number, 200);
	other = memory_table_new(3, MOST, PERIOD, NULL);
	for (unsigned which = MEMORY_YOUNG; which <= MEMORY_OLD; which++) {
		struct memory_generation_facts g = memory_table_generation(t, which);

		memory_table_continue(other, which, g.number, g.since);
	}
	for (uint32_t g = 200; g > 0; g--)	/* the newest first: of two of one second the first counts */
		for (size_t i = 0; i < n_copied; i++)
			if (copy[i].generation == g)
				memory_table_load(other, &copy[i].entry, now);
	for (uint64_t i = 1; i <= 500; i++) {
		uint64_t key = i * UINT64_C(0x9e3779b97f4a7c15);

		if (_i % 2 == 0)
			ck_assert_int_eq(get(other, key), get(t, key));
		else if (get(t, key) != -1)	/* renumbered generations have left copies behind: what is there is there */
			ck_assert_int_eq(get(other, key), get(t, key));
		n += get(t, key) != -1;
	}
	ck_assert_uint_gt(n, 100);
	memory_table_free(other);
}
END_TEST

START_TEST(loaded_later_than_learned)
{
	struct memory_entry old = { .key = 7, .v = { (uint32_t)START, 1 } }, dead = { .key = 8, .v = { 1 } };

	put(7, START + 5, 2);
	memory_table_load(t, &old, START + 6);
	memory_table_load(t, &dead, START + 6);
	ck_assert_int_eq(get(t, 7), 2);
	ck_assert_int_eq(get(t, 8), -1);
	old.v[0] = (uint32_t)START + 7;
	memory_table_load(t, &old, START + 8);
	ck_assert_int_eq(get(t, 7), 1);
}
END_TEST

int
main(void)
{
	TCase *c = tcase_create("memory_table");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, kept_for_a_period_and_gone_after_two);
	tcase_add_test(c, used_ones_live_on);
	tcase_add_test(c, bounded);
	tcase_add_test(c, deleted_in_both);
	tcase_add_test(c, longer_periods);
	tcase_add_loop_test(c, copy_is_the_same, 0, 10);
	tcase_add_test(c, loaded_later_than_learned);
	return run_case("memory_table", c);
}
