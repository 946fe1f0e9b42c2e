/*
 * filters/greet.c: who waits how long for a greeting and for replies, and that all of it stays within its budget.
 */
#include <check.h>
#include <string.h>

#include "filters/greet.h"
#include "tests/unit/run.h"

static struct greet_early early_options = { .delay_ms = 6000, .busy_ms = 2000 };
static struct greet_throttle throttle_options = { .delay_ms = 1000, .most_ms = 10000 };
static struct greet_penalty penalty_options = { .hard_ms = 20000, .soft_ms = 2000 };

static struct filter_config early = { .options = &early_options };
static struct filter_config throttle = { .options = &throttle_options };
static struct filter_config penalty = { .options = &penalty_options };
static struct filter_config pipelining;

static void
modes(enum filter_mode mode)
{
	early.mode = throttle.mode = penalty.mode = pipelining.mode = mode;
}

#define BUDGET_MS	60000
#define B		.budget_ms = BUDGET_MS

static const struct {
	struct greet_client	c;
	int64_t			ms;
} greetings[] = {
	{ { B, .stress = 0 }, 6000 },
	{ { B, .stress = 1 }, 2000 },
	{ { B, .stress = 3 }, 2000 },
	{ { B, .trusted = true }, 0 },
	{ { B, .vouched = true }, 0 },
	{ { B, .passed = true }, 0 },
	{ { B, .spent_ms = 58000 }, 2000 },
	{ { B, .spent_ms = 60000 }, 0 },
	{ { .budget_ms = 1000 }, 1000 },
	{ { .budget_ms = 0 }, 0 },
};

START_TEST(greeting)
{
	modes(FILTER_ENFORCE);
	ck_assert_int_eq(greet_banner_ms(&early, &greetings[_i].c), greetings[_i].ms);
	modes(FILTER_OBSERVE);
	ck_assert_int_eq(greet_banner_ms(&early, &greetings[_i].c), greetings[_i].ms);
	modes(FILTER_OFF);
	ck_assert_int_eq(greet_banner_ms(&early, &greetings[_i].c), 0);
}
END_TEST

/* Under load nobody waits longer than without. */
START_TEST(busy_is_not_longer)
{
	static struct greet_early short_options = { .delay_ms = 500, .busy_ms = 2000 };
	struct filter_config f = { .mode = FILTER_ENFORCE, .options = &short_options };

	ck_assert_int_eq(greet_banner_ms(&f, &(struct greet_client){ B, .stress = 1 }), 500);
}
END_TEST

static const struct {
	struct greet_client	c;
	int			code;
	int64_t			throttle, penalty, both;
} replies[] = {
	{ { B, .errors = 0 }, 250, 1000, 0, 1000 },
	{ { B, .errors = 1, .soft = 1 }, 450, 2000, 0, 2000 },		/* one deferral costs nothing */
	{ { B, .errors = 1, .hard = 1 }, 550, 2000, 2500, 2500 },
	{ { B, .errors = 2, .hard = 2 }, 550, 4000, 5000, 5000 },
	{ { B, .errors = 4, .hard = 4 }, 550, 10000, 20000, 20000 },
	{ { B, .errors = 30, .hard = 30 }, 550, 10000, 20000, 20000 },
	{ { B, .errors = 4000000000U, .hard = 4000000000U }, 550, 10000, 20000, 20000 },
	{ { B, .errors = 2, .soft = 2 }, 450, 4000, 500, 4000 },
	{ { B, .errors = 9, .soft = 9 }, 450, 10000, 2000, 10000 },
	{ { B, .hard = 4, .vouched = true }, 550, 0, 20000, 20000 },	/* known: only what it earned itself */
	{ { B, .passed = true }, 250, 0, 0, 0 },
	{ { B, .errors = 4, .hard = 4 }, 250, 10000, 0, 10000 },		/* a good reply is not punished */
	{ { B, .junk = 10 }, 250, 1000, 0, 1000 },
	{ { B, .junk = 11, .passed = true }, 250, 0, 312, 312 },
	{ { B, .junk = 60, .passed = true }, 250, 0, 19968, 19968 },
	{ { B, .junk = 99, .passed = true }, 250, 0, 20000, 20000 },
	/* It has waited for the greeting, and errs for the first time when it is refused; deferrals are no errors. */
	{ { B, .waited = true }, 250, 0, 0, 0 },
	{ { B, .waited = true, .errors = 1, .soft = 1 }, 450, 0, 0, 0 },
	{ { B, .waited = true, .errors = 1, .hard = 1 }, 550, 2000, 2500, 2500 },
	{ { B, .waited = true, .errors = 1, .hard = 1 }, 250, 2000, 0, 2000 },
	{ { B, .waited = true, .errors = 3, .soft = 2, .hard = 1 }, 250, 8000, 0, 8000 },
	{ { B, .content = true }, 250, 0, 0, 0 },
	{ { B, .content = true, .hard = 1 }, 550, 0, 2500, 2500 },
	{ { B, .trusted = true, .hard = 9, .junk = 90 }, 550, 0, 0, 0 },
	{ { B, .stress = 3, .hard = 9 }, 550, 0, 0, 0 },
	{ { B, .hard = 9, .errors = 9, .spent_ms = 59000 }, 550, 1000, 1000, 1000 },
	{ { B, .hard = 9, .errors = 9, .spent_ms = 60000 }, 550, 0, 0, 0 },
	{ { B, .hard = 9, .errors = 9, .spent_ms = 70000 }, 550, 0, 0, 0 },
};

