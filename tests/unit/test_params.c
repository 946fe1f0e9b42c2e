/*
 * smtpd/params.c: arguments of MAIL, RCPT and BDAT, and refusals in words that bring their own enhanced code.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/params.h"
#include "tests/unit/run.h"

static const struct {
	const char	*in;
	int		 code;		/* 0: fine */
	uint64_t	 size;
	bool		 eight_bit, utf8;
	uint8_t		 ret;
	const char	*envid;
} mail[] = {
	{ "", 0, 0, false, false, 0, NULL },
	{ "  ", 0, 0, false, false, 0, NULL },
	{ " SIZE=0", 0, 0, false, false, 0, NULL },
	{ " SIZE=1000", 0, 1000, false, false, 0, NULL },
	{ " size=1000  body=8bitmime smtputf8 ", 0, 1000, true, true, 0, NULL },
	{ " BODY=7BIT", 0, 0, false, false, 0, NULL },
	{ " SIZE=1001", 552, 0, false, false, 0, NULL },
	{ " SIZE=18446744073709551615", 552, 0, false, false, 0, NULL },
	{ " SIZE=18446744073709551616", 501, 0, false, false, 0, NULL },
	{ " SIZE=99999999999999999999999999", 501, 0, false, false, 0, NULL },
	{ " SIZE=-1", 501, 0, false, false, 0, NULL },
	{ " SIZE=+1", 501, 0, false, false, 0, NULL },
	{ " SIZE=1k", 501, 0, false, false, 0, NULL },
	{ " SIZE=", 501, 0, false, false, 0, NULL },
	{ " SIZE", 501, 0, false, false, 0, NULL },
	{ " SIZE=1 SIZE=1", 501, 0, false, false, 0, NULL },
	{ " BODY=BINARYMIME", 501, 0, false, false, 0, NULL },
	{ " BODY", 501, 0, false, false, 0, NULL },
	{ " BODY=7BIT BODY=7BIT", 501, 0, false, false, 0, NULL },
	{ " SMTPUTF8=yes", 501, 0, false, false, 0, NULL },
	{ " RET=full ENVID=q+2B1", 0, 0, false, false, DSN_RET_FULL, "q+1" },
	{ " RET=HDRS SIZE=5", 0, 5, false, false, DSN_RET_HDRS, NULL },
	{ " RET=FULL RET=HDRS", 501, 0, false, false, 0, NULL },
	{ " RET=", 501, 0, false, false, 0, NULL },
	{ " RET", 501, 0, false, false, 0, NULL },
	{ " RET=BODY", 501, 0, false, false, 0, NULL },
	{ " ENVID=a ENVID=b", 501, 0, false, false, 0, NULL },
	{ " ENVID=a+0Ab", 501, 0, false, false, 0, NULL },
	{ " ENVID=a=b", 501, 0, false, false, 0, NULL },
	{ " ENVID=", 501, 0, false, false, 0, NULL },
	{ " ENVID", 501, 0, false, false, 0, NULL },
	{ " AUTH=<>", 555, 0, false, false, 0, NULL },
	{ " SIZEX=1", 555, 0, false, false, 0, NULL },
	{ " =1", 555, 0, false, false, 0, NULL },
	{ "SIZE=1", 501, 0, false, false, 0, NULL },
};

START_TEST(parameters_of_mail)
{
	struct params_mail m;
	struct refusal r = { 0 };
	int result = params_mail(mail[_i].in, 1000, false, &m, &r);

	ck_assert_int_eq(result, mail[_i].code == 0 ? 0 : -1);
	if (result < 0) {
		ck_assert_int_eq(r.code, mail[_i].code);
		ck_assert_str_ne(r.text, "");
		return;
	}
	ck_assert_uint_eq(m.size, mail[_i].size);
	ck_assert_int_eq(m.eight_bit, mail[_i].eight_bit);
	ck_assert_int_eq(m.utf8, mail[_i].utf8);
	ck_assert_uint_eq(m.ret, mail[_i].ret);
	ck_assert_str_eq(m.envid, mail[_i].envid == NULL ? "" : mail[_i].envid);
}
END_TEST

START_TEST(unknown_parameter_is_named)
{
	struct params_mail m;
	struct refusal r;

	ck_assert_int_eq(params_mail(" SIZE=1 REF=HDRS", 1000, false, &m, &r), -1);
	ck_assert_int_eq(r.code, 555);
	ck_assert_str_eq(r.enhanced, "5.5.4");
	ck_assert_ptr_nonnull(strstr(r.text, "REF"));
	ck_assert_ptr_null(strstr(r.text, "HDRS"));
}
END_TEST

