/*
 * sendmail's command line: what the callers of forty years write, and what becomes of it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/args.h"

static const struct {
	const char	*line;		/* words between spaces; '' is an empty one */
	int		 code;
	enum args_mode	 mode;
	bool		 t, i;
	const char	*sender, *full_name;
	int		 n_rcpts;
} lines[] = {
	{ "sendmail -t", 0, ARGS_SEND, true, false, NULL, NULL, 0 },
	{ "/usr/sbin/sendmail -t -i", 0, ARGS_SEND, true, true, NULL, NULL, 0 },
	{ "sendmail -ti", 0, ARGS_SEND, true, true, NULL, NULL, 0 },
	{ "sendmail -t -oi", 0, ARGS_SEND, true, true, NULL, NULL, 0 },
	{ "sendmail -oitrue -t", 0, ARGS_SEND, true, true, NULL, NULL, 0 },
	{ "sendmail -FCronDaemon -i -B8BITMIME -oem root", 0, ARGS_SEND, false, true, NULL, "CronDaemon", 1 },
	{ "sendmail -i -F name -B 8BITMIME -e m -f root root", 0, ARGS_SEND, false, true, "root", "name", 1 },
	{ "sendmail -f a@b c@d e@f", 0, ARGS_SEND, false, false, "a@b", NULL, 2 },
	{ "sendmail -fa@b c@d", 0, ARGS_SEND, false, false, "a@b", NULL, 1 },
	{ "sendmail -r a@b c@d", 0, ARGS_SEND, false, false, "a@b", NULL, 1 },
	{ "sendmail -f '' c@d", 0, ARGS_SEND, false, false, "", NULL, 1 },
	{ "sendmail -f <> c@d", 0, ARGS_SEND, false, false, "", NULL, 1 },
	{ "sendmail -f<> c@d", 0, ARGS_SEND, false, false, "", NULL, 1 },
	{ "sendmail -bm -- -odd@d", 0, ARGS_SEND, false, false, NULL, NULL, 1 },
	{ "sendmail a@b -t", 0, ARGS_SEND, false, false, NULL, NULL, 2 },
	{ "sendmail -odb -oee -odi -O DeliveryMode=b -m -n -G -U -v -x -h 3 -L tag -N never -R hdrs -V id -X /x -p smtp -Am a",
	    0, ARGS_SEND, false, false, NULL, NULL, 1 },
	{ "sendmail -o i a", 0, ARGS_SEND, false, true, NULL, NULL, 1 },
	{ "sendmail -bp", 0, ARGS_LIST, false, false, NULL, NULL, 0 },
	{ "mailq", 0, ARGS_LIST, false, false, NULL, NULL, 0 },
	{ "/usr/bin/mailq -v", 0, ARGS_LIST, false, false, NULL, NULL, 0 },
	{ "newaliases", 0, ARGS_ALIASES, false, false, NULL, NULL, 0 },
	{ "sendmail -bi", 0, ARGS_ALIASES, false, false, NULL, NULL, 0 },
	{ "sendmail -I", 0, ARGS_ALIASES, false, false, NULL, NULL, 0 },
	{ "sendmail -bs", 0, ARGS_SMTP, false, false, NULL, NULL, 0 },
	{ "sendmail -q", 0, ARGS_RETRY, false, false, NULL, NULL, 0 },
	{ "sendmail -q15m", 0, ARGS_RETRY, false, false, NULL, NULL, 0 },
	{ "sendmail -qR@example.org", 0, ARGS_RETRY, false, false, NULL, NULL, 0 },
	{ "sendmail -qSa@b", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -i", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -f", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -Z a", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -bv a", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -bt", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -bh 192.0.2.1", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -bd -q15m", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -bx", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "rmail a", EX_USAGE, 0, 0, 0, 0, 0, 0 },
};

static void
same(const char *got, const char *expected)
{
	if (expected == NULL)
		ck_assert_ptr_null(got);
	else
		ck_assert_str_eq(got, expected);
}

START_TEST(callers_lines)
{
	char text[256], *argv[40], why[256] = "", *rest = text, *w;
	struct args a;
	int argc = 0;

	snprintf(text, sizeof(text), "%s", lines[_i].line);
	while ((w = strsep(&rest, " ")) != NULL)
		argv[argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
	argv[argc] = NULL;
	ck_assert_int_eq(args_parse(&a, argc, argv, why, sizeof(why)), lines[_i].code);
	ck_assert_int_eq(why[0] != '\0', lines[_i].code != 0);
	if (lines[_i].code != 0)
		return;
	ck_assert_int_eq(a.mode, lines[_i].mode);
	ck_assert_int_eq(a.from_header, lines[_i].t);
	ck_assert_int_eq(a.dots, lines[_i].i);
	same(a.sender, lines[_i].sender);
	same(a.full_name, lines[_i].full_name);
	ck_assert_int_eq(a.n_rcpts, lines[_i].n_rcpts);
}
END_TEST

START_TEST(no_name)
{
	char *argv[] = { NULL }, why[256];
	struct args a;

	ck_assert_int_eq(args_parse(&a, 0, argv, why, sizeof(why)), EX_USAGE);
}
END_TEST

START_TEST(what_to_retry)
{
	char name[] = "sendmail", hour[] = "-q1h", abc[] = "-qIabc", why[256];
	char *all[] = { name, hour, NULL }, *id[] = { name, abc, NULL };
	struct args a;

	ck_assert_int_eq(args_parse(&a, 2, all, why, sizeof(why)), 0);
	ck_assert_str_eq(a.retry, "all");
	ck_assert_int_eq(args_parse(&a, 2, id, why, sizeof(why)), 0);
	ck_assert_str_eq(a.retry, "abc");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("args");
	TCase *t = tcase_create("args");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, callers_lines, 0, (int)(sizeof(lines) / sizeof(lines[0])));
	tcase_add_test(t, no_name);
	tcase_add_test(t, what_to_retry);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
