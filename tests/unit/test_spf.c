/*
 * SPF with a name server in the same loop: what the public suite (tests/suite_spf.py) does not ask for: limits to the term,
 * a deadline, cancellation at every moment, DNS that lies. ATTACKS 45.
 */
#include "filters/spf.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SPF(name, data) { name ".test", DNS_TXT, "v=spf1 " data, 0 }
#define A10 "a:h.test a:h.test a:h.test a:h.test a:h.test a:h.test a:h.test a:h.test a:h.test "

static const struct zone zone[] = {
	{ "h.test", DNS_A, "192.0.2.99", 0 },
	{ "v6.test", DNS_AAAA, "2001:db8::1", 0 },
	SPF("pass", "ip4:192.0.2.0/24 -all"),
	SPF("mapped", "ip6:::ffff:192.0.2.1 -all"),
	SPF("ten", A10 "a:h.test ip4:192.0.2.1 -all"),
	SPF("eleven", A10 "a:h.test a:h.test ip4:192.0.2.1 -all"),
	SPF("loop", "include:loop.test -all"),
	SPF("ring", "redirect=ring.test"),
	SPF("two", "a:n1.test a:n2.test ip4:192.0.2.1 -all"),
	SPF("three", "a:n1.test mx:n2.test exists:n3.test ip4:192.0.2.1 -all"),
	SPF("voidsix", "a:h.test a:h.test a:h.test -all"),
	SPF("bad", "include:pass.test include:gone.test -all"),
	SPF("badlate", "a:h.test include:gone.test -all"),
	SPF("nested", "include:in1.test -all"),
	SPF("in1", "-include:in2.test include:pass.test ~all"),
	SPF("in2", "ip4:203.0.113.0/24 -all"),
	{ "twice.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "twice.test", DNS_TXT, "v=spf1 +all", 0 },
	SPF("mxone", "mx -all"),
	{ "mxone.test", DNS_MX, "10 slow.test", 0 },
	{ "mxone.test", DNS_MX, "20 us.test", 0 },
	{ "us.test", DNS_A, "192.0.2.1", 0 },
	SPF("mxfail", "mx -all"),
	{ "mxfail.test", DNS_MX, "10 fail.test", 0 },
	{ "mxfail.test", DNS_MX, "20 h.test", 0 },
	SPF("mxmany", "mx -all"),
	{ "mxmany.test", DNS_MX, "!MANY 11", 0 },
	SPF("mxvoid", "mx ip4:192.0.2.1 -all"),
	{ "mxvoid.test", DNS_MX, "1 a.gone.test", 0 },
	{ "mxvoid.test", DNS_MX, "1 b.gone.test", 0 },
	{ "mxvoid.test", DNS_MX, "1 c.gone.test", 0 },
	{ "slow.test", DNS_A, "!DROP", 0 },
	{ "fail.test", DNS_A, "!SERVFAIL", 0 },
	SPF("afail", "a:fail.test +all"),
	{ "txtfail.test", DNS_TXT, "!SERVFAIL", 0 },
	{ "garbage.test", DNS_TXT, "!GARBAGE", 0 },
	SPF("stall", "a:slow.test -all"),
	SPF("exp", "-all exp=why.test"),
	{ "why.test", DNS_TXT, "%{c} may not, says %{d}", 0 },
	SPF("expslow", "-all exp=slowtxt.test"),
	{ "slowtxt.test", DNS_TXT, "!DROP", 0 },
	SPF("expinclude", "-include:all.test exp=why.test"),
	SPF("all", "+all exp=gone.test"),
	SPF("names", "exists:%{p}.known.test -all"),
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, "liar.test", 0 },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, "us.test", 0 },
	{ "liar.test", DNS_A, "203.0.113.1", 0 },
	{ "us.test.known.test", DNS_A, "127.0.0.2", 0 },
	SPF("ptr", "ptr:us.test -all"),
	SPF("space", "exists:%{l}.known.test -all"),
	{ "a b.known.test", DNS_A, "127.0.0.2", 0 },
	{ "xn--bcher-kva.test", DNS_TXT, "v=spf1 +all", 0 },
	{ NULL, 0, NULL, 0 },
};

struct got {
	bool	done;
	enum spf_code code;
	bool	helo;
	char	explanation[SPF_EXPLANATION_MAX + 1];
	char	reason[512];
	unsigned lookups, voids;
};

