/*
 * From a domain to addresses, through the direct face and a name server in the same loop.
 */
#include "mx/mx.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct zone zone[] = {
	{ "two.test", DNS_MX, "20 b.test", 0 },
	{ "two.test", DNS_MX, "10 a.test", 100 },
	{ "a.test", DNS_A, "198.51.100.1", 0 },
	{ "a.test", DNS_AAAA, "2001:db8::1", 0 },
	{ "b.test", DNS_A, "198.51.100.2", 0 },
	{ "plain.test", DNS_A, "198.51.100.3", 0 },
	{ "alias.test", T_CNAME, "two.test", 0 },
	{ "plainalias.test", T_CNAME, "plain.test", 0 },
	{ "null.test", DNS_MX, "0 ", 0 },
	{ "almostnull.test", DNS_MX, "0 ", 0 },
	{ "almostnull.test", DNS_MX, "10 a.test", 0 },
	{ "nothing.test", DNS_TXT, "no mail here", 0 },
	{ "dead.test", DNS_MX, "10 gone.test", 0 },
	{ "dead.test", DNS_MX, "20 nothing.test", 0 },
	{ "half.test", DNS_MX, "10 slow.test", 0 },
	{ "half.test", DNS_MX, "20 b.test", 0 },
	{ "slow.test", DNS_A, "!SERVFAIL", 0 },
	{ "slow.test", DNS_AAAA, "!SERVFAIL", 0 },
	{ "onlyslow.test", DNS_MX, "10 slow.test", 0 },
	{ "onlyslow.test", DNS_MX, "20 gone.test", 0 },
	{ "fail.test", DNS_MX, "!SERVFAIL", 0 },
	{ "fail.test", DNS_A, "198.51.100.9", 0 },
	{ "ours.test", DNS_MX, "10 mail.own.test", 0 },
	{ "ours.test", DNS_MX, "10 a.test", 0 },
	{ "ours.test", DNS_MX, "20 b.test", 0 },
	{ "backup.test", DNS_MX, "5 b.test", 0 },
	{ "backup.test", DNS_MX, "10 Mail.Own.Test", 0 },
	{ "backup.test", DNS_MX, "20 a.test", 0 },
	{ "aliasof.test", DNS_MX, "10 hidden.test", 0 },
	{ "hidden.test", DNS_A, "203.0.113.25", 0 },
	{ "backup2.test", DNS_MX, "10 b.test", 0 },
	{ "backup2.test", DNS_MX, "20 hidden.test", 0 },
	{ "backup2.test", DNS_MX, "30 a.test", 0 },
	{ "private.test", DNS_MX, "10 lan.test", 0 },
	{ "lan.test", DNS_A, "192.168.1.1", 0 },
	{ "lan.test", DNS_A, "127.0.0.1", 0 },
	{ "lan.test", DNS_AAAA, "::1", 0 },
	{ "mixed.test", DNS_A, "10.0.0.1", 0 },
	{ "mixed.test", DNS_A, "198.51.100.4", 0 },
	{ "zero.test", DNS_A, "0.0.0.0", 0 },
	{ "bomb.test", DNS_MX, "!MANY 1000", 0 },
	{ "big.test", DNS_MX, "10 many.test", 0 },
	{ "big.test", DNS_MX, "20 b.test", 0 },
	{ "many.test", DNS_A, "!MANY 50", 0 },
	{ "odd.test", DNS_MX, "10 a\\000b.test", 0 },
	{ "silent.test", DNS_MX, "!DROP", 0 },
	{ "silenthost.test", DNS_MX, "10 silent2.test", 0 },
	{ "silent2.test", DNS_A, "!DROP", 0 },
	{ "silent2.test", DNS_AAAA, "!DROP", 0 },
	{ NULL, 0, NULL, 0 },
};

static struct sockaddr_storage own;

struct got {
	bool		 done;
	struct mx_list	 list;
};

static void
setup(void)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&own;

	fake_setup(zone);
	sin->sin_family = AF_INET;
	sin->sin_port = htons(25);
	inet_pton(AF_INET, "203.0.113.25", &sin->sin_addr);
}

static void
on_done(void *arg, const struct mx_list *list)
{
	struct got *g = arg;

	ck_assert(!g->done);
	g->done = true;
	g->list = *list;
}

static struct got
look_up(const char *name, bool only_address, bool allow_private)
{
	struct mx_options o = { .hostname = "mail.own.test", .own = &own, .n_own = 1, .port = 25,
	    .only_address = only_address, .allow_private = allow_private };
	struct got g = { .done = false };

	mx_start(dns, name, &o, 0, on_done, &g);
	ck_assert(!g.done);
	run_until(&g.done);
	return g;
}