START_TEST(reply)
{
	static const struct filter_config off = { .mode = FILTER_OFF };
	const struct greet_client *c = &replies[_i].c;

	modes(FILTER_ENFORCE);
	ck_assert_int_eq(greet_reply_ms(&throttle, &off, c, replies[_i].code, NULL), replies[_i].throttle);
	ck_assert_int_eq(greet_reply_ms(&off, &penalty, c, replies[_i].code, NULL), replies[_i].penalty);
	ck_assert_int_eq(greet_reply_ms(&throttle, &penalty, c, replies[_i].code, NULL), replies[_i].both);
	ck_assert_int_eq(greet_reply_ms(&off, &off, c, replies[_i].code, NULL), 0);
}
END_TEST

/* With `who = all` waiting for the greeting saves nobody from waiting again; being known does. */
START_TEST(reply_to_all)
{
	static const struct greet_throttle options = { .delay_ms = 1000, .most_ms = 1000, .who = GREET_ALL };
	const struct filter_config all = { .mode = FILTER_ENFORCE, .options = (void *)&options }, off = { .mode = FILTER_OFF };

	ck_assert_int_eq(greet_reply_ms(&all, &off, &(struct greet_client){ B, .waited = true }, 250, NULL), 1000);
	ck_assert_int_eq(greet_reply_ms(&all, &off, &(struct greet_client){ B, .waited = true, .passed = true }, 250, NULL), 0);
	ck_assert_int_eq(greet_reply_ms(&all, &off, &(struct greet_client){ B, .waited = true, .vouched = true }, 250, NULL), 0);
}
END_TEST

START_TEST(observed)
{
	const struct greet_client c = { B, .errors = 4, .hard = 4 };
	int64_t would = -1;

	modes(FILTER_OBSERVE);
	ck_assert_int_eq(greet_reply_ms(&throttle, &penalty, &c, 550, &would), 0);
	ck_assert_int_eq(would, 20000);
	throttle.mode = FILTER_ENFORCE;
	ck_assert_int_eq(greet_reply_ms(&throttle, &penalty, &c, 550, &would), 10000);
	ck_assert_int_eq(would, 10000);
	penalty.mode = FILTER_ENFORCE;
	ck_assert_int_eq(greet_reply_ms(&throttle, &penalty, &c, 550, &would), 20000);
	ck_assert_int_eq(would, 0);
}
END_TEST

/* However a session goes on, its delays add up to no more than the budget. */
START_TEST(budget)
{
	struct greet_client c = { B, .stress = 0 };

	modes(FILTER_ENFORCE);
	c.spent_ms = greet_banner_ms(&early, &c);
	for (unsigned i = 0; i < 1000; i++) {
		c.errors = ++c.hard;
		c.spent_ms += greet_reply_ms(&throttle, &penalty, &c, 550, NULL);
	}
	ck_assert_int_eq(c.spent_ms, BUDGET_MS);
}
END_TEST

START_TEST(order)
{
	modes(FILTER_ENFORCE);
	ck_assert(greet_keeps_order(&pipelining, &(struct greet_client){ B, .stress = 0 }));
	ck_assert(!greet_keeps_order(&pipelining, &(struct greet_client){ B, .trusted = true }));
	ck_assert(!greet_keeps_order(&pipelining, &(struct greet_client){ B, .vouched = true }));
	ck_assert(!greet_keeps_order(&pipelining, &(struct greet_client){ B, .passed = true }));
	modes(FILTER_SCORE);
	ck_assert(greet_keeps_order(&pipelining, &(struct greet_client){ B, .stress = 0 }));
	modes(FILTER_OFF);
	ck_assert(!greet_keeps_order(&pipelining, &(struct greet_client){ B, .stress = 0 }));
}
END_TEST

/* The verdict on who spoke early. */
START_TEST(spoke_early)
{
	struct facts facts = { .early = true };
	struct filter_run run = { .filter = &filter_early, .facts = &facts };

	ck_assert_int_eq(filter_early.run(&run), FILTER_DONE);
	ck_assert_str_eq(run.finding.result, "early");
	ck_assert_int_eq(run.finding.action, FILTER_REFUSE);
	ck_assert_int_gt(run.finding.score, 0);
	memset(&run.finding, 0, sizeof(run.finding));
	facts.early = false;
	ck_assert_int_eq(filter_early.run(&run), FILTER_DONE);
	ck_assert_str_eq(run.finding.result, "pass");
	ck_assert_int_eq(run.finding.action, FILTER_PASS);
	ck_assert_int_eq(run.finding.score, 0);
}
END_TEST

START_TEST(sent_ahead)
{
	struct facts facts = { .pipelined = true };
	struct filter_run run = { .filter = &filter_pipelining, .facts = &facts };

	ck_assert_int_eq(filter_pipelining.run(&run), FILTER_DONE);
	ck_assert_str_eq(run.finding.result, "ahead");
	ck_assert_int_gt(run.finding.score, 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("greet");

	tcase_add_loop_test(t, greeting, 0, sizeof(greetings) / sizeof(greetings[0]));
	tcase_add_test(t, busy_is_not_longer);
	tcase_add_loop_test(t, reply, 0, sizeof(replies) / sizeof(replies[0]));
	tcase_add_test(t, reply_to_all);
	tcase_add_test(t, observed);
	tcase_add_test(t, budget);
	tcase_add_test(t, order);
	tcase_add_test(t, spoke_early);
	tcase_add_test(t, sent_ahead);
	return run_case("greet", t);
}
