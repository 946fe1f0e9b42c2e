/*
 * The direct face of mx/dns.h against a name server in the same loop that misbehaves as told.
 */
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct zone zone[] = {
	{ "a.test", DNS_A, "192.0.2.1", 0 },
	{ "a.test", DNS_A, "192.0.2.2", 20 },
	{ "a.test", DNS_AAAA, "2001:db8::1", 0 },
	{ "zero.test", DNS_A, "192.0.2.3", 0x80000000 },
	{ "mx.test", DNS_MX, "20 two.test", 0 },
	{ "mx.test", DNS_MX, "10 one.test", 0 },
	{ "odd.test", DNS_MX, "10 fine.test", 0 },
	{ "a b@c.test", DNS_A, "192.0.2.9", 0 },
	{ "odd.test", DNS_MX, "10 a\\000b.test", 0 },
	{ "odd.test", DNS_MX, "10 sp\\032ace.test", 0 },
	{ "odd.test", DNS_MX, "10 new\\010line.test", 0 },
	{ "odd.test", DNS_MX, "10 back\\092slash.test", 0 },
	{ "allodd.test", DNS_MX, "10 a(b).test", 0 },
	{ "alias.test", T_CNAME, "alias2.test", 40 },
	{ "alias2.test", T_CNAME, "a.test", 0 },
	{ "dangling.test", T_CNAME, "gone.test", 0 },
	{ "circle.test", T_CNAME, "circle2.test", 0 },
	{ "circle2.test", T_CNAME, "circle.test", 0 },
	{ "oddalias.test", T_CNAME, "a\\010b.test", 0 },
	{ "txt.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "1.2.0.192.in-addr.arpa", T_CNAME, "1.0/25.2.0.192.in-addr.arpa", 0 },
	{ "1.0/25.2.0.192.in-addr.arpa", DNS_PTR, "host.test", 0 },
	{ "many.test", DNS_A, "!MANY 1000", 0 },
	{ "large.test", DNS_A, "!MANY 40", 0 },
	{ "servfail.test", DNS_A, "!SERVFAIL", 0 },
	{ "refused.test", DNS_A, "!REFUSED", 0 },
	{ "notimp.test", DNS_A, "!NOTIMP", 0 },
	{ "drop.test", DNS_A, "!DROP", 0 },
	{ "garbage.test", DNS_A, "!GARBAGE", 0 },
	{ "wrongid.test", DNS_A, "!WRONGID", 0 },
	{ "wrongname.test", DNS_A, "!WRONGNAME", 0 },
	{ "loop.test", DNS_MX, "!LOOP", 0 },
	{ NULL, 0, NULL, 0 },
};

struct got {
	bool		 done;
	unsigned	 calls;
	enum dns_result	 result;
	size_t		 n;
	char		 why[80], canonical[256], first[256];
	bool		 secure, cut;
	uint32_t	 ttl;
};

static void
setup(void)
{
	fake_setup(zone);
}

static void
on_done(void *arg, const struct dns_answer *a)
{
	struct got *g = arg;

	g->done = true;
	g->calls++;
	g->result = a->result;
	g->n = a->n;
	g->secure = a->secure;
	g->cut = a->cut;
	g->ttl = a->ttl;
	snprintf(g->why, sizeof(g->why), "%s", a->why != NULL ? a->why : "");
	snprintf(g->canonical, sizeof(g->canonical), "%s", a->canonical);
	if (a->n > 0 && a->type == DNS_A)
		inet_ntop(AF_INET, &a->records[0].a, g->first, sizeof(g->first));
	else if (a->n > 0 && a->type == DNS_AAAA)
		inet_ntop(AF_INET6, &a->records[0].aaaa, g->first, sizeof(g->first));
	else if (a->n > 0)
		snprintf(g->first, sizeof(g->first), "%s", a->records[0].bytes);
}

static struct got
ask(enum dns_type type, const char *name)
{
	struct got g = { .done = false };

	dns_ask(dns, type, name, 0, on_done, &g);
	ck_assert(!g.done);		/* never from inside */
	run_until(&g.done);
	return g;
}

static const struct {
	const char	*name;
	enum dns_type	 type;
	enum dns_result	 result;
	size_t		 n;
	const char	*first, *why, *canonical;
	uint32_t	 ttl;
} answers[] = {
	{ "a.test", DNS_A, DNS_OK, 2, "192.0.2.1", "", "", 20 },
	{ "A.Test.", DNS_A, DNS_OK, 2, "192.0.2.1", "", "", 20 },
	{ "a.test", DNS_AAAA, DNS_OK, 1, "2001:db8::1", "", "", 300 },
	{ "zero.test", DNS_A, DNS_OK, 1, "192.0.2.3", "", "", 0 },
	{ "mx.test", DNS_MX, DNS_OK, 2, "two.test", "", "", 300 },
	{ "txt.test", DNS_TXT, DNS_OK, 1, "v=spf1 -all", "", "", 300 },
	{ "alias.test", DNS_A, DNS_OK, 2, "192.0.2.1", "", "a.test", 20 },
	{ "alias.test", DNS_TXT, DNS_NODATA, 0, "", "no such record", "a.test", 60 },
	{ "dangling.test", DNS_A, DNS_NXDOMAIN, 0, "", "no such domain", "gone.test", 60 },
	{ "circle.test", DNS_A, DNS_TEMPORARY, 0, "", "CNAME loop", "circle.test", 0 },
	{ "oddalias.test", DNS_A, DNS_INVALID, 0, "", "CNAME to an impossible name", "", 300 },
	{ "odd.test", DNS_MX, DNS_OK, 1, "fine.test", "", "", 300 },
	{ "allodd.test", DNS_MX, DNS_INVALID, 0, "", "answer holds only impossible names", "", 300 },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, 1, "host.test", "", "1.0/25.2.0.192.in-addr.arpa", 300 },
	{ "none.test", DNS_A, DNS_NXDOMAIN, 0, "", "no such domain", "", 60 },
	{ "a.test", DNS_MX, DNS_NODATA, 0, "", "no such record", "", 60 },
	{ "servfail.test", DNS_A, DNS_TEMPORARY, 0, "", "SERVFAIL", "", 0 },
	{ "refused.test", DNS_A, DNS_TEMPORARY, 0, "", "REFUSED", "", 0 },
	{ "notimp.test", DNS_A, DNS_TEMPORARY, 0, "", "NOTIMP", "", 0 },
	{ "garbage.test", DNS_A, DNS_TEMPORARY, 0, "", "answer cannot be read", "", 0 },
	{ "loop.test", DNS_MX, DNS_TEMPORARY, 0, "", "answer cannot be read", "", 0 },
	{ "", DNS_A, DNS_INVALID, 0, "", "not a domain name", "", 0 },
	{ "a..test", DNS_A, DNS_INVALID, 0, "", "not a domain name", "", 0 },
	{ "a\tb.test", DNS_A, DNS_INVALID, 0, "", "not a domain name", "", 0 },
	{ "a\\.test", DNS_A, DNS_INVALID, 0, "", "not a domain name", "", 0 },
};

