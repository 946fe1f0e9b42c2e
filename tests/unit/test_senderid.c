/*
 * The purported responsible address: each step of RFC 4407, 2, and its examples; and which records are Sender ID's.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "filters/senderid.h"
#include "filters/spf_record.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *header, *address, *field;		/* address NULL: nobody */
} cases[] = {
	{ "From: a@b.example\r\n\r\n", "a@b.example", "from" },
	{ "from : \"A, B\" <a@B.example> (x)\r\n\r\n", "a@b.example", "from" },
	{ "From: a@b.example, c@d.example\r\n\r\n", NULL, NULL },
	{ "From: a@b.example\r\nFrom: c@d.example\r\n\r\n", NULL, NULL },
	{ "From: nobody\r\n\r\n", NULL, NULL },
	{ "From:   \r\nFrom: c@d.example\r\n\r\n", "c@d.example", "from" },
	{ "Subject: x\r\n\r\n", NULL, NULL },
	{ "From: a@b.example, c@d.example\r\nSender: e@f.example\r\n\r\n", "e@f.example", "sender" },
	{ "From: a@b.example\r\nSender: c@d.example\r\nSender: e@f.example\r\n\r\n", NULL, NULL },
	{ "Sender: \r\nFrom: a@b.example\r\n\r\n", "a@b.example", "from" },
	{ "Resent-From: a@b.example\r\nSender: c@d.example\r\nFrom: e@f.example\r\n\r\n", "a@b.example", "resent-from" },
	{ "Resent-From: a@b.example\r\nResent-From: c@d.example\r\nFrom: e@f.example\r\n\r\n", "a@b.example", "resent-from" },
	{ "Resent-From: a@b.example\r\nResent-Sender: c@d.example\r\nFrom: e@f.example\r\n\r\n", "c@d.example", "resent-sender" },
	{ "Resent-Sender: c@d.example\r\nReceived: x\r\nResent-From: a@b.example\r\n\r\n", "c@d.example", "resent-sender" },
	{ "Resent-From: a@b.example\r\nReceived: x\r\nResent-Sender: c@d.example\r\n\r\n", "a@b.example", "resent-from" },
	{ "Resent-From: a@b.example\r\nReturn-Path: <x>\r\nResent-Sender: c@d.example\r\n\r\n", "a@b.example", "resent-from" },
	{ "Resent-From: \r\nReceived: x\r\nResent-Sender: c@d.example\r\n\r\n", "c@d.example", "resent-sender" },
	{ "", NULL, NULL },
};

START_TEST(address)
{
	char to[ADDRESS_MAX];
	const char *field;
	bool found = senderid_pra(to, &field, cases[_i].header, strlen(cases[_i].header));

	ck_assert_msg(found == (cases[_i].address != NULL), "%s: %s", cases[_i].header, to);
	if (found) {
		ck_assert_str_eq(to, cases[_i].address);
		ck_assert_str_eq(field, cases[_i].field);
	}
}
END_TEST

static const struct {
	const char *text;
	bool pra;
} records[] = {
	{ "spf2.0/pra -all", true }, { "SPF2.0/PRA -all", true }, { "spf2.0/mfrom,pra -all", true }, { "spf2.0/pra,mfrom", true },
	{ "spf2.0/mfrom -all", false }, { "spf2.0/ -all", false }, { "spf2.0/prax -all", false }, { "spf2.0/xpra", false },
	{ "spf2.0 pra", false }, { "v=spf1 -all", false }, { "spf2.0/mfrom pra", false }, { "", false }, { "spf2.0/,,pra", true },
};

START_TEST(record)
{
	struct spf_record r;
	struct spf_slice wrong;
	struct spf_term t;
	size_t at = 0, len = strlen(records[_i].text);

	ck_assert_int_eq(spf_record_is_pra(records[_i].text, len), records[_i].pra);
	if (!records[_i].pra)
		return;
	ck_assert_int_eq(spf_record_read(&r, records[_i].text, len, &wrong), 0);
	if (strstr(records[_i].text, "-all") != NULL)
		ck_assert(spf_record_next(&r, &at, &t) && t.kind == SPF_ALL && t.qualifier == '-');
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("senderid");

	tcase_add_loop_test(t, address, 0, COUNT(cases));
	tcase_add_loop_test(t, record, 0, COUNT(records));
	return run_case("senderid", t);
}
