/*
 * The chain with filters that a test makes and answers at will: what decides, in whichever order answers come; who is exempt;
 * what begins anew; deadlines; and that it can be given up at any point.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain_state.h"
#include "lib/log.h"

#define N	6

/* ---- fake filters: a to f ---- */

struct script {
	bool	 pending;		/* answers when told to */
	int	 score;
	enum filter_action action;
	bool	 at_data;
};

static struct script scripts[N];
static struct filter_run *open_runs[N];
static unsigned started[N], cancelled[N];
static int seen_score;

static size_t
number(const struct filter_run *run)
{
	return (size_t)(run->filter->name[0] - 'a');
}

static void
fill(struct filter_run *run)
{
	const struct script *s = &scripts[number(run)];

	run->finding.action = s->action;
	run->finding.at_data = s->at_data;
	filter_say(run, "found", s->score, "because");
}

static enum filter_progress
fake_run(struct filter_run *run)
{
	size_t i = number(run);

	started[i]++;
	if (run->filter->last)
		seen_score = run->score_so_far;
	if (!scripts[i].pending) {
		fill(run);
		return FILTER_DONE;
	}
	ck_assert_ptr_null(open_runs[i]);
	open_runs[i] = run;
	return FILTER_PENDING;
}

static void
fake_cancel(struct filter_run *run)
{
	size_t i = number(run);

	ck_assert_ptr_eq(open_runs[i], run);
	open_runs[i] = NULL;
	cancelled[i]++;
}

static void
fake_weigh(struct filter_run *run)
{
	if ((run->facts->known & FACT_DMARC) != 0)
		run->finding.score = 0;
}

static struct filter fakes[N];
static const struct filter *fake_list[N];
static const struct registry fake_registry = { fake_list, N };

static struct event_base *base;
static struct filters *filters;
static struct facts facts;
static struct chain *chain;
static struct chain_decision decision;
static bool decided;

static void
setup(void)
{
	static const char *const names[N] = { "a", "b", "c", "d", "e", "f" };

	base = event_base_new();
	clock_init(base);
	clock_shift(0);
	memset(scripts, 0, sizeof(scripts));
	memset(open_runs, 0, sizeof(open_runs));
	memset(started, 0, sizeof(started));
	memset(cancelled, 0, sizeof(cancelled));
	for (size_t i = 0; i < N; i++) {
		fakes[i] = (struct filter){ .name = names[i], .does = "fake", .stage = STAGE_CONNECT, .decides = STAGE_RCPT,
		    .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .deadline_ms = 5000, .run = fake_run, .cancel = fake_cancel };
		fake_list[i] = &fakes[i];
	}
	facts = (struct facts){ .hostname = "mx.example.org", .address = { .len = 4, .bytes = { 192, 0, 2, 1 } },
	    .client_text = "192.0.2.1" };
}

static void
teardown(void)
{
	chain_free(chain);
	chain = NULL;
	filters_free(filters);
	filters = NULL;
	clock_init(NULL);
	event_base_free(base);
}