START_TEST(test_answers)
{
	struct got g = ask(answers[_i].type, answers[_i].name);

	ck_assert_str_eq(dns_result_name(g.result), dns_result_name(answers[_i].result));
	ck_assert_str_eq(g.why, answers[_i].why);
	ck_assert_uint_eq(g.n, answers[_i].n);
	ck_assert_str_eq(g.first, answers[_i].first);
	ck_assert_str_eq(g.canonical, answers[_i].canonical);
	ck_assert_uint_eq(g.ttl, answers[_i].ttl);
	ck_assert_uint_eq(g.calls, 1);
}
END_TEST

/* c-ares of Debian 12 asks, that of 13 does not: that is told for what it is. */
START_TEST(test_space_in_a_name)
{
	struct got g = ask(DNS_A, "a b@c.test");

	if (g.result == DNS_OK)
		ck_assert_str_eq(g.first, "192.0.2.9");
	else
		ck_assert_str_eq(g.why, "the DNS library asks for no such name");
}
END_TEST

START_TEST(test_truncated_goes_to_tcp)
{
	struct got g = ask(DNS_A, "large.test");

	ck_assert_int_eq(g.result, DNS_OK);
	ck_assert_uint_eq(g.n, 40);
	ck_assert_uint_eq(fake.n_udp, 1);
	ck_assert_uint_eq(fake.n_tcp, 1);
	ck_assert(!g.cut);
}
END_TEST

