/*
 * lib/dsn.c: what clients ask about notifications, well-formed or not, and that nothing comes out of an encoding that could
 * break a line of a report.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dsn.h"
#include "tests/unit/run.h"

static const struct {
	const char	*in;
	int		 notify;	/* -1: refused */
	const char	*out;
} notify[] = {
	{ "NEVER", DSN_NEVER, "NEVER" },
	{ "never", DSN_NEVER, "NEVER" },
	{ "SUCCESS", DSN_SUCCESS, "SUCCESS" },
	{ "delay,failure", DSN_DELAY | DSN_FAILURE, "FAILURE,DELAY" },
	{ "SUCCESS,FAILURE,DELAY", DSN_SUCCESS | DSN_FAILURE | DSN_DELAY, "SUCCESS,FAILURE,DELAY" },
	{ "NEVER,SUCCESS", -1, "" },
	{ "SUCCESS,NEVER", -1, "" },
	{ "SUCCESS,SUCCESS", -1, "" },
	{ "SUCCESS,", -1, "" },
	{ ",SUCCESS", -1, "" },
	{ "SUCCESS,,DELAY", -1, "" },
	{ "SUCCES", -1, "" },
	{ "", -1, "" },
};

START_TEST(notify_is_never_or_a_list)
{
	char text[DSN_NOTIFY_TEXT];
	uint8_t r;
	int rc = dsn_notify_parse(notify[_i].in, strlen(notify[_i].in), &r);

	ck_assert_int_eq(rc, notify[_i].notify < 0 ? -1 : 0);
	if (rc == 0) {
		ck_assert_int_eq(r, notify[_i].notify);
		ck_assert_str_eq(dsn_notify_text(text, r), notify[_i].out);
	}
}
END_TEST

START_TEST(ret_is_full_or_hdrs)
{
	uint8_t r;

	ck_assert_int_eq(dsn_ret_parse("FULL", 4, &r), 0);
	ck_assert_int_eq(r, DSN_RET_FULL);
	ck_assert_int_eq(dsn_ret_parse("hdrs", 4, &r), 0);
	ck_assert_int_eq(r, DSN_RET_HDRS);
	ck_assert_int_eq(dsn_ret_parse("", 0, &r), -1);
	ck_assert_int_eq(dsn_ret_parse("HDR", 3, &r), -1);
}
END_TEST

static const struct {
	const char	*in, *out;	/* NULL: refused */
} envid[] = {
	{ "QQ314159", "QQ314159" },
	{ "a+2Bb+3Dc", "a+b=c" },
	{ "a+20b", "a b" },
	{ "", NULL },
	{ "a=b", NULL },
	{ "a+", NULL },
	{ "a+2", NULL },
	{ "a+2b", NULL },		/* RFC 3461, 4: upper case only */
	{ "a+0D+0ADiagnostic-Code:x", NULL },
	{ "a+00", NULL },
	{ "a+7F", NULL },
	{ "a+FF", NULL },
	{ "a\x80", NULL },
	{ "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890", "" },
	{ "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901", NULL },
};

START_TEST(envid_is_xtext_of_printable_ascii)
{
	char to[DSN_ENVID_MAX + 1], again[DSN_ENVID_TEXT], back[DSN_ENVID_MAX + 1];
	const char *in = envid[_i].in, *out = envid[_i].out;

	ck_assert_int_eq(dsn_envid_parse(to, in, strlen(in)), out == NULL ? -1 : 0);
	if (out == NULL)
		return;
	ck_assert_str_eq(to, out[0] == '\0' ? in : out);
	dsn_envid_text(again, to);
	ck_assert_int_eq(dsn_envid_parse(back, again, strlen(again)), 0);
	ck_assert_str_eq(back, to);
}
END_TEST

