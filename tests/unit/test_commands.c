/*
 * smtpd/commands.c: finding a command in its table, and HTTP in what should be one. (The rest of it: tests/dialogs.)
 */
#include <check.h>
#include <string.h>

#include "smtpd/commands.h"
#include "tests/unit/run.h"

static const struct {
	const char	*line, *verb, *argument;
} lines[] = {
	{ "EHLO client.example", "EHLO", "client.example" },
	{ "ehlo  client.example", "EHLO", "client.example" },
	{ "MAIL FROM:<a@b> SIZE=1", "MAIL", "FROM:<a@b> SIZE=1" },
	{ "QUIT", "QUIT", "" },
	{ "starttls", "STARTTLS", "" },
	{ "QUITS", NULL, "" },
	{ "QUI", NULL, "" },
	{ "", NULL, "" },
	{ " NOOP", NULL, "NOOP" },
	{ "MAILFROM:<a@b>", NULL, "" },
};

START_TEST(verbs)
{
	const char *argument;
	const struct command *c = commands_find(lines[_i].line, &argument);

	if (lines[_i].verb == NULL)
		ck_assert_ptr_null(c);
	else
		ck_assert_str_eq(c->verb, lines[_i].verb);
	ck_assert_str_eq(argument, lines[_i].argument);
}
END_TEST

START_TEST(browsers)
{
	ck_assert(commands_is_http("GET / HTTP/1.1"));
	ck_assert(commands_is_http("host: mx.example.org"));
	ck_assert(commands_is_http("POST /"));
	ck_assert(!commands_is_http("GETTING"));
	ck_assert(!commands_is_http("NOOP GET"));
	ck_assert(!commands_is_http(""));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("commands");

	tcase_add_loop_test(t, verbs, 0, sizeof(lines) / sizeof(lines[0]));
	tcase_add_test(t, browsers);
	return run_case("commands", t);
}