START_TEST(test_thousand_records)
{
	struct got g = ask(DNS_A, "many.test");

	ck_assert_int_eq(g.result, DNS_OK);
	ck_assert_uint_eq(g.n, DNS_RECORDS_MAX);
	ck_assert(g.cut);
}
END_TEST

/* Nobody answers; the clock says that the deadline has come. */
static void
expect_timeout(const char *name)
{
	struct got g = { .done = false };

	dns_ask(dns, DNS_A, name, 5000, on_done, &g);
	while (fake.n_udp == 0)
		event_base_loop(base, EVLOOP_ONCE);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	pass_ms(4999);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	pass_ms(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(g.done);
	ck_assert_int_eq(g.result, DNS_TEMPORARY);
	ck_assert_str_eq(g.why, "timed out");
}

START_TEST(test_silence)
{
	static const char *const names[] = { "drop.test", "wrongid.test", "wrongname.test" };

	expect_timeout(names[_i]);
	ck_assert_int_eq(ask(DNS_A, "a.test").result, DNS_OK);
}
END_TEST

START_TEST(test_nobody_listens)
{
	char *servers[] = { fake.address, NULL }, err[100];
	struct dns *other;
	struct got g = { .done = false };

	fake_stop(&fake);
	other = dns_new_direct(base, servers, err, sizeof(err));
	dns_ask(other, DNS_A, "a.test", 0, on_done, &g);
	ck_assert(!g.done);
	run_until(&g.done);
	ck_assert_int_eq(g.result, DNS_TEMPORARY);
	ck_assert_str_eq(g.why, "no DNS server could be reached");
	dns_free(other);
	fake_start(&fake, base, zone);
}
END_TEST

START_TEST(test_cancel)
{
	struct got cancelled = { .done = false }, other = { .done = false };
	struct dns_question *q = dns_ask(dns, DNS_A, "a.test", 0, on_done, &cancelled);

	dns_ask(dns, DNS_A, "A.TEST", 0, on_done, &other);
	dns_cancel(q);
	dns_cancel(NULL);
	run_until(&other.done);
	ck_assert_uint_eq(cancelled.calls, 0);
	ck_assert_uint_eq(other.n, 2);
	ck_assert_uint_eq(fake.n_udp, 1);	/* one query for both */

	q = dns_ask(dns, DNS_A, "a.test", 0, on_done, &cancelled);	/* from the cache: cancelled all the same */
	dns_cancel(q);
	q = dns_ask(dns, DNS_A, "..", 0, on_done, &cancelled);
	dns_cancel(q);
	ck_assert_int_eq(ask(DNS_AAAA, "a.test").result, DNS_OK);
	ck_assert_uint_eq(cancelled.calls, 0);
}
END_TEST

START_TEST(test_free_with_open_questions)
{
	struct got g = { .done = false };

	dns_ask(dns, DNS_A, "drop.test", 0, on_done, &g);
	dns_ask(dns, DNS_A, "a.test", 0, on_done, &g);
	dns_free(dns);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	dns = fake_face(&fake);
}
END_TEST

START_TEST(test_cached)
{
	ck_assert_uint_eq(ask(DNS_A, "a.test").ttl, 20);
	pass_ms(15000);
	ck_assert_uint_le(ask(DNS_A, "a.test").ttl, 5);
	ck_assert_uint_eq(fake.n_udp, 1);
	pass_ms(5000);
	ck_assert_uint_eq(ask(DNS_A, "a.test").ttl, 20);
	ck_assert_uint_eq(fake.n_udp, 2);
	ask(DNS_A, "none.test");
	ask(DNS_A, "none.test");
	ck_assert_uint_eq(fake.n_udp, 3);
	ask(DNS_A, "servfail.test");
	ask(DNS_A, "servfail.test");
	ck_assert_uint_eq(fake.n_udp, 5);
}
END_TEST

/* What leaves: recursion desired, AD and EDNS0; ids that do not follow from each other, nor from a start to the next. */
START_TEST(test_query)
{
	static const uint8_t opt[] = { 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0 };
	uint16_t first[10];
	unsigned same = 0, steps = 0;
	char name[20];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			snprintf(name, sizeof(name), "n%d.test", i);
			ask(DNS_A, name);
			if (i > 0)
				steps += (uint16_t)(fake.ids[i] - fake.ids[i - 1]) == 1;
			if (round == 0)
				first[i] = fake.ids[i];
			else
				same += first[i] == fake.ids[i];
		}
		dns_free(dns);
		dns = fake_face(&fake);
		fake.n_udp = 0;
	}
	ck_assert_uint_lt(same, 3);
	ck_assert_uint_lt(steps, 3);
	ck_assert_uint_eq(fake.last[2], 0x01);
	ck_assert_uint_eq(fake.last[3], 0x20);
	ck_assert_mem_eq(fake.last + fake.last_len - sizeof(opt), opt, sizeof(opt));
}
END_TEST

