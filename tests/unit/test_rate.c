/*
 * Counts of the last minutes: what was long ago is forgotten, also when nothing happened in between.
 */
#include <check.h>
#include <stdlib.h>

#include "lib/rate.h"
#include "tests/unit/run.h"

#define MINUTE	INT64_C(60000)

START_TEST(forgets_in_time)
{
	static const struct {
		int64_t	at;
		uint32_t n, minute, five;
	} steps[] = {
		{ 5 * MINUTE, 3, 3, 3 },
		{ 5 * MINUTE + 30000, 2, 5, 5 },
		{ 7 * MINUTE, 1, 1, 6 },
		{ 10 * MINUTE + 40000, 0, 0, 1 },	/* the two were 310 s ago */
		{ 600 * MINUTE, 7, 7, 7 },
		{ 601 * MINUTE + 10000, 0, 0, 7 },
		{ 606 * MINUTE, 0, 0, 0 },
	};
	struct rate r = { 0 };
	uint64_t total = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].n > 0)
			rate_add(&r, steps[i].at, steps[i].n);
		total += steps[i].n;
		ck_assert_uint_eq(rate_sum(&r, steps[i].at, RATE_MINUTE), steps[i].minute);
		ck_assert_uint_eq(rate_sum(&r, steps[i].at, RATE_FIVE), steps[i].five);
		ck_assert_uint_eq(r.total, total);
	}
}
END_TEST

START_TEST(every_slot)
{
	struct rate r = { 0 };

	for (int64_t at = 0; at < 20 * MINUTE; at += 1000)
		rate_add(&r, at, 1);
	ck_assert_uint_eq(rate_sum(&r, 20 * MINUTE - 1, RATE_FIVE), 310);
	ck_assert_uint_eq(rate_sum(&r, 20 * MINUTE - 1, RATE_MINUTE), 70);
	ck_assert_uint_eq(rate_sum(&r, 20 * MINUTE - 1, 100 * MINUTE), 310);
	ck_assert_uint_eq(rate_sum(&(struct rate){ 0 }, 0, RATE_FIVE), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("rate");

	tcase_add_test(t, forgets_in_time);
	tcase_add_test(t, every_slot);
	return run_case("rate", t);
}
