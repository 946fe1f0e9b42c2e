/*
 * DNS lists with a name server in the same loop: listings and what is none, scores, and the health of the lists.
 */
#include "filters/dnsbl.h"
#include "filters/dnsbl_watch.h"
#include "lib/log.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define V6	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.a.2"
#define V6_TEST ".0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"

static struct zone zone[] = {
	{ "7.113.0.203.a.test", DNS_A, "127.0.0.2", 5 },
	{ "7.113.0.203.a.test", DNS_TXT, "Listed\r\n250 see http://a.test/7", 0 },
	{ "7.113.0.203.b.test", DNS_A, "127.0.0.4", 100000 },
	{ "7.113.0.203.zero.test", DNS_A, "127.0.0.2", 0x80000000 },
	{ "7.113.0.203.refuses.test", DNS_A, "127.255.255.254", 0 },
	{ "7.113.0.203.half.test", DNS_A, "127.0.0.2", 0 },
	{ "7.113.0.203.half.test", DNS_A, "127.255.255.255", 0 },
	{ "7.113.0.203.parked.test", DNS_A, "198.51.100.1", 0 },
	{ "7.113.0.203.slow.test", DNS_A, "!SERVFAIL", 0 },
	{ "7.113.0.203.silent.test", DNS_A, "!DROP", 0 },
	{ "7.113.0.203.textless.test", DNS_A, "127.0.0.2", 0 },
	{ "7.113.0.203.textless.test", DNS_TXT, "!SERVFAIL", 0 },
	{ "7.113.0.203.many.test", DNS_A, "127.0.0.3", 0 },
	{ "7.113.0.203.many.test", DNS_A, "127.0.0.4", 0 },
	{ "7.113.0.203.onlytxt.test", DNS_TXT, "no address here", 0 },
	{ V6 ".a.test", DNS_A, "127.0.0.3", 0 },
	{ "1.0.0.10.a.test", DNS_A, "127.0.0.2", 0 },
	{ "bad.example.domains.test", DNS_A, "127.0.1.2", 0 },
	/* health */
	{ "2.0.0.127.a.test", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0.127.everyone.test", DNS_A, "127.0.0.2", 0 },
	{ "1.0.0.127.everyone.test", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0" V6_TEST ".six.test", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0.127.sixall.test", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0" V6_TEST ".sixall.test", DNS_A, "127.0.0.2", 0 },
	{ "1.0.0" V6_TEST ".sixall.test", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0.127.refuses.test", DNS_A, "127.255.255.254", 0 },
	{ "1.0.0.127.refuses.test", DNS_A, "127.255.255.254", 0 },
	{ "2.0.0.127.parked.test", DNS_A, "198.51.100.1", 0 },
	{ "2.0.0.127.slow.test", DNS_A, "!SERVFAIL", 0 },
	{ "test.domains.test", DNS_A, "127.0.1.2", 0 },
	{ "test.domainsall.test", DNS_A, "127.0.1.2", 0 },
	{ "invalid.domainsall.test", DNS_A, "127.0.1.2", 0 },
	{ "2.0.0.127.turns.test", DNS_A, "127.0.0.2", 0 },
	{ "1.0.0.127.turns.test", T_CNAME, "nowhere.test", 0 },		/* a test lets it list everything */
	{ NULL, 0, NULL, 0 },
};

static void
setup(void)
{
	fake_setup(zone);
}

struct got {
	bool	done;
	char	text[2048];
	int	score;
	unsigned percent, asked, listed;
	struct dnsbl_finding first;
};

static void
on_done(void *arg, const struct dnsbl_verdict *v)
{
	struct got *g = arg;

	ck_assert(!g->done);
	g->done = true;
	g->score = v->score;
	g->percent = v->percent;
	g->asked = v->asked;
	g->listed = v->listed;
	if (v->n > 0)
		g->first = v->findings[0];
	for (size_t i = 0; i < v->n; i++)
		snprintf(g->text + strlen(g->text), sizeof(g->text) - strlen(g->text), "%s%s", i > 0 ? " " : "",
		    dnsbl_state_name(v->findings[i].state));
}

static size_t
parse_lists(struct dnsbl_list *lists, const char *text)
{
	char copy[1024], err[200];
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *save = NULL, *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		ck_assert_msg(dnsbl_list_parse(&lists[n++], word, err, sizeof(err)) == 0, "%s", err);
	return n;
}

static struct got
look_up(const char *what, const char *names, bool want_text, const bool *off)
{
	static struct dnsbl_list lists[DNSBL_LISTS_MAX + 8];
	struct reverse_address address, own = { .len = 4, .bytes = { 203, 0, 113, 99 } };
	struct dnsbl_question q = { .lists = lists, .n = parse_lists(lists, names), .want_text = want_text, .own = &own,
	    .n_own = 1, .off = off, .deadline_ms = 400 };
	struct got g = { .done = false };

	if (reverse_address_parse(&address, what) == 0)
		q.address = &address;
	else
		q.domain = what;
	dnsbl_start(dns, &q, on_done, &g);
	ck_assert(!g.done);
	run_until(&g.done);
	return g;
}

static const struct {
	const char *what, *lists, *states;
	int score;
	unsigned percent;
} cases[] = {
	{ "203.0.113.7", "a.test", "listed", 1, 100 },
	{ "203.0.113.7", "a.test=127.0.0.3", "not-listed", 0, 0 },
	{ "203.0.113.7", "a.test*5 b.test*3 c.test", "listed listed not-listed", 8, 66 },
	{ "203.0.113.7", "a.test*5 b.test*-3", "listed listed", 2, 100 },
	{ "203.0.113.7", "refuses.test*9 parked.test*9 half.test*9", "trouble trouble trouble", 0, 0 },
	{ "203.0.113.7", "many.test=127.0.0.4", "listed", 1, 100 },
	{ "203.0.113.7", "onlytxt.test", "not-listed", 0, 0 },
	/* no answer is neutral, and makes no one's share larger */
	{ "203.0.113.7", "slow.test a.test silent.test b.test", "no-answer listed no-answer listed", 2, 50 },
	{ "203.0.113.8", "a.test b.test", "not-listed not-listed", 0, 0 },
	{ "::ffff:203.0.113.7", "a.test", "listed", 1, 100 },
	{ "2a01:db8::1", "a.test b.test", "listed not-listed", 1, 50 },
	/* never asked */
	{ "10.0.0.1", "a.test", "not-asked", 0, 0 },
	{ "127.0.0.2", "a.test", "not-asked", 0, 0 },
	{ "::1", "a.test", "not-asked", 0, 0 },
	{ "fe80::1", "a.test", "not-asked", 0, 0 },
	{ "203.0.113.99", "a.test", "not-asked", 0, 0 },
	/* domains */
	{ "bad.example", "domains.test", "listed", 1, 100 },
	{ "BAD.Example.", "domains.test", "listed", 1, 100 },
	{ "good.example", "domains.test", "not-listed", 0, 0 },
	{ "not a domain", "domains.test", "not-asked", 0, 0 },
	{ "", "domains.test", "not-asked", 0, 0 },
	{ "203.0.113.7", "", "", 0, 0 },
};

START_TEST(test_cases)
{
	struct got g = look_up(cases[_i].what, cases[_i].lists, false, NULL);

	ck_assert_msg(strcmp(g.text, cases[_i].states) == 0, "%s in %s: %s", cases[_i].what, cases[_i].lists, g.text);
	ck_assert_int_eq(g.score, cases[_i].score);
	ck_assert_uint_eq(g.percent, cases[_i].percent);
	if (strcmp(cases[_i].states, "not-asked") == 0)
		ck_assert_uint_eq(fake.n_udp, 0);
}
END_TEST

START_TEST(test_text)
{
	ck_assert_str_eq(look_up("203.0.113.7", "a.test", true, NULL).first.text, "Listed 250 see http://a.test/7");
	ck_assert_str_eq(look_up("203.0.113.7", "a.test", false, NULL).first.text, "");
	ck_assert_str_eq(look_up("203.0.113.7", "textless.test", true, NULL).text, "listed");
}
END_TEST

/* How many questions went out for it. */
static unsigned
questions(const char *list)
{
	unsigned before = fake.n_udp;

	ck_assert_str_ne(look_up("203.0.113.7", list, false, NULL).text, "no-answer");
	return fake.n_udp - before;
}

/* What a list says holds for a minute and no longer than an hour, whatever its TTL; that it says nothing, likewise. */
START_TEST(test_kept)
{
	static const struct { const char *list; int64_t seconds; } kept[] = { { "zero.test", 58 }, { "a.test", 58 }, { "c.test", 58 },
	    { "refuses.test", 58 }, { "b.test", 3500 } };

	for (size_t i = 0; i < COUNT(kept); i++)
		ck_assert_uint_eq(questions(kept[i].list), 1);
	clock_shift(58 * 1000);
	for (size_t i = 0; i < COUNT(kept); i++)
		ck_assert_uint_eq(questions(kept[i].list), 0);
	clock_shift(3500 * 1000);
	for (size_t i = 0; i < COUNT(kept); i++)
		ck_assert_uint_eq(questions(kept[i].list), kept[i].seconds < 3500);
	clock_shift(3600 * 1000);
	ck_assert_uint_eq(questions("b.test"), 1);
}
END_TEST

START_TEST(test_off)
{
	static const bool off[] = { true, false };
	struct got g = look_up("203.0.113.7", "a.test*5 b.test*3", false, off);

	ck_assert_str_eq(g.text, "not-asked listed");
	ck_assert_int_eq(g.score, 3);
	ck_assert_uint_eq(g.percent, 100);
}
END_TEST

START_TEST(test_bounded)
{
	char names[1024] = "";

	for (int i = 0; i < DNSBL_LISTS_MAX + 6; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "l%d.test ", i);
	ck_assert_uint_eq(look_up("203.0.113.7", names, true, NULL).asked, DNSBL_LISTS_MAX);
}
END_TEST

START_TEST(test_cancel)
{
	struct dnsbl_list list;
	struct reverse_address address = { .len = 4, .bytes = { 203, 0, 113, 7 } };
	struct dnsbl_question q = { .lists = &list, .n = parse_lists(&list, "a.test"), .address = &address };
	struct got g = { .done = false };

	dnsbl_cancel(dnsbl_start(dns, &q, on_done, &g));
	q.n = 0;
	dnsbl_cancel(dnsbl_start(dns, &q, on_done, &g));
	dnsbl_cancel(NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
}
END_TEST

/* -- health -- */

struct tested {
	bool			done;
	enum dnsbl_health	health;
};

static void
on_test(void *arg, enum dnsbl_health health, const char *why)
{
	struct tested *t = arg;

	ck_assert(!t->done && why[0] != '\0');
	t->done = true;
	t->health = health;
}

static const struct {
	const char *list, *health;
	bool domains;
} tests[] = {
	{ "a.test", "healthy", false },
	{ "a.test=127.0.0.10", "healthy", false },
	{ "six.test", "healthy", false },
	{ "everyone.test", "lists-all", false },
	{ "sixall.test", "lists-all", false },
	{ "gone.test", "dead", false },
	{ "refuses.test", "refuses", false },
	{ "parked.test", "refuses", false },
	{ "slow.test", "silent", false },
	{ "domains.test", "healthy", true },
	{ "domainsall.test", "lists-all", true },
	{ "a.test", "dead", true },
};

START_TEST(test_health)
{
	struct tested t = { .done = false };
	struct dnsbl_list list;

	parse_lists(&list, tests[_i].list);
	dnsbl_test_start(dns, &list, tests[_i].domains, on_test, &t);
	ck_assert(!t.done);
	run_until(&t.done);
	ck_assert_msg(strcmp(dnsbl_health_name(t.health), tests[_i].health) == 0, "%s is %s", tests[_i].list,
	    dnsbl_health_name(t.health));
	dnsbl_test_cancel(dnsbl_test_start(dns, &list, tests[_i].domains, on_test, &t));
	dnsbl_test_cancel(NULL);
}
END_TEST

static int n_lines;

static void
count_lines(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	n_lines += strstr(line, "event=dnsbl-o") != NULL;
}

static void
wait_for(const bool *off, bool want)
{
	while (*off != want)
		event_base_loop(base, EVLOOP_ONCE);
}

/* A list that begins to list everybody is off an hour later at the latest, and on again when it has stopped; each said once. */
START_TEST(test_watch)
{
	struct dnsbl_list list;
	struct dnsbl_watch *w;
	struct zone *turns = &zone[COUNT(zone) - 2];
	const bool *off;

	log_set_sink(count_lines, NULL);
	parse_lists(&list, "turns.test");
	w = dnsbl_watch_new(dns, &list, 1, false);
	off = dnsbl_watch_off(w);
	ck_assert(!*off);
	turns->type = DNS_A;
	turns->data = "127.0.0.2";
	pass_ms(3600 * 1000 + 1000);
	wait_for(off, true);
	pass_ms(3600 * 1000 + 1000);		/* still so: nothing more is said */
	event_base_loop(base, EVLOOP_NONBLOCK);
	turns->type = DNS_TXT;
	pass_ms(2 * (3600 * 1000 + 1000));
	wait_for(off, false);
	ck_assert_int_eq(n_lines, 2);
	dnsbl_watch_free(w);
	dnsbl_watch_free(NULL);
	log_set_sink(NULL, NULL);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dnsbl");

	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, test_cases, 0, COUNT(cases));
	tcase_add_test(tc, test_text);
	tcase_add_test(tc, test_kept);
	tcase_add_test(tc, test_off);
	tcase_add_test(tc, test_bounded);
	tcase_add_test(tc, test_cancel);
	tcase_add_loop_test(tc, test_health, 0, COUNT(tests));
	tcase_add_test(tc, test_watch);
	return run_case("dnsbl", tc);
}