static void
begin(const char *configuration)
{
	char err[512];
	struct conf *conf = conf_parse_text(configuration, strlen(configuration), "f", err, sizeof(err));

	ck_assert_msg(conf != NULL, "%s", err);
	filters = filters_new_of(&fake_registry, conf, NULL, NULL, err, sizeof(err));
	ck_assert_msg(filters != NULL, "%s", err);
	conf_free(conf);
	chain = chain_new(filters, &facts);
	chain_reach(chain, STAGE_CONNECT);
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
on_decision(void *arg, const struct chain_decision *d)
{
	ck_assert_ptr_eq(arg, &decision);
	ck_assert(!decided);
	decision = *d;
	decided = true;
}

static void
decide(enum facts_stage stage)
{
	decided = false;
	chain_decide(chain, stage, on_decision, &decision);
	ck_assert(!decided);
	turn();
}

static void
transaction(const char *sender)
{
	facts.sender = sender;
	chain_reach(chain, STAGE_MAIL);
}

static void
recipient(const char *address)
{
	facts.recipient = address;
	chain_reach(chain, STAGE_RCPT);
	decide(STAGE_RCPT);
}

static void
to_recipient(void)
{
	facts.helo = "client.example.com";
	chain_reach(chain, STAGE_HELO);
	transaction("someone@example.com");
	recipient("anna@example.org");
}

static void
to_end(void)
{
	chain_reach(chain, STAGE_DATA);
	decide(STAGE_DATA);
	ck_assert(decided);
	if (decision.outcome != CHAIN_PASS)
		return;
	chain_reach(chain, STAGE_HEADER);
	chain_reach(chain, STAGE_END);
	decide(STAGE_END);
}

static void
answer(size_t i)
{
	struct filter_run *run = open_runs[i];

	ck_assert_ptr_nonnull(run);
	open_runs[i] = NULL;
	fill(run);
	filter_finish(run);
	turn();
}

/* ---- what decides ---- */

static const struct {
	const char *name, *conf;
	struct script scripts[N];
	enum chain_outcome outcome;
	int code;
	const char *enhanced, *filter;
	int score;
} cases[] = {
	{ "nothing", "", { { 0 } }, CHAIN_PASS, 0, "", "", 0 },
	{ "refused", "", { { 0 }, { .action = FILTER_REFUSE, .score = 3 } }, CHAIN_REFUSE, 550, "5.7.1", "b", 3 },
	{ "deferred", "", { { 0 }, { .action = FILTER_DEFER } }, CHAIN_DEFER, 450, "4.7.1", "b", 0 },
	{ "the first decides", "", { { .action = FILTER_DEFER }, { .action = FILTER_REFUSE } }, CHAIN_DEFER, 450, "4.7.1", "a", 0 },
	{ "accepted before", "", { { .action = FILTER_ACCEPT }, { .action = FILTER_REFUSE, .score = 99 } }, CHAIN_PASS, 0, "", "", 0 },
	{ "accepted behind", "", { { .action = FILTER_REFUSE }, { .action = FILTER_ACCEPT } }, CHAIN_REFUSE, 550, "5.7.1", "a", 0 },
	{ "points", "", { { .score = 4 }, { .score = 6 } }, CHAIN_REFUSE, 550, "5.7.1", "score", 10 },
	{ "too few points", "", { { .score = 4 }, { .score = 5 } }, CHAIN_PASS, 0, "", "", 9 },
	{ "points taken off", "", { { .score = 14 }, { .score = -5 } }, CHAIN_PASS, 0, "", "", 9 },
	{ "another threshold", "refuse_score = 3\n", { { .score = 4 } }, CHAIN_REFUSE, 550, "5.7.1", "score", 4 },
	{ "off", "filter b { mode = off }\n", { { 0 }, { .action = FILTER_REFUSE, .score = 99 } }, CHAIN_PASS, 0, "", "", 0 },
	{ "observe", "filter b { mode = observe }\n", { { 0 }, { .action = FILTER_REFUSE, .score = 99 } }, CHAIN_PASS, 0, "", "", 0 },
	{ "score", "filter b { mode = score }\n", { { 0 }, { .action = FILTER_REFUSE, .score = 9 } }, CHAIN_PASS, 0, "", "", 9 },
	{ "all off", "filters = no\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 0, "", "", 0 },
	{ "for a time", "refuse_temporarily = yes\n", { { .action = FILTER_REFUSE } }, CHAIN_DEFER, 450, "4.7.1", "a", 0 },
	{ "for a time, by points", "refuse_temporarily = yes\n", { { .score = 10 } }, CHAIN_DEFER, 450, "4.7.1", "score", 10 },
	/* tag_only passes and says the rest */
	{ "tagged", "tag_only = yes\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 550, "5.7.1", "a", 0 },
	/* exempt */
	{ "client", "exempt x { client = 192.0.2.0/24 }\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 0, "", "", 0 },
	{ "other client", "exempt x { client = 192.0.3.0/24 }\n", { { .action = FILTER_REFUSE } }, CHAIN_REFUSE, 550, "5.7.1", "a", 0 },
	{ "sender", "exempt x { sender = someone@EXAMPLE.com }\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 0, "", "", 0 },
	{ "sender's local part", "exempt x { sender = 'someone@' }\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 0, "", "", 0 },
	{ "sender's domain", "exempt x { sender = example.com }\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 0, "", "", 0 },
	{ "below is another", "exempt x { sender = '.example.com' }\n", { { .score = 10 } }, CHAIN_REFUSE, 550, "5.7.1", "score", 10 },
	{ "below", "exempt x { sender = '.com' }\n", { { .score = 10 } }, CHAIN_PASS, 0, "", "", 0 },
	{ "half a label", "exempt x { sender = 'ample.com' }\n", { { .score = 10 } }, CHAIN_REFUSE, 550, "5.7.1", "score", 10 },
	{ "recipient", "exempt x { recipient = anna@example.org }\n", { { .action = FILTER_REFUSE } }, CHAIN_PASS, 0, "", "", 0 },
	{ "one filter", "exempt x { recipient = example.org filters = b }\n", { { .score = 4 }, { .score = 90 } }, CHAIN_PASS, 0, "",
	    "", 4 },
	{ "both kinds must match", "exempt x { recipient = example.org sender = example.net }\n", { { .score = 10 } }, CHAIN_REFUSE,
	    550, "5.7.1", "score", 10 },
};

static void
check_decision(size_t i)
{
	ck_assert_msg(decided, "%s", cases[i].name);
	ck_assert_msg(decision.outcome == cases[i].outcome, "%s: %d", cases[i].name, decision.outcome);
	ck_assert_int_eq(decision.code, cases[i].code);
	ck_assert_str_eq(decision.enhanced, cases[i].enhanced);
	ck_assert_str_eq(decision.filter, cases[i].filter);
	ck_assert_int_eq(decision.score, cases[i].score);
	ck_assert_int_eq(decision.ref[0] != '\0', cases[i].code != 0);
	if (cases[i].code != 0)
		ck_assert_ptr_nonnull(strstr(decision.text, decision.ref));
}

START_TEST(what_decides)
{
	size_t i = (size_t)_i;

	memcpy(scripts, cases[i].scripts, sizeof(scripts));
	begin(cases[i].conf);
	to_recipient();
	check_decision(i);
}
END_TEST

/* The same with answers that come later, the last filter's first. */
START_TEST(what_decides_later)
{
	size_t i = (size_t)_i;

	memcpy(scripts, cases[i].scripts, sizeof(scripts));
	for (size_t k = 0; k < N; k++)
		scripts[k].pending = true;
	begin(cases[i].conf);
	to_recipient();
	for (size_t k = N; k-- > 0;)
		if (open_runs[k] != NULL)
			answer(k);
	check_decision(i);
}
END_TEST

/* ---- answers in any order ---- */

static unsigned
next_random(unsigned *seed)
{
	*seed = *seed * 1103515245U + 12345U;
	return *seed >> 16;
}

static void
random_scripts(unsigned seed)
{
	static const enum filter_action actions[] = { FILTER_PASS, FILTER_PASS, FILTER_PASS, FILTER_ACCEPT, FILTER_DEFER, FILTER_REFUSE };

	for (size_t i = 0; i < N; i++)
		scripts[i] = (struct script){ .pending = true, .score = (int)(next_random(&seed) % 9) - 2,
		    .action = actions[next_random(&seed) % 6] };
}

/* The p-th order of five. */
static void
permutation(unsigned p, size_t order[5])
{
	bool used[5] = { false };

	for (unsigned i = 0; i < 5; i++) {
		unsigned nth = p % (5 - i), k = 0;

		p /= 5 - i;
		for (;; k++)
			if (!used[k] && nth-- == 0)
				break;
		used[k] = true;
		order[i] = k;
	}
}

/* Five independent filters, and a sixth that needs a fact of the third and runs last. */
static struct chain_decision
run_in_order(const size_t order[5], unsigned before_rcpt)
{
	chain = chain_new(filters, &facts);
	chain_reach(chain, STAGE_CONNECT);
	for (size_t i = 0; i < before_rcpt; i++)
		if (open_runs[order[i]] != NULL)
			answer(order[i]);
	to_recipient();
	for (size_t i = 0; i < 5; i++)
		if (open_runs[order[i]] != NULL)
			answer(order[i]);
	if (open_runs[5] != NULL)
		answer(5);
	ck_assert(decided);
	chain_free(chain);
	chain = NULL;
	return decision;
}

START_TEST(answers_that_depend_on_which_lookup_came_first)
{
	size_t order[5];
	struct chain_decision first = { .filter = "" }, d;
	int first_seen = 0;

	fakes[1].stage = STAGE_HELO;
	fakes[2].gives = FACT_SPF;
	fakes[3].stage = STAGE_MAIL;
	fakes[5].needs = FACT_SPF;
	fakes[5].last = true;
	fakes[5].stage = STAGE_RCPT;
	begin("");
	chain_free(chain);
	memset(open_runs, 0, sizeof(open_runs));
	for (unsigned seed = 1; seed <= 40; seed++)
		for (unsigned p = 0; p < 120; p++) {
			random_scripts(seed);
			permutation(p, order);
			seen_score = -1000;
			d = run_in_order(order, p % 6);
			if (p == 0) {
				first = d;
				first_seen = seen_score;
			}
			ck_assert_msg(d.outcome == first.outcome && d.score == first.score && d.code == first.code &&
			    strcmp(d.filter, first.filter) == 0, "seed %u order %u: %s %d, first %s %d", seed, p, d.filter, d.score,
			    first.filter, first.score);
			if (seen_score != -1000 && first_seen != -1000)
				ck_assert_int_eq(seen_score, first_seen);
		}
}
END_TEST

/* ---- waiting ---- */

START_TEST(no_verdict_before_those_above)
{
	scripts[0].pending = true;
	scripts[1].action = FILTER_REFUSE;
	begin("");
	to_recipient();
	ck_assert(!decided);
	answer(0);
	ck_assert(decided && decision.outcome == CHAIN_REFUSE);
}
END_TEST

START_TEST(a_verdict_waits_for_nobody_below)
{
	scripts[0].action = FILTER_REFUSE;
	scripts[1].pending = true;
	begin("");
	to_recipient();
	ck_assert(decided && decision.outcome == CHAIN_REFUSE);
	ck_assert_ptr_nonnull(open_runs[1]);
}
END_TEST

START_TEST(who_observes_is_not_waited_for)
{
	char waits[64];

	scripts[0].pending = true;
	begin("filter a { mode = observe }\n");
	to_recipient();
	ck_assert(decided && decision.outcome == CHAIN_PASS);
	chain_waits_for(chain, waits, sizeof(waits));
	ck_assert_str_eq(waits, "a");
}
END_TEST

static char last_line[LOG_LINE_MAX];

static void
keep_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

START_TEST(who_is_late_is_neutral_and_named)
{
	struct chain_entry e;
	char status[200];
	size_t at = 0;

	log_set_sink(keep_line, NULL);
	scripts[0] = (struct script){ .pending = true, .action = FILTER_REFUSE, .score = 99 };
	fakes[0].gives = FACT_SPF;
	begin("");
	to_recipient();
	clock_shift(5900);
	turn();
	ck_assert(!decided);
	clock_shift(6100);
	for (int i = 0; i < 10 && !decided; i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert(decided && decision.outcome == CHAIN_PASS && decision.score == 0);
	ck_assert_uint_eq(cancelled[0], 1);
	ck_assert_uint_eq(facts.known & FACT_SPF, 0);
	ck_assert_ptr_nonnull(strstr(last_line, "event=filter-late filter=a client=192.0.2.1"));
	ck_assert(chain_next(chain, &at, &e));
	ck_assert_str_eq(e.finding->result, "late");
	filters_status(filters, status, sizeof(status));
	ck_assert_str_eq(status, "a_late=1");
	log_set_sink(NULL, NULL);
}
END_TEST

START_TEST(a_fact_is_waited_for)
{
	fakes[1].gives = FACT_SPF;
	fakes[0].needs = FACT_SPF;
	scripts[1].pending = true;
	begin("");
	ck_assert_uint_eq(started[0], 0);
	answer(1);
	ck_assert_uint_eq(started[0], 1);
}
END_TEST

START_TEST(a_fact_of_one_that_is_off_is_not_waited_for)
{
	fakes[1].gives = FACT_SPF;
	fakes[0].needs = FACT_SPF;
	begin("filter b { mode = off }\n");
	ck_assert_uint_eq(started[0], 1);
	ck_assert_uint_eq(facts.known, 0);
}
END_TEST

START_TEST(the_last_sees_the_points)
{
	fakes[5].last = true;
	fakes[5].stage = STAGE_RCPT;
	scripts[0].score = 3;
	scripts[1] = (struct script){ .pending = true, .score = 4 };
	begin("");
	to_recipient();
	ck_assert_uint_eq(started[5], 0);
	answer(1);
	ck_assert_int_eq(seen_score, 7);
	ck_assert(decided);
}
END_TEST

/* Who has too many points is refused, not told to come back. */
START_TEST(points_go_before_the_last)
{
	fakes[5].last = true;
	fakes[5].stage = STAGE_RCPT;
	scripts[0].score = 11;
	scripts[5].action = FILTER_DEFER;
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_REFUSE);
	ck_assert_str_eq(decision.filter, "score");
	ck_assert_uint_eq(started[5], 0);
}
END_TEST

/* What is refused is not greylisted: it would count as having waited when it comes again. */
START_TEST(the_last_is_not_asked_about_what_is_refused)
{
	fakes[4].last = fakes[5].last = true;
	fakes[4].stage = fakes[5].stage = STAGE_RCPT;
	scripts[0].action = FILTER_REFUSE;
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_REFUSE);
	ck_assert_uint_eq(started[4] + started[5], 0);
	scripts[0].action = FILTER_PASS;
	scripts[4] = (struct script){ .pending = true, .action = FILTER_DEFER };
	chain_reach(chain, STAGE_HELO);
	chain_free(chain);
	chain = chain_new(filters, &facts);
	chain_reach(chain, STAGE_CONNECT);
	to_recipient();
	ck_assert_uint_eq(started[4], 1);
	ck_assert_uint_eq(started[5], 0);
	answer(4);
	ck_assert_int_eq(decision.outcome, CHAIN_DEFER);
	ck_assert_uint_eq(started[5], 0);
}
END_TEST

/* A recipient that is exempt leaves it unasked, at the end of the message, too. */
START_TEST(the_last_about_a_recipient_is_not_asked_later)
{
	fakes[5].last = true;
	fakes[5].stage = STAGE_RCPT;
	begin("exempt x { client = 192.0.2.1 filters = f }\n");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	facts.recipient = NULL;
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	ck_assert_uint_eq(started[5], 0);
}
END_TEST

START_TEST(the_last_can_observe)
{
	fakes[5].last = true;
	fakes[5].stage = STAGE_RCPT;
	scripts[5].action = FILTER_REFUSE;
	begin("filter f { mode = observe }\n");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	ck_assert_uint_eq(started[5], 1);
}
END_TEST

/* ---- what begins anew ---- */

START_TEST(what_begins_anew)
{
	static const enum facts_stage stages[N] = { STAGE_CONNECT, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_RCPT, STAGE_DATA };

	for (size_t i = 0; i < N; i++)
		fakes[i].stage = stages[i];
	fakes[5].decides = STAGE_DATA;
	scripts[3].pending = true;
	begin("");
	to_recipient();
	ck_assert(!decided);
	chain_reach(chain, STAGE_RCPT);		/* another one: the question about the former is given up */
	ck_assert_uint_eq(cancelled[3], 1);
	answer(3);
	ck_assert(!decided);
	chain_reach(chain, STAGE_HELO);
	transaction("b@example.com");
	ck_assert_uint_eq(started[0], 1);
	ck_assert_uint_eq(started[1], 2);
	ck_assert_uint_eq(started[2], 2);
	ck_assert_uint_eq(started[3], 2);
	ck_assert_uint_eq(started[5], 0);
	chain_reset(chain);
	transaction("c@example.com");
	ck_assert_uint_eq(started[1], 2);
	ck_assert_uint_eq(started[2], 3);
}
END_TEST

START_TEST(one_recipient_is_not_another)
{
	fakes[0].stage = STAGE_RCPT;
	scripts[0].action = FILTER_REFUSE;
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_REFUSE);
	scripts[0].action = FILTER_PASS;
	recipient("bert@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
}
END_TEST

START_TEST(lookups_repeated_at_every_recipient)
{
	fakes[1].stage = STAGE_HELO;
	fakes[2].stage = STAGE_MAIL;
	fakes[3].stage = STAGE_RCPT;
	begin("");
	to_recipient();
	for (int i = 0; i < 9; i++)
		recipient("bert@example.org");
	ck_assert_uint_eq(started[0], 1);
	ck_assert_uint_eq(started[1], 1);
	ck_assert_uint_eq(started[2], 1);
	ck_assert_uint_eq(started[3], 10);
}
END_TEST

/* ---- the end of a message ---- */

START_TEST(the_end_decides)
{
	fakes[0].stage = STAGE_HEADER;
	fakes[0].decides = STAGE_END;
	scripts[0] = (struct script){ .action = FILTER_REFUSE };
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_REFUSE);
	ck_assert_int_eq(decision.code, 550);
}
END_TEST

START_TEST(quarantine)
{
	fakes[0].stage = STAGE_HEADER;
	fakes[0].decides = STAGE_END;
	scripts[0] = (struct script){ .action = FILTER_QUARANTINE };
	begin("");
	to_recipient();
	to_end();
	ck_assert(decision.outcome == CHAIN_PASS && decision.quarantine);
}
END_TEST

/* Points of something that decides at the end do not refuse before, and what others find can take them away. */
START_TEST(forwarded_mail_survives)
{
	for (int pass = 0; pass < 2; pass++) {
		fakes[0] = (struct filter){ .name = "a", .stage = STAGE_MAIL, .decides = STAGE_END, .gives = FACT_SPF,
		    .weighs = FACT_DMARC, .weigh = fake_weigh, .run = fake_run, .mode = FILTER_SCORE, .cancel = fake_cancel };
		fakes[1].stage = STAGE_HEADER;
		fakes[1].decides = STAGE_END;
		fakes[1].gives = pass == 0 ? FACT_DMARC : 0;
		scripts[0].score = 12;
		scripts[1].pending = true;
		begin("");
		to_recipient();
		ck_assert_int_eq(decision.outcome, CHAIN_PASS);
		to_end();
		ck_assert(!decided);
		answer(1);
		ck_assert(decided);
		ck_assert_int_eq(decision.outcome, pass == 0 ? CHAIN_PASS : CHAIN_REFUSE);
		if (pass == 0) {
			chain_free(chain);
			filters_free(filters);
		}
	}
}
END_TEST

START_TEST(the_null_sender_is_deferred_at_data)
{
	fakes[0].stage = STAGE_RCPT;
	scripts[0] = (struct script){ .action = FILTER_DEFER, .at_data = true };
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	scripts[0] = (struct script){ .action = FILTER_PASS };
	recipient("bert@example.org");
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_DEFER);
	ck_assert_int_eq(decision.code, 451);
	chain_reset(chain);
	transaction("");
	recipient("bert@example.org");
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
}
END_TEST

/* ---- recipients with other rules ---- */

START_TEST(other_rules_another_transaction)
{
	fakes[0].stage = STAGE_HEADER;
	fakes[0].decides = STAGE_END;
	begin("exempt x { recipient = bert@example.org filters = a }\n");
	to_recipient();
	recipient("carl@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	recipient("bert@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_SPLIT);
	ck_assert_int_eq(decision.code, 452);
	ck_assert_str_eq(decision.enhanced, "4.5.3");
	chain_reset(chain);
	transaction("someone@example.com");
	scripts[0].action = FILTER_REFUSE;
	recipient("bert@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	ck_assert_uint_eq(started[0], 0);
}
END_TEST

START_TEST(other_rules_that_change_nothing)
{
	begin("exempt x { recipient = bert@example.org filters = a }\n");
	to_recipient();
	recipient("bert@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	recipient("postmaster@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
}
END_TEST

START_TEST(postmaster_is_reachable)
{
	static const char *const addresses[] = { "postmaster@example.org", "Abuse@example.org" };

	scripts[0] = (struct script){ .action = FILTER_REFUSE, .score = 20 };
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.outcome, CHAIN_REFUSE);
	for (size_t i = 0; i < 2; i++) {
		recipient(addresses[i]);
		ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	}
	to_end();
	ck_assert_int_eq(decision.outcome, CHAIN_PASS);
	recipient("postmaster-x@example.org");
	ck_assert_int_eq(decision.outcome, CHAIN_REFUSE);
}
END_TEST

/* A name that does not lead back exempts nobody, and no answer is waited for too little. */
START_TEST(exempt_by_reverse_name)
{
	static const struct { const char *name; enum iprev_result result; enum chain_outcome outcome; } hosts[] = {
		{ "mail.example.net", IPREV_PASS, CHAIN_PASS },
		{ "example.net", IPREV_PASS, CHAIN_PASS },
		{ "mail.example.net", IPREV_FAIL, CHAIN_REFUSE },
		{ "mail.badexample.net", IPREV_PASS, CHAIN_REFUSE },
	};

	fakes[1].gives = FACT_REVERSE;
	scripts[1].pending = true;
	scripts[0].action = FILTER_REFUSE;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		begin("exempt x { host = example.net }\n");
		to_recipient();
		ck_assert(!decided);
		facts.reverse.result = hosts[i].result;
		snprintf(facts.reverse.name, sizeof(facts.reverse.name), "%s", hosts[i].name);
		answer(1);
		ck_assert(decided);
		ck_assert_int_eq(decision.outcome, hosts[i].outcome);
		if (i + 1 < sizeof(hosts) / sizeof(hosts[0])) {
			chain_free(chain);
			filters_free(filters);
		}
	}
}
END_TEST

START_TEST(exempt_is_not_asked)
{
	begin("exempt x { client = 192.0.2.1 filters = { a, b } }\n");
	ck_assert_uint_eq(started[0], 0);
	ck_assert_uint_eq(started[2], 1);
	ck_assert(chain_is_exempt(chain, "a") && !chain_is_exempt(chain, "c"));
}
END_TEST

/* ---- given up at every point ---- */

static unsigned steps_left;

static bool
step(void)
{
	return steps_left-- > 0;
}

static void
until_given_up(void)
{
	facts.helo = "x.example";
	if (!step())
		return;
	chain_reach(chain, STAGE_HELO);
	for (int round = 0; round < 2; round++) {
		if (!step())
			return;
		transaction("someone@example.com");
		if (!step())
			return;
		facts.recipient = "anna@example.org";
		chain_reach(chain, STAGE_RCPT);
		decided = false;
		chain_decide(chain, STAGE_RCPT, on_decision, &decision);
		for (size_t i = 0; i < N; i++) {
			if (!step())
				return;
			if (open_runs[i] != NULL)
				answer(i);
		}
		if (!step())
			return;
		chain_reach(chain, STAGE_DATA);
		chain_reach(chain, STAGE_HEADER);
		chain_body(chain, "x", 1);
		if (!step())
			return;
		chain_reach(chain, STAGE_END);
		if (!step())
			return;
		chain_reset(chain);
	}
}

START_TEST(given_up_at_every_point)
{
	for (unsigned n = 0; n < 40; n++) {
		unsigned open = 0, begun, gone;

		fakes[1].stage = STAGE_HELO;
		fakes[2].stage = STAGE_MAIL;
		fakes[3].stage = STAGE_RCPT;
		fakes[4].stage = STAGE_END;
		fakes[4].decides = STAGE_END;
		for (size_t i = 0; i < N; i++)
			scripts[i].pending = true;
		begin("");
		steps_left = n;
		until_given_up();
		begun = started[0] + started[1] + started[2] + started[3] + started[4] + started[5];
		for (size_t i = 0; i < N; i++)
			open += open_runs[i] != NULL;
		gone = cancelled[0] + cancelled[1] + cancelled[2] + cancelled[3] + cancelled[4] + cancelled[5];
		ck_assert_uint_le(open, begun);
		chain_free(chain);
		chain = NULL;
		ck_assert_uint_eq(cancelled[0] + cancelled[1] + cancelled[2] + cancelled[3] + cancelled[4] + cancelled[5] - gone, open);
		filters_free(filters);
		filters = NULL;
		turn();
	}
}
END_TEST

static void
free_all(void *arg, const struct chain_decision *d)
{
	(void)arg;
	(void)d;
	chain_free(chain);
	chain = NULL;
	decided = true;
}

START_TEST(freed_by_who_is_told)
{
	scripts[3].pending = true;
	begin("");
	facts.helo = "x.example";
	chain_reach(chain, STAGE_HELO);
	transaction("");
	facts.recipient = "anna@example.org";
	chain_reach(chain, STAGE_RCPT);
	decided = false;
	chain_decide(chain, STAGE_RCPT, free_all, NULL);
	answer(3);
	ck_assert(decided);
}
END_TEST

static void
free_when_found(void *arg)
{
	unsigned *times = arg;

	(*times)++;
	chain_free(chain);
	chain = NULL;
}

START_TEST(freed_by_who_looks_at_facts)
{
	unsigned times = 0;

	scripts[0].pending = scripts[1].pending = true;
	begin("");
	chain_on_found(chain, free_when_found, &times);
	facts.helo = "x.example";
	chain_reach(chain, STAGE_HELO);
	transaction("");
	facts.recipient = "anna@example.org";
	chain_reach(chain, STAGE_RCPT);
	decided = false;
	chain_decide(chain, STAGE_RCPT, on_decision, &decision);
	turn();
	ck_assert_uint_eq(times, 1);
	ck_assert_uint_eq(cancelled[0] + cancelled[1], 2);
	turn();
	ck_assert(!decided);
}
END_TEST

START_TEST(no_answer_after_it_is_not_wanted)
{
	scripts[0].pending = true;
	begin("");
	to_recipient();
	chain_wait_no_more(chain);
	answer(0);
	ck_assert(!decided);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("chain");
	TCase *t = tcase_create("chain");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_decides, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(t, what_decides_later, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, answers_that_depend_on_which_lookup_came_first);
	tcase_add_test(t, no_verdict_before_those_above);
	tcase_add_test(t, a_verdict_waits_for_nobody_below);
	tcase_add_test(t, who_observes_is_not_waited_for);
	tcase_add_test(t, who_is_late_is_neutral_and_named);
	tcase_add_test(t, a_fact_is_waited_for);
	tcase_add_test(t, a_fact_of_one_that_is_off_is_not_waited_for);
	tcase_add_test(t, the_last_sees_the_points);
	tcase_add_test(t, points_go_before_the_last);
	tcase_add_test(t, the_last_is_not_asked_about_what_is_refused);
	tcase_add_test(t, the_last_about_a_recipient_is_not_asked_later);
	tcase_add_test(t, the_last_can_observe);
	tcase_add_test(t, what_begins_anew);
	tcase_add_test(t, one_recipient_is_not_another);
	tcase_add_test(t, lookups_repeated_at_every_recipient);
	tcase_add_test(t, the_end_decides);
	tcase_add_test(t, quarantine);
	tcase_add_test(t, forwarded_mail_survives);
	tcase_add_test(t, the_null_sender_is_deferred_at_data);
	tcase_add_test(t, other_rules_another_transaction);
	tcase_add_test(t, other_rules_that_change_nothing);
	tcase_add_test(t, postmaster_is_reachable);
	tcase_add_test(t, exempt_by_reverse_name);
	tcase_add_test(t, exempt_is_not_asked);
	tcase_add_test(t, given_up_at_every_point);
	tcase_add_test(t, freed_by_who_is_told);
	tcase_add_test(t, freed_by_who_looks_at_facts);
	tcase_add_test(t, no_answer_after_it_is_not_wanted);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
