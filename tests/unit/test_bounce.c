/*
 * Bounces: what a person and a program read in them, and that no reply of a stranger's server and no header of a
 * stranger's message breaks their form.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/envelope.h"
#include "lib/header.h"
#include "queue/bounce.h"

static const char original[] = "From: Ann <ann@example.org>\r\nSubject: hello\r\n there\r\nTo: bob@example.net\r\n";

static struct bounce_rcpt
failed(const char *text)
{
	return (struct bounce_rcpt){ .address = "bob@example.net", .enhanced = "5.1.1",
	    .host = "mx.example.net [192.0.2.7]:25", .code = 550, .text = text };
}

static char *
write_one(const struct bounce_rcpt *r, size_t n, const char *sender, const char *header, uint32_t *flags_r)
{
	struct bounce b = { .hostname = "mail.example.org", .id = "B1", .original_id = "7K2QF", .session = "S9",
	    .sender = sender, .now = 1800000000, .arrived = 1799990000, .boundary = 0x1234, .header = header,
	    .header_len = strlen(header), .rcpts = r, .n_rcpts = n };
	size_t len;
	char *text = bounce_write(&b, &len, flags_r);

	text = realloc(text, len + 1);
	text[len] = '\0';
	ck_assert_uint_eq(strlen(text), len);
	return text;
}

/* What must be true of every message that we make. */
static void
check_form(const char *text)
{
	const char *eol;
	size_t parts = 0;

	for (; *text != '\0'; text = eol + 2) {
		eol = strstr(text, "\r\n");
		ck_assert_ptr_nonnull(eol);
		ck_assert_int_le(eol - text, 998);
		for (const char *c = text; c < eol; c++)
			ck_assert((unsigned char)*c >= 0x20 || *c == '\t');
		parts += strncmp(text, "--=_0000000000001234", 20) == 0;
	}
	ck_assert_uint_eq(parts, 4);
}

static void
check_has(const char *text, const char *what)
{
	ck_assert_msg(strstr(text, what) != NULL, "missing: %s\nin:\n%s", what, text);
}

