/* filters/decision.c: a record is read as it was written, whatever strangers put into it, and stays a record. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "filters/decision.h"
#include "tests/unit/run.h"

static const char hostile[] = "\"\r\nD v=1 ref=FORGE outcome=pass\nE filters=0\n\x1b[2J\\x0a =\xff";

static const struct filter spf = { .name = "spf" }, greylist = { .name = "greylist" };
static const struct chain_decision refusal = { .outcome = CHAIN_REFUSE, .code = 550, .enhanced = "5.7.1",
	.text = "It may not send for that domain (see 7K2QF)", .ref = "7K2QF", .score = 12, .filter = "spf" };
static const struct decision_head head = { 1795300000123, "3FQ7K9M2", "", "<q@example.net>", "192.0.2.7", "mail.example.net",
	"0.0.0.0:25", "spam@example.net", true, "anna@demo.example", 1, STAGE_RCPT, 6000 };

/* Cuts a record into lines as a reader does. */
static unsigned
cut(char *record, char letters[64], struct pairs lines[64])
{
	unsigned n = 0;

	for (char *p = record, *lf; n < 64 && (lf = strchr(p, '\n')) != NULL; p = lf + 1) {
		*lf = '\0';
		letters[n] = decision_line(p, &lines[n]);
		n++;
	}
	letters[n] = '\0';
	return n;
}

START_TEST(a_refusal)
{
	static char room[DECISION_MAX];
	struct filter_finding f = { .action = FILTER_REFUSE, .score = 6, .result = "fail", .key = "example.net",
		.value = "-all", .why = "192.0.2.7 is not among its hosts" };
	struct chain_entry e = { .filter = &spf, .mode = FILTER_ENFORCE, .stage = STAGE_MAIL, .finding = &f, .counted = true,
		.ms = 23 };
	struct pairs lines[64], *d = &lines[0], *l = &lines[1];
	struct decision_text text;
	char letters[65];
	size_t len;

	decision_begin(&text, room, sizeof(room), &head, &refusal);
	decision_add(&text, &e);
	e.filter = &greylist;
	e.counted = false;
	e.exempt = true;
	f = (struct filter_finding){ .result = "new" };
	decision_add(&text, &e);
	len = decision_end(&text);
	ck_assert_uint_eq(len, strlen(room));
	ck_assert(decision_is_sound(room, len));
	ck_assert_uint_eq(cut(room, letters, lines), 4);
	ck_assert_str_eq(letters, "DFFE");
	ck_assert_int_eq(pairs_number(d, "v"), DECISION_VERSION);
	ck_assert(pairs_number(d, "t") == 1795300000123);
	ck_assert_str_eq(pairs_get(d, "session"), "3FQ7K9M2");
	ck_assert(!pairs_has(d, "msg"));
	ck_assert_str_eq(pairs_get(d, "client"), "192.0.2.7");
	ck_assert_str_eq(pairs_get(d, "helo"), "mail.example.net");
	ck_assert_str_eq(pairs_get(d, "from"), "spam@example.net");
	ck_assert_str_eq(pairs_get(d, "to"), "anna@demo.example");
	ck_assert_str_eq(pairs_get(d, "message-id"), "<q@example.net>");
	ck_assert_str_eq(pairs_get(d, "stage"), "rcpt");
	ck_assert_str_eq(pairs_get(d, "outcome"), "refuse");
	ck_assert_int_eq(pairs_number(d, "code"), 550);
	ck_assert_str_eq(pairs_get(d, "ref"), "7K2QF");
	ck_assert_str_eq(pairs_get(d, "filter"), "spf");
	ck_assert_int_eq(pairs_number(d, "score"), 12);
	ck_assert_int_eq(pairs_number(d, "waited"), 6000);
	ck_assert_str_eq(pairs_get(d, "text"), refusal.text);
	ck_assert_str_eq(pairs_get(l, "filter"), "spf");
	ck_assert_str_eq(pairs_get(l, "mode"), "enforce");
	ck_assert_str_eq(pairs_get(l, "stage"), "mail");
	ck_assert_str_eq(pairs_get(l, "key"), "example.net");
	ck_assert_str_eq(pairs_get(l, "value"), "-all");
	ck_assert_str_eq(pairs_get(l, "result"), "fail");
	ck_assert_int_eq(pairs_number(l, "points"), 6);
	ck_assert_str_eq(pairs_get(l, "asks"), "refuse");
	ck_assert_str_eq(pairs_get(l, "why"), "192.0.2.7 is not among its hosts");
	ck_assert_int_eq(pairs_number(l, "ms"), 23);
	ck_assert_str_eq(pairs_get(l, "mark"), "counted");
	ck_assert_str_eq(pairs_get(l + 1, "mark"), "exempt");
	ck_assert(!pairs_has(l + 1, "asks"));
	ck_assert_int_eq(pairs_number(l + 2, "filters"), 2);
}
END_TEST

