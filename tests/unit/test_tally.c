/*
 * smtpd/tally.c, alone and under network.c: what one process tells the others, pages that are full, and pages that lie.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/messages.h"
#include "smtpd/network.h"
#include "tests/unit/run.h"

#define MINUTE		60000
#define DAY		(24 * 60 * MINUTE)
#define SEED		42

struct worker {
	struct tallies	 tallies;
	struct networks	 networks;
	struct tally_page *page;
};

static struct worker workers[3];

static struct tally_page *
new_page(void)
{
	struct tally_page *page = calloc(1, MSG_TALLY_SIZE);

	ck_assert_ptr_nonnull(page);
	return page;
}

static void
setup(void)
{
	for (int i = 0; i < 3; i++) {
		struct worker *w = &workers[i];

		*w = (struct worker){ .page = new_page() };
		tallies_set_own(&w->tallies, SEED, w->page);
		networks_init(&w->networks, 10, &w->tallies);
	}
	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t k = 0; k < 3; k++)
			if (i != k)
				ck_assert_int_eq(tallies_add(&workers[i].tallies, k, workers[k].page), 0);
}

static void
teardown(void)
{
	for (int i = 0; i < 3; i++) {
		networks_free(&workers[i].networks);
		free(workers[i].page);
	}
}

static struct network *
enter(int worker, const char *text, int64_t now)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	ck_assert_int_eq(inet_pton(AF_INET, text, &to.sin_addr), 1);
	return network_enter(&workers[worker].networks, (const struct sockaddr *)&to, now);
}

static const uint8_t *
key_number(uint32_t n)
{
	static uint8_t key[TALLY_KEY];

	key[0] = 6;
	memcpy(key + 1, &n, sizeof(n));
	return key;
}

START_TEST(a_page_fits)
{
	ck_assert_uint_le(tally_page_size(), MSG_TALLY_SIZE);
}
END_TEST

START_TEST(connections_add_up)
{
	struct network *a = enter(0, "192.0.2.1", 0), *b = enter(1, "192.0.2.2", 0), *c = enter(2, "198.51.100.1", 0);

	ck_assert_ptr_eq(enter(0, "192.0.2.3", 0), a);
	ck_assert_uint_eq(network_connections(a), 3);
	ck_assert_uint_eq(network_connections(b), 3);
	ck_assert_uint_eq(network_connections(c), 1);
	network_leave(&workers[0].networks, a, 1);
	ck_assert_uint_eq(network_connections(b), 2);
	network_leave(&workers[0].networks, a, 1);
	ck_assert_uint_eq(network_connections(b), 1);
}
END_TEST

START_TEST(who_has_ended_counts_no_more)
{
	struct network *a = enter(0, "192.0.2.1", 0);

	enter(1, "192.0.2.1", 0);
	ck_assert_uint_eq(network_connections(a), 2);
	ck_assert_ptr_eq(tallies_remove(&workers[0].tallies, 1), workers[1].page);
	ck_assert_uint_eq(network_connections(a), 1);
	ck_assert_ptr_null(tallies_remove(&workers[0].tallies, 1));
	ck_assert_uint_eq(workers[0].tallies.n_others, 1);
}
END_TEST

/* One pace for all, in steady use as well as at once. */
START_TEST(a_pace_is_shared)
{
	struct network *n[3];
	unsigned taken = 0;

	for (int i = 0; i < 3; i++)
		n[i] = enter(i, "192.0.2.1", 0);
	for (int i = 0; i < 90; i++)
		taken += network_take(n[i % 3], NETWORK_MESSAGES, 60, 0);
	ck_assert_uint_eq(taken, 60);
	for (int64_t second = 1; second <= 60; second++)
		for (int i = 0; i < 3; i++)
			taken += network_take(n[(i + second) % 3], NETWORK_MESSAGES, 60, second * 1000);
	ck_assert_uint_eq(taken, 120);
	ck_assert(network_take(n[0], NETWORK_RECIPIENTS, 60, 0));
}
END_TEST

/* A client that comes again after all its connections were closed finds its pace where it was, wherever it arrives. */
START_TEST(a_pace_outlives_connections)
{
	struct network *n = enter(0, "192.0.2.1", 0);

	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, 0));
	network_leave(&workers[0].networks, n, 0);
	n = enter(1, "192.0.2.9", 10);
	ck_assert(!network_take(n, NETWORK_CONNECTIONS, 1, 10));
	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, MINUTE));
}
END_TEST