static const struct {
	const char	*in;
	int		 code;		/* 0: fine */
	uint8_t		 notify;
	const char	*orcpt;
	bool		 utf8;
} rcpt[] = {
	{ "", 0, 0, "", false },
	{ "   ", 0, 0, "", false },
	{ " NOTIFY=NEVER", 0, DSN_NEVER, "", false },
	{ " notify=success,delay orcpt=rfc822;bob+40x", 0, DSN_SUCCESS | DSN_DELAY, "rfc822;bob@x", false },
	{ " ORCPT=utf-8;\xc3\xb6@x", 0, 0, "utf-8;\xc3\xb6@x", true },
	{ " ORCPT=utf-8;\xc3\xb6@x", 501, 0, "", false },
	{ " NOTIFY=NEVER,SUCCESS", 501, 0, "", false },
	{ " NOTIFY=SUCCESS NOTIFY=DELAY", 501, 0, "", false },
	{ " NOTIFY", 501, 0, "", false },
	{ " NOTIFY=", 501, 0, "", false },
	{ " ORCPT=rfc822;a ORCPT=rfc822;a", 501, 0, "", false },
	{ " ORCPT=bob@x", 501, 0, "", false },
	{ " ORCPT=rfc822;a+0Ab", 501, 0, "", false },
	{ " ORCPT", 501, 0, "", false },
	{ " SIZE=1", 555, 0, "", false },
	{ "x", 501, 0, "", false },
};

START_TEST(parameters_of_rcpt)
{
	struct params_rcpt m;
	struct refusal r = { 0 };

	ck_assert_int_eq(params_rcpt(rcpt[_i].in, rcpt[_i].utf8, &m, &r), rcpt[_i].code == 0 ? 0 : -1);
	ck_assert_int_eq(r.code, rcpt[_i].code);
	if (rcpt[_i].code != 0)
		return;
	ck_assert_uint_eq(m.notify, rcpt[_i].notify);
	ck_assert_str_eq(m.orcpt, rcpt[_i].orcpt);
}
END_TEST

static const struct {
	const char		*in;
	enum params_bdat	 result;
	uint64_t		 size;
	bool			 last;
} bdat[] = {
	{ "0", PARAMS_BDAT_OK, 0, false },
	{ "86 LAST", PARAMS_BDAT_OK, 86, true },
	{ "86   last", PARAMS_BDAT_OK, 86, true },
	{ "18446744073709551615", PARAMS_BDAT_OK, UINT64_MAX, false },
	{ "86 FIRST", PARAMS_BDAT_REST, 86, false },
	{ "86 LAST x", PARAMS_BDAT_REST, 86, false },
	{ "", PARAMS_BDAT_BAD, 0, false },
	{ "LAST", PARAMS_BDAT_BAD, 0, false },
	{ "-1", PARAMS_BDAT_BAD, 0, false },
	{ "0x10", PARAMS_BDAT_BAD, 0, false },
	{ "1.5", PARAMS_BDAT_BAD, 0, false },
	{ "18446744073709551616", PARAMS_BDAT_BAD, 0, false },
	{ "18446744073709551617 LAST", PARAMS_BDAT_BAD, 0, false },
};

START_TEST(chunks)
{
	uint64_t size = 0;
	bool last;

	ck_assert_int_eq(params_bdat(bdat[_i].in, &size, &last), bdat[_i].result);
	if (bdat[_i].result != PARAMS_BDAT_BAD)
		ck_assert_uint_eq(size, bdat[_i].size);
	ck_assert_int_eq(last, bdat[_i].last);
}
END_TEST

START_TEST(keyword_before_a_path)
{
	ck_assert_str_eq(params_after("FROM:<a@b>", "FROM:"), "<a@b>");
	ck_assert_str_eq(params_after("from:  <a@b>", "FROM:"), "<a@b>");
	ck_assert_str_eq(params_after("FROM:", "FROM:"), "");
	ck_assert_ptr_null(params_after("FROM <a@b>", "FROM:"));
	ck_assert_ptr_null(params_after("", "FROM:"));
}
END_TEST

static const struct {
	const char	*in;
	int		 code;
	const char	*enhanced, *text;
} said[] = {
	{ "5.1.1 No such user", 550, "5.1.1", "No such user" },
	{ "4.3.1 Disk full", 452, "4.3.1", "Disk full" },
	{ "4.3.1 Disk full", 550, "5.0.0", "4.3.1 Disk full" },
	{ "5.1.1", 550, "5.0.0", "5.1.1" },
	{ "5.1234.1 x", 550, "5.0.0", "5.1234.1 x" },
	{ "5..1 x", 550, "5.0.0", "5..1 x" },
	{ "5 apples", 550, "5.0.0", "5 apples" },
	{ "", 550, "5.0.0", "" },
};

START_TEST(words_with_a_code)
{
	struct refusal r;

	refusal_from(&r, said[_i].code, "5.0.0", said[_i].in);
	ck_assert_int_eq(r.code, said[_i].code);
	ck_assert_str_eq(r.enhanced, said[_i].enhanced);
	ck_assert_str_eq(r.text, said[_i].text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("params");

	tcase_add_loop_test(t, parameters_of_mail, 0, sizeof(mail) / sizeof(mail[0]));
	tcase_add_test(t, unknown_parameter_is_named);
	tcase_add_loop_test(t, parameters_of_rcpt, 0, sizeof(rcpt) / sizeof(rcpt[0]));
	tcase_add_loop_test(t, chunks, 0, sizeof(bdat) / sizeof(bdat[0]));
	tcase_add_test(t, keyword_before_a_path);
	tcase_add_loop_test(t, words_with_a_code, 0, sizeof(said) / sizeof(said[0]));
	return run_case("params", t);
}
