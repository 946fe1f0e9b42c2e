/*
 * By what a mail that is tried again is recognised, whatever changes in its sender from day to day.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/greylist_key.h"
#include "tests/unit/run.h"

static const struct {
	const char	*sender, *key;
} senders[] = {
	{ "Someone@far.example", "someone@far.example" },
	{ "bounce-1234-99@list.example", "bounce-#-#@list.example" },
	{ "bounce-1235-100@list.example", "bounce-#-#@list.example" },
	{ "news+alice=demo.example@list.example", "news+alice=demo.example@list.example" },
	{ "user2024@far2.example", "user#@far2.example" },		/* digits of the domain stay: it is another one */
	{ "0102018f3b2c7d6e-deadbeef-1a2b3c4d5e6f-000000@mail.example", "#-deadbeef-#-#@mail.example" },
	{ "facade@far.example", "facade@far.example" },			/* a word that only looks like a number */
	{ "abcdefabcdef@far.example", "abcdefabcdef@far.example" },
	{ "SRS0=AbCd=12=origin.example=someone@forwarder.example", "someone@origin.example" },
	{ "srs0+XyZ1=5k=origin.example=someone@forwarder.example", "someone@origin.example" },
	{ "SRS1=Gh2j=first.example==AbCd=12=origin.example=some=one@forwarder.example", "some=one@origin.example" },
	{ "SRS0=broken@forwarder.example", "srs#=broken@forwarder.example" },
	{ "SRS0=a=b=c=@forwarder.example", "srs#=a=b=c=@forwarder.example" },
	{ "SRS0@forwarder.example", "srs#@forwarder.example" },
	{ "SRS1@forwarder.example", "srs#@forwarder.example" },
	{ "SRS1=@forwarder.example", "srs#=@forwarder.example" },
	{ "prvs=1234abcdef=someone@far.example", "someone@far.example" },
	{ "prvs=9876fedcba=someone@far.example", "someone@far.example" },
	{ "prvs=1234abcdef=@far.example", "prvs=#abcdef=@far.example" },
	{ "root", "root" },
	{ "", "<> mx.far.example" },
};

START_TEST(senders_are_folded)
{
	char other[MEMORY_OTHER_MAX], expected[MEMORY_OTHER_MAX];

	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		snprintf(expected, sizeof(expected), "%s\nalice1@demo.example", senders[i].key);
		ck_assert_str_eq(greylist_key_other(other, senders[i].sender, "mx.far.example", "alice1@demo.example"), expected);
	}
	ck_assert_str_eq(greylist_key_other(other, "", NULL, "a@b"), "<> \na@b");
}
END_TEST

/* Characters that a database might mind are neither dropped nor cut at. */
START_TEST(senders_with_odd_characters_taken_for_one)
{
	static const char *const some[] = { "ab@far.example", "a'b@far.example", "a''b@far.example", "a%b@far.example", "a;b@far.example",
	    "a--b@far.example", "\"a b\"@far.example", "\"a\\\"b\"@far.example", "a/b@far.example", "a\xc3\xa4" "b@far.example",
	    "a*b@far.example", "a_b@far.example", "a@b.far.example" };
	char one[MEMORY_OTHER_MAX], two[MEMORY_OTHER_MAX];

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		for (size_t j = 0; j < i; j++) {
			greylist_key_other(one, some[i], "mx.far.example", "alice@demo.example");
			greylist_key_other(two, some[j], "mx.far.example", "alice@demo.example");
			ck_assert_str_ne(one, two);
		}
}
END_TEST

START_TEST(networks)
{
	static const struct {
		const char	*address, *network, *client;
	} cases[] = {
		{ "192.0.2.77", "192.0.2.0/24", "192.0.2.77" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1:2::/64" },
		{ "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64", "2001:db8:1:2::/64" },
		{ "2001:db8:1:3::1", "2001:db8:1:3::/64", "2001:db8:1:3::/64" },
	};
	struct reverse_address a;
	char key[MEMORY_KEY_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(reverse_address_parse(&a, cases[i].address), 0);
		ck_assert_str_eq(greylist_key_network(key, &a), cases[i].network);
		ck_assert_str_eq(memory_client_key(key, &a), cases[i].client);
	}
}
END_TEST

START_TEST(long_ones_are_cut_and_stay_whole)
{
	char long_sender[2000], other[MEMORY_OTHER_MAX];

	memset(long_sender, 'x', sizeof(long_sender) - 1);
	long_sender[sizeof(long_sender) - 1] = '\0';
	greylist_key_other(other, long_sender, "", "alice@demo.example");
	ck_assert_ptr_nonnull(strstr(other, "\nalice@demo.example"));
	memcpy(long_sender + 1000, "@far.example", 12);
	greylist_key_other(other, long_sender, "", "alice@demo.example");
	ck_assert_ptr_nonnull(strstr(other, "\nalice@demo.example"));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("greylist_key");

	tcase_add_test(t, senders_are_folded);
	tcase_add_test(t, senders_with_odd_characters_taken_for_one);
	tcase_add_test(t, networks);
	tcase_add_test(t, long_ones_are_cut_and_stay_whole);
	return run_case("greylist_key", t);
}
