/*
 * DNS messages as bytes: names that may be asked, queries, answers that lie, and answers on their way between processes.
 * ATTACKS 44
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pack.h"
#include "mx/dns_answer.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define L10 "abcdefghij"
#define L60 L10 L10 L10 L10 L10 L10

START_TEST(test_names)
{
	static const struct {
		const char	*name;
		bool		 host, askable;
	} cases[] = {
		{ "example.org", true, true }, { "example.org.", true, true }, { "_dmarc.example.org", true, true },
		{ "a", true, true }, { "xn--bcher-kva.example", true, true }, { "-a.example", true, true },
		{ "0/25.2.0.192.in-addr.arpa", false, true }, { "a+b=c._spf.example", false, true },
		{ "", false, false }, { ".", false, false }, { "..", false, false }, { ".a", false, false },
		{ "a..b", false, false }, { "a b", false, true }, { "a\tb", false, false }, { "a\\.b", false, false },
		{ "b\xc3\xbc" "cher.example", false, false }, { "a@b", false, true }, { "a\x7f" "b", false, false },
		{ L60 "abc.org", true, true }, { L60 "abcd.org", false, false },
		{ L60 "." L60 "." L60 "." L60 ".abcdefgh.", true, true }, { L60 "." L60 "." L60 "." L60 ".abcdefghij", false, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		ck_assert_msg(dns_name_is_host(cases[i].name) == cases[i].host, "host: %s", cases[i].name);
		ck_assert_msg(dns_name_askable(cases[i].name) == cases[i].askable, "askable: %s", cases[i].name);
	}
}
END_TEST

START_TEST(test_query)
{
	static const uint8_t expected[] =
	    "\x12\x34\x01\x20\0\1\0\0\0\0\0\1\7example\3org\0\0\x0f\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0";
	uint8_t query[DNS_QUERY_MAX];

	ck_assert_uint_eq(dns_query_build(query, 0x1234, DNS_MX, "example.org"), sizeof(expected) - 1);
	ck_assert_mem_eq(query, expected, sizeof(expected) - 1);
	ck_assert_uint_eq(dns_query_build(query, 0x1234, DNS_MX, "example.org."), sizeof(expected) - 1);
	ck_assert_mem_eq(query, expected, sizeof(expected) - 1);
}
END_TEST

#define QUESTION(type) "\7example\3org\0\0" type "\0\1"
#define ONE "\0\1\0\1\0\0\0\0"
#define OWNER "\xc0\x0c"

static const struct {
	const char	*what;
	enum dns_type	 type;
	const char	*bytes;		/* behind the id */
	size_t		 len;
	enum dns_result	 result;
	const char	*first;		/* bytes of the first record */
	size_t		 first_len;
	const char	*why;
} messages[] = {
#define M(what, type, bytes, result, first, why) \
	{ what, type, bytes, sizeof(bytes) - 1, result, first, sizeof(first) - 1, why }
	M("TXT of two strings, with a zero byte", DNS_TXT,
	    "\x81\x80" ONE QUESTION("\x10") OWNER "\0\x10\0\1\0\0\1\0\0\7\3a\0b\2cd", DNS_OK, "a\0bcd", NULL),
	M("empty TXT", DNS_TXT, "\x81\x80" ONE QUESTION("\x10") OWNER "\0\x10\0\1\0\0\1\0\0\0", DNS_OK, "", NULL),
	M("TXT whose string is longer than it", DNS_TXT,
	    "\x81\x80" ONE QUESTION("\x10") OWNER "\0\x10\0\1\0\0\1\0\0\4\7abc", DNS_TEMPORARY, "", "answer cannot be read"),
	M("null MX", DNS_MX, "\x81\x80" ONE QUESTION("\x0f") OWNER "\0\x0f\0\1\0\0\1\0\0\3\0\0\0", DNS_OK, "", NULL),
	M("MX with bytes behind its name", DNS_MX,
	    "\x81\x80" ONE QUESTION("\x0f") OWNER "\0\x0f\0\1\0\0\1\0\0\5\0\1\1a\0!", DNS_TEMPORARY, "",
	    "answer cannot be read"),
	M("MX that points to itself", DNS_MX,
	    "\x81\x80" ONE QUESTION("\x0f") OWNER "\0\x0f\0\1\0\0\1\0\0\4\0\1\xc0\x2b", DNS_TEMPORARY, "",
	    "answer cannot be read"),
	M("A of three bytes", DNS_A, "\x81\x80" ONE QUESTION("\1") OWNER "\0\1\0\1\0\0\1\0\0\3\1\2\3", DNS_TEMPORARY, "",
	    "answer cannot be read"),
	M("TLSA", DNS_TLSA, "\x81\x80" ONE QUESTION("\x34") OWNER "\0\x34\0\1\0\0\1\0\0\5\3\1\1ab", DNS_OK, "\3\1\1ab", NULL),
	M("a record of another name", DNS_TXT,
	    "\x81\x80" ONE QUESTION("\x10") "\3net\0" "\0\x10\0\1\0\0\1\0\0\2\1a", DNS_NODATA, "", "no such record"),
	M("a record of another class", DNS_TXT,
	    "\x81\x80" ONE QUESTION("\x10") OWNER "\0\x10\0\3\0\0\1\0\0\2\1a", DNS_NODATA, "", "no such record"),
	M("another type asked", DNS_A, "\x81\x80" ONE QUESTION("\x10") OWNER "\0\x10\0\1\0\0\1\0\0\2\1a", DNS_TEMPORARY, "",
	    "answer cannot be read"),
	M("another name asked", DNS_A, "\x81\x80\0\1\0\0\0\0\0\0\7Example\3net\0\0\1\0\1", DNS_TEMPORARY, "",
	    "answer cannot be read"),
	M("not an answer", DNS_A, "\x01\x80\0\1\0\0\0\0\0\0" QUESTION("\1"), DNS_TEMPORARY, "", "answer cannot be read"),
	M("no question", DNS_A, "\x81\x80\0\0\0\0\0\0\0\0", DNS_TEMPORARY, "", "answer cannot be read"),
	M("no room for its records", DNS_A, "\x81\x80\0\1\0\x09\0\0\0\0" QUESTION("\1"), DNS_TEMPORARY, "",
	    "answer cannot be read"),
	M("too short", DNS_A, "\x81\x80\0", DNS_TEMPORARY, "", "answer cannot be read"),
	M("nothing there", DNS_A, "\x81\x80\0\1\0\0\0\0\0\0" QUESTION("\1"), DNS_NODATA, "", "no such record"),
	M("cut to nothing", DNS_A, "\x83\x80\0\1\0\0\0\0\0\0" QUESTION("\1"), DNS_TEMPORARY, "", "answer cannot be read"),
	M("a referral", DNS_A, "\x81\x00\0\1\0\0\0\1\0\0" QUESTION("\1") OWNER "\0\2\0\1\0\0\1\0\0\4\2ns\0", DNS_TEMPORARY, "",
	    "referral from a server without recursion"),
	M("an unknown code", DNS_A, "\x81\x89\0\1\0\0\0\0\0\0" QUESTION("\1"), DNS_TEMPORARY, "", "unknown response code"),
	M("FORMERR", DNS_A, "\x81\x81\0\1\0\0\0\0\0\0" QUESTION("\1"), DNS_TEMPORARY, "", "FORMERR"),
};

