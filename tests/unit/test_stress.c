/*
 * smtpd/stress.c: levels rise with the scarcest thing, fall later than they rise, and never tighten a limit to nothing.
 */
#include <check.h>

#include "smtpd/stress.h"
#include "tests/unit/run.h"

static const struct {
	unsigned		level;
	struct stress_share	a, b;
	unsigned		expected;
} rows[] = {
	{ 0, { 0, 1000 }, { 0, 0 }, 0 },
	{ 0, { 599, 1000 }, { 0, 0 }, 0 },
	{ 0, { 600, 1000 }, { 0, 0 }, 1 },
	{ 0, { 10, 1000 }, { 81, 100 }, 2 },
	{ 0, { 950, 1000 }, { 0, 100 }, 3 },
	{ 0, { 2000, 1000 }, { 0, 100 }, 3 },
	{ 0, { 2, 3 }, { 0, 0 }, 1 },
	{ 0, { 3, 3 }, { 0, 0 }, 3 },
	{ 0, { 5, 0 }, { 0, 0 }, 0 },				/* what has no limit never runs out */
	{ 0, { UINT64_MAX / 2, UINT64_MAX }, { 0, 0 }, 0 },	/* and nothing overflows */
	{ 0, { UINT64_MAX / 10 * 9, UINT64_MAX }, { 0, 0 }, 2 },
	{ 3, { 900, 1000 }, { 0, 0 }, 3 },			/* below 95 %, not yet below 85 % */
	{ 3, { 849, 1000 }, { 0, 0 }, 2 },
	{ 3, { 699, 1000 }, { 0, 0 }, 1 },
	{ 3, { 499, 1000 }, { 0, 0 }, 0 },
	{ 1, { 500, 1000 }, { 0, 0 }, 1 },
	{ 1, { 499, 1000 }, { 0, 0 }, 0 },
};

START_TEST(levels)
{
	const struct stress_share shares[] = { rows[_i].a, rows[_i].b };

	ck_assert_uint_eq(stress_level(rows[_i].level, shares, 2), rows[_i].expected);
}
END_TEST

START_TEST(limits)
{
	static const int64_t times[][STRESS_MOST + 1] = {
		{ 300000, 60000, 20000, 10000 },
		{ 60000, 12000, 5000, 5000 },
		{ 3000, 3000, 3000, 3000 },		/* what is short already stays */
	};
	static const uint32_t counts[][STRESS_MOST + 1] = {
		{ 20, 10, 5, 2 },
		{ 100, 50, 25, 10 },
		{ 1, 1, 1, 1 },
	};

	for (unsigned level = 0; level <= STRESS_MOST; level++)
		for (unsigned i = 0; i < 3; i++) {
			ck_assert_int_eq(stress_time(level, times[i][0]), times[i][level]);
			ck_assert_uint_eq(stress_count(level, counts[i][0]), counts[i][level]);
		}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("stress");

	tcase_add_loop_test(t, levels, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(t, limits);
	return run_case("stress", t);
}
