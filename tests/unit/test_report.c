/*
 * The server's answers for people and for programs: one message, its content, next hops, status; and answers that break off.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"
#include "tools/report.h"
#include "tools/verify.h"

static const char message[] =
    "M\t7K2QF\t0\t1200\t!\tanna@example.org\n"
    "C\tYE993\t192.0.2.1 (host)\n"
    "R\t0\tdelivered\t1\t0\tbob@example.net\thost=mx.n [192.0.2.2]:25 code=250 status=2.0.0 ok\n"
    "R\t1\theld\t3\t0\tcarl@example.net\theld by uid 0\n"
    "H\t1\tmx:example.net\n"
    "T\tSubject: a\tb\n"
    "E\t1\t1200\n";
static const char hops[] =
    "D\tmx:example.net\tok\t2\t1\t5\t0\t0\t\n"
    "D\trelay:r.example:25\tpaused\t0\t0\t2\t0\t0\t\n"
    "E\n";
static const char status[] =
    "minimta version=0.1 pid=1 uptime_s=7500 rss_kb=2048 hostname=mx.example.org\n"
    "smtpd state=running pid=2 starts=3 uptime_s=59 rss_kb=1536 sessions=4 sessions_total=9\n"
    "smtpd.2 state=running pid=4 starts=1 uptime_s=59 rss_kb=1536 sessions=2 sessions_total=2\n"
    "queue state=away pid=3 starts=1 accepted_1m=1 accepted_5m=2 accepted_total=3 trouble=\"disk full\"\n"
    "logger state=running pid=5 starts=1 lines=7 refused_spf=3 refused_spf_today=1 put_off_greylist=20 observed_spf=4\n";
static const char verified[] =
    "V\tteam@e.org\tlocal\tan alias\nS\t0\talias\tteam\tline 3\nS\t1\tremote\tx@f\tmx:f\nA\tmx:f\t10\tm.f\t192.0.2.9\n"
    "S\t1\tmailbox\ta@e.org\t\nE\n";

typedef int	print_fn(FILE *, FILE *);

static const struct {
	print_fn	*print;
	const char	*from;
	int		 rc;
	const char	*has[6];
} cases[] = {
	{ report_message, message, 0, { "sender     <anna@example.org>\n", "delivered, 1 attempt\n  (host mx.n [192.0.2.2]:25 said: 250 ok)",
	    "held, 3 attempts\n  (held by uid 0)\n  next hop mx:example.net", "  Subject: a\tb\n", "client     192.0.2.1 (host)" } },
	{ report_message_json, message, 0, { "\"id\":\"7K2QF\"", "\"hop\":\"mx:example.net\"", "\"Subject: a\\tb\"", "\"client\":" } },
	{ report_message, "M\t1\t0\t1\t\ta\n", -1, { "message    1" } },
	{ report_message_json, "M\t1\t0\t1\t\ta\n", -1, { NULL } },
	{ report_message_json, "H\t1\tx\nR\nC\nT\nE\n", -1, { NULL } },
	{ report_content, "5\nabcdef", 0, { "abcde" } },
	{ report_content, "5\nabc", -1, { "abc" } },
	{ report_content, "", -1, { NULL } },
	{ report_content, "-1\n", -1, { NULL } },
	{ report_hops, hops, 0, { "mx:example.net                           ok              2        1      5\n", "paused" } },
	{ report_hops, "E\n", 0, { "No mail waits" } },
	{ report_hops, "D\tmx:e", -1, { "mx:e" } },
	{ report_hops, "D\tmx:e\ttrouble\t1\t0\t1\t1\t3\tcode=0 status=4.4.1 no\nE\n", 0, { "failed 3 times in a row, next try: now", "(no)" } },
	{ report_hops_json, hops, 0, { "\"limit\":5", "\"state\":\"paused\"" } },
	{ report_hops_json, "D\n", -1, { NULL } },
	{ report_hoststat, hops, 0, { "Hostname", "relay:r.example:25" } },
	{ report_status, status, 0, { "minimta 0.1 on mx.example.org, process 1, up 2h 5m",
	    "smtpd      running          2        59s     1.5 MB         2\n", "6 from clients, 11 since start", "trouble: disk full",
	    "messages accepted             1          2              3\n" } },
	{ report_status, status, 0, { "spf                         1        0          3          0          0          4\n"
	    "greylist                    0        0          0         20          0          0\n" } },
	{ report_status_json, status, 0, { "\"name\":\"smtpd\"", "\"hostname\":\"mx.example.org\"", "\"sessions\":4" } },
	{ report_status, "nonsense\n", -1, { NULL } },
	{ report_status_json, "", -1, { NULL } },
	{ verify_print, verified, 0, { "team@e.org: local, an alias\n  alias team (line 3) leads to\n    x@f by mx:f\n      10 m.f [192.0.2.9]\n",
	    "    mailbox a@e.org\n" } },
	{ verify_print, "V\ta", -1, { "a: " } },
	{ verify_print_json, verified, 0, { "\"verdict\":\"local\"", "\"preference\":10", "\"hop\":\"mx:f\"" } },
	{ verify_print_json, "S\nA\nN\n", -1, { NULL } },
};

START_TEST(answers)
{
	const char *from = cases[_i].from;
	FILE *in = from[0] != '\0' ? fmemopen((void *)(uintptr_t)from, strlen(from), "r") : fopen("/dev/null", "r"), *out;
	char *text = NULL;
	size_t len;

	setenv("TZ", "UTC0", 1);
	out = open_memstream(&text, &len);
	ck_assert_int_eq(cases[_i].print(in, out), cases[_i].rc);
	fclose(in);
	fclose(out);
	for (int i = 0; cases[_i].has[i] != NULL; i++)
		ck_assert_msg(strstr(text, cases[_i].has[i]) != NULL, "no '%s' in:\n%s", cases[_i].has[i], text);
	free(text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("report");

	tcase_add_loop_test(t, answers, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	return run_case("report", t);
}
