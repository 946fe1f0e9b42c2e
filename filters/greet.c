/*
 * How long a stranger waits, and what is held against one that does not. Decides times and verdicts from facts alone;
 * whoever speaks SMTP (smtpd/pace.c) does the waiting and sees who spoke too soon. A known client waits for nothing.
 *
 * The delays cost nothing to a server that keeps a queue, and much to a program that has a million letters to drop today.
 */
#include "filters/greet.h"

#include <stdio.h>

#include "lib/conf_option.h"

#define SECOND		INT64_C(1000)
#define JUNK_FREE	10		/* commands without mail before each costs time */
#define DOUBLINGS	20		/* more would only overflow */
#define BUSY		1		/* levels of stress from which greetings are shorter … */
#define CROWDED		3		/* … and from which nobody is kept here any longer than needed */

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ms, doubled n times, and no more than most. */
static int64_t
doubled(int64_t ms, unsigned n, int64_t most)
{
	return least(ms << (n < DOUBLINGS ? n : DOUBLINGS), most);
}

static int64_t
within_budget(int64_t ms, const struct greet_client *c)
{
	return c->spent_ms >= c->budget_ms ? 0 : least(ms, c->budget_ms - c->spent_ms);
}

/* Points make no sense of a delay: only what is enforced is waited for. */
static int64_t
enforced(const struct filter_config *f, int64_t ms, int64_t *would)
{
	if (f->mode == FILTER_ENFORCE)
		return ms;
	if (f->mode != FILTER_OFF && ms > *would)
		*would = ms;
	return 0;
}

int64_t
greet_banner_ms(const struct filter_config *early, const struct greet_client *c)
{
	const struct greet_early *o = early->options;

	/* Points can be counted only against who had the occasion: any mode but off waits. */
	if (early->mode == FILTER_OFF || c->trusted || c->vouched || c->passed)
		return 0;
	return within_budget(c->stress >= BUSY ? least(o->busy_ms, o->delay_ms) : o->delay_ms, c);
}

/* Who waits for the greeting has shown what a delay can show; a deferral is no error of its own, for it may be greylisted. */
static bool
is_throttled(const struct greet_throttle *o, const struct greet_client *c)
{
	if (c->content || c->vouched || c->passed)
		return false;
	return o->who == GREET_ALL || !c->waited || c->hard > 0;
}

/* Each reply, the longer the more errors there were. */
static int64_t
throttle_ms(const struct greet_throttle *o, const struct greet_client *c)
{
	return is_throttled(o, c) ? doubled(o->delay_ms, c->errors, o->most_ms) : 0;
}

/* Refusals: the first is cheap, for anybody mistypes a name; the fourth of the hard ones costs all. */
static int64_t
penalty_ms(const struct greet_penalty *o, const struct greet_client *c, int code)
{
	int64_t ms = 0;

	if (code >= 500 && c->hard > 0)
		ms = doubled(o->hard_ms / 8, c->hard - 1, o->hard_ms);
	else if (code >= 400 && c->soft > 1)
		ms = doubled(o->soft_ms / 4, c->soft - 2, o->soft_ms);
	if (c->junk > JUNK_FREE && code < 400)
		ms = doubled(o->hard_ms / 64, (c->junk - JUNK_FREE) / 8, o->hard_ms);
	return ms;
}

int64_t
greet_reply_ms(const struct filter_config *throttle, const struct filter_config *penalty, const struct greet_client *c,
    int code, int64_t *would_r)
{
	int64_t would = 0, ms = 0, more;

	if (!c->trusted && c->stress < CROWDED) {
		if (throttle->mode != FILTER_OFF)
			ms = enforced(throttle, throttle_ms(throttle->options, c), &would);
		if (penalty->mode != FILTER_OFF) {
			more = enforced(penalty, penalty_ms(penalty->options, c, code), &would);
			ms = more > ms ? more : ms;
		}
	}
	if (would_r != NULL)
		*would_r = would > ms ? would - ms : 0;
	return within_budget(ms, c);
}