static const struct {
	const char	*in;
	bool		 utf8;
	const char	*kept, *seven, *eight;	/* as kept, and as said without and with SMTPUTF8; NULL: refused */
} orcpt[] = {
	{ "rfc822;bob@example.org", false, "rfc822;bob@example.org", "rfc822;bob@example.org", "rfc822;bob@example.org" },
	{ "RFC822;b+2Bt@example.org", false, "RFC822;b+t@example.org", "RFC822;b+2Bt@example.org", "RFC822;b+2Bt@example.org" },
	{ "rfc822;\"a+20b\"@x", false, "rfc822;\"a b\"@x", "rfc822;\"a+20b\"@x", "rfc822;\"a+20b\"@x" },
	{ "x400;/S=b/", false, NULL, NULL, NULL },
	{ "x400;/S+3Db/", false, "x400;/S=b/", "x400;/S+3Db/", "x400;/S+3Db/" },
	{ "utf-8;j\\x{F6}rg@x", false, "utf-8;j\xc3\xb6rg@x", "utf-8;j\\x{F6}rg@x", "utf-8;j\xc3\xb6rg@x" },
	{ "UTF-8;\\x{1F600}@x", false, "UTF-8;\xf0\x9f\x98\x80@x", "UTF-8;\\x{1F600}@x", "UTF-8;\xf0\x9f\x98\x80@x" },
	{ "utf-8;j\xc3\xb6rg@x", true, "utf-8;j\xc3\xb6rg@x", "utf-8;j\\x{F6}rg@x", "utf-8;j\xc3\xb6rg@x" },
	{ "utf-8;a\\x{2B}b\\x{3D}\\x{5C}@x", false, "utf-8;a+b=\\@x", "utf-8;a\\x{2B}b\\x{3D}\\x{5C}@x", "utf-8;a\\x{2B}b\\x{3D}\\x{5C}@x" },
	{ "utf-8;j\xc3\xb6rg@x", false, NULL, NULL, NULL },
	{ "utf-8;a+2Bb@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{0A}b@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{85}b@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{41}b@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{D800}b@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{110000}b@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{F6@x", true, NULL, NULL, NULL },
	{ "utf-8;a\\x{}@x", true, NULL, NULL, NULL },
	{ "utf-8;\xc0\x8a@x", true, NULL, NULL, NULL },
	{ "utf-8;\xc2\x85@x", true, NULL, NULL, NULL },
	{ "utf-8;\xc3", true, NULL, NULL, NULL },
	{ "rfc822;bob+0Aevil: x", false, NULL, NULL, NULL },
	{ "rfc822;bob+0D", false, NULL, NULL, NULL },
	{ "rfc822;b\xc3\xb6", true, NULL, NULL, NULL },
	{ "rfc822;", false, NULL, NULL, NULL },
	{ "rfc822", false, NULL, NULL, NULL },
	{ ";bob@x", false, NULL, NULL, NULL },
	{ "rfc 822;bob@x", false, NULL, NULL, NULL },
	{ "bob@example.org", false, NULL, NULL, NULL },
	{ "", false, NULL, NULL, NULL },
};

START_TEST(orcpt_comes_back_as_it_was)
{
	char to[DSN_ORCPT_MAX + 1], text[DSN_ORCPT_TEXT];
	const char *in = orcpt[_i].in;

	ck_assert_int_eq(dsn_orcpt_parse(to, in, strlen(in), orcpt[_i].utf8), orcpt[_i].kept == NULL ? -1 : 0);
	if (orcpt[_i].kept == NULL)
		return;
	ck_assert_str_eq(to, orcpt[_i].kept);
	ck_assert_str_eq(dsn_orcpt_text(text, to, false), orcpt[_i].seven);
	ck_assert_str_eq(dsn_orcpt_text(text, to, true), orcpt[_i].eight);
}
END_TEST

START_TEST(long_ones)
{
	char in[DSN_ORCPT_MAX + 2], to[DSN_ORCPT_MAX + 1], text[DSN_ORCPT_TEXT];

	memset(in, 'a', sizeof(in));
	memcpy(in, "rfc822;", 7);
	ck_assert_int_eq(dsn_orcpt_parse(to, in, DSN_ORCPT_MAX, false), 0);
	ck_assert_uint_eq(strlen(to), DSN_ORCPT_MAX);
	ck_assert_int_eq(dsn_orcpt_parse(to, in, DSN_ORCPT_MAX + 1, false), -1);
	memset(to + 7, ' ', DSN_ORCPT_MAX - 7);
	dsn_orcpt_text(text, to, false);
	ck_assert_uint_eq(strlen(text), 7 + 3 * (DSN_ORCPT_MAX - 7));
}
END_TEST

START_TEST(wishes)
{
	ck_assert(dsn_wants(0, DSN_FAILURE, true));
	ck_assert(!dsn_wants(0, DSN_SUCCESS, false));
	ck_assert(!dsn_wants(DSN_NEVER, DSN_FAILURE, true));
	ck_assert(!dsn_wants(DSN_SUCCESS, DSN_FAILURE, true));
	ck_assert(dsn_wants(DSN_SUCCESS | DSN_DELAY, DSN_DELAY, false));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("dsn");

	tcase_add_loop_test(t, notify_is_never_or_a_list, 0, sizeof(notify) / sizeof(notify[0]));
	tcase_add_test(t, ret_is_full_or_hdrs);
	tcase_add_loop_test(t, envid_is_xtext_of_printable_ascii, 0, sizeof(envid) / sizeof(envid[0]));
	tcase_add_loop_test(t, orcpt_comes_back_as_it_was, 0, sizeof(orcpt) / sizeof(orcpt[0]));
	tcase_add_test(t, long_ones);
	tcase_add_test(t, wishes);
	return run_case("dsn", t);
}
