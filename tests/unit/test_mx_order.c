/*
 * Order, loop test and filters of MX hosts and addresses, without any DNS.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mx/mx_order.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct dns_answer
answer_of(struct dns_record *records, size_t n)
{
	for (size_t i = 0; i < n; i++)
		records[i].len = strlen(records[i].bytes);
	return (struct dns_answer){ .result = DNS_OK, .type = DNS_MX, .records = records, .n = n };
}

START_TEST(test_sorted)
{
	static char a[] = "a", b[] = "b", c[] = "c", again[] = "B", root[] = "";
	struct dns_record records[] = {
		{ .preference = 300, .bytes = c }, { .preference = 10, .bytes = b }, { .preference = 20, .bytes = again },
		{ .preference = 5, .bytes = a }, { .preference = 0, .bytes = root },
	};
	struct dns_answer answer = answer_of(records, COUNT(records));
	struct mx_host hosts[8];

	for (uint64_t seed = 0; seed < 50; seed++) {
		ck_assert_uint_eq(mx_order_hosts(hosts, 8, &answer, seed), 3);
		ck_assert_str_eq(hosts[0].name, "a");
		ck_assert_str_eq(hosts[1].name, "b");
		ck_assert_uint_eq(hosts[1].preference, 10);
		ck_assert_str_eq(hosts[2].name, "c");
	}
	ck_assert_uint_eq(mx_order_hosts(hosts, 2, &answer, 1), 2);
	ck_assert_str_eq(hosts[1].name, "b");
}
END_TEST

/* Every one of four equals comes first about as often, and the same seed gives the same order. */
START_TEST(test_shuffled)
{
	static char names[4][2] = { "0", "1", "2", "3" };
	struct dns_record records[4];
	struct mx_host hosts[4], same[4];
	struct dns_answer answer;
	unsigned first[4] = { 0 };

	memset(records, 0, sizeof(records));
	for (size_t i = 0; i < 4; i++)
		records[i].bytes = names[i];
	answer = answer_of(records, 4);
	for (uint64_t seed = 1; seed <= 4000; seed++) {
		mx_order_hosts(hosts, 4, &answer, seed * 0x9e3779b97f4a7c15);
		mx_order_hosts(same, 4, &answer, seed * 0x9e3779b97f4a7c15);
		ck_assert_str_eq(hosts[0].name, same[0].name);
		ck_assert_str_eq(hosts[3].name, same[3].name);
		first[hosts[0].name[0] - '0']++;
	}
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_gt(first[i], 850);
		ck_assert_uint_lt(first[i], 1150);
	}
}
END_TEST

START_TEST(test_cut)
{
	static const struct mx_host hosts[] = { { "a", 10 }, { "b", 20 }, { "c", 20 }, { "d", 30 } };
	static const struct {
		const char	*name;
		size_t		 left;
	} cases[] = { { "a", 0 }, { "A", 0 }, { "b", 1 }, { "c", 1 }, { "D", 3 }, { "x", 4 }, { "", 4 } };

	for (size_t i = 0; i < COUNT(cases); i++)
		ck_assert_uint_eq(mx_order_cut(hosts, 4, cases[i].name), cases[i].left);
}
END_TEST

START_TEST(test_reach)
{
	static const struct {
		const char	*address;
		enum mx_reach	 reach;
	} cases[] = {
		{ "192.0.2.1", MX_REACH_PUBLIC },	{ "8.8.8.8", MX_REACH_PUBLIC },
		{ "172.15.255.255", MX_REACH_PUBLIC },	{ "172.32.0.0", MX_REACH_PUBLIC },
		{ "100.63.0.1", MX_REACH_PUBLIC },	{ "100.128.0.1", MX_REACH_PUBLIC },
		{ "0.0.0.0", MX_REACH_IMPOSSIBLE },	{ "0.1.2.3", MX_REACH_PRIVATE },
		{ "10.255.0.1", MX_REACH_PRIVATE },	{ "100.64.0.1", MX_REACH_PRIVATE },
		{ "127.0.0.1", MX_REACH_PRIVATE },	{ "127.255.255.255", MX_REACH_PRIVATE },
		{ "169.254.169.254", MX_REACH_PRIVATE },	{ "172.16.0.0", MX_REACH_PRIVATE },
		{ "172.31.255.255", MX_REACH_PRIVATE },	{ "192.168.1.1", MX_REACH_PRIVATE },
		{ "224.0.0.1", MX_REACH_IMPOSSIBLE },	{ "240.0.0.1", MX_REACH_IMPOSSIBLE },
		{ "255.255.255.255", MX_REACH_IMPOSSIBLE },
		{ "2001:db8::1", MX_REACH_PUBLIC },	{ "2a00::1", MX_REACH_PUBLIC },
		{ "::", MX_REACH_IMPOSSIBLE },		{ "::1", MX_REACH_PRIVATE },
		{ "::127.0.0.1", MX_REACH_PRIVATE },	{ "::ffff:8.8.8.8", MX_REACH_IMPOSSIBLE },
		{ "::ffff:127.0.0.1", MX_REACH_IMPOSSIBLE },	{ "fe80::1", MX_REACH_PRIVATE },
		{ "febf::1", MX_REACH_PRIVATE },	{ "fec0::1", MX_REACH_PRIVATE },
		{ "fc00::1", MX_REACH_PRIVATE },	{ "fdff::1", MX_REACH_PRIVATE },
		{ "ff02::1", MX_REACH_IMPOSSIBLE },	{ "64:ff9b::8.8.8.8", MX_REACH_PUBLIC },
		{ "64:ff9b::127.0.0.1", MX_REACH_PRIVATE },	{ "64:ff9b:1::1", MX_REACH_PRIVATE },
		{ "2002:7f00:1::1", MX_REACH_PRIVATE },	{ "2002:808:808::1", MX_REACH_PUBLIC },
	};
	struct mx_address a;

	for (size_t i = 0; i < COUNT(cases); i++) {
		ck_assert_int_eq(mx_literal_parse(&a, cases[i].address, 25), 0);
		ck_assert_msg(mx_reach((struct sockaddr *)&a.address) == cases[i].reach, "%s", cases[i].address);
	}
}
END_TEST