static void
setup(void)
{
	fake_setup(zone);
}

static void
on_done(void *arg, const struct spf_result *r)
{
	struct got *g = arg;

	ck_assert(!g->done);
	*g = (struct got){ .done = true, .code = r->code, .helo = r->helo, .lookups = r->lookups, .voids = r->voids };
	snprintf(g->explanation, sizeof(g->explanation), "%s", r->explanation);
	snprintf(g->reason, sizeof(g->reason), "%s", r->reason);
}

static struct spf *
start(struct got *g, const char *ip, const char *helo, const char *sender)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	bool v4 = inet_pton(AF_INET, ip, &four.sin_addr) == 1;
	struct spf_facts facts = { .client = v4 ? (struct sockaddr *)&four : (struct sockaddr *)&six, .helo = helo,
		.sender = sender, .now = 1795291200 };
	struct spf *s;

	if (!v4)
		ck_assert_int_eq(inet_pton(AF_INET6, ip, &six.sin6_addr), 1);
	*g = (struct got){ .done = false };
	s = spf_start(dns, &facts, on_done, g);
	ck_assert(!g->done);
	return s;
}

static const struct {
	const char	*ip, *helo, *sender;
	enum spf_code	 code;
	unsigned	 lookups, voids;
	const char	*explanation;
} cases[] = {
	{ "192.0.2.1", "x", "a@pass.test", SPF_PASS, 0, 0, "" },
	{ "192.0.3.1", "x", "a@pass.test", SPF_FAIL, 0, 0, "" },
	{ "::ffff:192.0.2.1", "x", "a@pass.test", SPF_PASS, 0, 0, "" },
	{ "192.0.2.1", "x", "a@mapped.test", SPF_FAIL, 0, 0, "" },
	{ "192.0.2.1", "pass.test", "", SPF_PASS, 0, 0, "" },
	{ "192.0.2.1", "pass.test", NULL, SPF_PASS, 0, 0, "" },
	{ "192.0.2.1", "pass.test.", "", SPF_PASS, 0, 0, "" },
	{ "192.0.2.1", "x", "a@b\xc3\xbc" "cher.test", SPF_PASS, 0, 0, "" },
	{ "192.0.2.1", "", "", SPF_NONE, 0, 0, "" },
	{ "192.0.2.1", "[192.0.2.1]", "", SPF_NONE, 0, 0, "" },
	{ "192.0.2.1", "x", "a@gone.test", SPF_NONE, 0, 0, "" },
	{ "192.0.2.1", "x", "a@h.test", SPF_NONE, 0, 0, "" },
	{ "192.0.2.1", "x", "a@-\x80.test", SPF_NONE, 0, 0, "" },
	/* limits, exactly */
	{ "192.0.2.1", "x", "a@ten.test", SPF_PASS, 10, 0, "" },
	{ "192.0.2.1", "x", "a@eleven.test", SPF_PERMERROR, 10, 0, "" },
	{ "192.0.2.1", "x", "a@loop.test", SPF_PERMERROR, 10, 0, "" },
	{ "192.0.2.1", "x", "a@ring.test", SPF_PERMERROR, 10, 0, "" },
	{ "192.0.2.1", "x", "a@two.test", SPF_PASS, 2, 2, "" },
	{ "192.0.2.1", "x", "a@three.test", SPF_PERMERROR, 3, 3, "" },
	{ "2001:db8::1", "x", "a@voidsix.test", SPF_PERMERROR, 3, 3, "" },
	{ "192.0.2.1", "x", "a@mxmany.test", SPF_PERMERROR, 1, 0, "" },
	{ "192.0.2.1", "x", "a@mxvoid.test", SPF_PASS, 1, 0, "" },
	/* includes */
	{ "192.0.2.1", "x", "a@nested.test", SPF_PASS, 3, 0, "" },
	{ "203.0.113.5", "x", "a@nested.test", SPF_FAIL, 2, 0, "" },
	{ "192.0.2.1", "x", "a@bad.test", SPF_PASS, 1, 0, "" },
	{ "192.0.2.1", "x", "a@badlate.test", SPF_PERMERROR, 2, 0, "" },
	{ "192.0.2.1", "x", "a@twice.test", SPF_PERMERROR, 0, 0, "" },
	/* DNS that fails */
	{ "192.0.2.1", "x", "a@txtfail.test", SPF_TEMPERROR, 0, 0, "" },
	{ "192.0.2.1", "x", "a@garbage.test", SPF_TEMPERROR, 0, 0, "" },
	{ "192.0.2.1", "x", "a@afail.test", SPF_TEMPERROR, 1, 0, "" },
	{ "192.0.2.1", "x", "a@mxfail.test", SPF_TEMPERROR, 1, 0, "" },
	/* a host that matches is enough, whoever is late */
	{ "192.0.2.1", "x", "a@mxone.test", SPF_PASS, 1, 0, "" },
	/* explanations: of the first domain's fail only */
	{ "192.0.2.1", "x", "a@exp.test", SPF_FAIL, 0, 0, "192.0.2.1 may not, says exp.test" },
	{ "192.0.2.1", "x", "a@expinclude.test", SPF_FAIL, 1, 0, "192.0.2.1 may not, says expinclude.test" },
	/* names: one that does not lead back is none */
	{ "192.0.2.1", "x", "a@names.test", SPF_PASS, 1, 0, "" },
	{ "192.0.2.1", "x", "a@ptr.test", SPF_PASS, 1, 0, "" },
	{ "203.0.113.7", "x", "a@ptr.test", SPF_FAIL, 1, 1, "" },
};

