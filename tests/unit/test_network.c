/*
 * smtpd/network.c: which addresses are one network, paces, and a table that stays bounded and forgets the right ones.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "smtpd/network.h"
#include "tests/unit/run.h"

#define MINUTE	60000
#define DAY	(24 * 60 * MINUTE)

static const struct sockaddr *
address(const char *text)
{
	static struct sockaddr_storage storage[4];
	static unsigned turn;
	struct sockaddr_storage *to = &storage[turn++ % 4];
	struct sockaddr_in *four = (void *)to;
	struct sockaddr_in6 *six = (void *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
		four->sin_family = AF_INET;
	else {
		ck_assert_int_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
		six->sin6_family = AF_INET6;
	}
	return (const struct sockaddr *)to;
}

static const struct {
	const char	*a, *b;
	bool		 same;
} pairs[] = {
	{ "192.0.2.1", "192.0.2.255", true },
	{ "192.0.2.1", "192.0.3.1", false },
	{ "192.0.2.1", "::ffff:192.0.2.9", true },
	{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::1", true },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
	{ "0.0.0.1", "::1", false },
};

START_TEST(what_is_one_network)
{
	struct networks all;
	struct network *a, *b;

	networks_init(&all, 10, NULL);
	a = network_enter(&all, address(pairs[_i].a), 0);
	b = network_enter(&all, address(pairs[_i].b), 0);
	ck_assert_int_eq(a == b, pairs[_i].same);
	ck_assert_uint_eq(a->connections, pairs[_i].same ? 2 : 1);
	networks_free(&all);
}
END_TEST

START_TEST(paces)
{
	struct networks all;
	struct network *n;
	int64_t now = 1000000;

	networks_init(&all, 10, NULL);
	n = network_enter(&all, address("192.0.2.1"), now);
	for (int i = 0; i < 60; i++)
		ck_assert(network_take(n, NETWORK_MESSAGES, 60, now));
	ck_assert(!network_take(n, NETWORK_MESSAGES, 60, now));
	ck_assert_msg(network_take(n, NETWORK_RECIPIENTS, 60, now), "each has its own pace");
	ck_assert(!network_take(n, NETWORK_MESSAGES, 60, now + 999));
	ck_assert(network_take(n, NETWORK_MESSAGES, 60, now + 1000));
	ck_assert(!network_take(n, NETWORK_MESSAGES, 60, now + 1000));
	for (int i = 0; i < 60; i++)
		ck_assert(network_take(n, NETWORK_MESSAGES, 60, now + 1000 + MINUTE));
	ck_assert(!network_take(n, NETWORK_MESSAGES, 60, now + 1000 + MINUTE));
	ck_assert_msg(network_take(n, NETWORK_MESSAGES, 0, now), "0 is no limit");
	networks_free(&all);
}
END_TEST

START_TEST(slow_paces)
{
	struct networks all;
	struct network *n;

	networks_init(&all, 10, NULL);
	n = network_enter(&all, address("192.0.2.1"), 5);
	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, 5));
	ck_assert(!network_take(n, NETWORK_CONNECTIONS, 1, MINUTE));
	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, 5 + MINUTE));
	networks_free(&all);
}
END_TEST

/* A pace is remembered while it matters and no longer. */
START_TEST(leaves_and_comes_back)
{
	struct networks all;
	struct network *n;

	networks_init(&all, 10, NULL);
	n = network_enter(&all, address("192.0.2.1"), 0);
	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, 0));
	network_leave(&all, n, 10);
	ck_assert_uint_eq(HASH_COUNT(all.by_key), 1);
	n = network_enter(&all, address("192.0.2.2"), 20);
	ck_assert(!network_take(n, NETWORK_CONNECTIONS, 1, 20));
	network_leave(&all, n, 30);
	network_leave(&all, network_enter(&all, address("198.51.100.1"), 2 * MINUTE), 2 * MINUTE);
	ck_assert_uint_eq(HASH_COUNT(all.by_key), 0);
	networks_free(&all);
}
END_TEST

START_TEST(known_for_a_day)
{
	struct networks all;
	struct network *n;

	networks_init(&all, 10, NULL);
	n = network_enter(&all, address("192.0.2.1"), 0);
	ck_assert(!network_known(n, 0));
	network_vouch(n, 0);
	network_leave(&all, n, 0);
	n = network_enter(&all, address("192.0.2.1"), DAY - 1);
	ck_assert(network_known(n, DAY - 1));
	ck_assert(!network_known(n, DAY));
	network_leave(&all, n, DAY);
	ck_assert_uint_eq(HASH_COUNT(all.by_key), 0);
	networks_free(&all);
}
END_TEST

/* A flood from everywhere: the table stays bounded, those with a connection and those known stay in it. */
START_TEST(bounded)
{
	struct networks all;
	struct network *n, *stays, *known;
	char text[64];

	networks_init(&all, 100, NULL);
	stays = network_enter(&all, address("192.0.2.1"), 0);
	known = network_enter(&all, address("198.51.100.1"), 0);
	network_vouch(known, 0);
	network_leave(&all, known, 0);
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i / 100, i % 100);
		n = network_enter(&all, address(text), 1);
		network_take(n, NETWORK_CONNECTIONS, 10, 1);
		network_leave(&all, n, 1);
		ck_assert_uint_le(HASH_COUNT(all.by_key), 103);
	}
	ck_assert_ptr_eq(network_enter(&all, address("192.0.2.7"), 2), stays);
	ck_assert(network_known(network_enter(&all, address("198.51.100.7"), 2), 2));
	networks_free(&all);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("network");

	tcase_add_loop_test(t, what_is_one_network, 0, sizeof(pairs) / sizeof(pairs[0]));
	tcase_add_test(t, paces);
	tcase_add_test(t, slow_paces);
	tcase_add_test(t, leaves_and_comes_back);
	tcase_add_test(t, known_for_a_day);
	tcase_add_test(t, bounded);
	return run_case("network", t);
}