/* "host=address host=address", in order. */
static const char *
text_of(const struct mx_list *list)
{
	static char text[4096];
	char address[INET6_ADDRSTRLEN];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < list->n; i++) {
		const struct mx_address *a = &list->list[i];
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->address;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->address;

		ck_assert_uint_eq(ntohs(v4->sin_port), 25);
		inet_ntop(a->address.ss_family, a->address.ss_family == AF_INET ? (const void *)&v4->sin_addr :
		    &v6->sin6_addr, address, sizeof(address));
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%s", i > 0 ? " " : "", a->host, address);
	}
	return text;
}

static const struct {
	const char	*name;
	bool		 only_address, allow_private;
	enum mx_result	 result;
	const char	*addresses;
	const char	*why;		/* is in it */
} cases[] = {
	{ "two.test", false, false, MX_OK, "a.test=2001:db8::1 a.test=198.51.100.1 b.test=198.51.100.2", "" },
	{ "TWO.test.", false, false, MX_OK, "a.test=2001:db8::1 a.test=198.51.100.1 b.test=198.51.100.2", "" },
	{ "alias.test", false, false, MX_OK, "a.test=2001:db8::1 a.test=198.51.100.1 b.test=198.51.100.2", "" },
	{ "plain.test", false, false, MX_OK, "plain.test=198.51.100.3", "" },
	{ "plainalias.test", false, false, MX_OK, "plainalias.test=198.51.100.3", "" },
	{ "two.test", true, false, MX_NO_HOST, "", "two.test has no address" },
	{ "a.test", true, false, MX_OK, "a.test=2001:db8::1 a.test=198.51.100.1", "" },
	{ "null.test", false, false, MX_NULL, "", "takes no mail" },
	{ "almostnull.test", false, false, MX_OK, "a.test=2001:db8::1 a.test=198.51.100.1", "" },
	{ "gone.test", false, false, MX_NO_DOMAIN, "", "gone.test does not exist" },
	{ "nothing.test", false, false, MX_NO_HOST, "", "no address and no MX record" },
	{ "dead.test", false, false, MX_NO_HOST, "", "gone.test: no such domain" },
	{ "half.test", false, false, MX_OK, "b.test=198.51.100.2", "" },
	{ "onlyslow.test", false, false, MX_TEMPORARY, "", "slow.test now: SERVFAIL" },
	{ "fail.test", false, false, MX_TEMPORARY, "", "fail.test now: SERVFAIL" },
	{ "ours.test", false, false, MX_LOOP, "", "best mail host of ours.test" },
	{ "backup.test", false, false, MX_OK, "b.test=198.51.100.2", "" },
	{ "aliasof.test", false, false, MX_LOOP, "", "leads back to this server" },
	{ "backup2.test", false, false, MX_OK, "b.test=198.51.100.2", "" },
	{ "hidden.test", true, false, MX_LOOP, "", "leads back" },
	{ "private.test", false, false, MX_REFUSED, "", "private.test leads to" },
	{ "mixed.test", false, false, MX_OK, "mixed.test=198.51.100.4", "" },
	{ "zero.test", false, true, MX_REFUSED, "", "0.0.0.0" },
	{ "odd.test", false, false, MX_NO_HOST, "", "impossible names" },
	{ "[198.51.100.7]", false, false, MX_OK, "[198.51.100.7]=198.51.100.7", "" },
	{ "[IPv6:2001:db8::7]", false, false, MX_OK, "[IPv6:2001:db8::7]=2001:db8::7", "" },
	{ "[127.0.0.1]", false, false, MX_REFUSED, "", "[127.0.0.1]" },
	{ "[127.0.0.1]", false, true, MX_OK, "[127.0.0.1]=127.0.0.1", "" },
	{ "[203.0.113.25]", false, true, MX_LOOP, "", "is this server" },
	{ "[nonsense]", false, false, MX_NO_DOMAIN, "", "not the name" },
	{ "127.0.0.1", true, false, MX_OK, "[127.0.0.1]=127.0.0.1", "" },
	{ "::1", true, false, MX_OK, "[IPv6:::1]=::1", "" },
	{ "", false, false, MX_NO_DOMAIN, "", "not the name" },
	{ "a b", false, false, MX_NO_DOMAIN, "", "not the name" },
};

