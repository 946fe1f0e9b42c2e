/*
 * Author domains: one, none, several, and fields that cannot be read; and those that are named nevertheless.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dmarc_author.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *block;
	enum dmarc_author result;
	const char *domains;
} cases[] = {
	{ "From: a@example.com\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "To: c@d\r\nfrom: \"Bob, of <x@evil.example>\" <bob@Example.COM>\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: a@example.com,\r\n b@EXAMPLE.com\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: Team: a@example.com, b@example.com;\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: (comment <x@y>) a@example.com (b@c)\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: a@b\xc3\xbc" "cher.example\r\n\r\n", DMARC_AUTHOR_ONE, "xn--bcher-kva.example" },
	{ "From: \"x@y\"@example.com\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: a@example.com\r\n\r\nFrom: b@example.net\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: a@example.com, b@example.net, c@example.com\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.com example.net" },
	{ "From: a@a.test, a@b.test, a@c.test, a@d.test\r\n\r\n", DMARC_AUTHOR_MANY, "a.test b.test c.test" },
	{ "From: a@a.test, a@b.test, a@c.test, b@a.test\r\n\r\n", DMARC_AUTHOR_SEVERAL, "a.test b.test c.test" },
	{ "From: a@example.com\r\nFrom: a@example.com\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.com" },
	{ "From: a@example.com\r\nFrom: a@example.net\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.com example.net" },
	{ "From: a@example.com, b@example.net, <\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.com example.net" },
	{ "From: a@example.com, <\r\n\r\n", DMARC_AUTHOR_BROKEN, "example.com" },
	{ "From: a@example.com, nobody\r\n\r\n", DMARC_AUTHOR_NONE, "example.com" },
	{ "From: a@[192.0.2.1]\r\n\r\n", DMARC_AUTHOR_NONE, "" },
	{ "From: Nobody:;\r\n\r\n", DMARC_AUTHOR_NONE, "" },
	{ "From:\r\n\r\n", DMARC_AUTHOR_NONE, "" },
	{ "To: a@example.com\r\n\r\n", DMARC_AUTHOR_NONE, "" },
	{ "", DMARC_AUTHOR_NONE, "" },
	/* what cannot be read may still be shown */
	{ "From: (a@example.com\r\n\r\n", DMARC_AUTHOR_BROKEN, "example.com" },
	{ "From: \"a@example.com\r\n\r\n", DMARC_AUTHOR_BROKEN, "example.com" },
	{ "From: <a@example.com\r\n\r\n", DMARC_AUTHOR_BROKEN, "example.com" },
	{ "From: b@example.net, <a@ example.com. x\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.net example.com" },
	{ "From: \"a@example.com\"\r\n\r\n", DMARC_AUTHOR_NONE, "example.com" },
	{ "From: a@example.com@@\r\n\r\n", DMARC_AUTHOR_NONE, "example.com" },
	{ "From: a@..example.com..\r\n\r\n", DMARC_AUTHOR_NONE, "example.com" },
	{ "From: nobody (at home)\r\n\r\n", DMARC_AUTHOR_NONE, "" },
	/* behind a line that is no field there is still what many a reader shows */
	{ "To: b@example.net\r\nno field\r\nFrom: a@example.com\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ ">From x\r\n more\r\nFrom: a@example.com\r\n\r\n", DMARC_AUTHOR_ONE, "example.com" },
	{ "From: a@example.com\r\n: x\r\nFrom: b@example.net\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.com example.net" },
	{ "From: a@example.com <b@example.net>\r\n\r\n", DMARC_AUTHOR_ONE, "example.net" },
	{ "From: <a@example.com> <b@example.net>\r\n\r\n", DMARC_AUTHOR_SEVERAL, "example.com example.net" },
	{ "From: a@example.com (\r\n\r\n", DMARC_AUTHOR_BROKEN, "example.com" },
};

START_TEST(test_cases)
{
	struct dmarc_authors authors;
	enum dmarc_author result = dmarc_author_find(&authors, cases[_i].block, strlen(cases[_i].block));
	char domains[DMARC_AUTHORS_MAX * (ADDRESS_DOMAIN_MAX + 2)] = "";

	for (unsigned i = 0; i < authors.n; i++)
		snprintf(domains + strlen(domains), sizeof(domains) - strlen(domains), "%s%s", i > 0 ? " " : "", authors.domains[i]);
	ck_assert_msg(result == cases[_i].result, "%s: %d", cases[_i].block, result);
	ck_assert_str_eq(domains, cases[_i].domains);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dmarc_author");

	tcase_add_loop_test(tc, test_cases, 0, COUNT(cases));
	return run_case("dmarc_author", tc);
}
