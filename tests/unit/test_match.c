/* logger/match.c: which lines of the journal belong to what somebody asks about. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "logger/match.h"
#include "tests/unit/run.h"

/* A day in a journal. S1 brought M1, which went; S2 was refused; S3 brought M2 and M3, of which M2 bounced as M4. */
static const char *const day[] = {
	"session=S1 client=192.0.2.1 from=anna@a.example to=bob@b.example msg=M1 outcome=pass",		/* 0 */
	"session=S1 event=message msg=M1 client=192.0.2.1 from=anna@a.example to=bob@b.example,eve@b.example",
	"session=S2 client=2001:db8::7 from=spam@x.example to=bob@b.example outcome=refuse ref=7K2QF",
	"session=S2 event=refused client=2001:db8::7 command=\"RCPT TO:<nobody@b.example>\" code=550",
	"session=S1 event=session client=192.0.2.1",							/* 4 */
	"msg=M1 event=delivered to=bob@b.example",
	"session=S3 event=message msg=M2 client=192.0.2.3 from=carl@c.example to=dora@d.example message-id=q1@c.example",
	"session=S3 event=message msg=M3 client=192.0.2.3 from=carl@c.example to=emil@e.example",
	"session=S2 event=session client=2001:db8::7",							/* 8 */
	"msg=M2 event=failed to=dora@d.example",
	"msg=M4 event=bounce parent=M2 to=carl@c.example",
	"msg=M4 event=delivered to=carl@c.example",
	"session=S3 event=session client=192.0.2.3",							/* 12 */
	"msg=M3 event=delivered to=emil@e.example",
	"session=S4 event=message msg=- client=192.0.2.11 from=xanna@a.example to=bob@bb.example",
	"session=S5 client=192.0.2.12 from=f@f.example to=g@g.example outcome=refuse ref=01AB1",
};
#define LINES ((int)(sizeof(day) / sizeof(day[0])))

static const struct { const char *what, *lines; } questions[] = {
	{ "7K2QF", "2 3 8" },			/* the code that a caller reads out */
	{ "7k2qf", "2 3 8" },
	{ "o1abl", "15" },			/* read out as "oh, one, …": 01AB1 */
	{ "1AB1", "" },
	{ "S1", "0 1 4 5" },
	{ "s1", "0 1 4 5" },
	{ "M1", "0 1 4 5" },
	{ "M2", "6 9 10 11 12" },		/* with its session and its bounce, without the other message */
	{ "M4", "6 9 10 11 12" },		/* a bounce leads to what bounced */
	{ "S3", "6 7 9 10 11 12 13" },
	{ "192.0.2.1", "0 1 4 5" },		/* not .11 */
	{ "2001:DB8:0::7", "2 3 8" },
	{ "anna@a.example", "0 1 4 5" },	/* not xanna@ */
	{ "ANNA@A.Example", "0 1 4 5" },
	{ "<anna@a.example>", "0 1 4 5" },
	{ "eve@b.example", "0 1 4 5" },		/* the second of a list */
	{ "nobody@b.example", "2 3 8" },	/* of the command alone */
	{ "emil@e.example", "7 12 13" },
	{ "<q1@c.example>", "6 7 9 10 11 12 13" },	/* a Message-ID: all of the session */
	{ "@b.example", "0 1 2 3 4 5 8" },	/* not bb.example */
	{ "xanna@a.example", "14" },
	{ "192.0.2.99", "" },
	{ "ZZZZZ", "" },
};

static void
cut(struct pairs *ps, char line[400], int i)
{
	snprintf(line, 400, "%s", day[i]);
	pairs_cut(ps, line);
}

START_TEST(stories)
{
	char line[400], found[200] = "";
	const char *why = "";
	struct match *m = match_new(questions[_i].what, &why);
	struct pairs ps;
	bool more = true;

	ck_assert_msg(m != NULL, "%s", why);
	for (int i = 0; i < LINES; i++) {
		cut(&ps, line, i);
		match_find(m, &ps);
	}
	while (more) {
		more = false;
		for (int i = 0; i < LINES; i++) {
			cut(&ps, line, i);
			more |= match_link(m, &ps);
		}
	}
	for (int i = 0; i < LINES; i++) {
		cut(&ps, line, i);
		if (match_wants(m, &ps))
			snprintf(found + strlen(found), 16, "%s%d", found[0] != '\0' ? " " : "", i);
	}
	ck_assert_str_eq(found, questions[_i].lines);
	ck_assert(!match_left_out(m));
	match_free(m);
}
END_TEST

static const char *const wrong[] = { "", "two words", "U", "anna.b", "@", "192.0.2", "1234567890ABCDEF", "7K2*F" };

START_TEST(refused)
{
	const char *why = "";

	ck_assert_ptr_eq(match_new(wrong[_i], &why), NULL);
	ck_assert_ptr_ne(strstr(why, "expected"), NULL);
}
END_TEST

/* A client that came ten thousand times: the last of it, and a word that there was more. */
START_TEST(bounded)
{
	const char *why = "";
	struct match *m = match_new("192.0.2.1", &why);
	struct pairs ps;
	char line[100];

	for (int i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line), "session=A%d client=192.0.2.1", i);
		pairs_cut(&ps, line);
		match_find(m, &ps);
	}
	ck_assert_uint_eq(match_count(m), MATCH_STORIES_MAX);
	ck_assert(match_left_out(m));
	ck_assert(!match_wants(m, &(struct pairs){ .n = 1, .list = { { (char []){ "session" }, (char []){ "A0" } } } }));
	ck_assert(match_wants(m, &(struct pairs){ .n = 1, .list = { { (char []){ "session" }, (char []){ "A9999" } } } }));
	for (int i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line), "session=A9999 msg=M%d", i);
		pairs_cut(&ps, line);
		match_link(m, &ps);
	}
	ck_assert_uint_eq(match_count(m), MATCH_LINKED_MAX);
	match_free(m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("match");

	tcase_add_loop_test(t, stories, 0, (int)(sizeof(questions) / sizeof(questions[0])));
	tcase_add_loop_test(t, refused, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
	tcase_add_test(t, bounded);
	return run_case("match", t);
}
