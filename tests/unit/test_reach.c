/*
 * delivery/reach.c: which addresses go last, for how long, and that none is ever left out.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "delivery/reach.h"
#include "lib/log.h"
#include "mx/mx.h"
#include "tests/unit/run.h"

#define MINUTES	(60 * 1000)

/* "6464", each with its place as preference; what becomes of it, as places. */
static const char *
ordered(struct reach *r, const char *hop, const char *families, int64_t now)
{
	static char places[MX_ADDRESSES_MAX + 1];
	struct mx_address list[MX_ADDRESSES_MAX] = { 0 };
	size_t n = strlen(families);

	for (size_t i = 0; i < n; i++) {
		list[i].preference = (uint16_t)i;
		list[i].address.ss_family = families[i] == '6' ? AF_INET6 : AF_INET;
	}
	reach_order(r, hop, list, n, now);
	for (size_t i = 0; i < n; i++)
		places[i] = (char)('0' + list[i].preference);
	places[n] = '\0';
	return places;
}

START_TEST(no_route)
{
	struct reach *r = reach_new();

	ck_assert_str_eq(ordered(r, "a", "6464", 0), "0123");
	reach_tried(r, AF_INET6, ENETUNREACH, 1000);
	ck_assert_str_eq(ordered(r, "a", "6464", 1000), "1302");
	ck_assert_str_eq(ordered(r, "b", "66", 1000), "01");
	ck_assert_str_eq(ordered(r, "b", "", 1000), "");
	ck_assert_str_eq(ordered(r, "a", "6464", 6 * MINUTES), "0123");
	reach_tried(r, AF_INET6, ENETUNREACH, 7 * MINUTES);
	reach_tried(r, AF_INET6, EMFILE, 7 * MINUTES);
	ck_assert_str_eq(ordered(r, "a", "64", 7 * MINUTES), "10");
	reach_tried(r, AF_INET6, ECONNREFUSED, 7 * MINUTES);
	ck_assert_str_eq(ordered(r, "a", "6464", 7 * MINUTES), "0123");
	/* Neither leads anywhere: as if nothing were known. */
	reach_tried(r, AF_INET6, ENETUNREACH, 7 * MINUTES);
	reach_tried(r, AF_INET, ENETUNREACH, 7 * MINUTES);
	ck_assert_str_eq(ordered(r, "a", "6464", 7 * MINUTES), "0123");
	reach_free(r);
}
END_TEST

START_TEST(silence)
{
	struct reach *r = reach_new();

	reach_tried(r, AF_INET6, ETIMEDOUT, 0);
	reach_tried(r, AF_INET6, ETIMEDOUT, 0);
	reach_tried(r, AF_INET6, 0, 0);
	reach_tried(r, AF_INET6, ETIMEDOUT, 0);
	reach_tried(r, AF_INET6, EHOSTUNREACH, 0);
	ck_assert_str_eq(ordered(r, "a", "64", 0), "01");
	reach_tried(r, AF_INET, ETIMEDOUT, 0);
	reach_tried(r, AF_INET6, ETIMEDOUT, 0);
	ck_assert_str_eq(ordered(r, "a", "64", 0), "10");
	ck_assert_str_eq(ordered(r, "a", "64", 15 * MINUTES), "01");
	reach_free(r);
}
END_TEST

START_TEST(refused)
{
	struct reach *r = reach_new();
	char hop[20];

	reach_refused_ipv6(r, "mx:a.example", 0);
	reach_refused_ipv6(r, "mx:a.example", 5);
	ck_assert_str_eq(ordered(r, "mx:a.example", "664", 10), "201");
	ck_assert_str_eq(ordered(r, "mx:b.example", "664", 10), "012");
	ck_assert_str_eq(ordered(r, "mx:a.example", "664", 25 * 60 * MINUTES), "012");
	reach_refused_ipv6(r, "mx:a.example", 0);
	for (int i = 0; i < REACH_HOPS_MAX; i++) {
		snprintf(hop, sizeof(hop), "mx:%d", i);
		reach_refused_ipv6(r, hop, 0);
	}
	ck_assert_str_eq(ordered(r, "mx:a.example", "64", 10), "01");
	ck_assert_str_eq(ordered(r, "mx:0", "64", 10), "10");
	reach_free(r);
}
END_TEST

static void
no_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int
main(void)
{
	TCase *t = tcase_create("reach");

	log_set_sink(no_log, NULL);
	tcase_add_test(t, no_route);
	tcase_add_test(t, silence);
	tcase_add_test(t, refused);
	return run_case("reach", t);
}