START_TEST(test_literal)
{
	static const char *const bad[] = {
		"", "[]", "[", "]", "example.org", "[example.org]", "192.0.2", "[192.0.2.1", "192.0.2.1]", "[192.0.2.1] ",
		"[192.0.2.256]", "[IPv6:192.0.2.1]", "[IPv6:]", "IPv6:2001:db8::1", "[IPv6:2001:db8::1%eth0]", "[ 192.0.2.1]",
		"[IPv6:IPv6:2001:db8::1]", "192.0.2.01000000000000000000000000000000000000000000000000000",
	};
	struct mx_address a;

	ck_assert_int_eq(mx_literal_parse(&a, "[192.0.2.1]", 2525), 0);
	ck_assert_str_eq(a.host, "[192.0.2.1]");
	ck_assert_int_eq(a.address.ss_family, AF_INET);
	ck_assert_uint_eq(ntohs(((struct sockaddr_in *)&a.address)->sin_port), 2525);
	ck_assert_uint_eq(a.length, sizeof(struct sockaddr_in));
	ck_assert_int_eq(mx_literal_parse(&a, "[ipv6:2001:DB8::1]", 25), 0);
	ck_assert_str_eq(a.host, "[IPv6:2001:DB8::1]");
	ck_assert_int_eq(a.address.ss_family, AF_INET6);
	ck_assert_uint_eq(a.length, sizeof(struct sockaddr_in6));
	ck_assert_int_eq(mx_literal_parse(&a, "::1", 25), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(mx_literal_parse(&a, bad[i], 25) == -1, "\"%s\"", bad[i]);
}
END_TEST

START_TEST(test_own)
{
	static const struct {
		const char	*address;
		uint16_t	 port;
		bool		 own;
	} cases[] = {
		{ "192.0.2.1", 25, true }, { "192.0.2.1", 26, false }, { "192.0.2.2", 25, false }, { "127.0.0.2", 25, false },
		{ "127.0.0.2", 587, true }, { "192.0.2.1", 587, false }, { "::1", 25, true }, { "2001:db8::1", 25, false },
	};
	struct sockaddr_storage own[3];
	struct mx_address a;

	mx_literal_parse(&a, "192.0.2.1", 25);
	own[0] = a.address;
	mx_literal_parse(&a, "0.0.0.0", 587);
	own[1] = a.address;
	mx_literal_parse(&a, "::", 25);
	own[2] = a.address;
	for (size_t i = 0; i < COUNT(cases); i++) {
		mx_literal_parse(&a, cases[i].address, cases[i].port);
		ck_assert_msg(mx_address_is_own(&a, own, 3) == cases[i].own, "%s", cases[i].address);
	}
	ck_assert(!mx_address_is_own(&a, NULL, 0));
}
END_TEST

START_TEST(test_share)
{
	size_t fits[] = { 5, 3 }, one[] = { 40 }, greedy[] = { 40, 2, 1 }, bomb[10];

	mx_order_share(fits, 2, 20);
	ck_assert(fits[0] == 5 && fits[1] == 3);
	mx_order_share(one, 1, 20);
	ck_assert_uint_eq(one[0], 20);
	mx_order_share(greedy, 3, 20);
	ck_assert(greedy[0] == 17 && greedy[1] == 2 && greedy[2] == 1);
	for (size_t i = 0; i < 10; i++)
		bomb[i] = 40;
	mx_order_share(bomb, 10, 20);
	for (size_t i = 0; i < 10; i++)
		ck_assert_uint_eq(bomb[i], 2);
	mx_order_share(NULL, 0, 20);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("mx_order");

	tcase_add_test(tc, test_sorted);
	tcase_add_test(tc, test_shuffled);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_reach);
	tcase_add_test(tc, test_literal);
	tcase_add_test(tc, test_own);
	tcase_add_test(tc, test_share);
	return run_case("mx_order", tc);
}
