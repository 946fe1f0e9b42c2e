/*
 * SPF records and macros: the grammar of RFC 7208, 12, the examples of 7.4, and what strangers make of both. ATTACKS 45.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/spf_record.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct spf_macros
macros(int family)
{
	struct spf_macros x = { .local = "strong-bad", .sender_domain = "email.example.com", .domain = "email.example.com",
		.helo = "mx.example.org", .validated = "mx.example.org", .receiver = "us.example", .now = 1795291200, .family = family };

	inet_pton(family, family == AF_INET ? "192.0.2.3" : "2001:db8::cb01", x.address);
	return x;
}

START_TEST(test_is)
{
	ck_assert(spf_record_is("v=spf1", 6));
	ck_assert(spf_record_is("V=SPF1 -all", 11));
	ck_assert(!spf_record_is("v=spf10", 7));
	ck_assert(!spf_record_is("v=spf1-all", 10));
	ck_assert(!spf_record_is("v=spf", 5));
	ck_assert(!spf_record_is("", 0));
}
END_TEST

START_TEST(test_read)
{
	static const struct {
		const char	*terms;
		const char	*wrong;		/* NULL: nothing */
	} cases[] = {
		{ "", NULL }, { "   ", NULL }, { "a  mx -all  ", NULL }, { "A MX -ALL", NULL }, { "?all ~a +mx", NULL },
		{ "a:example.com/24//64 mx/8 a//0 mx:x.example//128", NULL }, { "ptr ptr:example.com exists:%{i}.example.com", NULL },
		{ "ip4:192.0.2.0/24 ip6:2001:db8::/32 ip6:::1 ip4:192.0.2.1", NULL }, { "include:a.example redirect=b.example", NULL },
		{ "exp=e.example redirect=%{d}", NULL }, { "unknown=%{i} other-one.x_y= third=a/b:c", NULL }, { "a:example.com.", NULL },
		{ "a:foo:bar/baz.example.com", NULL }, { "exists:%{l1r+-}._spf.%{d}", NULL }, { "exists:%%.%_.%-.example", NULL },
		{ "al", "al" }, { "all:", "all:" }, { "all/8", "all/8" }, { "-", "-" }, { "--all", "--all" }, { "a:", "a:" },
		{ "a/33", "a/33" }, { "a/024", "a/024" }, { "a/", "a/" }, { "a//129", "a//129" }, { "a/24/64", "a/24/64" },
		{ "mx:/24", "mx:/24" }, { "ip4", "ip4" }, { "ip4:", "ip4:" }, { "ip4:192.0.2", "ip4:192.0.2" }, { "ip4:1.2.3.4/-1", "ip4:1.2.3.4/-1" },
		{ "ip4:192.0.2.1//32", "ip4:192.0.2.1//32" }, { "ip6:::1//64", "ip6:::1//64" }, { "ip6:1.2.3.4", "ip6:1.2.3.4" },
		{ "ip4:1.2.3.4/99999999999999999999", "ip4:1.2.3.4/99999999999999999999" }, { "include", "include" },
		{ "include:example.com/24", "include:example.com/24" }, { "include:museum", "include:museum" }, { "exists", "exists" },
		{ "ptr/24", "ptr/24" }, { "a:example.-com", "a:example.-com" }, { "a:example.123", "a:example.123" },
		{ "a:%{a}.example", "a:%{a}.example" }, { "a:%{c}.example", "a:%{c}.example" }, { "a:%{d0}.example", "a:%{d0}.example" },
		{ "a:%{d", "a:%{d" }, { "a:%", "a:%" }, { "a:%x.example", "a:%x.example" }, { "a:%{dr2}", "a:%{dr2}" }, { "a:%{d}x", "a:%{d}x" },
		{ "a:%{}", "a:%{}" }, { "a -all a:\x80.example", "a:\x80.example" }, { "a\tmx", "a\tmx" }, { "redirect=", "redirect=" },
		{ "redirect=a.example redirect=b.example", "redirect=b.example" }, { "exp=a.example EXP=b.example", "EXP=b.example" },
		{ "-redirect=a.example", "-redirect=a.example" }, { "1x=y", "1x=y" }, { "=y", "=y" }, { "x=%", "x=%" }, { "-all x=%(d)", "x=%(d)" },
	};
	struct spf_slice wrong;
	struct spf_record r;
	char text[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		int n = snprintf(text, sizeof(text), "v=spf1 %s", cases[i].terms), result;

		result = spf_record_read(&r, text, (size_t)n, &wrong);
		ck_assert_msg((result == 0) == (cases[i].wrong == NULL), "%s", text);
		if (result != 0)
			ck_assert_msg(wrong.len == strlen(cases[i].wrong) && memcmp(wrong.text, cases[i].wrong, wrong.len) == 0, "%s", text);
	}
}
END_TEST

START_TEST(test_terms)
{
	static const char text[] = "v=spf1 x=y -a:b.example/24//48 ip4:192.0.2.0/8 redirect=r.example ?ip6:2001:db8::/33 ~all exp=e.example";
	struct spf_slice wrong;
	struct spf_record r;
	struct spf_term t;
	size_t at = 0;

	ck_assert_int_eq(spf_record_read(&r, text, strlen(text), &wrong), 0);
	ck_assert(spf_record_next(&r, &at, &t));
	ck_assert(t.kind == SPF_A && t.qualifier == '-' && t.prefix4 == 24 && t.prefix6 == 48 && t.domain.len == 9);
	ck_assert(spf_record_next(&r, &at, &t));
	ck_assert(t.kind == SPF_IP4 && t.qualifier == '+' && t.prefix4 == 8 && memcmp(t.address, "\xc0\0\2\0", 4) == 0);
	ck_assert(spf_record_next(&r, &at, &t));
	ck_assert(t.kind == SPF_IP6 && t.qualifier == '?' && t.prefix6 == 33);
	ck_assert(spf_record_next(&r, &at, &t));
	ck_assert(t.kind == SPF_ALL && t.qualifier == '~' && t.domain.text == NULL);
	ck_assert(!spf_record_next(&r, &at, &t));
	ck_assert(r.redirect.len == 9 && r.exp.len == 9);
}
END_TEST

