/*
 * What programs write into sendmail, and the message that comes of it: lines, header, recipients; and full names.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tests/unit/run.h"
#include "tools/gecos.h"
#include "tools/letter.h"

#define FROM	"From: Anna <anna@host.example>\r\n"
#define DATE	"Date: Sat, 21 Nov 2026 19:11:34 +0000\r\n"
#define ID	"Message-ID: <1795288294.7B@host.example>\r\n"
#define ALL	FROM DATE ID

static const struct {
	const char	*in;
	bool		 dots;
	const char	*header, *body;
} letters[] = {
	{ "Subject: x\n\nhello\n", false, "Subject: x\r\n" ALL, "hello\r\n" },
	{ "Subject: x\r\n\r\nhello\r\n", false, "Subject: x\r\n" ALL, "hello\r\n" },
	{ "Subject: x\n\nno end", false, "Subject: x\r\n" ALL, "no end\r\n" },
	{ "", false, ALL, "" },
	{ "just text\nmore\n", false, ALL, "just text\r\nmore\r\n" },
	{ "\nbody: x\n", false, ALL, "body: x\r\n" },
	{ " body: x\n", false, ALL, " body: x\r\n" },
	{ "A: 1\nno field\nB: 2\n", false, "A: 1\r\n" ALL, "no field\r\nB: 2\r\n" },
	/* the lone dot */
	{ "A: 1\n\nx\n.\ny\n", false, "A: 1\r\n" ALL, "x\r\n" },
	{ "A: 1\n\nx\n.\ny\n", true, "A: 1\r\n" ALL, "x\r\n.\r\ny\r\n" },
	{ "A: 1\n\n..\n.x\n", false, "A: 1\r\n" ALL, "..\r\n.x\r\n" },
	{ "A: 1\n.\nB: 2\n", false, "A: 1\r\n" ALL, "" },
	/* what is there stays, without case, and where it was */
	{ "from: b@c\nDATE: now\nmessage-id: <x>\n\n", false, "from: b@c\r\nDATE: now\r\nmessage-id: <x>\r\n", "" },
	{ "Subject : x\n\n", false, "Subject: x\r\n" ALL, "" },
	/* folds */
	{ "To: a,\n\tb\nX: y\n\n", false, "To: a,\r\n\tb\r\nX: y\r\n" ALL, "" },
	/* Bcc and Return-Path go, folds and all */
	{ "Bcc: a,\n b\nX: y\nbcc: c\nReturn-Path: <z>\n\nt\n", false, "X: y\r\n" ALL, "t\r\n" },
	/* an mbox' first line */
	{ "From anna Sat Nov 21\nX: y\n\n", false, "X: y\r\n" ALL, "" },
	{ "X: y\nFrom anna\n\n", false, "X: y\r\n" ALL, "From anna\r\n\r\n" },
	{ "From anna\n folded\n", false, ALL, " folded\r\n" },
	/* what no mail may hold; a CR in the header makes no field */
	{ "X: y\rBcc: z\n\na\rb\r\r\nc\n", false, "X: y Bcc: z\r\n" ALL, "a\r\nb\r\nc\r\n" },
};

static char *
read_all(FILE *f)
{
	char *text = calloc(1, 100000);

	rewind(f);
	ck_assert_uint_lt(fread(text, 1, 99999, f), 99999);
	return text;
}

static void
read_letter(struct letter *l, const char *text, size_t len, bool dots)
{
	FILE *in = len > 0 ? fmemopen((void *)(uintptr_t)text, len, "r") : fopen("/dev/null", "r");
	char why[256];

	ck_assert_int_eq(letter_read(l, in, dots, why, sizeof(why)), 0);
	fclose(in);
}

static const struct letter_facts facts = { "anna", "Anna", "anna@host.example", "host.example", 1795288294, 0xeb };

START_TEST(letters_complete)
{
	struct letter l;
	char *header, *body, expected[1000];
	size_t len;

	setenv("TZ", "UTC0", 1);
	read_letter(&l, letters[_i].in, strlen(letters[_i].in), letters[_i].dots);
	header = letter_complete(&l, &facts, &len);
	snprintf(expected, sizeof(expected), "%s\r\n", letters[_i].header);
	ck_assert_str_eq(header, expected);
	ck_assert_uint_eq(strlen(header), len);
	body = read_all(l.body);
	ck_assert_str_eq(body, letters[_i].body);
	ck_assert_uint_eq(l.body_size, strlen(body));
	ck_assert(!l.eight_bit);
	free(header);
	free(body);
	letter_free(&l);
}
END_TEST

START_TEST(whom_an_mbox_line_names)
{
	static const struct { const char *in, *from; } cases[] = {
		{ "From anna Sat Nov 21\nX: y\n\n", "anna" },
		{ "From anna@e.org Sat Nov 21\n\n", "anna@e.org" },
		{ "From anna Sat Nov 21 remote from host.example\n\n", "anna@host.example" },
		{ ">From anna@e.org Sat Nov 21 remote from host.example\n\n", "anna@e.org" },
		{ "From \n\n", NULL }, { "From  remote from \n\n", "remote" }, { "X: y\n\n", NULL }, { "\nFrom a\n", NULL },
	};
	struct letter l;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_letter(&l, cases[i].in, strlen(cases[i].in), false);
		ck_assert_int_eq(l.envelope_from != NULL, cases[i].from != NULL);
		if (cases[i].from != NULL)
			ck_assert_str_eq(l.envelope_from, cases[i].from);
		letter_free(&l);
	}
}
END_TEST

