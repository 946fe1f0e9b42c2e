/*
 * The dialog of a callback: what is said after which replies, and what they mean. Each row is a whole dialog.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "lib/reply.h"
#include "mx/probe_steps.h"
#include "tests/unit/run.h"

#define ROWS(a)	(int)(sizeof(a) / sizeof((a)[0]))

static const struct row {
	const char	*replies[8];		/* in turn; CRLF is added */
	const char	*said;			/* verbs */
	enum probe_result result;
	int		 code;
	bool		 next_host;
	const char	*text;
} rows[] = {
	{ { "220 x", "250 x", "250 ok", "550 5.1.1 no", "250 2.1.5 yes" }, "EHLO MAIL NOBODY RCPT", PROBE_GOOD, 250, false,
	    "RCPT: 250 2.1.5 yes" },
	{ { "220 x", "250 x", "250 ok", "550 5.1.1 no", "550 5.1.1 no such user" }, "EHLO MAIL NOBODY RCPT", PROBE_BAD, 550, false,
	    "RCPT: 550 5.1.1 no such user" },
	{ { "220 x", "250 x", "250 ok", "550 no", "553 no" }, "EHLO MAIL NOBODY RCPT", PROBE_BAD, 553, false, "RCPT: 553 no" },
	{ { "220 x", "250 x", "250 ok", "250 all welcome" }, "EHLO MAIL NOBODY", PROBE_ALL, 250, false,
	    "RCPT of nobody: 250 all welcome" },
	{ { "220 x", "250 x", "250 ok", "450 later", "250 yes" }, "EHLO MAIL NOBODY RCPT", PROBE_GOOD, 250, false, "RCPT: 250 yes" },
	{ { "220 x", "250 x", "250 ok", "451 4.7.1 greylisted", "451 4.7.1 greylisted" }, "EHLO MAIL NOBODY RCPT", PROBE_UNKNOWN,
	    451, false, "RCPT: 451 4.7.1 greylisted" },
	/* It dislikes us, not the address. */
	{ { "220 x", "250 x", "250 ok", "550 5.7.1 listed", "550 5.7.1 your address is listed" }, "EHLO MAIL NOBODY RCPT",
	    PROBE_UNKNOWN, 550, false, "RCPT: 550 5.7.1 your address is listed" },
	/* No word about the address: unknown, whatever the code. */
	{ { "220 x", "250 x", "550 5.1.8 no null sender here" }, "EHLO MAIL", PROBE_UNKNOWN, 550, false,
	    "MAIL: 550 5.1.8 no null sender here" },
	{ { "220 x", "250 x", "250 ok", "354 go" , "354 go" }, "EHLO MAIL NOBODY RCPT", PROBE_UNKNOWN, 354, false, "RCPT: 354 go" },
	{ { "220 x", "250 x", "250 ok", "421 bye" }, "EHLO MAIL NOBODY", PROBE_UNKNOWN, 421, false, "RCPT of nobody: 421 bye" },
	{ { "220 x", "250 x", "250 ok", "550 no", "421 bye" }, "EHLO MAIL NOBODY RCPT", PROBE_UNKNOWN, 421, false, "RCPT: 421 bye" },
	/* No word about mail: another host may have one. */
	{ { "554 no service" }, "", PROBE_UNKNOWN, 554, true, "greeting: 554 no service" },
	{ { "421 too busy" }, "", PROBE_UNKNOWN, 421, true, "greeting: 421 too busy" },
	{ { "250 early" }, "", PROBE_UNKNOWN, 250, true, "greeting: 250 early" },
	{ { "220 x", "451 later" }, "EHLO", PROBE_UNKNOWN, 451, true, "EHLO: 451 later" },
	{ { "220 x", "502 what", "500 what" }, "EHLO HELO", PROBE_UNKNOWN, 500, true, "HELO: 500 what" },
	{ { "220 x", "502 what", "250 hi", "250 ok", "550 no", "250 yes" }, "EHLO HELO MAIL NOBODY RCPT", PROBE_GOOD, 250, false,
	    "RCPT: 250 yes" },
};

static void
feed(struct reply *r, const char *text)
{
	char line[200];
	size_t used;
	int len = snprintf(line, sizeof(line), "%s\r\n", text);

	reply_init(r);
	ck_assert_int_eq(reply_feed(r, line, (size_t)len, &used), REPLY_DONE);
}

static void
note_verb(char *said, size_t size, const struct probe_steps *s, const char *line)
{
	char nobody[100];
	const char *verb = "?";

	snprintf(nobody, sizeof(nobody), "RCPT TO:<%s@example.org>\r\n", s->nobody);
	if (strcmp(line, "EHLO us.example\r\n") == 0)
		verb = "EHLO";
	else if (strcmp(line, "HELO us.example\r\n") == 0)
		verb = "HELO";
	else if (strcmp(line, "MAIL FROM:<>\r\n") == 0)
		verb = "MAIL";
	else if (strcmp(line, "RCPT TO:<anna@example.org>\r\n") == 0)
		verb = "RCPT";
	else if (strcmp(line, nobody) == 0)
		verb = "NOBODY";
	snprintf(said + strlen(said), size - strlen(said), "%s%s", said[0] != '\0' ? " " : "", verb);
}

