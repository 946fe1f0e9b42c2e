/*
 * lib/header.c: fields in all their shapes, and addresses in lists that people and programs write.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/header.h"
#include "tests/unit/run.h"

START_TEST(test_walk)
{
	static const char block[] = "Received: one\r\n two\r\n\tthree\r\nSubject : x\r\nEmpty:\r\nto:a\n\r\nBody: no\r\n";
	static const struct { const char *name, *value; } want[] = {
		{ "received", " one\r\n two\r\n\tthree\r\n" }, { "Subject", NULL }, { "EMPTY", "\r\n" }, { "To", "a\n" },
	};
	struct header_field f;
	size_t at = 0, i = 0;

	for (; header_next(block, sizeof(block) - 1, &at, &f); i++) {
		ck_assert_uint_lt(i, sizeof(want) / sizeof(want[0]));
		if (i == 1)	/* white space before the colon is not part of the name */
			ck_assert_uint_ge(f.name_len, 7);
		else
			ck_assert(header_is(&f, want[i].name));
		if (want[i].value != NULL) {
			ck_assert_uint_eq(f.value_len, strlen(want[i].value));
			ck_assert_mem_eq(f.value, want[i].value, f.value_len);
		}
	}
	ck_assert_uint_eq(i, 4);
	ck_assert_str_eq(block + header_end(block, sizeof(block) - 1), "Body: no\r\n");
}
END_TEST

START_TEST(test_no_fields)
{
	static const char *const blocks[] = { "", "\r\n", "\n", "no colon\r\n", ": x\r\n", " folded: x\r\n", "a\x01: b\r\n",
		"j\xc3\xb6: x\r\n", "From me Mon Jan 1\r\n", "name", "name   ", "\rname: x" };
	struct header_field f;
	size_t at;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		at = 0;
		ck_assert_msg(!header_next(blocks[i], strlen(blocks[i]), &at, &f), "block %zu", i);
	}
}
END_TEST

