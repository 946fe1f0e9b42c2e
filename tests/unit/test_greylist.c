/*
 * Greylisting, standing, correspondents, traps and rates in a chain, with a memory and a clock of their own: who is deferred,
 * who passes, who is exempt, and what happens when nobody remembers anything.
 */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/adapters.h"
#include "filters/chain_state.h"
#include "filters/memory.h"
#include "filters/memory_core.h"
#include "tests/unit/run.h"

#define MINUTE	(60 * 1000)
#define HOUR	(60 * MINUTE)
#define DAY	(24 * HOUR)

/* What DNS would have said. */
static struct {
	enum iprev_result	reverse;
	enum iprev_look		look;
	enum spf_code		spf;
	unsigned		listed;
	bool			white, aligned;
	int			score;
} says;

static enum filter_progress
run_dns(struct filter_run *run)
{
	struct facts *f = run->facts;

	f->reverse.result = says.reverse;
	f->reverse.look = says.look;
	f->spf.tried = true;
	f->spf.code = says.spf;
	snprintf(f->spf.domain, sizeof(f->spf.domain), "pool.example");
	f->blocklists.listed = says.listed;
	f->whitelists.enough = says.white;
	f->dmarc.result = says.aligned ? DMARC_PASS : DMARC_FAIL;
	snprintf(f->dmarc.domain, sizeof(f->dmarc.domain), "signed.example");
	return filter_say(run, "found", says.score, "%s", "");
}

static const struct filter filter_dns = {
	.name = "dns", .does = "what DNS says", .stage = STAGE_MAIL, .decides = STAGE_RCPT, .mode = FILTER_SCORE,
	.gives = FACT_REVERSE | FACT_SPF | FACT_BLOCKLISTS | FACT_WHITELISTS | FACT_DMARC, .run = run_dns,
};

static const struct filter *const list[] = { &filter_standing, &filter_correspondents, &filter_trap, &filter_rate, &filter_dns,
	&filter_greylist };
static const struct registry registry = { list, sizeof(list) / sizeof(list[0]) };

static struct event_base *base;
static struct memory_core *core;
static struct memory *memory;
static struct filters *filters;
static struct chain *chain;
static struct facts facts;
static struct chain_decision decision;
static bool decided;
static int64_t shift_ms;

static void
setup(void)
{
	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	clock_shift(shift_ms = 0);
	core = memory_core_new(NULL);
	memory = memory_new_local(core);
	memset(&says, 0, sizeof(says));
	says.spf = SPF_NONE;
	facts = (struct facts){ .hostname = "mx.demo.example", .address = { .len = 4, .bytes = { 192, 0, 2, 1 } },
	    .client_text = "192.0.2.1", .helo = "mail.far.example" };
}

static void
hang_up(void)
{
	chain_free(chain);
	chain = NULL;
}

static void
teardown(void)
{
	hang_up();
	filters_free(filters);
	memory_free(memory);
	memory_core_free(core);
	clock_shift(0);
	clock_init(NULL);
	event_base_free(base);
}

static void
configure(const char *text)
{
	char err[512];
	struct conf *conf = conf_parse_text(text, strlen(text), "f", err, sizeof(err));

	ck_assert_msg(conf != NULL, "%s", err);
	filters = filters_new_of(&registry, conf, NULL, memory, err, sizeof(err));
	ck_assert_msg(filters != NULL, "%s", err);
	conf_free(conf);
}

static void
connect_from(uint8_t third, uint8_t fourth)
{
	hang_up();
	facts.address.bytes[2] = third;
	facts.address.bytes[3] = fourth;
	chain = chain_new(filters, &facts);
	chain_reach(chain, STAGE_CONNECT);
	chain_reach(chain, STAGE_HELO);
}

static void
on_decision(void *arg, const struct chain_decision *d)
{
	(void)arg;
	decision = *d;
	decided = true;
}

