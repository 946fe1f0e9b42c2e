/*
 * DNS lists as configured, and what their codes mean: error codes above all, which others took for listings.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dnsbl_list.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *text, *zone;
	size_t n_codes;
	int weight;
} good[] = {
	{ "list.example", "list.example", 0, 1 },
	{ "List.EXAMPLE.*7", "list.example", 0, 7 },
	{ "list.example=127.0.0.2", "list.example", 1, 1 },
	{ "list.example=127.0.0.2,127.0.0.4-7*-5", "list.example", 2, -5 },
	{ "list.example=127.0.0.10-127.0.0.11,127.0.2.0/24,&6*100", "list.example", 3, 100 },
	{ "list.example*0", "list.example", 0, 0 },
};

START_TEST(test_good)
{
	struct dnsbl_list l;
	char err[200] = "";

	ck_assert_msg(dnsbl_list_parse(&l, good[_i].text, err, sizeof(err)) == 0, "%s: %s", good[_i].text, err);
	ck_assert_str_eq(l.zone, good[_i].zone);
	ck_assert_uint_eq(l.n_codes, good[_i].n_codes);
	ck_assert_int_eq(l.weight, good[_i].weight);
}
END_TEST

static const struct {
	const char *text, *why;
} bad[] = {
	{ "", "is no name of a list" },
	{ "list", "is no name of a list" },
	{ "192.0.2.1", "is no name of a list" },
	{ "[192.0.2.1]", "is no name of a list" },
	{ "a b.example", "is no name of a list" },
	{ "list.example=", "is no code" },
	{ "list.example=127.0.0.2,", "is no code" },
	{ "list.example=1.2.3.4", "is no code" },
	{ "list.example=127.0.0.9-127.0.0.2", "is no code" },
	{ "list.example=127.0.0.9-256", "is no code" },
	{ "list.example=127.0.0.2/7", "is no code" },
	{ "list.example=127.0.0.2/33", "is no code" },
	{ "list.example=&0", "is no code" },
	{ "list.example=&16777216", "is no code" },
	{ "list.example=&-1", "is no code" },
	{ "list.example*", "is no weight" },
	{ "list.example*1.5", "is no weight" },
	{ "list.example*101", "is no weight" },
	{ "list.example*--1", "is no weight" },
	{ "list.example=&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1,&1", "more than 16" },
};

START_TEST(test_bad)
{
	struct dnsbl_list l;
	char err[200] = "", is[1200], label[62];

	ck_assert_int_eq(dnsbl_list_parse(&l, bad[_i].text, err, sizeof(err)), -1);
	ck_assert_msg(strstr(err, bad[_i].why) != NULL, "%s: %s", bad[_i].text, err);
	memset(label, 'a', sizeof(label));
	label[61] = '\0';
	snprintf(is, sizeof(is), "%s.%s.%s", label, label, label);
	ck_assert_int_eq(dnsbl_list_parse(&l, is, err, sizeof(err)), -1);
	memset(is, 'a', sizeof(is) - 1);
	is[sizeof(is) - 1] = '\0';
	ck_assert_int_eq(dnsbl_list_parse(&l, is, err, sizeof(err)), -1);
}
END_TEST

static const struct {
	const char *list, *address;
	enum dnsbl_meaning meaning;
} meanings[] = {
	{ "list.example", "127.0.0.2", DNSBL_COUNTS },
	{ "list.example", "127.0.0.255", DNSBL_COUNTS },
	{ "list.example", "127.0.10.3", DNSBL_COUNTS },
	{ "list.example=127.0.0.2", "127.0.0.2", DNSBL_COUNTS },
	{ "list.example=127.0.0.2", "127.0.0.3", DNSBL_OTHER },
	{ "list.example=127.0.0.4-7", "127.0.0.4", DNSBL_COUNTS },
	{ "list.example=127.0.0.4-7", "127.0.0.7", DNSBL_COUNTS },
	{ "list.example=127.0.0.4-7", "127.0.0.8", DNSBL_OTHER },
	{ "list.example=127.0.0.9-127.0.1.2", "127.0.1.1", DNSBL_COUNTS },
	{ "list.example=127.0.2.17/24", "127.0.2.9", DNSBL_COUNTS },
	{ "list.example=127.0.2.17/24", "127.0.3.9", DNSBL_OTHER },
	{ "list.example=127.0.2.17/32", "127.0.2.17", DNSBL_COUNTS },
	{ "list.example=127.0.2.17/32", "127.0.2.18", DNSBL_OTHER },
	{ "list.example=&6", "127.0.0.4", DNSBL_COUNTS },
	{ "list.example=&6", "127.0.0.3", DNSBL_COUNTS },
	{ "list.example=&6", "127.0.0.8", DNSBL_OTHER },
	{ "list.example=&256", "127.0.1.2", DNSBL_COUNTS },
	{ "list.example=&1,127.0.0.8", "127.0.0.8", DNSBL_COUNTS },
	/* never listings, whatever counts */
	{ "list.example", "127.255.255.252", DNSBL_ERROR },
	{ "list.example", "127.255.255.254", DNSBL_ERROR },
	{ "list.example", "127.255.255.255", DNSBL_ERROR },
	{ "list.example", "127.255.255.250", DNSBL_ERROR },
	{ "list.example=127.0.0.0/8", "127.255.255.254", DNSBL_ERROR },
	{ "list.example=127.255.255.254", "127.255.255.254", DNSBL_ERROR },
	{ "list.example=&1", "127.255.255.255", DNSBL_ERROR },
	{ "dbl.spamhaus.org", "127.0.1.255", DNSBL_ERROR },
	{ "list.example", "127.0.0.1", DNSBL_ERROR },
	{ "multi.uribl.com=&1", "127.0.0.1", DNSBL_ERROR },
	{ "multi.surbl.org", "127.0.0.1", DNSBL_ERROR },
	{ "list.dnswl.org", "127.0.0.255", DNSBL_ERROR },
	{ "list.notdnswl.org", "127.0.0.255", DNSBL_COUNTS },
	{ "list.dnswl.org", "127.0.10.2", DNSBL_COUNTS },
	{ "list.example", "192.0.2.1", DNSBL_OUTSIDE },
	{ "list.example", "0.0.0.0", DNSBL_OUTSIDE },
	{ "list.example", "128.0.0.2", DNSBL_OUTSIDE },
};

