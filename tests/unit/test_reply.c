/*
 * lib/reply.c: what servers answer, byte by byte and at once; and what we answer.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/reply.h"
#include "tests/unit/run.h"

static const struct {
	const char		*in;
	enum reply_result	 result;
	int			 code, lines;
	const char		*enhanced, *text, *rest;
} rows[] = {
	{ "250 ok\r\n", REPLY_DONE, 250, 1, "", "ok", "" },
	{ "250 ok\n", REPLY_DONE, 250, 1, "", "ok", "" },
	{ "250\r\n", REPLY_DONE, 250, 1, "", "", "" },
	{ "250 \r\n", REPLY_DONE, 250, 1, "", "", "" },
	{ "250 2.1.5 fine\r\n", REPLY_DONE, 250, 1, "2.1.5", "2.1.5 fine", "" },
	{ "550 5.123.456\r\n", REPLY_DONE, 550, 1, "5.123.456", "5.123.456", "" },
	{ "550 5.1234.4 x\r\n", REPLY_DONE, 550, 1, "", "5.1234.4 x", "" },
	{ "550 2.1.1 other class\r\n", REPLY_DONE, 550, 1, "", "2.1.1 other class", "" },
	{ "550 5.1.1x\r\n", REPLY_DONE, 550, 1, "", "5.1.1x", "" },
	{ "250-a\r\n250-\r\n250 c\r\n220 next", REPLY_DONE, 250, 3, "", "a\n\nc", "220 next" },
	{ "250-5.0.0 a\r\n250", REPLY_MORE, 250, 1, "", "5.0.0 a", "" },
	{ "", REPLY_MORE, 0, 0, "", NULL, "" },
	{ "25", REPLY_MORE, 0, 0, "", NULL, "" },
	{ "\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "25\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "150 early\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "650 late\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "2500 four\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "HTTP/1.1 400\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "250-a\r\n251 b\r\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "\x16\x03\x01\n", REPLY_BAD, 0, 0, "", NULL, NULL },
	{ "550 a\001\033[m\x7f\xff\tz\r\n", REPLY_DONE, 550, 1, "", "a??[m??\tz", "" },
	{ "550 j\xc3\xb6rg \xc0\xaf \xed\xa0\x80 \xc2\x85\r\n", REPLY_DONE, 550, 1, "", "j\xc3\xb6rg ?? ??? ??", "" },
	{ "550 a\rb\r\r\n", REPLY_DONE, 550, 1, "", "a?b?", "" },
};

static void
feed(struct reply *r, const char *in, size_t piece, enum reply_result *result_r, size_t *used_r)
{
	size_t len = strlen(in), n, used;

	*used_r = 0;
	*result_r = REPLY_MORE;
	while (*used_r < len && *result_r == REPLY_MORE) {
		n = len - *used_r < piece ? len - *used_r : piece;
		*result_r = reply_feed(r, in + *used_r, n, &used);
		ck_assert(used == n || *result_r != REPLY_MORE);
		*used_r += used;
	}
}

START_TEST(test_feed)
{
	static const size_t pieces[] = { 1, 2, 3, 4096 };
	enum reply_result result;
	struct reply r;
	size_t used;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		reply_init(&r);
		feed(&r, rows[_i].in, pieces[i], &result, &used);
		ck_assert_int_eq(result, rows[_i].result);
		if (result == REPLY_BAD) {
			ck_assert_ptr_nonnull(r.why);
		} else {
			ck_assert_int_eq(r.code, rows[_i].code);
			ck_assert_int_eq(r.lines, rows[_i].lines);
			ck_assert_str_eq(r.enhanced, rows[_i].enhanced);
			ck_assert_pstr_eq(r.text, rows[_i].text);
			if (result == REPLY_DONE)
				ck_assert_str_eq(rows[_i].in + used, rows[_i].rest);
		}
		reply_reset(&r);
		ck_assert(r.text == NULL && r.code == 0 && r.lines == 0);
	}
}
END_TEST

START_TEST(test_two_replies)
{
	static const char in[] = "250-a\r\n250 b\r\n354 go\r\n";
	const char *line;
	struct reply r;
	size_t used, len;

	reply_init(&r);
	ck_assert_int_eq(reply_feed(&r, in, sizeof(in) - 1, &used), REPLY_DONE);
	ck_assert_uint_eq(used, 14);
	ck_assert(reply_line(&r, 1, &line, &len));
	ck_assert(len == 1 && line[0] == 'b');
	ck_assert(!reply_line(&r, 2, &line, &len));
	ck_assert(!reply_line(&r, -1, &line, &len));
	reply_reset(&r);
	ck_assert(!reply_line(&r, 0, &line, &len));
	ck_assert_int_eq(reply_feed(&r, in + used, sizeof(in) - 1 - used, &used), REPLY_DONE);
	ck_assert_int_eq(r.code, 354);
	reply_reset(&r);
}
END_TEST

START_TEST(test_limits)
{
	char line[REPLY_LINE_MAX + 8];
	enum reply_result result;
	struct reply r;
	size_t used;

	memset(line, 'x', sizeof(line));
	memcpy(line, "250 ", 4);
	memcpy(line + REPLY_LINE_MAX, "\n", 2);
	reply_init(&r);
	feed(&r, line, 7, &result, &used);
	ck_assert_int_eq(result, REPLY_DONE);
	reply_reset(&r);
	memcpy(line + REPLY_LINE_MAX, "x\n", 3);
	feed(&r, line, 7, &result, &used);
	ck_assert_int_eq(result, REPLY_BAD);
	reply_reset(&r);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		ck_assert_int_eq(reply_feed(&r, "250-x\r\n", 7, &used), REPLY_MORE);
	ck_assert_int_eq(reply_feed(&r, "250 x\r\n", 7, &used), REPLY_BAD);
	reply_reset(&r);
}
END_TEST

START_TEST(test_format)
{
	static const struct { int code; const char *enhanced, *text, *want; } out[] = {
		{ 250, "2.1.0", "ok", "250 2.1.0 ok\r\n" },
		{ 250, NULL, "a\nb\n", "250-a\r\n250-b\r\n250 \r\n" },
		{ 550, "5.1.1", "a\nb", "550-5.1.1 a\r\n550 5.1.1 b\r\n" },
		{ 550, NULL, "a\r\001b\xff", "550 a??b?\r\n" },
		{ 550, NULL, "j\xc3\xb6", "550 j\xc3\xb6\r\n" },
	};
	char to[2048], text[4000];
	size_t n;

	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		n = reply_format(to, sizeof(to), out[i].code, out[i].enhanced, out[i].text);
		ck_assert_uint_eq(n, strlen(out[i].want));
		ck_assert_mem_eq(to, out[i].want, n);
	}
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_uint_eq(reply_format(to, sizeof(to), 250, "2.0.0", text), 512);
	ck_assert_uint_eq(reply_format(to, 64, 250, "2.0.0", text), 64);
	memset(text, '\n', sizeof(text) - 1);
	n = reply_format(to, sizeof(to), 250, NULL, text);
	ck_assert_mem_eq(to + n - 6, "250 \r\n", 6);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("reply");

	tcase_add_loop_test(tests, test_feed, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tests, test_two_replies);
	tcase_add_test(tests, test_limits);
	tcase_add_test(tests, test_format);
	return run_case("reply", tests);
}