static enum chain_outcome
decide(enum facts_stage stage)
{
	decided = false;
	chain_decide(chain, stage, on_decision, NULL);
	while (!decided)
		event_base_loop(base, EVLOOP_ONCE);
	return decision.outcome;
}

static enum chain_outcome
recipient(const char *address)
{
	facts.recipient = address;
	chain_reach(chain, STAGE_RCPT);
	return decide(STAGE_RCPT);
}

static enum chain_outcome
mail(const char *sender, const char *to)
{
	facts.sender = sender;
	chain_reach(chain, STAGE_MAIL);
	return recipient(to);
}

static enum chain_outcome
session(uint8_t third, uint8_t fourth, const char *sender)
{
	connect_from(third, fourth);
	return mail(sender, "alice@demo.example");
}

static void
wait_ms(int64_t ms)
{
	clock_shift(shift_ms += ms);
}

static const char *
result_of(const char *name)
{
	struct chain_entry e;
	size_t at = 0;

	while (chain_next(chain, &at, &e))
		if (strcmp(e.filter->name, name) == 0)
			return e.finding->result;
	return "";
}

/* ---- greylisting ---- */

START_TEST(waits_and_passes)
{
	configure("");
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_DEFER);
	ck_assert_int_eq(decision.code, 450);
	ck_assert_str_eq(decision.enhanced, "4.7.1");
	ck_assert_ptr_nonnull(strstr(decision.text, "in 300 seconds"));
	wait_ms(MINUTE);
	ck_assert_int_eq(session(2, 99, "s@far.example"), CHAIN_DEFER);	/* its network's other host */
	ck_assert_ptr_nonnull(strstr(decision.text, "in 240 seconds"));
	ck_assert_str_eq(result_of("greylist"), "early");
	wait_ms(4 * MINUTE);
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
	ck_assert_str_eq(result_of("greylist"), "passed");
}
END_TEST

/* Each reason alone makes selective greylisting look; none of them, nobody waits. What was not answered is none. */
static const struct {
	enum iprev_result	reverse;
	enum iprev_look		look;
	enum spf_code		spf;
	unsigned		listed;
	int			score;
	bool			waits;
} reasons[] = {
	{ IPREV_PASS, IPREV_OWN, SPF_PASS, 0, 0, false },
	{ IPREV_PERMERROR, IPREV_OWN, SPF_PASS, 0, 0, true },
	{ IPREV_FAIL, IPREV_OWN, SPF_PASS, 0, 0, true },
	{ IPREV_TEMPERROR, IPREV_OWN, SPF_PASS, 0, 0, false },
	{ IPREV_PASS, IPREV_GENERIC, SPF_PASS, 0, 0, false },
	{ IPREV_PASS, IPREV_DYNAMIC, SPF_PASS, 0, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_NONE, 0, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_NEUTRAL, 0, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_SOFTFAIL, 0, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_FAIL, 0, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_PERMERROR, 0, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_TEMPERROR, 0, 0, false },
	{ IPREV_PASS, IPREV_OWN, SPF_PASS, 1, 0, true },
	{ IPREV_PASS, IPREV_OWN, SPF_PASS, 0, 4, false },
	{ IPREV_PASS, IPREV_OWN, SPF_PASS, 0, 5, true },
};

START_TEST(selective_looks_where_something_is_off)
{
	configure("");
	says.reverse = reasons[_i].reverse;
	says.look = reasons[_i].look;
	says.spf = reasons[_i].spf;
	says.listed = reasons[_i].listed;
	says.score = reasons[_i].score;
	ck_assert_int_eq(session(2, 1, "s@far.example"), reasons[_i].waits ? CHAIN_DEFER : CHAIN_PASS);
}
END_TEST

START_TEST(all_means_every_stranger)
{
	configure("filter \"greylist\" { who = all }");
	says.spf = SPF_PASS;
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_DEFER);
	says.white = true;
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
	ck_assert_str_eq(result_of("greylist"), "vouched-for");
}
END_TEST

