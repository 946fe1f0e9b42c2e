/*
 * lib/address.c: tables of what strangers write and what becomes of it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "tests/unit/run.h"

#define NUL	ADDRESS_NULL
#define BARE	ADDRESS_BARE
#define UTF8	ADDRESS_UTF8
#define LABEL63	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LOCAL64	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
	const char		*path;
	int			 flags;
	enum address_result	 result;
	const char		*text;		/* canonical */
	const char		*rest;		/* what follows '>' */
} paths[] = {
	{ "<alice@example.org>", 0, ADDRESS_OK, "alice@example.org", "" },
	{ "<Alice@EXAMPLE.Org> SIZE=10", 0, ADDRESS_OK, "Alice@example.org", " SIZE=10" },
	{ "<a.b+c=d!e%f/g@x.y>", 0, ADDRESS_OK, "a.b+c=d!e%f/g@x.y", "" },
	{ "<>", NUL, ADDRESS_OK, "", "" },
	{ "<> BODY=8BITMIME", NUL, ADDRESS_OK, "", " BODY=8BITMIME" },
	{ "<>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<postmaster>", BARE, ADDRESS_OK, "postmaster", "" },
	{ "<postmaster>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "alice@example.org", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<alice@example.org", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<alice@example.org >", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "< alice@example.org>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<", NUL, ADDRESS_SYNTAX, NULL, NULL },
	{ "<@>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<alice@>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<@example.org>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* source routes: stripped, and the real destination is what remains */
	{ "<@one.example,@two.example:alice@example.org>", 0, ADDRESS_OK, "alice@example.org", "" },
	{ "<@one.example:alice@example.org>", 0, ADDRESS_OK, "alice@example.org", "" },
	{ "<@[192.0.2.1]:alice@example.org>", 0, ADDRESS_OK, "alice@example.org", "" },
	{ "<@one.example,:alice@example.org>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<@one.example:>", NUL, ADDRESS_SYNTAX, NULL, NULL },
	{ "<@one.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<@one..example:alice@example.org>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* percent and bang are data of the domain that is named */
	{ "<u%evil.example@example.org>", 0, ADDRESS_OK, "u%evil.example@example.org", "" },
	{ "<evil.example!u@example.org>", 0, ADDRESS_OK, "evil.example!u@example.org", "" },
	{ "<a@b@example.org>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* shells, options, formats, pipes: refused unquoted where not atext, else data */
	{ "<;id;@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"`id`\"@x.example>", 0, ADDRESS_OK, "`id`@x.example", "" },
	{ "<\"$(id)\"@x.example>", 0, ADDRESS_OK, "\"$(id)\"@x.example", "" },
	{ "<${run{id}}@x.example>", 0, ADDRESS_OK, "${run{id}}@x.example", "" },
	{ "<%n%s@x.example>", 0, ADDRESS_OK, "%n%s@x.example", "" },
	{ "<-oQ/tmp@x.example>", 0, ADDRESS_OK, "-oQ/tmp@x.example", "" },
	{ "<|cmd@x.example>", 0, ADDRESS_OK, "|cmd@x.example", "" },
	{ "<:include:/etc/passwd@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* quoting */
	{ "<\"alice\"@x.example>", 0, ADDRESS_OK, "alice@x.example", "" },
	{ "<\"al\\ice\"@x.example>", 0, ADDRESS_OK, "alice@x.example", "" },
	{ "<\"al ice\"@x.example>", 0, ADDRESS_OK, "\"al ice\"@x.example", "" },
	{ "<\"a\\\"b\\\\c\"@x.example>", 0, ADDRESS_OK, "\"a\\\"b\\\\c\"@x.example", "" },
	{ "<\"a@b\"@x.example>", 0, ADDRESS_OK, "\"a@b\"@x.example", "" },
	{ "<\"a>b\"@x.example>", 0, ADDRESS_OK, "\"a>b\"@x.example", "" },
	{ "<\".a\"@x.example>", 0, ADDRESS_OK, "\".a\"@x.example", "" },
	{ "<\"a..b\"@x.example>", 0, ADDRESS_OK, "\"a..b\"@x.example", "" },
	{ "<\"\"@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a\\", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a\"b@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* dots */
	{ "<.a@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a.@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a..b@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x..example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@.x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x.example.>", 0, ADDRESS_OK, "a@x.example", "" },
	{ "<a@x.example..>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@.>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* controls */
	{ "<a\rb@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a\nb@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a\r\nb\"@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a\\\nb\"@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a\x7f\"@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\"a\tb\"@x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x.exa\nmple>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* lengths */
	{ "<" LOCAL64 "@x.example>", 0, ADDRESS_OK, LOCAL64 "@x.example", "" },
	{ "<b" LOCAL64 "@x.example>", 0, ADDRESS_TOO_LONG, NULL, NULL },
	{ "<\"b" LOCAL64 "\"@x.example>", 0, ADDRESS_TOO_LONG, NULL, NULL },
	{ "<a@" LABEL63 ".example>", 0, ADDRESS_OK, "a@" LABEL63 ".example", "" },
	{ "<a@a" LABEL63 ".example>", 0, ADDRESS_TOO_LONG, NULL, NULL },
	{ "<a@" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ">", 0, ADDRESS_OK,
	    "a@" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63, "" },
	{ "<a@a." LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ">", 0, ADDRESS_TOO_LONG, NULL, NULL },
	/* domains */
	{ "<a@x_y.example>", 0, ADDRESS_OK, "a@x_y.example", "" },
	{ "<a@-x.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x-.example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x.e$xample>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@127.0.0.1>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@2130706433>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@3com.example>", 0, ADDRESS_OK, "a@3com.example", "" },
	{ "<a@localhost>", 0, ADDRESS_OK, "a@localhost", "" },
	/* to the letter */
	{ "<a@x_y.example>", ADDRESS_GRAMMAR, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x.example.>", ADDRESS_GRAMMAR, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@192.0.2.1>", ADDRESS_GRAMMAR, ADDRESS_OK, "a@192.0.2.1", "" },
	{ "<\"\"@x.example>", ADDRESS_GRAMMAR, ADDRESS_OK, "\"\"@x.example", "" },
	{ "<@x.example>", ADDRESS_GRAMMAR, ADDRESS_SYNTAX, NULL, NULL },
	/* literals */
	{ "<a@[192.0.2.1]>", 0, ADDRESS_OK, "a@[192.0.2.1]", "" },
	{ "<a@[IPv6:2001:DB8:0:0::1]>", 0, ADDRESS_OK, "a@[IPv6:2001:db8::1]", "" },
	{ "<a@[ipv6:::1]>", 0, ADDRESS_OK, "a@[IPv6:::1]", "" },
	{ "<a@[2001:db8::1]>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[192.0.2]>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[192.0.2.256]>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[]>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[192.0.2.1>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[192.0.2.1].example>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[IPv6:]>", 0, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@[IPv6]:]>", 0, ADDRESS_SYNTAX, NULL, NULL },
	/* what is not ASCII */
	{ "<j\xc3\xb6rg@x.example>", 0, ADDRESS_NEEDS_UTF8, NULL, NULL },
	{ "<j\xc3\xb6rg@x.example>", UTF8, ADDRESS_OK, "j\xc3\xb6rg@x.example", "" },
	{ "<\"j\xc3\xb6 g\"@x.example>", UTF8, ADDRESS_OK, "\"j\xc3\xb6 g\"@x.example", "" },
	{ "<a@b\xc3\xbc" "cher.example>", 0, ADDRESS_NEEDS_UTF8, NULL, NULL },
	{ "<a@b\xc3\xbc" "cher.example>", UTF8, ADDRESS_OK, "a@xn--bcher-kva.example", "" },
	{ "<a@B\xc3\x9c" "CHER.Example>", UTF8, ADDRESS_OK, "a@xn--bcher-kva.example", "" },
	{ "<a@fa\xc3\x9f.example>", UTF8, ADDRESS_OK, "a@xn--fa-hia.example", "" },
	{ "<\xc0\xaf@x.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\xe0\x80\xaf@x.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\xed\xa0\x80@x.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\xf4\x90\x80\x80@x.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\xc2\x85@x.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\xc3", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<\xf0\x9f\x92", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@\xff.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },
	{ "<a@x\xef\xbc\x8f.example>", UTF8, ADDRESS_SYNTAX, NULL, NULL },	/* a wide slash maps to '/' */
};

START_TEST(test_path)
{
	const char *end = NULL, *why = NULL;
	enum address_result result;
	struct address a;

	result = address_parse_path(&a, paths[_i].path, paths[_i].flags, &end, &why);
	ck_assert_msg(result == paths[_i].result, "%s: %d, expected %d (%s)", paths[_i].path, result,
	    paths[_i].result, why != NULL ? why : "");
	if (result != ADDRESS_OK) {
		ck_assert_ptr_nonnull(why);
		ck_assert_str_eq(a.text, "");
		return;
	}
	ck_assert_str_eq(a.text, paths[_i].text);
	ck_assert_str_eq(end, paths[_i].rest);
}
END_TEST

START_TEST(test_parts)
{
	struct address a;

	ck_assert_int_eq(address_parse(&a, "\"al ice\"@[192.0.2.1]", 0, NULL), ADDRESS_OK);
	ck_assert_str_eq(a.local, "al ice");
	ck_assert_str_eq(a.domain, "[192.0.2.1]");
	ck_assert(a.literal && !a.utf8);
	ck_assert_int_eq(address_parse(&a, "j\xc3\xb6@x.example", UTF8, NULL), ADDRESS_OK);
	ck_assert(!a.literal && a.utf8);
	ck_assert_int_eq(address_parse(&a, "root", BARE, NULL), ADDRESS_OK);
	ck_assert_str_eq(a.text, "root");
	ck_assert_str_eq(a.domain, "");
	ck_assert_int_eq(address_parse(&a, "", NUL, NULL), ADDRESS_OK);
	ck_assert_int_eq(address_parse(&a, "", BARE, NULL), ADDRESS_SYNTAX);
	ck_assert_int_eq(address_parse(&a, "a@x.example b", 0, NULL), ADDRESS_SYNTAX);
	ck_assert_int_eq(address_parse(&a, "a@x.example>", 0, NULL), ADDRESS_SYNTAX);
}
END_TEST

/* The longest local part, every byte quoted, at the longest domain: text must hold it. */
START_TEST(test_longest)
{
	char in[ADDRESS_MAX + 8] = "\"", again[ADDRESS_MAX];
	struct address a;

	for (int i = 0; i < ADDRESS_LOCAL_MAX; i++)
		memcpy(in + 1 + 2 * i, "\\\"", 3);
	snprintf(in + 1 + 2 * ADDRESS_LOCAL_MAX, sizeof(in) - 1 - 2 * ADDRESS_LOCAL_MAX, "\"@%s",
	    LABEL63 "." LABEL63 "." LABEL63 "." LABEL63);
	ck_assert_int_eq(address_parse(&a, in, 0, NULL), ADDRESS_OK);
	ck_assert_str_eq(a.text, in);
	memcpy(again, a.text, sizeof(again));
	ck_assert_int_eq(address_parse(&a, again, 0, NULL), ADDRESS_OK);
	ck_assert_str_eq(a.text, again);
}
END_TEST

/* A megabyte of dots, of route and of open quote must each be over at once. */
START_TEST(test_huge)
{
	static const char *const units[] = { ".", "a.", "@a,", "@[1.2.3.4],", "\"", "\\", "[", "\xc3\xb6" };
	size_t size = 1 << 20, unit = strlen(units[_i]);
	char *text = malloc(size + unit + 2);
	struct address a;

	text[0] = '<';
	for (size_t i = 0; i < size; i += unit)
		memcpy(text + 1 + i, units[_i], unit + 1);
	ck_assert_int_ne(address_parse_path(&a, text, UTF8, NULL, NULL), ADDRESS_OK);
	text[0] = 'a';
	ck_assert_int_ne(address_parse(&a, text, UTF8, NULL), ADDRESS_OK);
	ck_assert_int_eq(address_domain(a.domain, text, UTF8), -1);
	free(text);
}
END_TEST

START_TEST(test_domain)
{
	char to[ADDRESS_DOMAIN_MAX + 1];

	ck_assert_int_eq(address_domain(to, "Mail.Example.ORG.", 0), 0);
	ck_assert_str_eq(to, "mail.example.org");
	ck_assert_int_eq(address_domain(to, "[IPv6:::1]", 0), 0);
	ck_assert_str_eq(to, "[IPv6:::1]");
	ck_assert_int_eq(address_domain(to, "b\xc3\xbc" "cher.example", 0), -1);
	ck_assert_int_eq(address_domain(to, "b\xc3\xbc" "cher.example", UTF8), 0);
	ck_assert_str_eq(to, "xn--bcher-kva.example");
	ck_assert_int_eq(address_domain(to, "", 0), -1);
	ck_assert_int_eq(address_domain(to, "a b", 0), -1);
	ck_assert_int_eq(address_domain(to, "a@b", 0), -1);
	ck_assert_str_eq(to, "");
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("address");

	tcase_add_loop_test(tests, test_path, 0, (int)(sizeof(paths) / sizeof(paths[0])));
	tcase_add_test(tests, test_parts);
	tcase_add_test(tests, test_longest);
	tcase_add_loop_test(tests, test_huge, 0, 8);
	tcase_add_test(tests, test_domain);
	return run_case("address", tests);
}
