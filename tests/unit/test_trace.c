/*
 * smtpd/trace.c: the Received field, and which names of clients may stand in it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/trace.h"
#include "tests/unit/run.h"

static const struct {
	const char	*in;
	bool		 ok;
} helos[] = {
	{ "mail.example.org", true },
	{ "my_laptop", true },
	{ "[192.0.2.1]", true },
	{ "[IPv6:2001:db8::1]", true },
	{ "", false },
	{ "two words", false },
	{ "a(b", false },
	{ "a)b", false },
	{ "a;b", false },
	{ "a\\b", false },
	{ "\"a\"", false },
	{ "a\r\nX-Injected:yes", false },
	{ "a\tb", false },
	{ "b\xc3\xbc" "cher.example", false },
};

START_TEST(names_of_clients)
{
	ck_assert_int_eq(trace_helo_ok(helos[_i].in), helos[_i].ok);
}
END_TEST

START_TEST(too_long_a_name)
{
	char name[TRACE_HELO_MAX + 2];

	memset(name, 'a', sizeof(name));
	name[TRACE_HELO_MAX] = '\0';
	ck_assert(trace_helo_ok(name));
	name[TRACE_HELO_MAX] = 'a';
	name[TRACE_HELO_MAX + 1] = '\0';
	ck_assert(!trace_helo_ok(name));
}
END_TEST

START_TEST(both_halves)
{
	struct trace t = { .helo = "client.example", .client = "[192.0.2.1]", .hostname = "mx.example.org",
	    .protocol = "ESMTP", .recipient = "a@example.org", .now = 1795288294 };
	char head[TRACE_MAX], tail[TRACE_MAX];

	setenv("TZ", "UTC", 1);
	trace_head(head, sizeof(head), &t);
	trace_tail(tail, sizeof(tail), &t);
	ck_assert_str_eq(head, "Received: from client.example ([192.0.2.1])\r\n\tby mx.example.org with ESMTP id ");
	ck_assert_str_eq(tail, "\r\n\tfor <a@example.org>;\r\n\tSat, 21 Nov 2026 19:11:34 +0000\r\n");
	t.recipient = NULL;
	trace_tail(tail, sizeof(tail), &t);
	ck_assert_str_eq(tail, ";\r\n\tSat, 21 Nov 2026 19:11:34 +0000\r\n");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("trace");

	tcase_add_loop_test(t, names_of_clients, 0, sizeof(helos) / sizeof(helos[0]));
	tcase_add_test(t, too_long_a_name);
	tcase_add_test(t, both_halves);
	return run_case("trace", t);
}