/* A provider sends each try from another network: its domain, proven by SPF, is what is remembered. */
START_TEST(pool_of_hosts_is_not_greylisted_for_ever)
{
	configure("filter \"greylist\" { who = all }");
	says.spf = SPF_PASS;
	ck_assert_int_eq(session(1, 1, "s@pool.example"), CHAIN_DEFER);
	wait_ms(5 * MINUTE);
	ck_assert_int_eq(session(77, 1, "s@pool.example"), CHAIN_PASS);
	says.spf = SPF_NONE;
	ck_assert_int_eq(session(78, 1, "s@pool.example"), CHAIN_DEFER);
}
END_TEST

START_TEST(postmaster_is_reachable)
{
	configure("filter \"greylist\" { who = all }");
	connect_from(2, 1);
	ck_assert_int_eq(mail("s@far.example", "postmaster@demo.example"), CHAIN_PASS);
	ck_assert_int_eq(recipient("alice@demo.example"), CHAIN_DEFER);
}
END_TEST

/* Another server's callback asks RCPT with the null sender, and gets its answer; a bounce waits at DATA. */
START_TEST(null_sender_waits_at_data)
{
	configure("");
	connect_from(2, 1);
	ck_assert_int_eq(mail("", "alice@demo.example"), CHAIN_PASS);
	chain_reach(chain, STAGE_DATA);
	ck_assert_int_eq(decide(STAGE_DATA), CHAIN_DEFER);
	ck_assert_int_eq(decision.code, 450);
	wait_ms(5 * MINUTE);
	connect_from(2, 1);
	ck_assert_int_eq(mail("", "alice@demo.example"), CHAIN_PASS);
	chain_reach(chain, STAGE_DATA);
	ck_assert_int_eq(decide(STAGE_DATA), CHAIN_PASS);
}
END_TEST

START_TEST(bounces_of_other_hosts_are_others)
{
	configure("");
	ck_assert_int_eq(session(2, 1, ""), CHAIN_PASS);
	wait_ms(5 * MINUTE);
	facts.helo = "other.far.example";
	connect_from(2, 1);
	ck_assert_int_eq(mail("", "alice@demo.example"), CHAIN_PASS);
	chain_reach(chain, STAGE_DATA);
	ck_assert_int_eq(decide(STAGE_DATA), CHAIN_DEFER);
}
END_TEST

START_TEST(sender_with_a_new_tag_each_day)
{
	configure("");
	ck_assert_int_eq(session(2, 1, "bounce-1234-alice@list.example"), CHAIN_DEFER);
	wait_ms(5 * MINUTE);
	ck_assert_int_eq(session(2, 1, "bounce-1235-alice@list.example"), CHAIN_PASS);
}
END_TEST

START_TEST(ipv6_by_64)
{
	configure("");
	facts.address = (struct reverse_address){ .len = 16, .bytes = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, 1 } };
	ck_assert_int_eq(session(0xd, 0xb8, "s@far.example"), CHAIN_DEFER);
	wait_ms(5 * MINUTE);
	facts.address.bytes[8] = 99;
	ck_assert_int_eq(session(0xd, 0xb8, "s@far.example"), CHAIN_PASS);
	facts.address.bytes[7] = 8;
	ck_assert_int_eq(session(0xd, 0xb8, "s@far.example"), CHAIN_DEFER);
}
END_TEST

