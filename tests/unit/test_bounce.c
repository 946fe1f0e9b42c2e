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
#include "tests/unit/run.h"

static const char original[] = "From: Ann <ann@example.org>\r\nSubject: hello\r\n there\r\nTo: bob@example.net\r\n";

static struct bounce_rcpt
failed(const char *text)
{
	return (struct bounce_rcpt){ .address = "bob@example.net", .enhanced = "5.1.1",
	    .host = "mx.example.net [192.0.2.7]:25", .code = 550, .text = text };
}

static char *
write_it(const struct bounce *b, uint32_t *flags_r)
{
	size_t len;
	char *text = bounce_write(b, &len, flags_r);

	text = realloc(text, len + 1);
	text[len] = '\0';
	ck_assert_uint_eq(strlen(text), len);
	return text;
}

static struct bounce
about(const struct bounce_rcpt *r, size_t n, const char *sender, const char *header)
{
	return (struct bounce){ .hostname = "mail.example.org", .id = "B1", .original_id = "7K2QF", .session = "S9",
	    .sender = sender, .now = 1800000000, .arrived = 1799990000, .until = 1800400000, .boundary = 0x1234,
	    .content = header, .header_len = strlen(header), .content_len = strlen(header), .rcpts = r, .n_rcpts = n };
}