bool
greet_keeps_order(const struct filter_config *pipelining, const struct greet_client *c)
{
	return pipelining->mode != FILTER_OFF && !c->trusted && !c->vouched && !c->passed;
}

/* ---- as filters ---- */

static enum filter_progress
run_early(struct filter_run *run)
{
	if (!run->facts->early)
		return filter_say(run, "pass", 0, "it waited for the greeting");
	run->finding.action = FILTER_REFUSE;
	snprintf(run->finding.enhanced, sizeof(run->finding.enhanced), "5.5.0");
	snprintf(run->finding.text, sizeof(run->finding.text), "You spoke before the greeting was complete");
	return filter_say(run, "early", 10, "it spoke before the greeting was complete");
}

/* Who is kept in order has been sent away by then; this is for the other modes. */
static enum filter_progress
run_pipelining(struct filter_run *run)
{
	if (!run->facts->pipelined)
		return filter_say(run, "pass", 0, "it waited for each reply");
	return filter_say(run, "ahead", 3, "it sent commands ahead where it had to wait for a reply");
}

/* Delays are no findings: they are told as the time that a session was made to wait. */
static bool
never(const struct filter_config *config, const struct facts *facts)
{
	(void)config;
	(void)facts;
	return false;
}

#define OPTIONS(table)	.options = (table), .n_options = sizeof(table) / sizeof((table)[0])

#define AT(field)	offsetof(struct greet_early, field)
static const struct conf_option early_options[] = {
	{ "delay",	CONF_DURATION,	AT(delay_ms),	0, 30 * SECOND, "6s", NULL },
	{ "busy_delay",	CONF_DURATION,	AT(busy_ms),	0, 30 * SECOND, "2s", NULL },
	{ "action",	CONF_WORD,	AT(action),	.value = "refuse", .choices = "refuse drop" },
};
#undef AT

static const char *const early_hermes[] = { "delay", "5s", NULL };

const struct filter filter_early = {
	.name = "early", .does = "does it wait for the greeting",
	.stage = STAGE_HELO, .decides = STAGE_RCPT, .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE,
	OPTIONS(early_options), .options_size = sizeof(struct greet_early), .hermes_values = early_hermes, .run = run_early,
};

#define AT(field)	offsetof(struct greet_throttle, field)
static const struct conf_option throttle_options[] = {
	{ "delay",	CONF_DURATION,	AT(delay_ms),	0, 30 * SECOND, "1s", NULL },
	{ "most",	CONF_DURATION,	AT(most_ms),	0, 30 * SECOND, "10s", NULL },
	{ "who",	CONF_WORD,	AT(who),	.value = "selective", .choices = "selective all" },
};
#undef AT

static const char *const throttle_hermes[] = { "delay", "1s", "most", "1s", "who", "all", NULL };

const struct filter filter_throttle = {
	.name = "throttle", .does = "replies to a stranger take their time",
	.stage = STAGE_CONNECT, .decides = STAGE_RCPT, .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE,
	OPTIONS(throttle_options), .options_size = sizeof(struct greet_throttle), .hermes_values = throttle_hermes, .applies = never,
};

#define AT(field)	offsetof(struct greet_penalty, field)
static const struct conf_option penalty_options[] = {
	{ "hard",	CONF_DURATION,	AT(hard_ms),	0, 60 * SECOND, "20s", NULL },
	{ "soft",	CONF_DURATION,	AT(soft_ms),	0, 60 * SECOND, "2s", NULL },
};
#undef AT

const struct filter filter_penalty = {
	.name = "penalty", .does = "refusals take longer, the more there were",
	.stage = STAGE_CONNECT, .decides = STAGE_RCPT, .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE,
	OPTIONS(penalty_options), .options_size = sizeof(struct greet_penalty), .applies = never,
};

const struct filter filter_pipelining = {
	.name = "pipelining", .does = "does it wait for each reply until it is known",
	.stage = STAGE_RCPT, .decides = STAGE_RCPT, .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE,
	.run = run_pipelining,
};
