/*
 * The sender callback in a chain, with a memory that gives the answer of each row: what is asked about, and what comes of it.
 */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "filters/chain.h"
#include "filters/memory_face.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "tests/unit/run.h"

static unsigned n_asked, n_forgotten;
static char asked[400];
static struct memory_answer answer;
static bool silent;

static void
on_ask(struct memory_query *q, const struct memory_question *question)
{
	static const struct memory_answer nothing = { .failed = true };

	if (question->op == MEMORY_CALLBACK) {
		n_asked++;
		snprintf(asked, sizeof(asked), "%s", question->key);
		memory_query_expect(q, &answer, silent ? 3600 * 1000 : 0);
	} else
		memory_query_expect(q, &nothing, 0);
}

static void
on_forget(struct memory_query *q)
{
	(void)q;
	n_forgotten++;
}

static void
on_tell(struct memory *m, const struct memory_question *q)
{
	(void)m;
	(void)q;
}

static const struct memory_face face = { .query_size = sizeof(struct memory_query), .ask = on_ask, .forget = on_forget,
    .tell = on_tell };

static void
on_decision(void *arg, const struct chain_decision *d)
{
	*(struct chain_decision *)arg = *d;
}

static const struct row {
	const char		*name, *mode, *sender;
	bool			 failed;
	enum memory_callback	 callback;
	enum chain_outcome	 outcome;
	const char		*result;	/* NULL: it did not run */
	int			 score;
} rows[] = {
	{ "off", "off", "a@far.example", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, NULL, 0 },
	{ "bad", "enforce", "a@far.example", false, MEMORY_CALLBACK_BAD, CHAIN_REFUSE, "bad", 6 },
	{ "bad, scored", "score", "a@far.example", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, "bad", 6 },
	{ "bad, observed", "observe", "a@far.example", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, "bad", 6 },
	{ "good", "enforce", "a@far.example", false, MEMORY_CALLBACK_GOOD, CHAIN_PASS, "good", 0 },
	{ "all", "enforce", "a@far.example", false, MEMORY_CALLBACK_ALL, CHAIN_PASS, "accepts-all", 0 },
	{ "unknown", "enforce", "a@far.example", false, MEMORY_CALLBACK_UNKNOWN, CHAIN_PASS, "unknown", 0 },
	{ "nobody there", "enforce", "a@far.example", true, MEMORY_CALLBACK_BAD, CHAIN_PASS, "unknown", 0 },
	{ "null sender", "enforce", "", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, NULL, 0 },
	{ "ours", "enforce", "a@Example.ORG", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, NULL, 0 },
	{ "our host", "enforce", "a@mx.example.org", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, NULL, 0 },
	{ "a literal", "enforce", "a@[192.0.2.1]", false, MEMORY_CALLBACK_BAD, CHAIN_PASS, NULL, 0 },
};

static struct event_base *base;

static struct filters *
configured(const char *mode, struct memory *memory)
{
	char text[400], err[300];
	struct filters *filters;
	struct conf *conf;

	/* Nothing else decides. */
	snprintf(text, sizeof(text), "filter spf { mode = off } filter iprev { mode = off } filter greylist { mode = off }\n"
	    "filter helo { mode = off } filter dmarc { mode = off } filter callback { mode = %s }\n", mode);
	conf = conf_parse_text(text, strlen(text), "f", err, sizeof(err));
	ck_assert_msg(conf != NULL, "%s", err);
	filters = filters_new(conf, NULL, memory, err, sizeof(err));
	ck_assert_msg(filters != NULL, "%s", err);
	conf_free(conf);
	return filters;
}

static struct chain *
to_data(struct filters *filters, struct facts *f, const char *sender)
{
	static char *domains[] = { (char *)(uintptr_t)"example.org", NULL };
	struct chain_decision d = { .outcome = CHAIN_SPLIT };
	struct chain *c;

	*f = (struct facts){ .hostname = "mx.example.org", .domains = domains };
	ck_assert_int_eq(reverse_address_parse(&f->address, "203.0.113.1"), 0);
	c = chain_new(filters, f);
	chain_reach(c, STAGE_CONNECT);
	f->helo = "mail.far.example";
	chain_reach(c, STAGE_HELO);
	f->sender = sender;
	chain_reach(c, STAGE_MAIL);
	f->recipient = "anna@example.org";
	chain_reach(c, STAGE_RCPT);
	chain_decide(c, STAGE_RCPT, on_decision, &d);
	while (d.outcome == CHAIN_SPLIT)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(d.outcome, CHAIN_PASS);
	ck_assert_uint_eq(n_asked, 0);			/* not before DATA */
	f->n_recipients = 1;
	chain_reach(c, STAGE_DATA);
	return c;
}

static void
check_entry(const struct chain *c, const struct row *row)
{
	struct chain_entry e;

	for (size_t at = 0; chain_next(c, &at, &e);) {
		if (strcmp(e.filter->name, "callback") != 0)
			continue;
		ck_assert_msg(row->result != NULL, "%s: it ran", row->name);
		ck_assert_str_eq(e.finding->result, row->result);
		ck_assert_int_eq(e.finding->score, row->score);
		ck_assert_str_eq(e.finding->key, row->sender);
		return;
	}
	ck_assert_msg(row->result == NULL, "%s: it did not run", row->name);
}

START_TEST(verdicts)
{
	const struct row *row = &rows[_i];
	struct chain_decision d = { .outcome = CHAIN_SPLIT };
	struct memory memory;
	struct filters *filters;
	struct chain *c;
	struct facts f;

	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	memory_face_init(&memory, &face);
	n_asked = 0;
	answer = (struct memory_answer){ .failed = row->failed, .callback = row->callback, .why = "mx [192.0.2.1]:25 RCPT: 550 no" };
	filters = configured(row->mode, &memory);
	c = to_data(filters, &f, row->sender);
	chain_decide(c, STAGE_DATA, on_decision, &d);
	while (d.outcome == CHAIN_SPLIT)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_msg(d.outcome == row->outcome, "%s", row->name);
	ck_assert_uint_eq(n_asked, row->result != NULL);
	if (n_asked > 0)
		ck_assert_str_eq(asked, row->sender);
	if (d.outcome == CHAIN_REFUSE) {
		ck_assert_int_eq(d.code, 550);
		ck_assert_str_eq(d.enhanced, "5.1.8");
		ck_assert_str_eq(d.filter, "callback");
	}
	check_entry(c, row);
	chain_free(c);
	filters_free(filters);
	clock_init(NULL);
	event_base_free(base);
}
END_TEST

/* Nobody answers: it is over at the deadline, and refuses nothing. */
START_TEST(silence)
{
	struct chain_decision d = { .outcome = CHAIN_SPLIT };
	struct memory memory;
	struct filters *filters;
	struct chain *c;
	struct facts f;

	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	memory_face_init(&memory, &face);
	n_asked = 0;
	silent = true;
	filters = configured("enforce", &memory);
	c = to_data(filters, &f, "a@far.example");
	chain_decide(c, STAGE_DATA, on_decision, &d);
	for (int i = 1; i < 40 && d.outcome == CHAIN_SPLIT; i++) {
		clock_shift(i * 1000);
		event_base_loop(base, EVLOOP_NONBLOCK);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	ck_assert_int_eq(d.outcome, CHAIN_PASS);
	ck_assert_uint_eq(n_asked, 1);
	ck_assert_uint_gt(n_forgotten, 0);
	chain_free(c);
	filters_free(filters);
	clock_init(NULL);
	event_base_free(base);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("callback");

	tcase_add_loop_test(t, verdicts, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(t, silence);
	return run_case("callback", t);
}
