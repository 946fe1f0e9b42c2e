/* tools/story.c and explain.c: stories as an administrator reads them to a caller. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"
#include "tools/explain.h"

#define END	"Z found=1 bytes=100 since=1795200000\n"
#define NOON	1795262400	/* Saturday 21 November 2026, 12:00 UTC */

/* "Your mail says: 550 5.7.1 It is on a block list (see 7K2QF)." */
static const char refused[] =
    "D v=1 t=1795262409000 session=3FQ7K9M2 client=192.0.2.7 helo=mail.x.example listener=0.0.0.0:25 from=spam@x.example to=anna@a.example nrcpt=0 "
    "stage=rcpt waited=6000 outcome=refuse code=550 enhanced=5.7.1 ref=7K2QF filter=score score=12 text=\"It is on a block list (see 7K2QF)\"\n"
    "F filter=reverse mode=score stage=connect key=192.0.2.7 result=none points=2 why=\"no name\" ms=12\n"
    "F filter=dnsbl mode=score stage=connect key=192.0.2.7 value=127.0.0.2 result=listed points=10 why=\"bl.example lists it\" ms=1500 mark=counted\n"
    "F filter=dkim mode=observe stage=end result=fail asks=refuse ms=0\n"
    "E filters=3\n"
    "L t=1795262409001 p=smtpd session=3FQ7K9M2 event=refused client=192.0.2.7 command=\"RCPT TO:<anna@a.example>\" code=550 text=\"It is on a block list (see 7K2QF)\"\n"
    "S v=1 t=1795262410000 session=3FQ7K9M2 client=192.0.2.7 waited=26000 would-wait=3000 messages=0 end=quit\nE filters=0\n"
    "L t=1795262410001 p=smtpd session=3FQ7K9M2 event=session client=192.0.2.7 helo=mail.x.example listener=0.0.0.0:25 messages=0 reason=quit\n";

/* "Where is my mail?": it came, was tried, and came back. */
static const char bounced[] =
    "D v=1 t=1795262409000 session=S1 msg=M1 client=192.0.2.1 from=c@c.example to=d@d.example nrcpt=1 stage=end waited=0 outcome=pass score=2\n"
    "F filter=spf mode=score stage=mail key=c.example result=pass ms=3\nE filters=1\n"
    "L t=1795262409100 p=smtpd session=S1 event=message msg=M1 client=192.0.2.1 from=c@c.example to=d@d.example nrcpt=1 size=812 code=250 ms=9\n"
    "L t=1795262409200 p=smtpd session=S1 event=session client=192.0.2.1 helo=c.example listener=0.0.0.0:25 messages=1 reason=quit\n"
    "L t=1795262411000 p=queue msg=M1 event=deferred to=d@d.example hop=mx:d.example host=mx.d.example code=0 status=4.4.1 delay=2 attempt=1 reply=\"no answer\"\n"
    "L t=1795348811000 p=queue msg=M1 event=failed to=d@d.example hop=mx:d.example host=mx.d.example code=550 status=5.1.1 delay=86402 attempt=9 reply=\"5.1.1 nobody\"\n"
    "L t=1795348812000 p=queue msg=M2 event=bounce parent=M1 to=c@c.example rcpts=1\n"
    "L t=1795348813000 p=queue msg=M2 event=delivered to=c@c.example hop=mx:c.example host=mx.c.example code=250 status=2.0.0 delay=1 attempt=1 reply=ok\n";

/* A session without any filter: a wrong address. */
static const char unknown[] =
    "L t=1795262409000 p=smtpd session=S2 event=refused client=192.0.2.2 helo=b.example from=c@c.example command=\"RCPT TO:<nobody@a.example>\" code=550 enhanced=5.1.1 "
    "text=\"No such recipient here\"\n"
    "L t=1795262409001 p=smtpd session=S2 event=session client=192.0.2.2 helo=b.example listener=0.0.0.0:25 messages=0 reason=client-left\n";

/* A client that fell silent in the middle. */
static const char unfinished[] =
    "L t=1795262409000 p=smtpd session=S2 event=unfinished client=192.0.2.2 from=c@c.example to=d@d.example nrcpt=1 size=812 reason=data-timeout ms=9\n"
    "L t=1795262409001 p=smtpd session=S2 event=session client=192.0.2.2 helo=b.example listener=0.0.0.0:25 messages=0 reason=data-timeout\n";