START_TEST(sessions_add_up)
{
	ck_assert_uint_eq(tallies_sessions(&workers[0].tallies), 0);
	tallies_tell_sessions(&workers[1].tallies, 5);
	tallies_tell_sessions(&workers[2].tallies, UINT32_MAX);
	tallies_tell_sessions(&workers[0].tallies, 7);
	ck_assert_uint_eq(tallies_sessions(&workers[0].tallies), UINT64_C(5) + UINT32_MAX);
	ck_assert_uint_eq(tallies_sessions(&workers[2].tallies), 12);
	ck_assert_ptr_eq(tallies_remove(&workers[0].tallies, 2), workers[2].page);
	ck_assert_uint_eq(tallies_sessions(&workers[0].tallies), 5);
}
END_TEST

/* Whose mail one process has taken is no stranger to another that it comes to next, nor to one that learns it from that. */
START_TEST(who_is_known)
{
	struct network *n = enter(0, "192.0.2.1", 0), *there = enter(2, "192.0.2.1", 0), *none = enter(1, "198.51.100.1", 0);

	network_vouch(n, 5);
	network_leave(&workers[0].networks, n, 6);
	n = enter(1, "192.0.2.9", 10);
	ck_assert(network_known(n, 10));
	ck_assert(network_known(n, 5 + DAY - 1));
	ck_assert(!network_known(n, 5 + DAY));
	ck_assert(!network_known(none, 10));
	ck_assert_ptr_eq(tallies_remove(&workers[2].tallies, 0), workers[0].page);
	ck_assert_ptr_eq(enter(2, "192.0.2.5", 20), there);
	ck_assert(network_known(there, 20));
	network_leave(&workers[1].networks, n, 20);
	ck_assert(!network_known(enter(1, "192.0.2.9", DAY + 5), DAY + 5));
}
END_TEST

/* What one that has ended knew its successor knows, of paces too, but for what cannot be. */
START_TEST(a_successor)
{
	static const uint8_t liar[TALLY_KEY] = { 4, 203, 0, 113 };
	struct network *n = enter(0, "192.0.2.1", 0);
	struct tally got;

	network_vouch(n, 0);
	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, 0));
	tallies_tell(&workers[0].tallies, key_number(1), &(struct tally){ .stamp_us = { 5, 6, 7, (DAY + 1) * INT64_C(1000) } }, 0);
	tallies_tell(&workers[0].tallies, liar, &(struct tally){ .stamp_us = { DAY * INT64_C(1000) } }, 0);
	ck_assert_ptr_eq(tallies_remove(&workers[1].tallies, 0), workers[0].page);
	networks_inherit(&workers[1].networks, workers[0].page, 0);
	n = enter(1, "192.0.2.7", 1000);
	ck_assert(network_known(n, 1000));
	ck_assert_uint_eq(network_connections(n), 1);
	ck_assert(!network_take(n, NETWORK_CONNECTIONS, 1, 1000));
	ck_assert(network_take(n, NETWORK_CONNECTIONS, 1, MINUTE));
	tallies_recall(&workers[1].tallies, key_number(1), &got);
	ck_assert_int_eq(got.stamp_us[NETWORK_KNOWN], 0);
	ck_assert(network_take(enter(1, "203.0.113.1", 1000), NETWORK_CONNECTIONS, 1, 1000));
}
END_TEST

/* Whatever the addresses: who has connections keeps his place, and the page stays as large as it is. */
START_TEST(a_full_page)
{
	struct tally one = { .connections = 1 }, got;
	unsigned found = 0;

	for (uint32_t i = 1; i <= 100000; i++)
		tallies_tell(&workers[0].tallies, key_number(i), &one, 0);
	for (uint32_t i = 1; i <= 100000; i++) {
		tallies_ask(&workers[1].tallies, key_number(i), 0, &got);
		ck_assert_uint_le(got.connections, 1);
		found += got.connections;
	}
	ck_assert_uint_eq(found, 8192);
	for (uint32_t i = 1; i <= 100000; i++)
		tallies_tell(&workers[0].tallies, key_number(i), &(struct tally){ 0 }, 0);
	tallies_tell(&workers[0].tallies, key_number(100000), &one, 0);
	tallies_ask(&workers[1].tallies, key_number(100000), 0, &got);
	ck_assert_uint_eq(got.connections, 1);
}
END_TEST