/* RFC 7208, 7.4. */
START_TEST(test_macros)
{
	static const struct {
		const char	*spec, *expected;
		int		 family;
	} cases[] = {
		{ "%{s}", "strong-bad@email.example.com", AF_INET }, { "%{o}", "email.example.com", AF_INET },
		{ "%{d}", "email.example.com", AF_INET }, { "%{d4}", "email.example.com", AF_INET }, { "%{d3}", "email.example.com", AF_INET },
		{ "%{d2}", "example.com", AF_INET }, { "%{d1}", "com", AF_INET }, { "%{dr}", "com.example.email", AF_INET },
		{ "%{d2r}", "example.email", AF_INET }, { "%{l}", "strong-bad", AF_INET }, { "%{l-}", "strong.bad", AF_INET },
		{ "%{lr}", "strong-bad", AF_INET }, { "%{lr-}", "bad.strong", AF_INET }, { "%{l1r-}", "strong", AF_INET },
		{ "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com", AF_INET },
		{ "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com", AF_INET },
		{ "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com", AF_INET },
		{ "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com", AF_INET },
		{ "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net", AF_INET },
		{ "%{ir}.%{v}._spf.%{d2}",
		    "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com", AF_INET6 },
		{ "%{h}.%{p}.x", "mx.example.org.mx.example.org.x", AF_INET }, { "%{S}", "strong-bad%40email.example.com", AF_INET },
		{ "a%%b%_c%-.x", "a%b c%20.x", AF_INET }, { "example.com.", "example.com", AF_INET }, { "%{d999999999999}", "email.example.com", AF_INET },
	};
	char to[SPF_NAME_MAX + 1];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct spf_macros x = macros(cases[i].family);

		spf_macros_domain(to, (struct spf_slice){ cases[i].spec, strlen(cases[i].spec) }, &x);
		ck_assert_str_eq(to, cases[i].expected);
	}
}
END_TEST

/* Labels go from the left until it fits, however much there was. */
START_TEST(test_long_domain)
{
	struct spf_macros x = macros(AF_INET);
	char spec[8001], to[SPF_NAME_MAX + 1], local[SPF_SENDER_MAX + 1];

	memset(local, 'a', sizeof(local) - 1);
	local[sizeof(local) - 1] = '\0';
	x.local = local;
	for (size_t i = 0; i < 8000; i += 5)
		memcpy(spec + i, i % 10 == 0 ? "%{s}." : "%{d}.", 5);
	spf_macros_domain(to, (struct spf_slice){ spec, 8000 }, &x);
	ck_assert_uint_le(strlen(to), SPF_NAME_MAX);
	ck_assert_str_eq(to + strlen(to) - 17, "email.example.com");
	spf_macros_domain(to, (struct spf_slice){ "%{l}", 4 }, &x);
	ck_assert_str_eq(to, "");
}
END_TEST

START_TEST(test_explanation)
{
	static const struct {
		const char	*text, *expected;	/* NULL: none */
	} cases[] = {
		{ "%{c} is not one of %{d}'s, asks %{r} at %{t}", "192.0.2.3 is not one of email.example.com's, asks us.example at 1795291200" },
		{ "", "" }, { "100%% sure%_of it", "100% sure of it" }, { "%{x}", NULL }, { "50% off", NULL }, { "caf\xc3\xa9", NULL },
		{ "two\r\nlines", NULL }, { "%{l}", "strong-bad" },
	};
	struct spf_macros x = macros(AF_INET);
	char to[SPF_EXPLANATION_MAX + 1], bomb[8000];

	for (size_t i = 0; i < COUNT(cases); i++) {
		int result = spf_macros_explanation(to, cases[i].text, strlen(cases[i].text), &x);

		ck_assert_msg((result == 0) == (cases[i].expected != NULL), "%s", cases[i].text);
		if (result == 0)
			ck_assert_str_eq(to, cases[i].expected);
	}
	for (size_t i = 0; i < sizeof(bomb); i += 4)
		memcpy(bomb + i, "%{s}", 4);
	ck_assert_int_eq(spf_macros_explanation(to, bomb, sizeof(bomb), &x), 0);
	ck_assert_uint_eq(strlen(to), SPF_EXPLANATION_MAX);
	x.local = "two\nlines";
	ck_assert_int_eq(spf_macros_explanation(to, "%{l}", 4, &x), -1);
}
END_TEST

START_TEST(test_need_name)
{
	ck_assert(spf_macros_need_name((struct spf_slice){ "x.%{p}", 6 }));
	ck_assert(spf_macros_need_name((struct spf_slice){ "%{P2r}", 6 }));
	ck_assert(!spf_macros_need_name((struct spf_slice){ "%%{p}", 5 }));
	ck_assert(!spf_macros_need_name((struct spf_slice){ "p", 1 }));
	ck_assert(!spf_macros_need_name((struct spf_slice){ NULL, 0 }));
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("spf_record");

	tcase_add_test(tc, test_is);
	tcase_add_test(tc, test_read);
	tcase_add_test(tc, test_terms);
	tcase_add_test(tc, test_macros);
	tcase_add_test(tc, test_long_domain);
	tcase_add_test(tc, test_explanation);
	tcase_add_test(tc, test_need_name);
	return run_case("spf_record", tc);
}
