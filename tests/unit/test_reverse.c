/*
 * Addresses turned round for DNS: the examples of RFC 1035, 3596 and 5782.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "filters/reverse.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NIBBLES	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."

static const struct {
	const char *address, *zone, *name;	/* NULL: not an address */
} names[] = {
	{ "192.0.2.99", "bad.example.com", "99.2.0.192.bad.example.com" },
	{ "[192.0.2.99]", "in-addr.arpa", "99.2.0.192.in-addr.arpa" },
	{ "2001:db8:1:2:3:4:567:89ab", "ugly.example.com",
	    "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com" },
	{ "2001:DB8::1", "ip6.arpa", "1.0.0.0." NIBBLES "ip6.arpa" },
	{ "::ffff:192.0.2.1", "list", "1.2.0.192.list" },
	{ "::ffff:7f00:2", "list", "2.0.0.127.list" },
	{ "192.0.2", "list", NULL },
	{ "192.0.2.256", "list", NULL },
	{ "2001:db8::1%eth0", "list", NULL },
	{ "mail.example.com", "list", NULL },
	{ "[]", "list", NULL },
	{ "", "list", NULL },
	{ "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", "list", NULL },
};

START_TEST(test_names)
{
	struct reverse_address a;
	char name[256];

	if (names[_i].name == NULL) {
		ck_assert_int_eq(reverse_address_parse(&a, names[_i].address), -1);
		return;
	}
	ck_assert_int_eq(reverse_address_parse(&a, names[_i].address), 0);
	ck_assert_int_eq(reverse_name(name, sizeof(name), &a, names[_i].zone), 0);
	ck_assert_str_eq(name, names[_i].name);
	ck_assert_int_eq(reverse_name(name, strlen(names[_i].name), &a, names[_i].zone), -1);
}
END_TEST

START_TEST(test_sockaddr)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr none = { .sa_family = AF_UNIX };
	struct reverse_address a;
	char name[100];

	inet_pton(AF_INET6, "::ffff:192.0.2.1", &sin6.sin6_addr);
	ck_assert_uint_eq(reverse_address_of((struct sockaddr *)&sin6).len, 4);
	inet_pton(AF_INET6, "2001:db8::1", &sin6.sin6_addr);
	ck_assert_uint_eq(reverse_address_of((struct sockaddr *)&sin6).len, 16);
	inet_pton(AF_INET, "192.0.2.7", &sin.sin_addr);
	a = reverse_address_of((struct sockaddr *)&sin);
	ck_assert(a.len == 4 && a.bytes[3] == 7);
	a = reverse_address_of(&none);
	ck_assert_int_eq(reverse_name(name, sizeof(name), &a, "list"), -1);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("reverse");

	tcase_add_loop_test(tc, test_names, 0, COUNT(names));
	tcase_add_test(tc, test_sockaddr);
	return run_case("reverse", tc);
}
