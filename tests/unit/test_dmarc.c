/*
 * DMARC with a name server in the same loop: the examples of RFC 9989 by section, alignment, policies, and a DNS that
 * does not answer.
 */
#include "filters/dmarc.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TXT(name, data) { "_dmarc." name, DNS_TXT, data, 0 }

static const struct zone zone[] = {
	/* 4.4: two names of one organization */
	TXT("example.com", "v=DMARC1; p=reject; sp=quarantine; np=none"),
	{ "news.example.com", DNS_A, "198.51.100.1", 0 },
	TXT("example.net", "v=DMARC1; p=reject"),
	/* 4.10.2, first example: the record with the fewest labels */
	TXT("mail.first.test", "v=DMARC1; p=none"),
	TXT("first.test", "v=DMARC1; p=reject"),
	/* second: psd=n */
	TXT("mail.second.test", "v=DMARC1; p=quarantine; psd=n"),
	TXT("second.test", "v=DMARC1; p=reject"),
	/* third: only a public suffix has a record */
	TXT("suffix", "v=DMARC1; p=reject; psd=y; rua=mailto:d@nic.suffix"),
	TXT("own.suffix", "v=DMARC1; p=quarantine; rua=mailto:d@own.suffix"),
	/* 5.1.8: a zone cut too deep to be found */
	TXT("deep.test", "v=DMARC1; p=none; sp=quarantine; psd=n"),
	TXT("b.c.d.e.f.g.deep.test", "v=DMARC1; p=reject; psd=n"),
	/* policies */
	TXT("testing.test", "v=DMARC1; p=reject; sp=quarantine; t=y"),
	TXT("twice.test", "v=DMARC1; p=reject"),
	TXT("twice.test", "v=DMARC1; p=none"),
	TXT("mixed.test", "some other record"),
	TXT("mixed.test", "v=DMARC1; p=reject"),
	TXT("nothing.test", "v=DMARC1; adkim=s"),
	TXT("below.test", "v=DMARC1; sp=reject"),
	TXT("wrong.test", "v=DMARC1; p=rejected"),
	TXT("report.test", "v=DMARC1; rua=mailto:d@report.test"),
	TXT("old.test", "v=DMARC1; p=reject; pct=0"),
	TXT("strict.test", "v=DMARC1; p=reject; adkim=s; aspf=r"),
	TXT("cut.strict.test", "v=DMARC1; p=none; psd=n"),
	TXT("np.test", "v=DMARC1; p=none; sp=quarantine; np=reject"),
	{ "real.np.test", DNS_MX, "10 mx.test", 0 },
	{ "slow.np.test", DNS_A, "!SERVFAIL", 0 },
	TXT("alias.test", "v=DMARC1; p=none"),
	{ "_dmarc.cname.test", T_CNAME, "_dmarc.example.net", 0 },
	{ "_dmarc.xn--bcher-kva.test", DNS_TXT, "v=DMARC1; p=reject", 0 },
	/* trouble */
	TXT("fail.test", "!SERVFAIL"),
	TXT("sub.failing.test", "v=DMARC1; p=reject"),
	TXT("failing.test", "!SERVFAIL"),
	TXT("below.ok.test", "!SERVFAIL"),
	TXT("ok.test", "v=DMARC1; p=reject"),
	TXT("silent.test", "!DROP"),
	TXT("many.test", "!MANY 1000"),
	TXT("garbage.test", "!GARBAGE"),
	{ NULL, 0, NULL, 0 },
};

struct got {
	bool			done;
	struct dmarc_verdict	v;
};

static void
setup(void)
{
	fake_setup(zone);
}

static void
on_done(void *arg, const struct dmarc_verdict *v)
{
	struct got *g = arg;

	ck_assert(!g->done);
	g->done = true;
	g->v = *v;
}

/* "spf:news.example.com dkim?example.com": a pass, or perhaps one. Returns how many. */
static size_t
read_identifiers(struct dmarc_identifier *ids, char *text)
{
	size_t n = 0;

	for (char *save = NULL, *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		size_t len = strcspn(word, ":?!");

		ids[n].method = strncmp(word, "spf", len) == 0 ? DMARC_SPF : DMARC_DKIM;
		ids[n].pass = word[len] == ':';
		ids[n].temporary = word[len] == '?';
		ids[n++].domain = word + len + 1;
	}
	return n;
}

static struct dmarc_verdict
evaluate(const char *from, const char *identifiers)
{
	struct dmarc_identifier ids[40];
	char words[2048];
	struct got g = { .done = false };
	size_t n;

	snprintf(words, sizeof(words), "%s", identifiers);
	n = read_identifiers(ids, words);
	dmarc_start(dns, from, ids, n, 0, on_done, &g);
	memset(words, 'x', sizeof(words));		/* nothing of the caller's is kept */
	ck_assert(!g.done);
	run_until(&g.done);
	return g.v;
}