/* Whatever a stranger can choose: it stays a value. */
START_TEST(strangers)
{
	static char room[DECISION_MAX];
	struct decision_head h = head;
	struct chain_decision c = refusal;
	struct filter_finding f = { .result = "fail" };
	struct chain_entry e = { .filter = &spf, .finding = &f };
	struct pairs lines[64];
	struct decision_text text;
	char letters[65];

	h.helo = h.from = h.to = h.message_id = h.client = hostile;
	snprintf(c.text, sizeof(c.text), "%s", hostile);
	snprintf(f.key, sizeof(f.key), "%s", hostile);
	snprintf(f.value, sizeof(f.value), "%s", hostile);
	snprintf(f.why, sizeof(f.why), "%s", hostile);
	decision_begin(&text, room, sizeof(room), &h, &c);
	decision_add(&text, &e);
	ck_assert(decision_is_sound(room, decision_end(&text)));
	ck_assert_uint_eq(cut(room, letters, lines), 3);
	ck_assert_str_eq(letters, "DFE");
	ck_assert_str_eq(pairs_get(&lines[0], "helo"), hostile);
	ck_assert_str_eq(pairs_get(&lines[0], "message-id"), hostile);
	ck_assert_str_eq(pairs_get(&lines[0], "ref"), "7K2QF");
	ck_assert_str_eq(pairs_get(&lines[1], "value"), hostile);
}
END_TEST

START_TEST(a_session)
{
	static char room[DECISION_MAX];
	struct decision_session s = { 1795300000123, "3FQ7K9M2", "192.0.2.7", "", "0.0.0.0:25", 6000, 31000, 4000, 2, 1, "quit" };
	struct decision_text text;
	struct pairs lines[64];
	char letters[65];

	decision_begin_session(&text, room, sizeof(room), &s);
	ck_assert(decision_is_sound(room, decision_end(&text)));
	cut(room, letters, lines);
	ck_assert_str_eq(letters, "SE");
	ck_assert_int_eq(pairs_number(&lines[0], "waited"), 6000);
	ck_assert_int_eq(pairs_number(&lines[0], "would-wait"), 4000);
	ck_assert_int_eq(pairs_number(&lines[0], "messages"), 2);
	ck_assert_str_eq(pairs_get(&lines[0], "end"), "quit");
}
END_TEST

/* More findings than there is room for: whole lines only, and the last one says how many are missing. */
START_TEST(too_much)
{
	static char room[DECISION_MAX];
	struct filter_finding f = { .result = "fail" };
	struct chain_entry e = { .filter = &spf, .finding = &f };
	struct decision_text text;
	size_t len;

	memset(f.why, 0xff, sizeof(f.why) - 1);
	memset(f.value, 0xff, sizeof(f.value) - 1);
	decision_begin(&text, room, sizeof(room), &head, &refusal);
	for (int i = 0; i < 100; i++)
		decision_add(&text, &e);
	len = decision_end(&text);
	ck_assert_uint_le(len, sizeof(room));
	ck_assert(decision_is_sound(room, len));
	ck_assert_ptr_ne(strstr(room, "\nE filters=100 left_out="), NULL);
}
END_TEST

/* The null sender is not the same as none. */
START_TEST(null_sender)
{
	static char room[DECISION_MAX];
	struct decision_head h = head;
	struct decision_text text;

	h.from = "";
	decision_begin(&text, room, sizeof(room), &h, &refusal);
	ck_assert_ptr_ne(strstr(room, " from=<> "), NULL);
	h.mail = false;
	decision_begin(&text, room, sizeof(room), &h, &refusal);
	ck_assert_ptr_eq(strstr(room, "from="), NULL);
}
END_TEST

static const struct { const char *text; bool sound; } records[] = {
	{ "D v=1\nE filters=0\n", true },
	{ "S v=1\nF filter=a\nF filter=b\nE filters=2\n", true },
	{ "", false },
	{ "D v=1\n", false },
	{ "D v=1\nE filters=0", false },
	{ "E filters=0\n", false },
	{ "F filter=a\nE filters=1\n", false },
	{ "D v=1\nD v=1\nE filters=0\n", false },
	{ "D v=1\nE filters=0\nL t=1\n", false },
	{ "D v=1\nL t=1 p=queue\nE filters=0\n", false },
	{ "D v=1\nE filters=0\nE filters=0\n", false },
	{ "D v=\x1b\nE filters=0\n", false },
	{ "D v=1\r\nE filters=0\r\n", false },
	{ "Dv=1\nE filters=0\n", false },
};

START_TEST(soundness)
{
	ck_assert(decision_is_sound(records[_i].text, strlen(records[_i].text)) == records[_i].sound);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("decision");

	tcase_add_test(t, a_refusal);
	tcase_add_test(t, strangers);
	tcase_add_test(t, a_session);
	tcase_add_test(t, too_much);
	tcase_add_test(t, null_sender);
	tcase_add_loop_test(t, soundness, 0, (int)(sizeof(records) / sizeof(records[0])));
	return run_case("decision", t);
}