START_TEST(data_decides_at_the_end)
{
	configure("filter \"greylist\" { at = data  who = all }");
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
	chain_reach(chain, STAGE_DATA);
	ck_assert_int_eq(decide(STAGE_DATA), CHAIN_PASS);
	says.aligned = true;
	connect_from(2, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(session((uint8_t)(2 + 50 * i), 1, "s@far.example"), CHAIN_PASS);
		facts.recipient = NULL;
		facts.first_recipient = "alice@demo.example";
		chain_reach(chain, STAGE_DATA);
		ck_assert_int_eq(decide(STAGE_DATA), CHAIN_PASS);
		chain_reach(chain, STAGE_HEADER);
		chain_reach(chain, STAGE_END);
		ck_assert_int_eq(decide(STAGE_END), i == 0 ? CHAIN_DEFER : CHAIN_PASS);
		wait_ms(5 * MINUTE);
	}
}
END_TEST

/* A lost database only greylists again: nobody is refused, and the second try passes as ever. */
START_TEST(lost_database)
{
	configure("");
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_DEFER);
	wait_ms(5 * MINUTE);
	teardown();
	setup();
	wait_ms(5 * MINUTE);
	configure("");
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_DEFER);
	wait_ms(5 * MINUTE);
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
}
END_TEST

START_TEST(nobody_remembers)
{
	struct memory *away = memory_new_client();
	struct memory *here = memory;

	memory = away;			/* a lookup that is not there */
	configure("filter \"rate\" { client = 1 } filter \"trap\" { addresses = trap@demo.example }");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
	ck_assert_str_eq(result_of("greylist"), "unknown");
	ck_assert_str_eq(result_of("standing"), "unknown");
	ck_assert_str_eq(result_of("rate"), "unknown");
	ck_assert_str_eq(result_of("trap"), "unknown");
	hang_up();
	memory_free(away);
	memory = here;
}
END_TEST

START_TEST(given_up_at_any_point)
{
	configure("filter \"rate\" { client = 100  sender = 100 } filter \"trap\" { addresses = trap@demo.example }");
	for (int turns = 0; turns < 12; turns++) {
		connect_from(2, 1);
		facts.sender = "s@far.example";
		chain_reach(chain, STAGE_MAIL);
		facts.recipient = "alice@demo.example";
		chain_reach(chain, STAGE_RCPT);
		for (int i = 0; i < turns; i++)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
}
END_TEST

/* ---- those who need not wait ---- */

START_TEST(known_client_waits_for_nothing)
{
	configure("filter \"greylist\" { who = all }");
	memory_note(memory, &facts.address, MEMORY_GOOD);
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
	ck_assert_str_eq(result_of("standing"), "known");
	ck_assert(facts_is_vouched_for(&facts));
	ck_assert_int_eq(session(2, 2, "s@far.example"), CHAIN_DEFER);
}
END_TEST

START_TEST(correspondents_wait_for_nothing)
{
	configure("filter \"greylist\" { who = all }");
	memory_wrote(memory, "alice@demo.example", "Friend@far.example");
	ck_assert_int_eq(session(2, 1, "friend@far.example"), CHAIN_PASS);
	ck_assert_str_eq(result_of("greylist"), "correspondent");
	ck_assert_int_eq(session(2, 1, "other@far.example"), CHAIN_DEFER);
	says.spf = SPF_FAIL;			/* whoever says so is not the friend */
	ck_assert_int_eq(session(2, 1, "friend@far.example"), CHAIN_DEFER);
}
END_TEST

/* ---- traps ---- */

START_TEST(trap_is_remembered)
{
	configure("filter \"trap\" { addresses = Trap@demo.example } filter \"greylist\" { mode = off }");
	connect_from(2, 1);
	ck_assert_int_eq(mail("s@far.example", "alice@demo.example"), CHAIN_PASS);
	ck_assert_int_eq(recipient("trap@demo.example"), CHAIN_REFUSE);
	ck_assert_int_eq(recipient("bob@demo.example"), CHAIN_REFUSE);
	ck_assert_int_eq(session(2, 1, "other@far.example"), CHAIN_REFUSE);
	ck_assert_str_eq(result_of("standing"), "trapped");
	ck_assert_int_eq(session(2, 2, "s@far.example"), CHAIN_PASS);
	wait_ms(DAY);
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
}
END_TEST

/* ---- rates ---- */

static const struct {
	const char	*configuration;
	uint8_t		 third, fourth;	/* another client … */
	const char	*sender, *rcpt;
	bool		 passes;	/* … and whether it is counted apart */
} rates[] = {
	{ "client = 3", 2, 2, "s@far.example", "alice@demo.example", true },
	{ "client = 3", 2, 1, "t@far.example", "bob@demo.example", false },
	{ "network = 3", 2, 2, "t@far.example", "bob@demo.example", false },
	{ "network = 3", 3, 1, "s@far.example", "alice@demo.example", true },
	{ "sender = 3", 9, 9, "s@far.example", "bob@demo.example", false },
	{ "sender = 3", 2, 1, "t@far.example", "alice@demo.example", true },
	{ "sender = 3", 2, 1, "", "alice@demo.example", true },
	{ "recipient = 3", 9, 9, "t@far.example", "alice@demo.example", false },
	{ "recipient = 3", 2, 1, "s@far.example", "bob@demo.example", true },
	{ "client = 3 recipient = 100", 2, 1, "t@far.example", "bob@demo.example", false },
};

START_TEST(rate)
{
	char text[200];

	snprintf(text, sizeof(text), "filter \"greylist\" { mode = off } filter \"rate\" { %s }", rates[_i].configuration);
	configure(text);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_DEFER);
	ck_assert_int_eq(decision.code, 450);
	ck_assert_str_eq(decision.filter, "rate");
	connect_from(rates[_i].third, rates[_i].fourth);
	ck_assert_int_eq(mail(rates[_i].sender, rates[_i].rcpt), rates[_i].passes ? CHAIN_PASS : CHAIN_DEFER);
	wait_ms(2 * HOUR);
	ck_assert_int_eq(session(2, 1, "s@far.example"), CHAIN_PASS);
}
END_TEST