/* An idle network makes room, the one whose pace matters least first; its numbers are not its successor's. */
START_TEST(room_is_made)
{
	struct tally got;
	unsigned late = 0;

	for (uint32_t i = 1; i <= 20000; i++)
		tallies_tell(&workers[0].tallies, key_number(i), &(struct tally){ .stamp_us = { 1000 + i, 5, 6 } }, 0);
	for (uint32_t i = 1; i <= 20000; i++) {
		tallies_ask(&workers[1].tallies, key_number(i), INT64_MAX, &got);
		ck_assert(got.stamp_us[0] == 0 || got.stamp_us[0] == 1000 + i);
		late += i > 10000 && got.stamp_us[0] != 0;
	}
	ck_assert_uint_gt(late, 7000);
	tallies_ask(&workers[1].tallies, key_number(20000), 1000, &got);
	ck_assert_msg(got.stamp_us[0] == 0 && got.stamp_us[1] == 5, "a stamp that is too late is left out, and it alone");
}
END_TEST

/* Any bytes: no crash, no number above what can be, and the pace of an honest network goes on as soon as it can. */
START_TEST(a_page_of_lies)
{
	struct network *n = enter(0, "192.0.2.1", 0);
	uint8_t *lies = (uint8_t *)workers[1].page;
	struct tally got;

	for (unsigned round = 0; round < 64; round++) {
		for (size_t i = 8; i < MSG_TALLY_SIZE; i++)
			lies[i] = (uint8_t)(round < 2 ? 0 - round : (i * 2654435761U + round * 40503U) >> (round % 13));
		ck_assert_uint_ge(network_connections(n), 1);
		for (uint32_t i = 0; i < 2000; i++)
			tallies_ask(&workers[0].tallies, key_number(i), MINUTE * 1000, &got);
		ck_assert(got.stamp_us[0] <= MINUTE * 1000);
	}
	tallies_tell(&workers[1].tallies, n->key, &(struct tally){ UINT32_MAX, { INT64_MAX, INT64_MIN, -1 } }, 0);
	tallies_tell(&workers[2].tallies, n->key, &(struct tally){ UINT32_MAX, { INT64_MAX, 0, 0 } }, 0);
	ck_assert_uint_eq(network_connections(n), UINT64_C(1) + UINT32_MAX);
	for (enum network_rate r = 0; r < NETWORK_RATES; r++)
		ck_assert(network_take(n, r, 1, 0));
}
END_TEST

START_TEST(another_format_is_left_alone)
{
	struct network *n = enter(0, "192.0.2.1", 0);

	enter(1, "192.0.2.1", 0);
	memset(workers[1].page, 0x55, 8);
	ck_assert_uint_eq(network_connections(n), 1);
}
END_TEST

START_TEST(not_too_many_pages)
{
	struct tallies all = { .seed = SEED };

	for (uint32_t i = 0; i < TALLIES_MOST; i++)
		ck_assert_int_eq(tallies_add(&all, i, workers[0].page), 0);
	ck_assert_int_eq(tallies_add(&all, TALLIES_MOST, workers[0].page), -1);
	ck_assert_ptr_nonnull(tallies_remove(&all, 0));
	ck_assert_int_eq(tallies_add(&all, TALLIES_MOST, workers[0].page), 0);
	ck_assert_ptr_nonnull(tallies_remove(&all, TALLIES_MOST));
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_page_fits);
	tcase_add_test(tc, connections_add_up);
	tcase_add_test(tc, who_has_ended_counts_no_more);
	tcase_add_test(tc, a_pace_is_shared);
	tcase_add_test(tc, a_pace_outlives_connections);
	tcase_add_test(tc, sessions_add_up);
	tcase_add_test(tc, who_is_known);
	tcase_add_test(tc, a_successor);
	tcase_add_test(tc, a_full_page);
	tcase_add_test(tc, room_is_made);
	tcase_add_test(tc, a_page_of_lies);
	tcase_add_test(tc, another_format_is_left_alone);
	tcase_add_test(tc, not_too_many_pages);
	return run_case("tally", tc);
}
