/*
 * sendmail's command line: what the callers of forty years write, and what becomes of it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tests/unit/run.h"
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
	{ "sendmail -odb -oee -odi -O DeliveryMode=b -m -n -G -U -v -x -h 3 -L tag -N never -R hdrs -V id -S s -X /x -p smtp -Am a",
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
	{ "sendmail -qSa@b", 0, ARGS_RETRY, false, false, NULL, NULL, 0 },
	{ "sendmail -q!Rx", 0, ARGS_RETRY, false, false, NULL, NULL, 0 },
	{ "sendmail -qI abc", 0, ARGS_RETRY, false, false, NULL, NULL, 1 },
	{ "sendmail -qI", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -Rexample.org", 0, ARGS_RETRY, false, false, NULL, NULL, 0 },
	{ "sendmail -Rfull", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -Rx a", 0, ARGS_SEND, false, false, NULL, NULL, 1 },
	{ "sendmail", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -i", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -f", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail -Z a", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail --nosuch a", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "sendmail --help", 0, ARGS_HELP, false, false, NULL, NULL, 0 },
	{ "mailq --help", 0, ARGS_HELP, false, false, NULL, NULL, 0 },
	{ "sendmail a --help", 0, ARGS_SEND, false, false, NULL, NULL, 2 },
	{ "sendmail -bv a", 0, ARGS_VERIFY, false, false, NULL, NULL, 1 },
	{ "sendmail -bt", 0, ARGS_VERIFY, false, false, NULL, NULL, 0 },
	{ "sendmail -bh 192.0.2.1", 0, ARGS_TRY, false, false, NULL, NULL, 1 },
	{ "sendmail -bd -q15m", 0, ARGS_DAEMON, false, false, NULL, NULL, 0 },
	{ "sendmail -q1h -bl", 0, ARGS_DAEMON, false, false, NULL, NULL, 0 },
	{ "sendmail -bD", 0, ARGS_DAEMON_FOREGROUND, false, false, NULL, NULL, 0 },
	{ "sendmail --nonsense", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "mailq -j", 0, ARGS_LIST, false, false, NULL, NULL, 0 },
	{ "mailq --json", 0, ARGS_LIST, false, false, NULL, NULL, 0 },
	{ "hoststat", 0, ARGS_HOPS, false, false, NULL, NULL, 0 },
	{ "/usr/lib/send-mail -i a", 0, ARGS_SEND, false, true, NULL, NULL, 1 },
	{ "sendmail -i -Nbad -V -R bad a", 0, ARGS_SEND, false, true, NULL, NULL, 2 },
	{ "sendmail -bx", EX_USAGE, 0, 0, 0, 0, 0, 0 },
	{ "rmail a b", 0, ARGS_SEND, false, true, NULL, NULL, 2 },
	{ "rmail", EX_USAGE, 0, 0, 0, 0, 0, 0 },
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

static const struct {
	const char	*line;
	int		 code;
	enum args_when	 when;
	bool		 utf8, tls;
} promises[] = {
	{ "sendmail a", 0, ARGS_BACKGROUND, false, false },
	{ "sendmail -odb a", 0, ARGS_BACKGROUND, false, false },
	{ "sendmail -odq a", 0, ARGS_QUEUE, false, false },
	{ "sendmail -odd a", 0, ARGS_QUEUE, false, false },
	{ "sendmail -odi a", 0, ARGS_INTERACTIVE, false, false },
	{ "sendmail -o di a", 0, ARGS_INTERACTIVE, false, false },
	{ "sendmail -odq -odi a", 0, ARGS_INTERACTIVE, false, false },
	{ "sendmail -odx -od a", 0, ARGS_BACKGROUND, false, false },
	{ "sendmail -O DeliveryMode=interactive a", 0, ARGS_INTERACTIVE, false, false },
	{ "sendmail -ODELIVERYMODE=q a", 0, ARGS_QUEUE, false, false },
	{ "sendmail -O DeliveryMode a", 0, ARGS_BACKGROUND, false, false },
	{ "sendmail -O smtputf8=yes a", 0, ARGS_BACKGROUND, true, false },
	{ "sendmail -O SMTPUTF8=YES -O smtputf8=no a", 0, ARGS_BACKGROUND, false, false },
	{ "sendmail -Orequiretls=yes a", 0, ARGS_BACKGROUND, false, true },
	{ "sendmail -Orequiretls=no a", 0, ARGS_BACKGROUND, false, false },
	{ "sendmail -Orequiretls a", EX_USAGE, 0, false, false },
	{ "sendmail -Orequiretls=true a", EX_USAGE, 0, false, false },
	{ "sendmail -Osmtputf8= a", EX_USAGE, 0, false, false },
	{ "sendmail -Orequiretl=perhaps -Orequiretlsx=1 a", 0, ARGS_BACKGROUND, false, false },
};

START_TEST(what_is_promised)
{
	char text[256], *argv[40], why[256] = "", *rest = text, *w;
	struct args a;
	int argc = 0;

	snprintf(text, sizeof(text), "%s", promises[_i].line);
	while ((w = strsep(&rest, " ")) != NULL)
		argv[argc++] = w;
	argv[argc] = NULL;
	ck_assert_int_eq(args_parse(&a, argc, argv, why, sizeof(why)), promises[_i].code);
	ck_assert_int_eq(why[0] != '\0', promises[_i].code != 0);
	if (promises[_i].code != 0)
		return;
	ck_assert_int_eq(a.when, promises[_i].when);
	ck_assert_int_eq(a.utf8, promises[_i].utf8);
	ck_assert_int_eq(a.require_tls, promises[_i].tls);
}
END_TEST

START_TEST(no_name)
{
	char *argv[] = { NULL }, why[256];
	struct args a;

	ck_assert_int_eq(args_parse(&a, 0, argv, why, sizeof(why)), EX_USAGE);
}
END_TEST

/* A line's words into argv; the text is changed. */
static int
words_of(char *text, char **argv)
{
	char *rest = text, *w;
	int argc = 0;

	while ((w = strsep(&rest, " ")) != NULL)
		argv[argc++] = w;
	argv[argc] = NULL;
	return argc;
}