static char *
write_one(const struct bounce_rcpt *r, size_t n, const char *sender, const char *header, uint32_t *flags_r)
{
	struct bounce b = about(r, n, sender, header);

	return write_it(&b, flags_r);
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
	check_has(text, "\r\nContent-Type: message/delivery-status\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	    "Reporting-MTA: dns; mail.example.org\r\n");
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
	ck_assert_uint_eq(flags, ENVELOPE_8BIT | ENVELOPE_UTF8 | ENVELOPE_HEADER_8BIT);
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

START_TEST(a_delay)
{
	struct bounce_rcpt r = failed("4.2.0 later");
	struct bounce b = about(&r, 1, "ann@example.org", original);
	uint32_t flags;
	char *text;

	r.action = b.action = BOUNCE_DELAYED;
	r.enhanced = "4.2.0";
	r.code = 450;
	b.envid = "QQ 1";
	b.full = true;				/* is for failures only: RFC 3461, 4.3 */
	text = write_it(&b, &flags);
	check_form(text);
	check_has(text, "Subject: Delayed mail: still being tried\r\n");
	check_has(text, "has not been delivered yet to:\r\n\r\n  <bob@example.net>\r\n");
	check_has(text, "need not send it once more");
	check_has(text, "\r\n\r\nOriginal-Envelope-Id: QQ 1\r\nReporting-MTA:");
	check_has(text, "Action: delayed\r\nStatus: 4.2.0\r\nRemote-MTA: dns; mx.example.net\r\nWill-Retry-Until: Tue, 19 Jan 2027");
	check_has(text, "text/rfc822-headers");
	free(text);
}
END_TEST

START_TEST(success)
{
	struct bounce_rcpt r[3] = { failed("2.0.0 ok"), failed("2.0.0 ok"), failed("") };
	struct bounce b = about(r, 3, "ann@example.org", original);
	uint32_t flags;
	char *text;

	b.action = BOUNCE_DELIVERED;
	r[0].action = BOUNCE_DELIVERED;
	r[1].action = BOUNCE_RELAYED;
	r[1].code = 250;
	r[2].action = BOUNCE_EXPANDED;
	r[0].host = r[2].host = "";
	r[0].enhanced = r[1].enhanced = r[2].enhanced = "2.0.0";
	r[0].orcpt = "rfc822;Bob.Old@example.org";
	text = write_it(&b, &flags);
	check_form(text);
	check_has(text, "Subject: Mail delivered\r\n");
	check_has(text, "  <bob@example.net> (you wrote to Bob.Old@example.org)\r\n    It is in the mailbox.\r\n");
	check_has(text, "a server that does not report what becomes of it:\r\n    mx.example.net [192.0.2.7]:25 answered:\r\n    250 2.0.0 ok\r\n");
	check_has(text, "\r\n\r\nOriginal-Recipient: rfc822; Bob.Old@example.org\r\nFinal-Recipient: rfc822; bob@example.net\r\n"
	    "Action: delivered\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: relayed\r\n");
	check_has(text, "Action: expanded\r\n");
	free(text);
}
END_TEST

static const struct {
	const char	*what, *content;
	bool		 whole, eight_bit;
} returned[] = {
	{ "plain", "Subject: x\r\n\r\n--=_0\r\n.dot\r\nend\r\n", true, false },
	{ "eight bit", "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n", true, true },
	{ "no end of line", "Subject: x\r\n\r\nend", false, false },
	{ "a bare CR", "Subject: x\r\n\r\na\rb\r\n", false, false },
	{ "a bare LF", "Subject: x\n\nab\n", false, false },
};

START_TEST(whole_messages)
{
	struct bounce_rcpt r = failed("no");
	struct bounce b = about(&r, 1, "ann@example.org", returned[_i].content);
	uint32_t flags;
	char *text;

	b.full = true;
	b.header_len = strcspn(b.content, "\r\n") + 2;
	text = write_it(&b, &flags);
	ck_assert_int_eq(strstr(text, "Content-Type: message/rfc822\r\n") != NULL, returned[_i].whole);
	ck_assert_int_eq(strstr(text, "text/rfc822-headers") != NULL, !returned[_i].whole);
	ck_assert_int_eq((flags & ENVELOPE_8BIT) != 0, returned[_i].eight_bit);
	ck_assert_int_eq(strstr(text, "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n") != NULL, returned[_i].eight_bit);
	if (returned[_i].whole) {
		check_has(text, returned[_i].content);
		check_has(text, "All of your message is attached");
	}
	free(text);
}
END_TEST

START_TEST(long_lines_are_not_returned)
{
	struct bounce_rcpt r = failed("no");
	char content[2000] = "Subject: x\r\n\r\n";
	struct bounce b;
	uint32_t flags;
	char *text;

	memset(content + 14, 'x', 1200);
	memcpy(content + 1214, "\r\n", 3);
	b = about(&r, 1, "ann@example.org", content);
	b.full = true;
	b.header_len = 12;
	text = write_it(&b, &flags);
	check_form(text);
	ck_assert_ptr_null(strstr(text, "message/rfc822"));
	free(text);
}
END_TEST

START_TEST(about_internationalised_mail)
{
	struct bounce_rcpt r = failed("5.1.1 n\xc3\xb6");
	struct bounce b = about(&r, 1, "ann@example.org", "Subject: gr\xc3\xbc\xc3\x9f\r\n");
	uint32_t flags;
	char *text;

	b.utf8 = true;
	r.address = "j\xc3\xb6rg@example.net";
	r.orcpt = "utf-8;j\xc3\xbcrg@example.net";
	text = write_it(&b, &flags);
	check_form(text);
	ck_assert_uint_eq(flags, 0);
	check_has(text, "report-type=global-delivery-status");
	check_has(text, "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: quoted-printable\r\n");
	check_has(text, "Original-Recipient: utf-8; j=C3=BCrg@example.net\r\nFinal-Recipient: utf-8; j=C3=B6rg@example.net\r\n");
	check_has(text, "  5.1.1 n=C3=B6\r\n");
	check_has(text, "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n");
	free(text);
	b.utf8 = false;				/* an old report about it stays 7 bit */
	text = write_it(&b, &flags);
	check_has(text, "Original-Recipient: utf-8; j\\x{FC}rg@example.net\r\nFinal-Recipient: utf-8; j\\x{F6}rg@example.net\r\n");
	free(text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("bounce");

	tcase_add_test(t, says_what_happened);
	tcase_add_loop_test(t, strangers_replies_are_harmless, 0, sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(t, sizes_are_bounded);
	tcase_add_test(t, many_recipients);
	tcase_add_test(t, headers_of_strangers);
	tcase_add_test(t, internationalised);
	tcase_add_test(t, expired_says_so);
	tcase_add_test(t, a_delay);
	tcase_add_test(t, success);
	tcase_add_loop_test(t, whole_messages, 0, sizeof(returned) / sizeof(returned[0]));
	tcase_add_test(t, long_lines_are_not_returned);
	tcase_add_test(t, about_internationalised_mail);
	return run_case("bounce", t);
}
