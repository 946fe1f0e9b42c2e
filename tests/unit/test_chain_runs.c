/*
 * When filters run: who waits for whom and how long, what begins anew, what stays of a run that is over; and that the chain
 * can be given up at any point.
 */
#include "tests/unit/fake_filters.h"
#include "tests/unit/run.h"

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

/* ---- what stays of a run ---- */

static enum filter_progress
lend(struct filter_run *run)
{
	snprintf(run->state, run->filter->state_size, "lent by %s", run->filter->name);
	run->facts->content = run->state;
	return fake_run(run);
}

START_TEST(a_state_is_lent_as_long_as_its_finding_counts)
{
	struct chain_entry e;
	size_t at = 0;

	fakes[1].run = lend;
	fakes[1].lends = true;
	fakes[1].state_size = 40;
	scripts[1].pending = true;
	begin("");
	ck_assert_ptr_null(chain->slots[0].run);
	ck_assert_ptr_nonnull(chain->slots[1].run);
	answer(1);
	ck_assert_ptr_nonnull(chain->slots[1].run);
	to_recipient();
	ck_assert(decided);
	ck_assert_str_eq(facts.content, "lent by b");
	while (chain_next(chain, &at, &e))
		ck_assert_str_eq(e.finding->why, "because");
	ck_assert_uint_eq(at, N);
}
END_TEST

/* Weighed at each decision, from what the run found and not from what was made of it before. */
START_TEST(weighed_again_and_again)
{
	fakes[0].decides = STAGE_DATA;
	fakes[0].weighs = FACT_DMARC;
	fakes[0].weigh = fake_weigh;
	fakes[1].gives = FACT_DMARC;
	scripts[0] = (struct script){ .score = 4 };
	begin("");
	to_recipient();
	ck_assert_int_eq(decision.score, 0);
	ck_assert_ptr_nonnull(chain->slots[0].run);
	ck_assert_int_eq(chain->slots[0].finding->score, 4);
	for (enum facts_stage stage = STAGE_DATA; stage <= STAGE_END; stage += STAGE_END - STAGE_DATA) {
		chain_reach(chain, stage);
		decide(stage);
		ck_assert(decided);
		ck_assert_int_eq(decision.score, 0);
		ck_assert_int_eq(chain->slots[0].finding->score, 0);
	}
}
END_TEST

START_TEST(a_finding_goes_with_its_entry)
{
	struct chain_entry first, second;
	size_t at = 0;

	scripts[1].score = 7;
	begin("");
	ck_assert(chain_next(chain, &at, &first));
	ck_assert(chain_next(chain, &at, &second));
	ck_assert_str_eq(first.filter->name, "a");
	ck_assert_int_eq(first.finding->score, 0);
	ck_assert_int_eq(second.finding->score, 7);
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
	TCase *t = tcase_create("chain_runs");

	tcase_add_checked_fixture(t, setup, teardown);
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
	tcase_add_test(t, a_state_is_lent_as_long_as_its_finding_counts);
	tcase_add_test(t, weighed_again_and_again);
	tcase_add_test(t, a_finding_goes_with_its_entry);
	tcase_add_test(t, given_up_at_every_point);
	tcase_add_test(t, freed_by_who_is_told);
	tcase_add_test(t, freed_by_who_looks_at_facts);
	tcase_add_test(t, no_answer_after_it_is_not_wanted);
	return run_case("chain_runs", t);
}