START_TEST(what_to_retry)
{
	static const struct { const char *line, *by, *what; } cases[] = {
		{ "sendmail -q1h", "", "all" }, { "sendmail -qf", "", "all" }, { "sendmail -qIabc", "", "abc" },
		{ "sendmail -qI abc", "", "abc" }, { "sendmail -qR@e.org", "", "@e.org" }, { "sendmail -qRe.org", "to=", "e.org" },
		{ "sendmail -qSanna", "from=", "anna" }, { "sendmail -R anna", "to=", "anna" }, { "sendmail -R@e.org", "", "@e.org" },
	};
	char text[100], *argv[10], why[256];
	struct args a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].line);
		ck_assert_int_eq(args_parse(&a, words_of(text, argv), argv, why, sizeof(why)), 0);
		ck_assert_str_eq(a.retry_by, cases[i].by);
		ck_assert_str_eq(a.retry, cases[i].what);
	}
}
END_TEST

START_TEST(notices)
{
	static const struct { const char *option, *value; bool good; const char *to; } cases[] = {
		{ "-N", "never", true, "never" }, { "-N", "SUCCESS,delay", true, "SUCCESS,delay" }, { "-N", "failure", true, "failure" },
		{ "-N", "never,delay", false, NULL }, { "-N", "delay,delay", false, NULL }, { "-N", "", false, NULL },
		{ "-N", "delay,", false, NULL }, { "-R", "full", true, "full" }, { "-R", "HDRS", true, "HDRS" }, { "-R", "body", false, NULL },
		{ "-V", "id 7+x=y", true, "id+207+2Bx+3Dy" }, { "-V", "a\x01" "b", false, "" }, { "-V", "gr\xc3\xbc", false, "" },
		{ "-V", "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", true,
		    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" },
		{ "-V", "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456 89", false, "" },
	};
	char name[] = "sendmail", rcpt[] = "a@b", option[8], value[200], why[256], *argv[] = { name, option, value, rcpt, NULL };
	struct args a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(option, sizeof(option), "%s", cases[i].option);
		snprintf(value, sizeof(value), "%s", cases[i].value);
		ck_assert_int_eq(args_parse(&a, 4, argv, why, sizeof(why)), 0);	/* wrong or not: the mail goes */
		ck_assert_int_eq(a.mode, ARGS_SEND);
		ck_assert_int_eq(a.warning[0] == '\0', cases[i].good);
		same(option[1] == 'N' ? a.dsn_notify : option[1] == 'R' ? a.dsn_return : a.dsn_envid, cases[i].to);
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("args");

	tcase_add_loop_test(t, callers_lines, 0, (int)(sizeof(lines) / sizeof(lines[0])));
	tcase_add_loop_test(t, what_is_promised, 0, (int)(sizeof(promises) / sizeof(promises[0])));
	tcase_add_test(t, no_name);
	tcase_add_test(t, what_to_retry);
	tcase_add_test(t, notices);
	return run_case("args", t);
}