START_TEST(test_messages)
{
	uint8_t message[512];
	struct dns_answer a;

	message[0] = message[1] = 0;
	memcpy(message + 2, messages[_i].bytes, messages[_i].len);
	dns_answer_parse(&a, message, messages[_i].len + 2, messages[_i].type, "example.org");
	ck_assert_msg(a.result == messages[_i].result, "%s: %s, %s", messages[_i].what, dns_result_name(a.result), a.why);
	ck_assert_msg(a.n == (a.result == DNS_OK), "%s", messages[_i].what);
	if (messages[_i].why != NULL)
		ck_assert_str_eq(a.why, messages[_i].why);
	else
		ck_assert_ptr_null(a.why);
	if (a.n > 0) {
		ck_assert_uint_eq(a.records[0].len, messages[_i].first_len);
		ck_assert_mem_eq(a.records[0].bytes, messages[_i].first, a.records[0].len);
		ck_assert_uint_eq(a.ttl, 256);
	}
	dns_free_answer(&a);
}
END_TEST

/* Every cut of a good message is read without harm. */
START_TEST(test_every_cut)
{
	static const char good[] =
	    "\0\0\x81\x80" ONE QUESTION("\x0f") OWNER "\0\x0f\0\1\0\0\1\0\0\x08\0\1\3mx1" OWNER;
	struct dns_answer a;

	for (size_t len = 0; len < sizeof(good); len++) {
		uint8_t *exact = malloc(len + 1);

		memcpy(exact, good, len);
		dns_answer_parse(&a, exact, len, DNS_MX, "Example.ORG.");
		ck_assert_int_eq(a.result, len == sizeof(good) - 1 ? DNS_OK : DNS_TEMPORARY);
		dns_free_answer(&a);
		free(exact);
	}
}
END_TEST