/* Put off, and a stranger's attempt to write on the administrator's terminal. */
static const char put_off[] =
    "D v=1 t=1795262409000 session=S3 client=192.0.2.3 helo=\"\\x1b[2Jx\" from=<> to=anna@a.example nrcpt=0 stage=rcpt waited=0 outcome=defer code=450 "
    "enhanced=4.7.1 ref=ABCDE filter=greylist score=4 text=\"Come again in 300 seconds (see ABCDE)\"\n"
    "F filter=greylist mode=enforce stage=rcpt key=192.0.2.0/24 result=new asks=defer why=\"seen for the first time\" mark=counted ms=1\nE filters=1\n";

/* logger heard of the delivery first. */
static const char late[] =
    "L t=1795262409000 p=queue msg=M1 event=delivered to=d@d.example host=- delay=0 attempt=1\n"
    "L t=1795262409000 p=smtpd session=A1 event=refused client=192.0.2.1 code=550 text=\"Nobody\"\n"
    "L t=1795262409000 p=smtpd session=A1 event=message msg=M1 client=192.0.2.1 from=c@c.example to=d@d.example size=1 code=250\n"
    "L t=1795262409000 p=smtpd session=A1 event=session client=192.0.2.1 helo=c.example listener=l messages=1 reason=quit\n";

static const char program[] =
    "L t=1795262409000 p=smtpd session=A1 event=message msg=M1 client=\"local uid 1000\" from=c@c.example to=d@d.example size=1 code=250\n"
    "L t=1795262409000 p=smtpd session=A1 event=session client=\"local uid 1000\" helo=a.example listener=control messages=1 reason=quit\n";

/* A message that two sessions are about: one story. Another session: a story of its own. */
static const char two[] =
    "L t=1795262409000 p=smtpd session=A1 event=message msg=M1 client=192.0.2.1 from=c@c.example to=d@d.example size=1 code=250\n"
    "L t=1795262409001 p=smtpd session=B1 event=refused client=192.0.2.2 code=421 text=\"Too many\"\n"
    "L t=1795262409002 p=queue msg=M1 event=delivered to=d@d.example host=- delay=1 attempt=1\n";

static const struct {
	const char	*lines, *end;
	int		 rc;
	const char	*has[10], *lacks[4];
} stories[] = {
	{ refused, END, 0, {
	    "Session 3FQ7K9M2: the client 192.0.2.7 came to 0.0.0.0:25 and called itself mail.x.example.\n",
	    "  Saturday, 21 November 2026\n  12:00:09  Mail from spam@x.example to anna@a.example was refused. The client was told:\n",
	    "              550 5.7.1 It is on a block list (see 7K2QF)\n",
	    "The points of all checks together decided: 12.\n",
	    "The client had been kept waiting for 6.0 s until then.\n",
	    "              reverse        none         +2  192.0.2.7: no name, 0.012 s\n",
	    "            * dnsbl          listed      +10  192.0.2.7: bl.example lists it [127.0.0.2], 1.5 s\n",
	    "dkim           fail              (only observed; it would refuse)\n",
	    "12:00:10  The session ended: the client took its leave; 0 messages were taken; it was kept waiting for 26s in all; filters that only observe would have kept it waiting for another 3.0 s.\n" },
	    { "RCPT TO" } },
	{ bounced, END, 0, {
	    "Mail from c@c.example to d@d.example passed all checks, with 2 points.\n",
	    "Message M1 from c@c.example to d@d.example was taken: 812 bytes.\n",
	    "Message M1 could not be delivered yet to d@d.example by mx.d.example, 2s after it had come:\n              no answer\n",
	    "  Sunday, 22 November 2026\n  12:00:11  Message M1 could not be delivered to d@d.example by mx.d.example, 1d after it had come, attempt 9:\n",
	    "Of message M1 a report (bounce) went by mail to c@c.example: message M2.\n",
	    "Message M2 was delivered to c@c.example by mx.c.example, 1s after it had come:\n              ok\n" }, { NULL } },
	{ unknown, END, 0, {
	    "Session S2: the client 192.0.2.2 came to 0.0.0.0:25 and called itself b.example.\n",
	    "The client, with mail from c@c.example, said RCPT TO:<nobody@a.example> and was told:\n              550 5.1.1 No such recipient here\n",
	    "the client closed the connection; 0 messages were taken.\n" }, { NULL } },
	{ unfinished, END, 0, {
	    "  12:00:09  Mail from c@c.example to d@d.example was not finished: 812 bytes of it had come.\n",
	    "The session ended: the rest of the message did not come; 0 messages were taken.\n" }, { NULL } },
	{ put_off, END, 0, {
	    "the client 192.0.2.3 called itself \\x1b[2Jx.\n",
	    "Mail from the null sender (a report or bounce) to anna@a.example was put off: it may come again later. The client was told:\n",
	    "What decided: greylist found \"new\" for 192.0.2.0/24: seen for the first time.\n",
	    "            * greylist       new              192.0.2.0/24: seen for the first time, 0.001 s\n" }, { "\x1b", "kept waiting" } },
	{ two, END, 0, { "was taken: 1 bytes.\n  12:00:09  Message M1 was delivered to d@d.example, 1s after it had come\n\nSession B1: the client 192.0.2.2",
	    "The client was told:\n              421 Too many\n" }, { NULL } },
	{ late, END, 0, { "Session A1: the client 192.0.2.1 came to l and called itself c.example.\n  Saturday, 21 November 2026\n"
	    "  12:00:09  The client was told:\n              550 Nobody\n  12:00:09  Message M1 from c@c.example to d@d.example was taken: "
	    "1 bytes.\n  12:00:09  Message M1 was delivered to d@d.example, 0s after it had come\n  12:00:09  The session ended" }, { NULL } },
	{ program, END, 0, { "Session A1: a program of uid 1000 on this machine.\n" }, { "control" } },
	{ "", END, 0, { "Nothing is known of it. The journal begins on Friday, 20 November 2026 18:40.\n" }, { NULL } },
	{ "", "Z found=0 bytes=0 since=0\n", 0, { "Nothing is known of it: the journal is empty.\n" }, { NULL } },
	{ unknown, "Z found=40 bytes=1 since=1 more=1\n", 0, { "There was more; these are the newest." }, { NULL } },
	{ unknown, "", -1, { "No such recipient here" }, { NULL } },
	{ "E\nF filter=x\nF\nD\nX y=z\nL t=1\n", END, 0, { "" }, { NULL } },
};