START_TEST(test_end)
{
	static const struct { const char *block; size_t want; } ends[] = {
		{ "", 0 }, { "\r\n", 2 }, { "\nx", 1 }, { "a: b\r\n\r\nx", 8 }, { "a: b\r\n", 6 }, { "a: b\n\nx", 6 },
		{ "a: b\r\n \r\n\r\nx", 11 }, { "a\r\n\r", 4 },
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		ck_assert_uint_eq(header_end(ends[i].block, strlen(ends[i].block)), ends[i].want);
}
END_TEST

START_TEST(test_count_and_value)
{
	static const char block[] = "Received: a\r\nX: \r\n  y\r\n\tz  \r\nRECEIVED:b\r\nN: a\001\033b\xc3\xb6\rc\r\n\r\nReceived: body\r\n";
	static const char broken[] = " no field\r\nFrom: a\r\n: none\r\n nor this\r\nFrom: b\r\n\xfc: x\nFrom: c\nend\n\nFrom: body\n";
	char *value;

	ck_assert_uint_eq(header_count(block, sizeof(block) - 1, "received"), 2);
	ck_assert_uint_eq(header_count(block, sizeof(block) - 1, "none"), 0);
	ck_assert_uint_eq(header_count(broken, sizeof(broken) - 1, "From"), 3);
	value = header_value(broken, sizeof(broken) - 1, "From");
	ck_assert_str_eq(value, "a");
	free(value);
	value = header_value(block, sizeof(block) - 1, "x");
	ck_assert_str_eq(value, "y z");
	free(value);
	value = header_value(block, sizeof(block) - 1, "N");
	ck_assert_str_eq(value, "a??b\xc3\xb6?c");
	free(value);
	ck_assert_ptr_null(header_value(block, sizeof(block) - 1, "none"));
}
END_TEST

static const struct {
	const char	*list;
	int		 count;		/* -1: a syntax error somewhere */
	const char	*found;		/* joined with '|' */
} lists[] = {
	{ "", 0, "" }, { " \r\n ", 0, "" }, { ",, ,", 0, "" },
	{ "alice", 1, "alice" }, { "alice@x.example", 1, "alice@x.example" },
	{ "a@x, b@y ,c@z", 3, "a@x|b@y|c@z" }, { "a@x,\r\n\tb@y", 2, "a@x|b@y" },
	{ "Alice <a@x>", 1, "a@x" }, { "<a@x>", 1, "a@x" }, { "Alice B. C. <a@x>, b", 2, "a@x|b" },
	{ "\"Smith, John\" <j@x>", 1, "j@x" }, { "\"a \\\" , <b@c>\" <j@x>", 1, "j@x" },
	{ "a@x (comment, with (nested) \\) <b@y>)", 1, "a@x" }, { "(c) a (c) @ (c) x (c) . (c) y", 1, "a@x.y" },
	{ "\"a b\"@x", 1, "\"a b\"@x" }, { "\"a\\\"b\"@x", 1, "\"a\\\"b\"@x" }, { "a@[192.0.2.1]", 1, "a@[192.0.2.1]" },
	{ "undisclosed-recipients:;", 0, "" }, { "Team: a@x, B <b@y>;", 2, "a@x|b@y" }, { "Team: a@x;, c@z", 2, "a@x|c@z" },
	{ "\"My team\": a@x,;", 1, "a@x" }, { "<@r,@s:a@x>", 1, "a@x" }, { "=?utf-8?q?J=C3=B6?= <j@x>", 1, "j@x" },
	{ "J\xc3\xb6rg <j@x>", 1, "j@x" },
	{ "John Smith", -1, "" }, { "a@x b@y", -1, "" }, { "a@x, <", -1, "a@x" }, { "a@x, \"b", -1, "a@x" },
	{ "a@x, (b", -1, "a@x" }, { "a@x)", -1, "" }, { "<>", -1, "" }, { "a: b: c;", -1, "" }, { "a: b@x", -1, "b@x" },
	{ "b;", -1, "" }, { "<a@x> b", -1, "" }, { "<<a@x>>", -1, "" }, { "<a@x> <b@y>", -1, "" }, { "a\001b@x", -1, "" },
	{ "\"a\001b\"@x", -1, "" }, { "<a@x,b@y>", -1, "" }, { ">", -1, "" }, { "a\\b@x", -1, "" },
};

static void
join_found(void *arg, const char *address)
{
	char *to = arg;
	size_t len = strlen(to);

	snprintf(to + len, 256 - len, "%s%s", len > 0 ? "|" : "", address);
}

START_TEST(test_addresses)
{
	char found[256] = "";

	ck_assert_int_eq(header_addresses(lists[_i].list, strlen(lists[_i].list), join_found, found), lists[_i].count);
	ck_assert_str_eq(found, lists[_i].found);
}
END_TEST

static void
count_found(void *arg, const char *address)
{
	*(size_t *)arg += address[0] != '\0';
}

/* Half a million addresses, and a megabyte of what invites quadratic work. */
START_TEST(test_linear)
{
	static const char *const units[] = { "a@b,", "(", "\"", "a ", "<", "a:;", ",", "()", "\\(", "x: y\r\n", "@a,", "[" };
	size_t unit = strlen(units[_i]), size = (2 << 20) / unit * unit, found = 0, at = 0;
	char *text = malloc(size + 1);
	clock_t start = clock();		/* processor time: no other program's */
	struct header_field f;

	for (size_t i = 0; i < size; i += unit)
		memcpy(text + i, units[_i], unit + 1);
	header_addresses(text, size, count_found, &found);
	if (_i == 0)
		ck_assert_uint_eq(found, size / unit);
	while (header_next(text, size, &at, &f))
		;
	header_end(text, size);
	header_count(text, size, "x");
	free(text);
	ck_assert_int_lt(clock() - start, 20 * CLOCKS_PER_SEC);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("header");

	tcase_add_test(tests, test_walk);
	tcase_add_test(tests, test_no_fields);
	tcase_add_test(tests, test_end);
	tcase_add_test(tests, test_count_and_value);
	tcase_add_loop_test(tests, test_addresses, 0, (int)(sizeof(lists) / sizeof(lists[0])));
	tcase_add_loop_test(tests, test_linear, 0, 12);
	return run_case("header", tests);
}