START_TEST(nul_and_eight_bit)
{
	struct letter l;
	char *body;

	read_letter(&l, "A: 1\n\nx\0y\xff\n", 11, false);
	body = read_all(l.body);
	ck_assert_str_eq(body, "x?y\xff\r\n");
	ck_assert(l.eight_bit);
	free(body);
	letter_free(&l);
}
END_TEST

START_TEST(endless_header)
{
	struct letter l;
	size_t len = LETTER_HEADER_MAX + 1000;
	char *text = malloc(len), why[256];
	FILE *in;

	for (size_t i = 0; i < len; i++)
		text[i] = "A: 45678\n"[i % 9];
	in = fmemopen(text, len, "r");
	ck_assert_int_eq(letter_read(&l, in, false, why, sizeof(why)), EX_DATAERR);
	letter_free(&l);
	fclose(in);
	free(text);
}
END_TEST

static const struct {
	const char *in, *rcpts;
} recipients[] = {
	{ "To: a@b\nCc: c@d, Name <e@f>\nBcc: g\nFrom: x@y\n\n", "a@b c@d e@f g" },
	{ "To: list: a@b, c@d;, e@f\n\n", "a@b c@d e@f" },
	{ "to: a@b\nTO: a@b,\n c@d\n\n", "a@b c@d" },
	{ "To: a@b\nResent-To: c@d\nResent-Bcc: e@f\nBcc: g@h\n\n", "c@d e@f" },
	{ "To: undisclosed-recipients:;\n\n", "" },
	{ "Subject: none\n\nTo: a@b\n", "" },
};

START_TEST(recipients_of_header)
{
	struct letter_rcpts r = { 0 };
	struct letter l;
	char why[256], all[500] = "";

	read_letter(&l, recipients[_i].in, strlen(recipients[_i].in), false);
	ck_assert_int_eq(letter_header_rcpts(&l, &r, why, sizeof(why)), 0);
	for (size_t i = 0; i < r.n; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i > 0 ? " " : "", r.list[i]);
	ck_assert_str_eq(all, recipients[_i].rcpts);
	letter_free_rcpts(&r);
	letter_free(&l);
}
END_TEST

START_TEST(bad_addresses)
{
	struct letter_rcpts r = { 0 };
	char why[256];

	ck_assert_int_eq(letter_add_rcpts(&r, "a@b <c", 6, why, sizeof(why)), EX_DATAERR);
	ck_assert_str_eq(why, "these are no addresses: a@b <c");
	letter_free_rcpts(&r);
}
END_TEST

static const struct {
	const char *name, *from;
} names[] = {
	{ "", "From: <anna@host.example>" },
	{ "Anna B", "From: Anna B <anna@host.example>" },
	{ "Anna B.", "From: \"Anna B.\" <anna@host.example>" },
	{ "A \"x\" \\", "From: \"A \\\"x\\\" \\\\\" <anna@host.example>" },
	{ "J\xc3\xb6rg", "From: =?UTF-8?B?SsO2cmc=?= <anna@host.example>" },
	{ "\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6"
	    "\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6",
	    "From: =?UTF-8?B?w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2?=\r\n =?UTF-8?B?w7Y=?= "
	    "<anna@host.example>" },
};

START_TEST(full_names)
{
	struct letter_facts with = facts;
	struct letter l;
	size_t len;
	char *text;

	with.full_name = names[_i].name;
	read_letter(&l, "A: 1\n\n", 6, false);
	text = letter_complete(&l, &with, &len);
	ck_assert_msg(strncmp(text + 6, names[_i].from, strlen(names[_i].from)) == 0, "%s", text);
	free(text);
	letter_free(&l);
}
END_TEST

static const struct {
	const char *gecos, *name;
} fields[] = {
	{ "Anna Berg,,,", "Anna Berg" }, { "& Berg", "Anna Berg" }, { "", "" }, { ",x", "" },
	{ "  a\nb\x7f ", "a b" }, { "1234567890123456789012345678", "1234567890123456789" },
	{ "123456789012345678\xc3\xb6", "123456789012345678" },
};

START_TEST(names_of_users)
{
	char name[20];

	ck_assert_str_eq(gecos_of_user(name, sizeof(name), fields[_i].gecos, "anna"), fields[_i].name);
}
END_TEST

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	TCase *t = tcase_create("letter");

	tcase_add_loop_test(t, letters_complete, 0, COUNT(letters));
	tcase_add_test(t, whom_an_mbox_line_names);
	tcase_add_test(t, nul_and_eight_bit);
	tcase_add_test(t, endless_header);
	tcase_add_loop_test(t, recipients_of_header, 0, COUNT(recipients));
	tcase_add_test(t, bad_addresses);
	tcase_add_loop_test(t, full_names, 0, COUNT(names));
	tcase_add_loop_test(t, names_of_users, 0, COUNT(fields));
	return run_case("letter", t);
}