static char *
tell(const char *lines, const char *end, int (*print)(FILE *, FILE *), int *rc)
{
	char *in = NULL, *out = NULL;
	size_t len = 0, len_out = 0;
	FILE *from = open_memstream(&in, &len), *to = open_memstream(&out, &len_out);

	fprintf(from, "%s%s", lines, end);
	fclose(from);
	from = fmemopen(in, len, "r");
	*rc = print(from, to);
	fclose(from);
	fclose(to);
	free(in);
	return out;
}

START_TEST(told)
{
	int rc;
	char *text = tell(stories[_i].lines, stories[_i].end, explain_print, &rc);

	ck_assert_int_eq(rc, stories[_i].rc);
	for (unsigned k = 0; k < 10 && stories[_i].has[k] != NULL; k++)
		ck_assert_msg(strstr(text, stories[_i].has[k]) != NULL, "not there: %s\nin: %.3000s", stories[_i].has[k], text);
	for (unsigned k = 0; k < 4 && stories[_i].lacks[k] != NULL; k++)
		ck_assert_msg(strstr(text, stories[_i].lacks[k]) == NULL, "there: %s\nin: %.3000s", stories[_i].lacks[k], text);
	free(text);
}
END_TEST

START_TEST(json)
{
	int rc;
	char *text = tell(refused, END, explain_print_json, &rc);

	ck_assert_int_eq(rc, 0);
	ck_assert_ptr_ne(strstr(text, "\"kind\":\"decision\""), NULL);
	ck_assert_ptr_ne(strstr(text, "\"ref\":\"7K2QF\""), NULL);
	ck_assert_ptr_ne(strstr(text, "\"score\":12"), NULL);
	ck_assert_ptr_ne(strstr(text, "\"points\":10"), NULL);
	ck_assert_ptr_ne(strstr(text, "\"kind\":\"log\""), NULL);
	ck_assert_ptr_ne(strstr(text, "\"waited\":26000"), NULL);
	free(text);
}
END_TEST

static const struct { const char *text; int64_t since; } times[] = {
	{ "2h", NOON - 7200 }, { "3d", NOON - 3 * 86400 }, { "90s", NOON - 90 }, { "2026-11-20", NOON - 36 * 3600 },
	{ "2026-11-20 14:30", NOON - 21 * 3600 - 1800 }, { "2026-11-20T14:30", NOON - 21 * 3600 - 1800 }, { "08:15", NOON - 4 * 3600 + 900 },
	{ "", -1 }, { "yesterday", -1 }, { "-3h", -1 }, { "2026-13-01", -1 }, { "2026-11-20x", -1 }, { "3 days", -1 },
};

START_TEST(since)
{
	int64_t at = -1;

	ck_assert_int_eq(explain_since(times[_i].text, NOON, &at), times[_i].since == -1 ? -1 : 0);
	ck_assert_int_eq(at, times[_i].since);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("explain");

	setenv("TZ", "UTC", 1);
	tcase_add_loop_test(t, told, 0, (int)(sizeof(stories) / sizeof(stories[0])));
	tcase_add_test(t, json);
	tcase_add_loop_test(t, since, 0, (int)(sizeof(times) / sizeof(times[0])));
	return run_case("explain", t);
}
