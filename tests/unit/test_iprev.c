/*
 * Reverse names with a name server in the same loop: none, no match, match, and no answer, which is none of them.
 */
#include "filters/iprev.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PTR(last, name) { last ".113.0.203.in-addr.arpa", DNS_PTR, name, 0 }
#define NIBBLES	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

static const struct zone zone[] = {
	PTR("1", "one.test"),
	{ "one.test", DNS_A, "203.0.113.1", 0 },
	{ "one.test", DNS_AAAA, "2001:db8::1", 0 },
	PTR("2", "lies.test"),
	{ "lies.test", DNS_A, "198.51.100.1", 0 },
	PTR("3", "zz.test"),
	PTR("3", "three.test"),
	PTR("3", "aa.test"),
	{ "three.test", DNS_A, "203.0.113.3", 0 },
	{ "zz.test", DNS_A, "203.0.113.3", 0 },
	PTR("4", "!SERVFAIL"),
	PTR("5", "slow.test"),
	{ "slow.test", DNS_A, "!SERVFAIL", 0 },
	PTR("6", "slow.test"),
	PTR("6", "six.test"),
	{ "six.test", DNS_A, "203.0.113.6", 0 },
	PTR("7", "!MANY 300"),
	PTR("8", "odd\\000name.test"),
	{ "9.113.0.203.in-addr.arpa", T_CNAME, "9.0-15.113.0.203.in-addr.arpa", 0 },	/* RFC 2317 */
	{ "9.0-15.113.0.203.in-addr.arpa", DNS_PTR, "nine.test", 0 },
	{ "nine.test", DNS_A, "203.0.113.9", 0 },
	PTR("10", "203-0-113-10.dyn.isp.test"),
	{ "203-0-113-10.dyn.isp.test", DNS_A, "203.0.113.10", 0 },
	PTR("11", "nowhere.test"),
	{ "1.0.0.0." NIBBLES, DNS_PTR, "one.test", 0 },
	{ "2.0.0.0." NIBBLES, DNS_PTR, "lies.test", 0 },
	{ NULL, 0, NULL, 0 },
};

struct got {
	bool			done;
	struct iprev_verdict	v;
};

static void
setup(void)
{
	fake_setup(zone);
}

static void
on_done(void *arg, const struct iprev_verdict *v)
{
	struct got *g = arg;

	ck_assert(!g->done);
	g->done = true;
	g->v = *v;
}

static struct iprev_verdict
look_up(const char *address, const char *helo)
{
	struct reverse_address a = { .len = 0 };
	struct got g = { .done = false };

	if (address[0] != '\0')
		ck_assert_int_eq(reverse_address_parse(&a, address), 0);
	iprev_start(dns, &a, helo, 0, on_done, &g);
	ck_assert(!g.done);
	run_until(&g.done);
	ck_assert_uint_gt(strlen(g.v.why), 0);
	return g.v;
}

static const struct {
	const char *address, *helo, *want;
} cases[] = {
	{ "203.0.113.1", "", "pass one.test own" },
	{ "203.0.113.1", "ONE.test", "pass one.test own helo" },
	{ "203.0.113.1", "two.test", "pass one.test own" },
	{ "203.0.113.2", "lies.test", "fail lies.test own" },
	{ "203.0.113.3", "zz.test", "pass three.test own helo" },
	{ "203.0.113.4", "", "temperror  own" },		/* SERVFAIL is not "no name" */
	{ "203.0.113.5", "", "temperror slow.test own" },
	{ "203.0.113.6", "", "pass six.test own" },		/* one name that fails takes nothing from another */
	{ "203.0.113.8", "", "permerror  own" },
	{ "203.0.113.9", "", "pass nine.test own" },
	{ "203.0.113.10", "", "pass 203-0-113-10.dyn.isp.test dynamic" },
	{ "203.0.113.11", "", "fail nowhere.test own" },
	{ "203.0.113.99", "", "permerror  own" },
	{ "2001:db8::1", "", "pass one.test own" },
	{ "2001:db8::2", "", "fail lies.test own" },
	{ "2001:db8::3", "", "permerror  own" },
	{ "::ffff:203.0.113.1", "", "pass one.test own" },
	{ "", "", "permerror  own" },
};

START_TEST(test_cases)
{
	struct iprev_verdict v = look_up(cases[_i].address, cases[_i].helo);
	char is[400];

	snprintf(is, sizeof(is), "%s %s %s%s", iprev_result_name(v.result), v.name, iprev_look_name(v.look), v.helo ? " helo" : "");
	ck_assert_msg(strcmp(is, cases[_i].want) == 0, "%s\n  is   %s\n  want %s", cases[_i].address, is, cases[_i].want);
}
END_TEST

START_TEST(test_many_names)
{
	struct iprev_verdict v = look_up("203.0.113.7", NULL);

	ck_assert_int_ne(v.result, IPREV_PASS);
	ck_assert_uint_le(fake.n_udp, 1 + IPREV_NAMES_MAX);
}
END_TEST

START_TEST(test_deadline)
{
	struct reverse_address a = { .len = 4, .bytes = { 203, 0, 113, 1 } };
	struct got g = { .done = false };

	fake.silent = true;
	iprev_start(dns, &a, "", 200, on_done, &g);
	pass_ms(199);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	pass_ms(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(g.done);
	ck_assert_int_eq(g.v.result, IPREV_TEMPERROR);
}
END_TEST

START_TEST(test_cancel)
{
	struct reverse_address a = { .len = 4, .bytes = { 203, 0, 113, 1 } }, none = { .len = 0 };
	struct got g = { .done = false };

	iprev_cancel(iprev_start(dns, &a, "", 0, on_done, &g));
	iprev_cancel(iprev_start(dns, &none, "", 0, on_done, &g));
	iprev_cancel(NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("iprev");

	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, test_cases, 0, COUNT(cases));
	tcase_add_test(tc, test_many_names);
	tcase_add_test(tc, test_deadline);
	tcase_add_test(tc, test_cancel);
	return run_case("iprev", tc);
}
