/* filters/finding.c: what is packed comes out as it was, whatever it was, and takes no more room than it needs. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "filters/finding.h"
#include "tests/unit/run.h"

static void
same(const struct filter_finding *a, const struct filter_finding *b)
{
	ck_assert_int_eq(a->action, b->action);
	ck_assert_int_eq(a->score, b->score);
	ck_assert_int_eq(a->code, b->code);
	ck_assert_str_eq(a->enhanced, b->enhanced);
	ck_assert_str_eq(a->text, b->text);
	ck_assert_str_eq(a->result, b->result);
	ck_assert_str_eq(a->key, b->key);
	ck_assert_str_eq(a->value, b->value);
	ck_assert_str_eq(a->why, b->why);
	ck_assert(a->at_data == b->at_data && a->at_end == b->at_end);
}

static const struct filter_finding cases[] = {
	{ .result = "" },
	{ .result = "pass" },
	{ .action = FILTER_REFUSE, .score = 12, .code = 550, .enhanced = "5.7.25", .text = "Not from there", .result = "fail",
	    .key = "192.0.2.1", .value = "mail.example.com (dynamic)", .why = "the name does not lead back", .at_end = true },
	{ .action = FILTER_DEFER, .score = -100, .code = 451, .result = "early", .why = "it came again too early", .at_data = true },
	{ .action = FILTER_QUARANTINE, .score = 1000000, .result = "\xff\r\n", .value = "\x01" },
};

START_TEST(comes_out_as_it_was)
{
	struct filter_finding out;
	struct finding *packed, *copy;

	memset(&out, 'x', sizeof(out));
	packed = finding_pack(&cases[_i]);
	ck_assert_str_eq(finding_enhanced(packed), cases[_i].enhanced);
	ck_assert_str_eq(finding_text(packed), cases[_i].text);
	finding_unpack(&out, packed);
	same(&out, &cases[_i]);
	copy = finding_copy(packed);
	free(packed);
	memset(&out, 'x', sizeof(out));
	finding_unpack(&out, copy);
	same(&out, &cases[_i]);
	free(copy);
}
END_TEST

static void
fill(char *text, size_t size, int letter)
{
	memset(text, letter, size - 1);
	text[size - 1] = '\0';
}

START_TEST(arrays_that_are_full)
{
	struct filter_finding f = { .action = FILTER_ACCEPT }, out;
	struct finding *packed;

	fill(f.enhanced, sizeof(f.enhanced), 'e');
	fill(f.text, sizeof(f.text), 't');
	fill(f.result, sizeof(f.result), 'r');
	fill(f.key, sizeof(f.key), 'k');
	fill(f.value, sizeof(f.value), 'v');
	fill(f.why, sizeof(f.why), 'w');
	packed = finding_pack(&f);
	finding_unpack(&out, packed);
	same(&out, &f);
	free(packed);
}
END_TEST

START_TEST(takes_what_it_needs)
{
	struct filter_finding f = { .result = "none" };
	struct finding *packed = finding_pack(&f);

	ck_assert_uint_eq(packed->len, strlen("none") + 6);
	ck_assert_uint_le(sizeof(*packed) + packed->len, 32);
	free(packed);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("finding");

	tcase_add_loop_test(t, comes_out_as_it_was, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, arrays_that_are_full);
	tcase_add_test(t, takes_what_it_needs);
	return run_case("finding", t);
}