static void
pack_mx(struct pack *p, unsigned result, unsigned type, unsigned why, const char *canonical, unsigned n, const char *name)
{
	pack_init(p);
	pack_u8(p, (uint8_t)result);
	pack_u8(p, (uint8_t)type);
	pack_u8(p, 1);
	pack_u8(p, (uint8_t)why);
	pack_u32(p, 300);
	pack_str(p, canonical);
	pack_u8(p, (uint8_t)n);
	pack_u32(p, 300);
	pack_u16(p, 10);
	pack_blob(p, name, strlen(name));
}

START_TEST(test_unpack)
{
	static const struct {
		unsigned	 result, type, why, n;
		const char	*name;
		int		 expected;
	} cases[] = {
		{ DNS_OK, DNS_MX, 0, 1, "mx.example.org", 0 }, { DNS_OK, DNS_MX, 0, 1, "", 0 },
		{ DNS_OK, DNS_TXT, 0, 1, "any\1thing", 0 }, { DNS_OK, DNS_A, 0, 1, "abcd", 0 },
		{ DNS_OK, DNS_A, 0, 1, "abc", -1 }, { DNS_OK, DNS_AAAA, 0, 1, "abcd", -1 },
		{ DNS_OK, DNS_MX, 0, 1, "a b", -1 }, { DNS_OK, DNS_PTR, 0, 1, "", -1 }, { DNS_OK, DNS_MX, 0, 2, "a", -1 },
		{ DNS_OK, DNS_MX, 0, 129, "a", -1 }, { DNS_OK, DNS_MX, 1, 1, "a", -1 }, { DNS_OK, 99, 0, 1, "a", -1 },
		{ DNS_INVALID + 1, DNS_MX, 1, 1, "a", -1 }, { DNS_TEMPORARY, DNS_MX, 1, 1, "a", -1 },
		{ DNS_OK, DNS_MX, 0, 0, "", -1 }, { DNS_TEMPORARY, DNS_MX, DNS_WHY_COUNT, 0, "", -1 },
	};
	struct dns_answer a;
	struct unpack u;
	struct pack p;

	for (size_t i = 0; i < COUNT(cases); i++) {
		pack_mx(&p, cases[i].result, cases[i].type, cases[i].why, "", cases[i].n, cases[i].name);
		unpack_init(&u, p.data, p.len);
		ck_assert_msg(dns_unpack_answer(&u, &a) == cases[i].expected, "case %zu", i);
		if (cases[i].expected == 0)
			dns_free_answer(&a);
		pack_free(&p);
	}
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dns_answer");

	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_query);
	tcase_add_loop_test(tc, test_messages, 0, COUNT(messages));
	tcase_add_test(tc, test_every_cut);
	tcase_add_test(tc, test_unpack);
	return run_case("dns_answer", tc);
}