START_TEST(test_secure)
{
	ck_assert(!ask(DNS_A, "a.test").secure);
	fake.ad = true;
	ck_assert(ask(DNS_AAAA, "a.test").secure);
	ck_assert(ask(DNS_A, "none.test").secure);
}
END_TEST

/* A face that counts answers as the other does; what is cancelled is asked all the same, and what is no name is not. */
START_TEST(test_counting)
{
	struct dns *inner = dns;
	struct got g = { .done = false };

	dns = dns_new_counting(inner);
	ck_assert_uint_eq(dns_count(dns), 0);
	ck_assert_int_eq(ask(DNS_A, "a.test").n, 2);
	ck_assert_int_eq(ask(DNS_A, "none.test").result, DNS_NXDOMAIN);
	ck_assert_int_eq(ask(DNS_A, "servfail.test").result, DNS_TEMPORARY);
	ck_assert_int_eq(ask(DNS_A, "a..test").result, DNS_INVALID);
	ck_assert_uint_eq(dns_count(dns), 3);
	dns_cancel(dns_ask(dns, DNS_A, "a.test", 0, on_done, &g));
	dns_ask(dns, DNS_A, "a.test", 0, on_done, &g);
	ck_assert_uint_eq(dns_count(dns), 5);
	dns_free(dns);			/* with what is open */
	dns = inner;
	ck_assert_int_eq(ask(DNS_A, "a.test").n, 2);
	ck_assert(!g.done);
}
END_TEST

/* Many questions take new channels, and so come from other ports; no answer is lost on the way. ATTACKS 47 */
START_TEST(test_many_questions)
{
	static struct got got[1200];
	char name[40];

	for (int i = 0; i < 1200; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		dns_ask(dns, DNS_A, name, 0, on_done, &got[i]);
		if (i % 50 == 49)
			run_until(&got[i].done);
	}
	for (int i = 0; i < 1200; i++) {
		run_until(&got[i].done);
		ck_assert_int_eq(got[i].result, DNS_NXDOMAIN);
	}
	ck_assert_uint_ge(fake.n_ports, 2);
}
END_TEST