static const struct {
	const char	*text, *what;
} mistakes[] = {
	{ "filter \"greylist\" { wait = 2h  window = 1h }", "shorter than window" },
	{ "filter \"trap\" { addresses = trap }", "whole address" },
	{ "filter \"greylist\" { who = some }", "selective" },
};

START_TEST(mistake)
{
	char err[512] = "";
	struct conf *conf = conf_parse_text(mistakes[_i].text, strlen(mistakes[_i].text), "f", err, sizeof(err));

	if (conf != NULL)
		ck_assert_ptr_null(filters_new_of(&registry, conf, NULL, memory, err, sizeof(err)));
	ck_assert_msg(strstr(err, mistakes[_i].what) != NULL, "%s", err);
	conf_free(conf);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("greylist");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, waits_and_passes);
	tcase_add_loop_test(t, selective_looks_where_something_is_off, 0, sizeof(reasons) / sizeof(reasons[0]));
	tcase_add_test(t, all_means_every_stranger);
	tcase_add_test(t, pool_of_hosts_is_not_greylisted_for_ever);
	tcase_add_test(t, postmaster_is_reachable);
	tcase_add_test(t, null_sender_waits_at_data);
	tcase_add_test(t, bounces_of_other_hosts_are_others);
	tcase_add_test(t, sender_with_a_new_tag_each_day);
	tcase_add_test(t, ipv6_by_64);
	tcase_add_test(t, data_decides_at_the_end);
	tcase_add_test(t, lost_database);
	tcase_add_test(t, nobody_remembers);
	tcase_add_test(t, given_up_at_any_point);
	tcase_add_test(t, known_client_waits_for_nothing);
	tcase_add_test(t, correspondents_wait_for_nothing);
	tcase_add_test(t, trap_is_remembered);
	tcase_add_loop_test(t, rate, 0, sizeof(rates) / sizeof(rates[0]));
	tcase_add_loop_test(t, mistake, 0, sizeof(mistakes) / sizeof(mistakes[0]));
	return run_case("greylist", t);
}