START_TEST(dialogs)
{
	const struct row *row = &rows[_i];
	char line[PROBE_LINE_MAX], said[200] = "";
	struct probe_steps s;
	struct address a;
	struct reply r;
	size_t len = 1;

	ck_assert_int_eq(address_parse(&a, "anna@example.org", 0, NULL), ADDRESS_OK);
	probe_steps_init(&s, "us.example", &a, 0x1234567890);
	for (int i = 0; len > 0; i++) {
		ck_assert_msg(row->replies[i] != NULL, "a step more than expected: %s", said);
		ck_assert(s.step != PROBE_OVER);
		feed(&r, row->replies[i]);
		len = probe_steps_answer(&s, &r, line);
		reply_reset(&r);
		if (len > 0) {
			ck_assert_uint_eq(strlen(line), len);
			note_verb(said, sizeof(said), &s, line);
		} else
			ck_assert_msg(row->replies[i + 1] == NULL, "over before %s", row->replies[i + 1]);
	}
	ck_assert_int_eq(s.step, PROBE_OVER);
	ck_assert_str_eq(said, row->said);
	ck_assert_int_eq(s.result, row->result);
	ck_assert_int_eq(s.code, row->code);
	ck_assert_int_eq(s.next_host, row->next_host);
	ck_assert_str_eq(s.text, row->text);
}
END_TEST

START_TEST(not_ascii)
{
	char line[PROBE_LINE_MAX];
	struct probe_steps s;
	struct address a;
	struct reply r;

	ck_assert_int_eq(address_parse(&a, "j\xc3\xb6rg@example.org", ADDRESS_UTF8, NULL), ADDRESS_OK);
	for (int offered = 0; offered < 2; offered++) {
		probe_steps_init(&s, "us.example", &a, 1);
		feed(&r, "220 x");
		ck_assert_uint_gt(probe_steps_answer(&s, &r, line), 0);
		reply_reset(&r);
		feed(&r, offered ? "250-x\r\n250 smtputf8" : "250-x\r\n250 SMTPUTF88");
		if (offered) {
			ck_assert_uint_gt(probe_steps_answer(&s, &r, line), 0);
			ck_assert_str_eq(line, "MAIL FROM:<> SMTPUTF8\r\n");
		} else {
			ck_assert_uint_eq(probe_steps_answer(&s, &r, line), 0);
			ck_assert_int_eq(s.result, PROBE_UNKNOWN);
			ck_assert_int_eq(s.code, 0);
			ck_assert(!s.next_host);
		}
		reply_reset(&r);
	}
}
END_TEST

/* Nobody can have reserved it, and it is another one each time. */
START_TEST(nobody)
{
	struct probe_steps one, other;
	struct address a;

	ck_assert_int_eq(address_parse(&a, "anna@example.org", 0, NULL), ADDRESS_OK);
	probe_steps_init(&one, "us.example", &a, 0x1234567890);
	probe_steps_init(&other, "us.example", &a, 0x1234567891);
	ck_assert_str_ne(one.nobody, other.nobody);
	ck_assert_uint_eq(strspn(one.nobody, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(one.nobody));
}
END_TEST

/* The longest address there can be still makes a whole command. */
START_TEST(longest)
{
	char line[PROBE_LINE_MAX], text[ADDRESS_MAX] = "";
	struct probe_steps s;
	struct address a;
	struct reply r;
	static const char *const replies[] = { "220 x", "250 x", "250 ok", "550 no" };

	memset(text, 'a', 64);
	snprintf(text + 64, sizeof(text) - 64, "@%063d.%063d.%063d.%059dxx", 1, 2, 3, 4);
	ck_assert_int_eq(address_parse(&a, text, 0, NULL), ADDRESS_OK);
	probe_steps_init(&s, "us.example", &a, UINT64_MAX);
	for (int i = 0; i < ROWS(replies); i++) {
		feed(&r, replies[i]);
		ck_assert_uint_gt(probe_steps_answer(&s, &r, line), 0);
		reply_reset(&r);
		ck_assert_str_eq(line + strlen(line) - 2, "\r\n");
	}
	ck_assert_ptr_nonnull(strstr(line, text));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("probe_steps");

	tcase_add_loop_test(t, dialogs, 0, ROWS(rows));
	tcase_add_test(t, not_ascii);
	tcase_add_test(t, nobody);
	tcase_add_test(t, longest);
	return run_case("probe_steps", t);
}