/* More than may be on the wire: they wait for their turn, and leave when they are cancelled or too old for it. */
START_TEST(test_waiting_for_their_turn)
{
	static struct got got[2000];
	static struct dns_question *questions[2000];
	char name[40];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		questions[i] = dns_ask(dns, DNS_A, name, 0, on_done, &got[i]);
	}
	for (int i = 0; i < 2000; i += 2)
		dns_cancel(questions[i]);
	for (int i = 1; i < 2000; i += 2) {
		run_until(&got[i].done);
		ck_assert_int_eq(got[i].result, DNS_NXDOMAIN);
		ck_assert_uint_eq(got[i - 1].calls, 0);
	}
	ck_assert_uint_eq(fake.n_udp, 1050);	/* a burst, and the half of the others that was not cancelled */

	fake.silent = true;
	memset(got, 0, sizeof(got));
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "silent%d.test", i);
		dns_ask(dns, DNS_A, name, 5000, on_done, &got[i]);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	pass_ms(5000);
	for (int i = 0; i < 600; i++) {
		run_until(&got[i].done);
		ck_assert_int_eq(got[i].result, DNS_TEMPORARY);
	}
	ck_assert_uint_lt(fake.n_udp, 1050 + 600);
}
END_TEST

/* One of two servers is ill: the other one's answer counts, and when both are, it is said so. */
START_TEST(test_two_servers)
{
	static const struct zone ill[] = { { "a.test", DNS_A, "!SERVFAIL", 0 }, { NULL, 0, NULL, 0 } };
	struct fake_dns first;
	char *servers[] = { first.address, fake.address, NULL }, err[200];
	struct dns *both;
	struct got g = { .done = false };

	fake_start(&first, base, ill);
	both = dns_new_direct(base, servers, err, sizeof(err));
	ck_assert_ptr_nonnull(both);
	dns_ask(both, DNS_A, "a.test", 0, on_done, &g);
	run_until(&g.done);
	ck_assert_int_eq(g.result, DNS_OK);
	ck_assert_uint_eq(first.n_udp, 1);
	dns_free(both);

	fake.zone = ill;
	both = dns_new_direct(base, servers, err, sizeof(err));
	g.done = false;
	dns_ask(both, DNS_A, "a.test", 0, on_done, &g);
	run_until(&g.done);
	ck_assert_int_eq(g.result, DNS_TEMPORARY);
	ck_assert(strcmp(g.why, "no DNS server gave an answer") == 0 || strcmp(g.why, "SERVFAIL") == 0);	/* by c-ares' version */
	dns_free(both);
	fake_stop(&first);
}
END_TEST

/* resolv.conf, or none: there is always somebody to ask. */
START_TEST(test_system_servers)
{
	char err[200];
	struct dns *system_dns = dns_new_direct(base, NULL, err, sizeof(err));

	ck_assert_msg(system_dns != NULL, "%s", err);
	dns_free(system_dns);
}
END_TEST

START_TEST(test_bad_servers)
{
	static const char *const bad[] = { "localhost", "300.1.1.1", "127.0.0.1:x", "127.0.0.1:99999", "" };
	char text[40], *servers[] = { text, NULL }, err[200] = "";

	snprintf(text, sizeof(text), "%s", bad[_i]);
	ck_assert_ptr_null(dns_new_direct(base, servers, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "expected"));
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("resolver");

	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, test_answers, 0, COUNT(answers));
	tcase_add_test(tc, test_space_in_a_name);
	tcase_add_test(tc, test_truncated_goes_to_tcp);
	tcase_add_test(tc, test_thousand_records);
	tcase_add_loop_test(tc, test_silence, 0, 3);
	tcase_add_test(tc, test_nobody_listens);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_free_with_open_questions);
	tcase_add_test(tc, test_cached);
	tcase_add_test(tc, test_query);
	tcase_add_test(tc, test_secure);
	tcase_add_test(tc, test_counting);
	tcase_add_test(tc, test_many_questions);
	tcase_add_test(tc, test_waiting_for_their_turn);
	tcase_add_test(tc, test_two_servers);
	tcase_add_test(tc, test_system_servers);
	tcase_add_loop_test(tc, test_bad_servers, 0, 5);
	return run_case("resolver", tc);
}
