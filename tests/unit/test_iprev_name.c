/*
 * Names that look made from the address, and names that people chose. ATTACKS 44
 */
#include <check.h>
#include <string.h>

#include "filters/iprev_name.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *address, *name, *look;
} names[] = {
	{ "203.0.113.7", "mail.example.com", "own" },
	{ "203.0.113.7", "mx7.example.com", "own" },
	{ "203.0.113.7", "example.com", "own" },
	{ "203.0.113.7", "com", "own" },
	{ "203.0.113.7", "", "own" },
	{ "203.0.113.7", "mail-7-113.example.com", "own" },		/* two octets are chance */
	{ "203.0.113.7", "203-0-113-7.example.com", "dynamic" },
	{ "203.0.113.7", "7.113.0.203.example.com", "dynamic" },
	{ "203.0.113.7", "host203.0-113.example.com", "dynamic" },
	{ "203.0.113.7", "c-203-000-113-007.example.com", "dynamic" },
	{ "203.0.113.7", "p203000113007.example.com", "dynamic" },
	{ "203.0.113.7", "pCB007107.isp.example.com", "dynamic" },
	{ "203.0.113.7", "static-203-0-113-7.example.com", "generic" },
	{ "203.0.113.7", "203-0-113-7.static.example.com", "generic" },
	{ "203.0.113.7", "203-0-113-8.example.com", "dynamic" },	/* three octets, the line next door */
	{ "203.0.113.7", "198-51-100-9.example.com", "own" },
	/* words count whole, and not in the organization's own name */
	{ "203.0.113.7", "dyn-17.example.com", "dynamic" },
	{ "203.0.113.7", "x.pool.example.com", "dynamic" },
	{ "203.0.113.7", "7.DSL.example.com", "dynamic" },
	{ "203.0.113.7", "mail.dsl.example", "own" },
	{ "203.0.113.7", "liverpool.mail.example.com", "own" },
	{ "203.0.113.7", "dynamics.mail.example.com", "own" },
	{ "203.0.113.7", "static.mail.example.com", "own" },
	/* IPv6 */
	{ "2001:db8::abcd", "mail.example.com", "own" },
	{ "2001:db8::abcd", "20010db800000000000000000000abcd.example.com", "dynamic" },
	{ "2001:db8::abcd", "d.c.b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.example.com", "dynamic" },
};

START_TEST(test_names)
{
	struct reverse_address a;
	const char *look;

	ck_assert_int_eq(reverse_address_parse(&a, names[_i].address), 0);
	look = iprev_look_name(iprev_name_look(names[_i].name, &a));
	ck_assert_msg(strcmp(look, names[_i].look) == 0, "%s is %s, not %s", names[_i].name, look, names[_i].look);
}
END_TEST

/* No name is too long or too odd. */
START_TEST(test_long)
{
	struct reverse_address a = { .len = 4, .bytes = { 1, 1, 1, 1 } }, none = { .len = 0 };
	char name[2000];

	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = "1.-a"[i % 4];
	name[sizeof(name) - 1] = '\0';
	iprev_name_look(name, &a);
	iprev_name_look(name, &none);
	memset(name, '1', sizeof(name) - 1);
	iprev_name_look(name, &a);
	memset(name, '.', sizeof(name) - 1);
	ck_assert_int_eq(iprev_name_look(name, &a), IPREV_OWN);
	memset(name, 0xff, sizeof(name) - 1);
	ck_assert_int_eq(iprev_name_look(name, &a), IPREV_OWN);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("iprev_name");

	tcase_add_loop_test(tc, test_names, 0, COUNT(names));
	tcase_add_test(tc, test_long);
	return run_case("iprev_name", tc);
}