START_TEST(test_lookup)
{
	struct got g = look_up(cases[_i].name, cases[_i].only_address, cases[_i].allow_private);

	ck_assert_msg(g.list.result == cases[_i].result, "%s: %d, %s", cases[_i].name, g.list.result, g.list.why);
	ck_assert_str_eq(text_of(&g.list), cases[_i].addresses);
	ck_assert_msg(strstr(g.list.why, cases[_i].why) != NULL, "%s", g.list.why);
	ck_assert_int_eq(g.list.why[0] == '\0', g.list.result == MX_OK);
}
END_TEST

START_TEST(test_private_allowed)
{
	struct got g = look_up("private.test", false, true);

	ck_assert_int_eq(g.list.result, MX_OK);
	ck_assert_uint_eq(g.list.n, 3);
	ck_assert_uint_eq(g.list.ttl, 300);
	ck_assert_uint_eq(look_up("two.test", false, false).list.ttl, 100);
}
END_TEST

START_TEST(test_secure)
{
	ck_assert(!look_up("two.test", false, false).list.secure);
	fake.ad = true;
	dns_free(dns);
	dns = fake_face(&fake);
	ck_assert(look_up("two.test", false, false).list.secure);
}
END_TEST

/* RFC 5321 asks to try all hosts; a thousand of them with fifty addresses each are a weapon. */
START_TEST(test_bomb)
{
	struct got g = look_up("bomb.test", false, true);
	unsigned asked = fake.n_udp;

	ck_assert_int_eq(g.list.result, MX_NO_HOST);	/* none of them exists */
	ck_assert_uint_eq(asked, 1 + 2 * MX_HOSTS_MAX);

	g = look_up("big.test", false, true);
	ck_assert_uint_eq(g.list.n, MX_ADDRESSES_MAX);
	ck_assert_str_eq(g.list.list[MX_ADDRESSES_MAX - 1].host, "b.test");	/* has its place all the same */
}
END_TEST

START_TEST(test_equals_shuffled)
{
	struct mx_options o = { .port = 25, .seed = 1 };
	bool first_a = false, first_b = false;

	static const struct zone equal[] = {
		{ "eq.test", DNS_MX, "10 b.test", 0 }, { "eq.test", DNS_MX, "10 c.test", 0 },
		{ "b.test", DNS_A, "198.51.100.2", 0 }, { "c.test", DNS_A, "198.51.100.3", 0 }, { NULL, 0, NULL, 0 },
	};

	fake.zone = equal;
	for (o.seed = 1; o.seed < 40; o.seed++) {
		struct got g = { .done = false };

		mx_start(dns, "eq.test", &o, 0, on_done, &g);
		run_until(&g.done);
		ck_assert_uint_eq(g.list.n, 2);
		first_a |= strcmp(g.list.list[0].host, "b.test") == 0;
		first_b |= strcmp(g.list.list[0].host, "c.test") == 0;
	}
	ck_assert(first_a && first_b);
}
END_TEST

/* The whole lookup keeps the deadline, wherever it hangs. */
START_TEST(test_deadline)
{
	static const char *const names[] = { "silent.test", "silenthost.test" };
	struct mx_options o = { .hostname = "mail.own.test", .port = 25 };
	struct got g = { .done = false };
	unsigned expected = _i == 0 ? 1 : 3;

	mx_start(dns, names[_i], &o, 10000, on_done, &g);
	while (fake.n_udp < expected)
		event_base_loop(base, EVLOOP_ONCE);
	pass_ms(9999);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	pass_ms(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(g.done);
	ck_assert_int_eq(g.list.result, MX_TEMPORARY);
	ck_assert_ptr_nonnull(strstr(g.list.why, "timed out"));
}
END_TEST

START_TEST(test_cancel)
{
	static const char *const names[] = { "two.test", "[192.0.2.1]", "silent.test", "a b" };
	struct mx_options o = { .hostname = "mail.own.test", .port = 25 };
	struct got g = { .done = false };

	for (size_t i = 0; i < COUNT(names); i++)
		mx_cancel(mx_start(dns, names[i], &o, 0, on_done, &g));
	mx_cancel(NULL);
	ck_assert_int_eq(look_up("plain.test", false, false).list.result, MX_OK);
	ck_assert(!g.done);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("mx");

	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, test_lookup, 0, COUNT(cases));
	tcase_add_test(tc, test_private_allowed);
	tcase_add_test(tc, test_secure);
	tcase_add_test(tc, test_bomb);
	tcase_add_test(tc, test_equals_shuffled);
	tcase_add_loop_test(tc, test_deadline, 0, 2);
	tcase_add_test(tc, test_cancel);
	return run_case("mx", tc);
}