START_TEST(says_what_happened)
{
	struct bounce_rcpt r = failed("5.1.1 No such user here.\n5.1.1 Try elsewhere.");
	uint32_t flags;
	char *text = write_one(&r, 1, "ann@example.org", original, &flags), *value;

	check_form(text);
	ck_assert_uint_eq(flags, 0);
	value = header_value(text, strlen(text), "Auto-Submitted");
	ck_assert_str_eq(value, "auto-replied");
	free(value);
	value = header_value(text, strlen(text), "To");
	ck_assert_str_eq(value, "<ann@example.org>");
	free(value);
	value = header_value(text, strlen(text), "Content-Type");
	check_has(value, "multipart/report");
	check_has(value, "report-type=delivery-status");
	free(value);
	check_has(text, "  <bob@example.net>\r\n    mx.example.net [192.0.2.7]:25 answered:\r\n"
	    "    550 5.1.1 No such user here.\r\n    550 5.1.1 Try elsewhere.\r\n");
	check_has(text, "\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example.org\r\n");
	check_has(text, "\r\n\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550\r\n  5.1.1 No such user here.\r\n"
	    "  5.1.1 Try elsewhere.\r\n");
	check_has(text, "Content-Type: text/rfc822-headers; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	    "From: Ann <ann@example.org>\r\nSubject: hello\r\n there\r\n");
	check_has(text, "\r\n--=_0000000000001234--\r\n");
	free(text);
}
END_TEST

static const struct {
	const char	*what, *reply, *must;
} hostile[] = {
	{ "header injected", "no\r\nBcc: x@example.com\r\n\r\nbody", "  no?\r\n  Bcc: x@example.com?\r\n  body\r\n" },
	{ "blank lines", "\n\n \n\t\nyes\n\n", "\r\n  yes\r\n" },
	{ "nothing", "", "(no reason given)" },
	{ "controls", "a\x01\x1b[2Jb\x7f", "  a??[2Jb?\r\n" },
	{ "boundary", "--=_0000000000001234\nx", "  --=_0000000000001234\r\n" },
	{ "dots", ".\n..", "  .\r\n  ..\r\n" },
	{ "eight bit in a status", "gr\xc3\xbc\xc3\x9f", "  gr????\r\n" },
	{ "eight bit for people", "gr\xc3\xbc\xc3\x9f", "550 gr=C3=BC=C3=9F\r\n" },
};

START_TEST(strangers_replies_are_harmless)
{
	struct bounce_rcpt r = failed(hostile[_i].reply);
	uint32_t flags;
	char *text = write_one(&r, 1, "ann@example.org", original, &flags);

	check_form(text);
	check_has(text, hostile[_i].must);
	ck_assert_uint_eq(flags & (ENVELOPE_8BIT | ENVELOPE_UTF8), 0);
	ck_assert_ptr_null(strstr(text, "\r\nBcc:"));
	free(text);
}
END_TEST

START_TEST(sizes_are_bounded)
{
	size_t n = 1024 * 1024;
	char *reply = malloc(n + 1), *text;
	struct bounce_rcpt r;
	uint32_t flags;

	for (size_t i = 0; i < n; i++)
		reply[i] = i % 3000 == 2999 ? '\n' : 'x';
	reply[n] = '\0';
	r = failed(reply);
	text = write_one(&r, 1, "ann@example.org", original, &flags);
	check_form(text);
	check_has(text, "(and more)");
	ck_assert_uint_lt(strlen(text), 2 * BOUNCE_REPLY_LINES * 1024);
	free(text);
	free(reply);
}
END_TEST

START_TEST(many_recipients)
{
	struct bounce_rcpt r[BOUNCE_RCPTS_MAX + 5];
	uint32_t flags;
	char *text;

	for (size_t i = 0; i < BOUNCE_RCPTS_MAX + 5; i++)
		r[i] = failed("no");
	text = write_one(r, BOUNCE_RCPTS_MAX + 5, "ann@example.org", original, &flags);
	check_form(text);
	check_has(text, "and 5 more recipients");
	free(text);
}
END_TEST

START_TEST(headers_of_strangers)
{
	struct bounce_rcpt r = failed("no");
	uint32_t flags;
	char *text;

	text = write_one(&r, 1, "ann@example.org", "Subject: gr\xc3\xbc\xc3\x9f =\x01\r\nX: trail \r\n", &flags);
	check_form(text);
	ck_assert_uint_eq(flags & ENVELOPE_8BIT, 0);
	check_has(text, "Subject: gr=C3=BC=C3=9F =3D?\r\nX: trail=20\r\n");
	free(text);
	text = write_one(&r, 1, "ann@example.org", "no end of line", &flags);
	check_form(text);
	free(text);
	text = write_one(&r, 1, "ann@example.org", "", &flags);
	check_form(text);
	free(text);
}
END_TEST

START_TEST(internationalised)
{
	struct bounce_rcpt r = failed("no");
	uint32_t flags;
	char *text;

	r.address = "j\xc3\xb6rg@example.net";
	text = write_one(&r, 1, "ann@example.org", original, &flags);
	check_form(text);
	ck_assert_uint_eq(flags, 0);
	check_has(text, "Final-Recipient: utf-8; j\\x{F6}rg@example.net\r\n");
	check_has(text, "<j=C3=B6rg@example.net>");
	free(text);
	text = write_one(&r, 1, "\xc3\xa4@example.org", original, &flags);
	ck_assert_uint_eq(flags, ENVELOPE_8BIT | ENVELOPE_UTF8);
	free(text);
}
END_TEST

START_TEST(expired_says_so)
{
	struct bounce_rcpt r = { .address = "bob@example.net", .enhanced = "4.4.7", .host = "", .text = "timed out",
	    .expired = true };
	uint32_t flags;
	char *text = write_one(&r, 1, "ann@example.org", original, &flags);

	check_form(text);
	check_has(text, "the time for that is over");
	check_has(text, "Status: 4.4.7\r\nDiagnostic-Code: x-minimta;\r\n  timed out\r\n");
	free(text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("bounce");
	Suite *suite = suite_create("bounce");
	SRunner *r;
	int failures;

	tcase_add_test(t, says_what_happened);
	tcase_add_loop_test(t, strangers_replies_are_harmless, 0, sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(t, sizes_are_bounded);
	tcase_add_test(t, many_recipients);
	tcase_add_test(t, headers_of_strangers);
	tcase_add_test(t, internationalised);
	tcase_add_test(t, expired_says_so);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures > 0;
}
