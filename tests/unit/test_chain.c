/*
 * What the chain decides: from findings in whichever order answers come, at the end of a message, and for recipients to whom
 * other rules apply.
 */
#include "tests/unit/fake_filters.h"
#include "tests/unit/run.h"

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

int
main(void)
{
	TCase *t = tcase_create("chain");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_decides, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(t, what_decides_later, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, answers_that_depend_on_which_lookup_came_first);
	tcase_add_test(t, the_end_decides);
	tcase_add_test(t, quarantine);
	tcase_add_test(t, forwarded_mail_survives);
	tcase_add_test(t, the_null_sender_is_deferred_at_data);
	tcase_add_test(t, other_rules_another_transaction);
	tcase_add_test(t, other_rules_that_change_nothing);
	tcase_add_test(t, postmaster_is_reachable);
	tcase_add_test(t, exempt_by_reverse_name);
	tcase_add_test(t, exempt_is_not_asked);
	return run_case("chain", t);
}
