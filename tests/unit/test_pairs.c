/* lib/pairs.c: lines of key=value come back as they were written, and nothing in a value makes another pair. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/pairs.h"
#include "tests/unit/run.h"

static const struct { const char *value, *written; } values[] = {
	{ "plain", "k=plain" },
	{ "two words", "k=\"two words\"" },
	{ "a=b", "k=\"a=b\"" },
	{ "say \"hi\"", "k=\"say \\x22hi\\x22\"" },
	{ "back\\slash", "k=\"back\\x5cslash\"" },
	{ "x\r\nD v=1 ref=FORGE", "k=\"x\\x0d\\x0aD v=1 ref=FORGE\"" },
	{ "m\xc3\xbcller", "k=m\\xc3\\xbcller" },
	{ "\x1b[2J", "k=\\x1b[2J" },
};

START_TEST(there_and_back)
{
	struct pairs_text t;
	struct pairs ps;
	char line[300];

	pairs_init(&t, line, sizeof(line));
	pairs_put(&t, "k", values[_i].value);
	ck_assert_str_eq(line, values[_i].written);
	pairs_put_number(&t, "n", -7);
	ck_assert_uint_eq(pairs_cut(&ps, line), 2);
	ck_assert_str_eq(pairs_get(&ps, "k"), values[_i].value);
	ck_assert_int_eq(pairs_number(&ps, "n"), -7);
}
END_TEST

/* What lib/log.h writes is read, too. */
START_TEST(the_log)
{
	char line[600];
	struct pairs ps;

	snprintf(line, sizeof(line), "session=7K2QF event=refused from=%s text=%s", logq(values[_i].value), logq(""));
	ck_assert_uint_eq(pairs_cut(&ps, line), 4);
	ck_assert_str_eq(pairs_get(&ps, "from"), values[_i].value);
	ck_assert(pairs_has(&ps, "text") && !pairs_has(&ps, "nothing"));
	ck_assert_str_eq(pairs_get(&ps, "nothing"), "");
}
END_TEST

static const struct { const char *line; unsigned n; const char *key, *value; } odd[] = {
	{ "", 0, "", "" },
	{ "   ", 0, "", "" },
	{ "words without any", 0, "words", "" },
	{ "a word k=v", 1, "k", "v" },
	{ "k=", 1, "k", "" },
	{ "k=\"never ends", 1, "k", "never ends" },
	{ "k=\\x4", 1, "k", "\\x4" },
	{ "k=\\x00", 1, "k", "\\x00" },
	{ "k=1 k=2", 2, "k", "1" },
	{ "=v", 1, "", "v" },
	{ "k=\"a\"b=c", 2, "b", "c" },
};

START_TEST(odd_lines)
{
	char line[100];
	struct pairs ps;

	snprintf(line, sizeof(line), "%s", odd[_i].line);
	ck_assert_uint_eq(pairs_cut(&ps, line), odd[_i].n);
	ck_assert_str_eq(pairs_get(&ps, odd[_i].key), odd[_i].value);
}
END_TEST

START_TEST(many)
{
	char line[PAIRS_MAX * 16 + 100] = "";
	struct pairs ps;

	for (int i = 0; i < PAIRS_MAX + 5; i++)
		snprintf(line + strlen(line), 16, "k%d=v ", i);
	ck_assert_uint_eq(pairs_cut(&ps, line), PAIRS_MAX);
}
END_TEST

/* A pair is there whole or not at all, and never beyond its room. */
START_TEST(little_room)
{
	for (size_t size = 8; size < 60; size++) {
		char *line = malloc(size);
		struct pairs_text t;

		pairs_init(&t, line, size);
		pairs_put(&t, "first", "1");
		pairs_put(&t, "second", "\n\n\n\n\n");
		ck_assert_uint_lt(t.len, size);
		ck_assert_uint_eq(strlen(line), t.len);
		ck_assert(t.full || strstr(line, "second=") != NULL);
		ck_assert(strstr(line, "second") == NULL || strcmp(line + t.len - 4, "\\x0a") == 0);
		free(line);
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("pairs");
	int n = (int)(sizeof(values) / sizeof(values[0]));

	tcase_add_loop_test(t, there_and_back, 0, n);
	tcase_add_loop_test(t, the_log, 0, n);
	tcase_add_loop_test(t, odd_lines, 0, (int)(sizeof(odd) / sizeof(odd[0])));
	tcase_add_test(t, many);
	tcase_add_test(t, little_room);
	return run_case("pairs", t);
}
