/*
 * queue/selection.c: what a command is about: words that all have to fit.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ids.h"
#include "queue/selection.h"
#include "tests/unit/run.h"

static const struct {
	const char	*pattern, *text;
	bool		 fits;
} patterns[] = {
	{ "*@gmail.com", "Anna@GMail.com", true },
	{ "*@gmail.com", "anna@gmail.com.example", false },
	{ "*@gmail.*", "anna@gmail.com.example", true },
	{ "an?a*", "anna@x", true },
	{ "an?a*", "ana@x", false },
	{ "gmail", "anna@gmail.com", true },
	{ "GMAIL", "anna@gmail.com", true },
	{ "gmx", "anna@gmail.com", false },
	{ "", "anything", true },
	{ "*", "", true },
	{ "?", "", false },
	{ "*quota*", "452 4.2.2 over quota now", true },
	{ "a*b*c*d*e*f*g*h*i*j*k*l*m", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
};

START_TEST(test_patterns)
{
	ck_assert_int_eq(selection_pattern(patterns[_i].pattern, patterns[_i].text), patterns[_i].fits);
}
END_TEST

static const struct {
	const char	*words[5];
	int		 last;		/* what taking the last word gives */
	bool		 fits;
} selections[] = {
	{ { NULL }, 1, true },
	{ { "to=*@far.example" }, 1, true },
	{ { "to=*@far.example", "from=ann" }, 1, true },
	{ { "to=*@far.example", "from=bob" }, 1, false },
	{ { "to=y@far" }, 1, false },
	{ { "@far.example" }, 1, true },
	{ { "@example" }, 1, false },
	{ { "reason=*quota*", "state=deferred", "older=3600", "newer=7201" }, 1, true },
	{ { "older=7201" }, 1, false },
	{ { "newer=7200" }, 1, false },
	{ { "state=held" }, 1, false },
	{ { "state=open", "hop=mx:far.example" }, 1, true },
	{ { "hop=mx:near*" }, 1, false },
	{ { "from=" }, 1, false },
	{ { "7K2QF", "9ABCD" }, 1, true },
	{ { "7k2qf!" }, 1, true },
	{ { "9ABCD" }, 1, false },
	{ { "all" }, 1, true },
	{ { "to=*" }, 1, true },
	{ { "to=a", "to=b" }, -1, false },
	{ { "to=" }, -1, false },		/* of an empty variable of a script: not all mail */
	{ { "reason=" }, -1, false },
	{ { "hop=" }, -1, false },
	{ { "@" }, -1, false },
	{ { "state=lost" }, -1, false },
	{ { "older=1h" }, -1, false },
	{ { "older=" }, -1, false },
	{ { "newer=99999999999999999999" }, -1, false },
	{ { "dry-run" }, 0, false },
	{ { "" }, 0, false },
};

START_TEST(test_words)
{
	struct selection_rcpt rcpt = { .address = "x@far.example", .reason = "host=mx code=452 over QUOTA", .hop = "mx:far.example",
	    .state = "open", .attempts = 2 };
	const char *const *w = selections[_i].words;
	struct selection f;
	char why[200] = "";
	int rc = 1;
	uint64_t id;
	bool fits;

	selection_init(&f);
	ck_assert_int_eq(id_parse("7K2QF", &id), 0);
	for (; *w != NULL && rc == 1; w++)
		rc = selection_take(&f, *w, why, sizeof(why));
	ck_assert_int_eq(rc, selections[_i].last);
	if (rc < 0)
		ck_assert_str_ne(why, "");
	fits = selection_fits_message(&f, id, 7200) && selection_fits_sender(&f, "ann@example.org") && selection_fits_rcpt(&f, &rcpt);
	if (rc > 0)
		ck_assert_int_eq(fits, selections[_i].fits);
	if (rc > 0)
		ck_assert_int_eq(f.any, selections[_i].words[0] != NULL);
	selection_free(&f);
}
END_TEST

START_TEST(test_many_ids)
{
	struct selection f;
	char why[200];

	selection_init(&f);
	for (uint64_t id = SELECTION_IDS_MAX; id > 0; id--)
		ck_assert_int_eq(selection_take(&f, id_text(id * 7 + 1000), why, sizeof(why)), 1);
	ck_assert_int_eq(selection_take(&f, "7K2QF", why, sizeof(why)), -1);
	ck_assert(selection_has_id(&f, 1007));
	ck_assert(!selection_has_id(&f, 1008));
	selection_free(&f);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("selection");

	tcase_add_loop_test(t, test_patterns, 0, sizeof(patterns) / sizeof(patterns[0]));
	tcase_add_loop_test(t, test_words, 0, sizeof(selections) / sizeof(selections[0]));
	tcase_add_test(t, test_many_ids);
	return run_case("selection", t);
}
