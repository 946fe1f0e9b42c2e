/*
 * queue/past.c: what was tried before comes back attempt by attempt, and stays within its bound however long it was tried.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/past.h"
#include "tests/unit/run.h"

static void
on_attempt(void *arg, int64_t at, const char *text, size_t len)
{
	char *to = arg;
	size_t n = strlen(to);

	snprintf(to + n, 65536 - n, "%lld=%.*s;", (long long)at, (int)len, text);
}

static char *
seen(const char *past)
{
	static char text[65536];

	text[0] = '\0';
	past_each(past, on_attempt, text);
	return text;
}

static char *
add(char *past, int64_t at, const char *text, size_t most)
{
	char *longer = past_add(past, at, text, most);

	free(past);
	return longer;
}

START_TEST(newest_first)
{
	char *p = add(NULL, 100, "code=450 busy", 4096);

	p = add(p, 200, "code=450 busy", 4096);
	p = add(p, 300, "code=421 down\nand more", 4096);
	p = add(p, 400, "code=450 busy", 4096);
	ck_assert_str_eq(p, "400\tcode=450 busy\n300\tcode=421 down\n200 100\tcode=450 busy\n");
	ck_assert_str_eq(seen(p), "400=code=450 busy;300=code=421 down;200=code=450 busy;100=code=450 busy;");
	p = add(p, 0, "unknown when", 4096);
	p = add(p, 500, "", 4096);
	ck_assert_str_eq(seen(p), "400=code=450 busy;300=code=421 down;200=code=450 busy;100=code=450 busy;");
	free(p);
	p = past_add(NULL, 0, "", 10);
	ck_assert_str_eq(p, "");
	free(p);
}
END_TEST

START_TEST(the_oldest_go)
{
	char *p = NULL, text[64];

	for (int i = 1; i <= 500; i++) {
		snprintf(text, sizeof(text), "answer %d", i / 3);
		p = add(p, 1800000000 + i, text, 512);
		ck_assert_uint_le(strlen(p), 512);
		ck_assert_int_eq(strncmp(seen(p) + 11, text, strlen(text)), 0);
	}
	ck_assert_uint_gt(strlen(p), 400);
	free(p);
	for (p = NULL; p == NULL || strlen(p) < 500;)
		p = add(p, 1800000000, "same", 512);
	for (int i = 0; i < 100; i++)
		p = add(p, 1900000000, "same", 512);
	ck_assert_uint_le(strlen(p), 512);
	ck_assert_int_eq(strncmp(p, "1900000000 1900000000 ", 22), 0);
	ck_assert_int_eq(strcmp(p + strlen(p) - 6, "\tsame\n"), 0);
	free(p);
	p = past_add("", 5, "longer than there is room for", 10);
	ck_assert_str_eq(p, "");
	free(p);
}
END_TEST

START_TEST(long_answers_are_cut)
{
	char text[PAST_TEXT_MAX + 50], *p;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(text + PAST_TEXT_MAX - 1, "\xc3\xb6", 2);	/* half of it would remain */
	p = past_add(NULL, 7, text, 4096);
	ck_assert_uint_eq(strlen(p), 2 + PAST_TEXT_MAX - 1 + 1);
	free(p);
}
END_TEST

START_TEST(damaged_ones_do_no_harm)
{
	ck_assert_str_eq(seen("no tab\nx y\ttext\n\t\n12\tno end"), "");
	ck_assert_str_eq(seen("\n\n5\t\n"), "5=;");
	ck_assert_str_eq(seen("9 8 x\tok\n"), "9=ok;8=ok;");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("past");

	tcase_add_test(t, newest_first);
	tcase_add_test(t, the_oldest_go);
	tcase_add_test(t, long_answers_are_cut);
	tcase_add_test(t, damaged_ones_do_no_harm);
	return run_case("past", t);
}
