/*
 * Fields, pairs and spans as the tools take them apart, and text that is no UTF-8 on its way into JSON.
 */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"
#include "tools/lines.h"

START_TEST(fields)
{
	static const struct { const char *line; int most, n; const char *f[4]; } cases[] = {
		{ "a\tb\tc\n", 5, 3, { "a", "b", "c", "" } },
		{ "a\tb\tc\td\n", 3, 3, { "a", "b", "c\td", "" } },
		{ "T\tx\ty", 2, 2, { "T", "x\ty", "", "" } },
		{ "\n", 3, 1, { "", "", "", "" } },
		{ "a\t\tb", 3, 3, { "a", "", "b", "" } },
	};
	char line[64], *f[LINES_FIELDS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "%s", cases[i].line);
		ck_assert_int_eq(lines_cut(line, f, cases[i].most), cases[i].n);
		for (int k = 0; k < 4; k++)
			ck_assert_str_eq(f[k], cases[i].f[k]);
	}
}
END_TEST

START_TEST(pairs)
{
	char line[] = " a=1 b=\"two words\" c= d=x\\y\n", *p = line, *key, *value;
	static const char *const expected[][2] = { { "a", "1" }, { "b", "two words" }, { "c", "" }, { "d", "x\\y" } };

	for (int i = 0; i < 4; i++) {
		ck_assert(lines_pair(&p, &key, &value));
		ck_assert_str_eq(key, expected[i][0]);
		ck_assert_str_eq(value, expected[i][1]);
	}
	ck_assert(!lines_pair(&p, &key, &value));
}
END_TEST

START_TEST(spans)
{
	static const struct { int64_t s; const char *text; } cases[] = {
		{ 0, "0s" }, { 59, "59s" }, { 60, "1m" }, { 303, "5m 3s" }, { 3600, "1h" }, { 7500, "2h 5m" }, { 86400, "1d" },
		{ 187200, "2d 4h" },
	};
	char text[64];

	setenv("TZ", "UTC0", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(lines_span(text, sizeof(text), cases[i].s), cases[i].text);
	ck_assert_str_eq(lines_when(text, sizeof(text), 0, 1000), "");
	ck_assert_str_eq(lines_when(text, sizeof(text), 900, 1000), "now");
	ck_assert_str_eq(lines_when(text, sizeof(text), 1303, 1000), "00:21:43 (in 5m 3s)");
	ck_assert_str_eq(lines_when(text, sizeof(text), 173800, 1000), "Sat 03 Jan 00:16 (in 2d)");
}
END_TEST

START_TEST(tame)
{
	static const struct { const char *from, *to; } cases[] = {
		{ "a\tb\n", "a\tb\n" },
		{ "\x1b]0;title\x07 \x7f", "?]0;title? ?" },
		{ "gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa8", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa8" },
		{ "\xc2\x9b" "2J \xc2\xa0", "??2J \xc2\xa0" },			/* C1's CSI; a space that does not break */
		{ "\xe2\x80\xae" "fdp.exe \xe2\x81\xa6 \xd8\x9c \xe2\x80\x8f", "?fdp.exe ? ? ?" },
		{ "\xe2\x80\x9cquoted\xe2\x80\x9d", "\xe2\x80\x9cquoted\xe2\x80\x9d" },
		{ "\x9b\xff\xc3", "???" },
	};
	char line[80];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "%s", cases[i].from);
		lines_tame(line);
		ck_assert_str_eq(line, cases[i].to);
	}
}
END_TEST

START_TEST(json_is_utf8)
{
	static const struct { const char *from, *to; } cases[] = {
		{ "plain", "plain" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xff", "\xef\xbf\xbd" },
		{ "a\xc3", "a\xef\xbf\xbd" },
		{ "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },		/* overlong */
		{ "\xed\xa0\x80!", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!" },	/* a surrogate */
		{ "\xf0\x9f\x93\xa8", "\xf0\x9f\x93\xa8" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_object *o = lines_json(cases[i].from);

		ck_assert_str_eq(json_object_get_string(o), cases[i].to);
		json_object_put(o);
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("lines");

	tcase_add_test(t, fields);
	tcase_add_test(t, pairs);
	tcase_add_test(t, spans);
	tcase_add_test(t, tame);
	tcase_add_test(t, json_is_utf8);
	return run_case("lines", t);
}
