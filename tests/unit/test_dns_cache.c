/*
 * The cache of DNS answers: how long, how much, what not.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mx/dns_answer.h"
#include "mx/dns_cache.h"
#include "tests/unit/run.h"

static struct dns_answer
positive(uint32_t ttl)
{
	struct dns_answer a = { .result = DNS_OK, .type = DNS_A, .ttl = ttl, .secure = true, .n = 1 };

	a.canonical = strdup("");
	a.records = calloc(1, sizeof(*a.records));
	a.records[0].ttl = ttl;
	a.records[0].a.s_addr = 0x01020304;
	return a;
}

static struct dns_answer
negative(enum dns_result result, uint32_t ttl)
{
	struct dns_answer a;

	dns_answer_fail(&a, DNS_A, result, DNS_WHY_NO_NAME);
	a.ttl = ttl;
	return a;
}

static void
put(struct dns_cache *c, const char *name, struct dns_answer a, int64_t now_ms)
{
	dns_cache_put(c, name, &a, now_ms);
	dns_free_answer(&a);
}

/* The TTL that is left, or -1. */
static long
left(struct dns_cache *c, enum dns_type type, const char *name, int64_t now_ms)
{
	struct dns_answer a;
	long ttl;

	if (!dns_cache_get(c, type, name, now_ms, &a))
		return -1;
	ttl = a.ttl;
	dns_free_answer(&a);
	return ttl;
}

START_TEST(test_ttl)
{
	struct dns_cache *c = dns_cache_new(100000);
	struct dns_answer a;

	put(c, "Example.ORG.", positive(100), 5000);
	ck_assert_int_eq(left(c, DNS_A, "example.org", 5000), 100);
	ck_assert_int_eq(left(c, DNS_A, "EXAMPLE.org.", 65999), 40);
	ck_assert_int_eq(left(c, DNS_AAAA, "example.org", 5000), -1);
	ck_assert_int_eq(left(c, DNS_A, "example.or", 5000), -1);
	ck_assert_int_eq(left(c, DNS_A, "example.orgg", 5000), -1);
	ck_assert(dns_cache_get(c, DNS_A, "example.org", 104000, &a));
	ck_assert(a.secure && a.n == 1 && a.records[0].ttl == 1 && a.records[0].a.s_addr == 0x01020304);
	dns_free_answer(&a);
	ck_assert_int_eq(left(c, DNS_A, "example.org", 105000), -1);
	ck_assert_uint_eq(dns_cache_count(c), 0);
	ck_assert_uint_eq(dns_cache_bytes(c), 0);
	dns_cache_free(c);
}
END_TEST

START_TEST(test_clamped)
{
	struct dns_cache *c = dns_cache_new(100000);

	put(c, "long", positive(0x7fffffff), 0);
	ck_assert_int_eq(left(c, DNS_A, "long", 0), DNS_CACHE_TTL_MAX);
	ck_assert_int_eq(left(c, DNS_A, "long", DNS_CACHE_TTL_MAX * 1000LL), -1);
	put(c, "no", negative(DNS_NXDOMAIN, 86400), 0);
	ck_assert_int_eq(left(c, DNS_A, "no", 0), DNS_CACHE_NEGATIVE_MAX);
	ck_assert_int_eq(left(c, DNS_A, "no", DNS_CACHE_NEGATIVE_MAX * 1000LL), -1);
	dns_cache_free(c);
}
END_TEST

/* Answers of DNS lists, found or not, have bounds of their own, and are none about the name itself. */
START_TEST(test_lists)
{
	struct dns_cache *c = dns_cache_new(100000);
	struct dns_answer short_one = positive(0), long_one = positive(86400), none = negative(DNS_NXDOMAIN, 0);

	short_one.type = long_one.type = none.type = DNS_LIST;
	put(c, "short", short_one, 0);
	put(c, "long", long_one, 0);
	put(c, "none", none, 0);
	ck_assert_int_eq(left(c, DNS_A, "long", 0), -1);
	ck_assert_int_eq(left(c, DNS_LIST, "short", 0), DNS_CACHE_LIST_MIN);
	ck_assert_int_eq(left(c, DNS_LIST, "none", 59999), 1);
	ck_assert_int_eq(left(c, DNS_LIST, "none", 60000), -1);
	ck_assert_int_eq(left(c, DNS_LIST, "long", 0), DNS_CACHE_LIST_MAX);
	ck_assert_int_eq(left(c, DNS_LIST, "long", 3600000), -1);
	dns_cache_free(c);
}
END_TEST

START_TEST(test_not_kept)
{
	struct dns_cache *c = dns_cache_new(100000);

	put(c, "zero", positive(0), 0);
	put(c, "nosoa", negative(DNS_NODATA, 0), 0);
	put(c, "temporary", negative(DNS_TEMPORARY, 300), 0);
	ck_assert_uint_eq(dns_cache_count(c), 0);
	dns_cache_free(c);
}
END_TEST

START_TEST(test_replaced)
{
	struct dns_cache *c = dns_cache_new(100000);

	put(c, "name", positive(100), 0);
	put(c, "name", negative(DNS_NXDOMAIN, 50), 0);
	ck_assert_uint_eq(dns_cache_count(c), 1);
	ck_assert_int_eq(left(c, DNS_A, "name", 0), 50);
	dns_cache_free(c);
}
END_TEST

START_TEST(test_bounded)
{
	struct dns_cache *c = dns_cache_new(100000);
	char name[40];

	put(c, "kept", positive(1000), 0);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		put(c, name, positive(1000), 0);
		ck_assert_uint_le(dns_cache_bytes(c), 100000);
		ck_assert_int_eq(left(c, DNS_A, "kept", 0), 1000);	/* used all the time, so it stays */
	}
	ck_assert_int_eq(left(c, DNS_A, "n0.example", 0), -1);
	ck_assert_int_eq(left(c, DNS_A, "n4999.example", 0), 1000);
	ck_assert_uint_gt(dns_cache_count(c), 50);
	dns_cache_free(c);
}
END_TEST

START_TEST(test_shrunk)
{
	struct dns_cache *c = dns_cache_new(100000);
	char name[40];
	size_t before;

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		put(c, name, positive(1000), 0);
	}
	before = dns_cache_bytes(c);
	dns_cache_shrink(c);
	ck_assert_uint_le(dns_cache_bytes(c), before / 2);
	ck_assert_msg(left(c, DNS_A, "n4999.example", 0) == 1000, "what was used last stays");
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		put(c, name, positive(1000), 0);
		ck_assert_uint_le(dns_cache_bytes(c), before / 2);
	}
	for (int i = 0; i < 40; i++)
		dns_cache_shrink(c);
	ck_assert_uint_eq(dns_cache_count(c), 0);
	dns_cache_free(c);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dns_cache");

	tcase_add_test(tc, test_ttl);
	tcase_add_test(tc, test_clamped);
	tcase_add_test(tc, test_lists);
	tcase_add_test(tc, test_not_kept);
	tcase_add_test(tc, test_replaced);
	tcase_add_test(tc, test_bounded);
	tcase_add_test(tc, test_shrunk);
	return run_case("dns_cache", tc);
}
