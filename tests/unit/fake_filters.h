/*
 * Filters that a test makes and answers at will, in a registry of their own, and one chain of them with its facts: scripts say
 * what each finds and whether it waits to be told. For the tests of the chain, each of which includes it once.
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

static inline size_t
number(const struct filter_run *run)
{
	return (size_t)(run->filter->name[0] - 'a');
}

static inline void
fill(struct filter_run *run)
{
	const struct script *s = &scripts[number(run)];

	run->finding.action = s->action;
	run->finding.at_data = s->at_data;
	filter_say(run, "found", s->score, "because");
}

static inline enum filter_progress
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

static inline void
fake_cancel(struct filter_run *run)
{
	size_t i = number(run);

	ck_assert_ptr_eq(open_runs[i], run);
	open_runs[i] = NULL;
	cancelled[i]++;
}

static inline void
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

static inline void
setup(void)
{
	static const char *const names[N] = { "a", "b", "c", "d", "e", "f" };

	base = event_base_new();
	clock_init(base);
	clock_hold(true);
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

static inline void
teardown(void)
{
	chain_free(chain);
	chain = NULL;
	filters_free(filters);
	filters = NULL;
	clock_init(NULL);
	event_base_free(base);
}

static inline void
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

static inline void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static inline void
on_decision(void *arg, const struct chain_decision *d)
{
	ck_assert_ptr_eq(arg, &decision);
	ck_assert(!decided);
	decision = *d;
	decided = true;
}

static inline void
decide(enum facts_stage stage)
{
	decided = false;
	chain_decide(chain, stage, on_decision, &decision);
	ck_assert(!decided);
	turn();
}

static inline void
transaction(const char *sender)
{
	facts.sender = sender;
	chain_reach(chain, STAGE_MAIL);
}

static inline void
recipient(const char *address)
{
	facts.recipient = address;
	chain_reach(chain, STAGE_RCPT);
	decide(STAGE_RCPT);
}

static inline void
to_recipient(void)
{
	facts.helo = "client.example.com";
	chain_reach(chain, STAGE_HELO);
	transaction("someone@example.com");
	recipient("anna@example.org");
}

static inline void
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

static inline void
answer(size_t i)
{
	struct filter_run *run = open_runs[i];

	ck_assert_ptr_nonnull(run);
	open_runs[i] = NULL;
	fill(run);
	filter_finish(run);
	turn();
}