static const char *
describe(const char *from, const char *identifiers)
{
	static char line[1024];
	struct dmarc_verdict v = evaluate(from, identifiers);
	int n = snprintf(line, sizeof(line), "%s", dmarc_result_name(v.result));

	if (v.policy_domain[0] != '\0')
		snprintf(line + n, sizeof(line) - (size_t)n, " %s=%s%s%s %s", v.tag, dmarc_policy_name(v.published),
		    v.test ? "->" : "", v.test ? dmarc_policy_name(v.policy) : "", v.policy_domain);
	ck_assert_uint_gt(strlen(v.why), 0);
	ck_assert((v.result == DMARC_PASS) == (v.aligned >= 0));
	return line;
}

static const struct {
	const char *from, *identifiers, *want;
} cases[] = {
	/* RFC 9989, 4.4, table 1 */
	{ "news.example.com", "spf:foo.example.com", "pass sp=quarantine example.com" },
	{ "news.example.com", "dkim:foo.example.com", "pass sp=quarantine example.com" },
	{ "news.example.com", "spf:news.example.com", "pass sp=quarantine example.com" },
	{ "news.example.com", "spf:foo.example.net", "fail sp=quarantine example.com" },
	/* 4.10.2's examples */
	{ "a.mail.first.test", "dkim:first.test", "pass p=reject first.test" },
	{ "mail.first.test", "dkim:first.test", "pass p=none mail.first.test" },
	{ "a.mail.second.test", "dkim:second.test", "fail p=quarantine mail.second.test" },
	{ "a.mail.second.test", "dkim:b.mail.second.test", "pass p=quarantine mail.second.test" },
	{ "second.test", "dkim:mail.second.test", "fail p=reject second.test" },
	{ "a.mail.example.suffix", "dkim:example.suffix", "pass p=reject suffix" },
	{ "a.mail.example.suffix", "dkim:other.suffix", "fail p=reject suffix" },
	{ "a.mail.example.suffix", "dkim:suffix", "fail p=reject suffix" },
	{ "a.own.suffix", "spf:b.own.suffix", "pass p=quarantine own.suffix" },
	{ "own.suffix", "spf:example.suffix", "fail p=quarantine own.suffix" },
	{ "suffix", "spf:suffix", "pass p=reject suffix" },
	{ "suffix", "spf:example.suffix", "fail p=reject suffix" },
	/* 5.1.8 */
	{ "mail.a.b.c.d.e.f.g.deep.test", "", "fail sp=quarantine deep.test" },
	{ "b.c.d.e.f.g.deep.test", "", "fail p=reject b.c.d.e.f.g.deep.test" },
	/* 4.7: sp and np, and what a domain is that does not exist */
	{ "example.com", "", "fail p=reject example.com" },
	{ "news.example.com", "", "fail sp=quarantine example.com" },
	{ "ghost.example.com", "", "fail np=none example.com" },
	{ "ghost.np.test", "", "fail np=reject np.test" },
	{ "real.np.test", "", "fail sp=quarantine np.test" },
	{ "np.test", "", "fail p=none np.test" },
	{ "slow.np.test", "", "temperror sp=quarantine np.test" },
	{ "slow.np.test", "dkim:np.test", "pass sp=quarantine np.test" },
	/* t, and what is gone */
	{ "testing.test", "", "fail p=reject->quarantine testing.test" },
	{ "sub.testing.test", "", "fail sp=quarantine->none testing.test" },
	{ "old.test", "", "fail p=reject old.test" },
	/* records that are none, or do not apply */
	{ "none.example.org", "spf:none.example.org", "none" },
	{ "twice.test", "", "none" },
	{ "mixed.test", "", "fail p=reject mixed.test" },
	{ "nothing.test", "", "fail p=none nothing.test" },
	{ "nothing.test", "spf:nothing.test", "pass p=none nothing.test" },
	{ "below.test", "", "fail p=none below.test" },
	{ "a.below.test", "", "fail sp=reject below.test" },
	{ "wrong.test", "spf:wrong.test", "none" },
	{ "report.test", "", "fail p=none report.test" },
	{ "cname.test", "", "fail p=reject cname.test" },
	/* alignment: strict, each method by itself */
	{ "strict.test", "dkim:a.strict.test", "fail p=reject strict.test" },
	{ "strict.test", "dkim:strict.test", "pass p=reject strict.test" },
	{ "strict.test", "spf:a.strict.test", "pass p=reject strict.test" },
	{ "strict.test", "spf:cut.strict.test", "fail p=reject strict.test" },
	{ "example.com", "spf:notexample.com", "fail p=reject example.com" },
	{ "example.com", "spf:com", "fail p=reject example.com" },
	{ "Example.COM", "spf:eXample.com.", "pass p=reject example.com" },
	{ "b\xc3\xbc" "cher.test", "dkim:xn--bcher-kva.test", "pass p=reject xn--bcher-kva.test" },
	{ "example.com", "spf!example.com", "fail p=reject example.com" },
	{ "example.com", "spf!example.com dkim:other.test dkim:example.com", "pass p=reject example.com" },
	/* DNS that does not answer decides nothing, unless it does not matter */
	{ "fail.test", "spf:fail.test", "temperror" },
	{ "sub.failing.test", "dkim:failing.test", "temperror p=reject sub.failing.test" },
	{ "sub.failing.test", "dkim:sub.failing.test", "pass p=reject sub.failing.test" },
	{ "sub.failing.test", "dkim:example.net", "fail p=reject sub.failing.test" },
	{ "ok.test", "dkim:below.ok.test", "temperror p=reject ok.test" },
	{ "example.com", "dkim?example.com", "temperror p=reject example.com" },
	{ "example.com", "dkim?example.net spf?b.example.org", "fail p=reject example.com" },
	{ "example.com", "dkim?example.com spf:example.com", "pass p=reject example.com" },
	{ "many.test", "", "none" },
	{ "garbage.test", "", "temperror" },
	/* no domain */
	{ "", "", "permerror" },
	{ "[192.0.2.1]", "", "permerror" },
	{ "a..b", "", "permerror" },
	{ "192.0.2.1", "", "permerror" },
};

