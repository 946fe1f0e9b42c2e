/*
 * queue/bouncecap.c: so many reports an hour to one address, more in all, and no more memory than there is for it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/bouncecap.h"
#include "tests/unit/run.h"

#define HOUR	(INT64_C(3600) * 1000)

static unsigned
take(struct bouncecap *b, const char *address, int64_t now, unsigned tries)
{
	unsigned n = 0;

	while (tries-- > 0)
		n += bouncecap_take(b, address, 10, now);
	return n;
}

START_TEST(a_burst_and_then_a_pace)
{
	struct bouncecap *b = bouncecap_new();

	ck_assert_uint_eq(take(b, "victim@example.org", 1, 1000), 10);
	ck_assert_uint_eq(take(b, "Victim@Example.ORG", 1, 1000), 0);
	ck_assert_uint_eq(take(b, "other@example.org", 1, 1000), 10);
	ck_assert_uint_eq(take(b, "victim@example.org", 1 + HOUR / 2, 1000), 5);
	ck_assert_uint_eq(take(b, "victim@example.org", 5 * HOUR, 1000), 10);
	bouncecap_free(b);
}
END_TEST

START_TEST(in_all)
{
	struct bouncecap *b = bouncecap_new();
	char address[40];
	unsigned n = 0;

	for (int i = 0; i < 10000; i++) {
		snprintf(address, sizeof(address), "a%d@example.org", i);
		n += bouncecap_take(b, address, 10, 1);
	}
	ck_assert_uint_eq(n, 10 * BOUNCECAP_IN_ALL);
	bouncecap_free(b);
}
END_TEST

START_TEST(none_is_no_limit)
{
	struct bouncecap *b = bouncecap_new();

	for (int i = 0; i < 1000; i++)
		ck_assert(bouncecap_take(b, "a@b", 0, 1));
	bouncecap_free(b);
	bouncecap_free(NULL);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("bouncecap");

	tcase_add_test(t, a_burst_and_then_a_pace);
	tcase_add_test(t, in_all);
	tcase_add_test(t, none_is_no_limit);
	return run_case("bouncecap", t);
}