START_TEST(test_meanings)
{
	struct dnsbl_list l;
	struct in_addr in;
	char err[200] = "";
	const char *why = NULL;
	enum dnsbl_meaning is;

	ck_assert_msg(dnsbl_list_parse(&l, meanings[_i].list, err, sizeof(err)) == 0, "%s", err);
	ck_assert_int_eq(inet_pton(AF_INET, meanings[_i].address, &in), 1);
	is = dnsbl_list_meaning(&l, ntohl(in.s_addr), &why);
	ck_assert_msg(is == meanings[_i].meaning, "%s, %s: %d", meanings[_i].list, meanings[_i].address, is);
	ck_assert((is == DNSBL_ERROR || is == DNSBL_OUTSIDE) == (why[0] != '\0'));
}
END_TEST

START_TEST(test_text)
{
	char to[DNSBL_TEXT_MAX + 1], longer[1000];

	dnsbl_text_clean(to, "Listed, see http://list.example/?ip=192.0.2.1", 45);
	ck_assert_str_eq(to, "Listed, see http://list.example/?ip=192.0.2.1");
	dnsbl_text_clean(to, " \r\n250 ok\r\n\0\x01 b\x7f\xff ", 18);
	ck_assert_str_eq(to, "250 ok b??");
	memset(longer, 'x', sizeof(longer));
	dnsbl_text_clean(to, longer, sizeof(longer));
	ck_assert_uint_eq(strlen(to), DNSBL_TEXT_MAX);
	dnsbl_text_clean(to, NULL, 0);
	ck_assert_str_eq(to, "");
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dnsbl_list");

	tcase_add_loop_test(tc, test_good, 0, COUNT(good));
	tcase_add_loop_test(tc, test_bad, 0, COUNT(bad));
	tcase_add_loop_test(tc, test_meanings, 0, COUNT(meanings));
	tcase_add_test(tc, test_text);
	return run_case("dnsbl_list", tc);
}