START_TEST(test_cases)
{
	const char *is = describe(cases[_i].from, cases[_i].identifiers);

	ck_assert_msg(strcmp(is, cases[_i].want) == 0, "%s with %s\n  is   %s\n  want %s", cases[_i].from, cases[_i].identifiers,
	    is, cases[_i].want);
}
END_TEST

static const struct {
	const char *from;
	unsigned questions;
} walks[] = {
	{ "a.b.c.d.e.f.g.h.i.j.mail.none.test", 8 },	/* 4.10's own example */
	{ "mail.a.b.c.d.e.f.g.none.test", 8 },
	{ "a.b.c.d.e.f.none.test", 8 },
	{ "a.b.c.d.e.none.test", 7 },
	{ "none.test", 2 },
	{ "test", 1 },
};

START_TEST(test_walks)
{
	ck_assert_uint_eq(evaluate(walks[_i].from, "").questions, walks[_i].questions);
	ck_assert_uint_le(fake.n_udp, 8);
}
END_TEST

START_TEST(test_identifiers_cost_nothing_elsewhere)
{
	struct dmarc_verdict v = evaluate("example.net", "spf:a.b.c.d.other.test dkim:x.example.com dkim:a.b.c.net");

	ck_assert_int_eq(v.result, DMARC_FAIL);
	ck_assert_uint_eq(v.questions, 2);
	ck_assert_str_eq(v.organization, "example.net");
}
END_TEST

/* A hundred signatures, each of a deep name of the author's organization. */
START_TEST(test_questions_are_bounded)
{
	char words[2048] = "";
	struct dmarc_verdict v;

	for (int i = 0; i < 40; i++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "dkim:%d.a%d.b%d.c%d.d%d.mail.second.test ", i, i, i,
		    i, i);
	v = evaluate("second.test", words);
	ck_assert_uint_le(v.questions, 50);
	ck_assert_int_ne(v.result, DMARC_PASS);
}
END_TEST

START_TEST(test_first_aligned_is_named)
{
	ck_assert_int_eq(evaluate("example.com", "spf:b.test dkim?example.com dkim:a.example.com spf:example.com").aligned, 2);
	ck_assert_str_eq(evaluate("a.mail.example.suffix", "").organization, "example.suffix");
}
END_TEST

/* Nobody answers: the whole takes no longer than its deadline. */
START_TEST(test_deadline)
{
	struct got g = { .done = false };

	fake.silent = true;
	dmarc_start(dns, "a.b.silent.test", NULL, 0, 300, on_done, &g);
	pass_ms(299);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	pass_ms(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(g.done);
	ck_assert_int_eq(g.v.result, DMARC_TEMPERROR);
}
END_TEST

START_TEST(test_cancel)
{
	struct got g = { .done = false };
	struct dmarc_lookup *l = dmarc_start(dns, "news.example.com", NULL, 0, 0, on_done, &g);

	dmarc_cancel(l);
	dmarc_cancel(dmarc_start(dns, "", NULL, 0, 0, on_done, &g));
	dmarc_cancel(NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dmarc");

	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, test_cases, 0, COUNT(cases));
	tcase_add_loop_test(tc, test_walks, 0, COUNT(walks));
	tcase_add_test(tc, test_identifiers_cost_nothing_elsewhere);
	tcase_add_test(tc, test_questions_are_bounded);
	tcase_add_test(tc, test_first_aligned_is_named);
	tcase_add_test(tc, test_deadline);
	tcase_add_test(tc, test_cancel);
	return run_case("dmarc", tc);
}