START_TEST(test_cases)
{
	struct got g;

	start(&g, cases[_i].ip, cases[_i].helo, cases[_i].sender);
	run_until(&g.done);
	ck_assert_msg(g.code == cases[_i].code, "%s: %s, %s", cases[_i].sender, spf_code_name(g.code), g.reason);
	ck_assert_str_eq(g.explanation, cases[_i].explanation);
	ck_assert_uint_eq(g.lookups, cases[_i].lookups);
	ck_assert_uint_eq(g.voids, cases[_i].voids);
	ck_assert_uint_gt(strlen(g.reason), 0);
	ck_assert(g.helo == (cases[_i].sender == NULL || cases[_i].sender[0] == '\0'));
}
END_TEST

/* A name that hosts cannot have; newer versions of c-ares do not ask for it. */
START_TEST(test_space)
{
	struct got g;

	start(&g, "192.0.2.1", "x", "a b@space.test");
	run_until(&g.done);
	if (g.code != SPF_PASS)
		ck_assert_ptr_nonnull(strstr(g.reason, "the DNS library asks for no such name"));
}
END_TEST

/* Runs the loop until the name server has been asked n questions. */
static void
run_until_asked(unsigned n)
{
	while (fake.n_udp < n)
		event_base_loop(base, EVLOOP_ONCE);
}

/* A dead server ends it long before its senders give up. */
START_TEST(test_question_deadline)
{
	struct got g;

	start(&g, "192.0.2.1", "x", "a@stall.test");
	run_until_asked(2);
	pass_ms(8100);
	run_until(&g.done);
	ck_assert_int_eq(g.code, SPF_TEMPERROR);
}
END_TEST

START_TEST(test_deadline)
{
	struct got g;

	fake.silent = true;
	start(&g, "192.0.2.1", "x", "a@pass.test");
	run_until_asked(1);
	ck_assert(!g.done);
	pass_ms(SPF_DEADLINE_MS + 100);
	run_until(&g.done);
	ck_assert_int_eq(g.code, SPF_TEMPERROR);
}
END_TEST

/* What is decided stays so while its explanation does not come. */
START_TEST(test_late_explanation)
{
	struct got g;

	start(&g, "192.0.2.1", "x", "a@expslow.test");
	run_until_asked(2);
	pass_ms(SPF_DEADLINE_MS + 100);
	run_until(&g.done);
	ck_assert_int_eq(g.code, SPF_FAIL);
	ck_assert_str_eq(g.explanation, "");
}
END_TEST

/* After so many questions: no callback comes, and nothing of it is left. */
START_TEST(test_cancel)
{
	struct got g;
	struct spf *s = start(&g, "192.0.2.1", "x", "a@mxone.test");

	run_until_asked((unsigned)_i);
	spf_cancel(s);
	spf_cancel(NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	pass_ms(60000);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("spf");

	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, test_cases, 0, COUNT(cases));
	tcase_add_test(tc, test_space);
	tcase_add_test(tc, test_question_deadline);
	tcase_add_test(tc, test_deadline);
	tcase_add_test(tc, test_late_explanation);
	tcase_add_loop_test(tc, test_cancel, 0, 4);
	return run_case("spf", tc);
}
