/*
 * Canonical forms: the examples of RFC 6376, 3.4.5, and the corners, whole and byte by byte. ATTACKS 51
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dkim_canon.h"
#include "lib/header.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char out[10000];
static size_t out_len;

static void
put(void *arg, const void *bytes, size_t len)
{
	ck_assert_ptr_eq(arg, out);
	ck_assert_uint_lt(out_len + len, sizeof(out));
	if (len > 0)
		memcpy(out + out_len, bytes, len);
	out_len += len;
	out[out_len] = '\0';
}

static const struct {
	const char	*in, *simple, *relaxed;
} fields[] = {
	{ "A: X\r\n", "A: X\r\n", "a:X\r\n" },
	{ "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n" },
	{ "Subject:\r\n", "Subject:\r\n", "subject:\r\n" },
	{ "Subject: \t \r\n", "Subject: \t \r\n", "subject:\r\n" },
	{ "Subject:\r\n \r\n x\r\n", "Subject:\r\n \r\n x\r\n", "subject:x\r\n" },
	{ "SUBJECT:a: b:c\r\n", "SUBJECT:a: b:c\r\n", "subject:a: b:c\r\n" },
	{ "X: no end", "X: no end\r\n", "x:no end\r\n" },
	{ "X: a\rb\r\n", "X: a\rb\r\n", "x:a\rb\r\n" },
	{ "X: \xc3\xa4  \xff\r\n", "X: \xc3\xa4  \xff\r\n", "x:\xc3\xa4 \xff\r\n" },
};

START_TEST(fields_are_made_canonical)
{
	struct header_field f;
	size_t at = 0;

	ck_assert(header_next(fields[_i].in, strlen(fields[_i].in), &at, &f));
	out_len = 0;
	dkim_canon_field(&f, false, true, put, out);
	ck_assert_str_eq(out, fields[_i].simple);
	out_len = 0;
	dkim_canon_field(&f, true, true, put, out);
	ck_assert_str_eq(out, fields[_i].relaxed);
	out_len = 0;
	dkim_canon_field(&f, true, false, put, out);
	ck_assert_uint_eq(out_len, strlen(fields[_i].relaxed) - 2);
}
END_TEST

static const struct {
	const char	*in, *simple, *relaxed;
} bodies[] = {
	{ "", "\r\n", "" },
	{ "\r\n", "\r\n", "" },
	{ "\r\n\r\n\r\n", "\r\n", "" },
	{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" },
	{ "no end", "no end\r\n", "no end\r\n" },
	{ " \r\n", " \r\n", "" },
	{ "a\r\n \t\r\n", "a\r\n \t\r\n", "a\r\n" },
	{ "\r\n\r\na\r\n\r\nb\r\n", "\r\n\r\na\r\n\r\nb\r\n", "\r\n\r\na\r\n\r\nb\r\n" },
	{ "a \r\n\r\n \r\nb", "a \r\n\r\n \r\nb\r\n", "a\r\n\r\n\r\nb\r\n" },
	{ "\ta\r\n", "\ta\r\n", " a\r\n" },
	{ "a\nb\n", "a\nb\n\r\n", "a\nb\n\r\n" },
	{ "a\r", "a\r\r\n", "a\r\r\n" },
	{ "a \r \r\n", "a \r \r\n", "a \r\r\n" },
	{ "a\r\r\nb\r\n", "a\r\r\nb\r\n", "a\r\r\nb\r\n" },
};

static const char *
canonical(const char *in, bool relaxed, size_t step)
{
	struct dkim_canon c;
	size_t len = strlen(in);

	out_len = 0;
	out[0] = '\0';
	dkim_canon_init(&c, relaxed, put, out);
	for (size_t at = 0; at < len; at += step)
		dkim_canon_body(&c, in + at, len - at < step ? len - at : step);
	dkim_canon_finish(&c);
	return out;
}

START_TEST(bodies_are_made_canonical)
{
	for (size_t step = 1; step < 12; step++) {
		ck_assert_str_eq(canonical(bodies[_i].in, false, step), bodies[_i].simple);
		ck_assert_str_eq(canonical(bodies[_i].in, true, step), bodies[_i].relaxed);
	}
}
END_TEST

/* Longer than the pieces in which it is put out. */
START_TEST(long_lines)
{
	char in[3000];

	memset(in, 'x', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	ck_assert_uint_eq(strlen(canonical(in, true, 700)), sizeof(in) - 1 + 2);
	memset(in, ' ', sizeof(in) - 2);
	ck_assert_str_eq(canonical(in, true, 1000), " x\r\n");
}
END_TEST

static void
forget(void *arg, const void *data, size_t len)
{
	(void)data;
	*(uint64_t *)arg += len;
}

/* Twenty megabytes of spaces, in one line and on lines without end: what costs more than once for each byte never ends. */
START_TEST(spaces_without_end)
{
	static char spaces[4096], lines[4096];
	struct dkim_canon one, many;
	uint64_t of_one = 0, of_many = 0;

	memset(spaces, ' ', sizeof(spaces));
	for (size_t i = 0; i < sizeof(lines); i += 4)
		memcpy(lines + i, " \t\r\n", 4);
	dkim_canon_init(&one, true, forget, &of_one);
	dkim_canon_init(&many, true, forget, &of_many);
	for (int i = 0; i < 5000; i++) {
		dkim_canon_body(&one, spaces, sizeof(spaces));
		dkim_canon_body(&many, lines, sizeof(lines));
	}
	dkim_canon_body(&one, "x", 1);
	dkim_canon_body(&many, "x", 1);
	dkim_canon_finish(&one);
	dkim_canon_finish(&many);
	ck_assert_uint_eq(of_one, 4);
	ck_assert_uint_eq(of_many, 5000 * sizeof(lines) / 4 * 2 + 3);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("dkim_canon");

	tcase_add_loop_test(t, fields_are_made_canonical, 0, COUNT(fields));
	tcase_add_loop_test(t, bodies_are_made_canonical, 0, COUNT(bodies));
	tcase_add_test(t, long_lines);
	tcase_add_test(t, spaces_without_end);
	return run_case("dkim_canon", t);
}
