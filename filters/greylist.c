/*
 * Greylisting (RFC 6647): who has a queue tries again. Decides who must, and by which key a second try is recognised; the
 * remembering is lookup's (filters/memory.h). By default only where something is off; never those for whom something vouches,
 * people whom users here write to, and mail to postmaster. When nobody can be asked, everybody passes.
 */
#include <stdio.h>

#include "filters/access.h"
#include "filters/adapters.h"
#include "filters/greylist_key.h"
#include "filters/memory.h"
#include "filters/memory_core.h"
#include "lib/conf_table.h"

#define DEADLINE_MS	4000
#define SECOND		INT64_C(1000)
#define DAY		(86400 * SECOND)

enum who { WHO_SELECTIVE, WHO_ALL };
enum at { AT_RCPT, AT_DATA };

struct options {
	int		who, at;
	int64_t		wait_ms, window_ms, keep_ms;
	uint32_t	passes;
};

struct state {
	struct memory_query *query;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "who",	CONF_WORD,	AT(who),	.value = "selective", .choices = "selective all" },
	{ "at",		CONF_WORD,	AT(at),		.value = "rcpt", .choices = "rcpt data" },
	{ "wait",	CONF_DURATION,	AT(wait_ms),	SECOND, DAY, "5m", NULL },
	{ "window",	CONF_DURATION,	AT(window_ms),	60 * SECOND, 30 * DAY, "24h", NULL },
	{ "keep",	CONF_DURATION,	AT(keep_ms),	60 * SECOND, 360 * DAY, "36d", NULL },
	{ "passes",	CONF_COUNT,	AT(passes),	0, 1000000, "5", NULL },
};

static const char *const hermes_values[] = { "who", "all", "window", "4h", NULL };

static int
configure(struct filter_config *c, const char **why_r)
{
	const struct options *o = c->options;

	if (o->wait_ms >= o->window_ms) {
		*why_r = "wait must be shorter than window, in which the mail has to come again";
		return -1;
	}
	if (o->at == AT_DATA)
		c->stage = c->decides = STAGE_END;
	return 0;
}

/* ---- who must wait ---- */

/* What is off, as a phrase; NULL: nothing. What nobody could find out is not off. */
static const char *
suspicion(const struct filter_run *run)
{
	const struct facts *f = run->facts;

	if ((f->known & FACT_REVERSE) != 0 && f->reverse.result == IPREV_PERMERROR)
		return "its address has no name";
	if ((f->known & FACT_REVERSE) != 0 && f->reverse.result == IPREV_FAIL)
		return "the name of its address does not lead back";
	if ((f->known & FACT_REVERSE) != 0 && f->reverse.result == IPREV_PASS && f->reverse.look == IPREV_DYNAMIC)
		return "the name of its address looks dynamic";
	if ((f->known & FACT_BLOCKLISTS) != 0 && f->blocklists.listed > 0)
		return "a list knows it";
	if ((f->known & FACT_SPF) != 0 && f->spf.tried && f->spf.code != SPF_PASS && f->spf.code != SPF_TEMPERROR)
		return "SPF did not pass";
	if (run->defer_score > 0 && run->score_so_far >= run->defer_score)
		return "it has many points";
	return NULL;
}

/* A sender that SPF says is forged is nobody's correspondent. */
static bool
is_correspondent(const struct facts *f)
{
	return (f->known & FACT_SENDER) != 0 && f->sender_standing.written_to &&
	    !((f->known & FACT_SPF) != 0 && f->spf.tried && f->spf.code == SPF_FAIL);
}

/* ---- the key ---- */

/* The one that is asked about; at the end of a message, where there may be many, the first. */
static const char *
recipient_of(const struct facts *f)
{
	return f->recipient != NULL ? f->recipient : f->first_recipient;
}

/* A domain that this mail is proven to be of, so that all hosts of a pool are one; else the network. */
static const char *
key_of(const struct filter_run *run, char network[MEMORY_KEY_MAX])
{
	const struct options *o = run->config->options;
	const struct facts *f = run->facts;

	if (o->at == AT_DATA && (f->known & FACT_DMARC) != 0 && f->dmarc.result == DMARC_PASS && f->dmarc.domain[0] != '\0')
		return f->dmarc.domain;
	if ((f->known & FACT_SPF) != 0 && f->spf.tried && f->spf.code == SPF_PASS && f->spf.domain[0] != '\0')
		return f->spf.domain;
	return greylist_key_network(network, &f->address);
}

/* ---- the verdict ---- */

static void
on_answer(void *arg, const struct memory_answer *a)
{
	struct filter_run *run = arg;
	const struct options *o = run->config->options;
	const char *off = suspicion(run);

	((struct state *)run->state)->query = NULL;
	if (a->failed) {
		filter_say(run, "unknown", 0, "nobody could be asked");
	} else if (a->grey >= MEMORY_GREY_PASSED) {
		filter_say(run, memory_grey_name(a->grey), 0, a->grey == MEMORY_GREY_KNOWN ? "mail from there has waited often enough" :
		    "it has waited");
	} else {
		run->finding.action = FILTER_DEFER;
		run->finding.code = 450;
		/* For the null sender behind RCPT: another server that only asks whether an address exists gets its answer. */
		run->finding.at_data = o->at == AT_RCPT && run->facts->sender[0] == '\0';
		snprintf(run->finding.text, sizeof(run->finding.text), "Greylisted, please try again in %u seconds", a->left_s);
		snprintf(run->finding.value, sizeof(run->finding.value), "left=%u", a->left_s);
		filter_say(run, memory_grey_name(a->grey), 0, "%s; %s", a->grey == MEMORY_GREY_NEW ? "seen for the first time" :
		    "it came again too early", off != NULL ? off : "every stranger waits");
	}
	filter_finish(run);
}

static enum filter_progress
run_greylist(struct filter_run *run)
{
	const struct options *o = run->config->options;
	const struct facts *f = run->facts;
	struct memory_question q = { .op = MEMORY_GREYLIST, .wait_s = (uint32_t)(o->wait_ms / SECOND),
	    .window_s = (uint32_t)(o->window_ms / SECOND), .keep_s = (uint32_t)(o->keep_ms / SECOND), .passes = o->passes };
	char network[MEMORY_KEY_MAX], other[MEMORY_OTHER_MAX];

	q.key = key_of(run, network);
	snprintf(run->finding.key, sizeof(run->finding.key), "%.100s %.100s", q.key, f->sender);
	if (facts_is_vouched_for(f))
		return filter_say(run, "vouched-for", 0, "it is known, or on a white list");
	if (is_correspondent(f))
		return filter_say(run, "correspondent", 0, "people here have written to this sender");
	if (o->who == WHO_SELECTIVE && suspicion(run) == NULL)
		return filter_say(run, "normal", 0, "nothing is wrong with it");
	if (run->memory == NULL)
		return filter_say(run, "unknown", 0, "nobody could be asked");
	q.other = greylist_key_other(other, f->sender, f->helo, recipient_of(f));
	((struct state *)run->state)->query = memory_ask(run->memory, &q, on_answer, run);
	return FILTER_PENDING;
}

static bool
applies(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->address.len > 0 && f->sender != NULL && recipient_of(f) != NULL && !access_is_duty(recipient_of(f));
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	memory_cancel(s->query);
	s->query = NULL;
}

const struct filter filter_greylist = {
	.name = "greylist", .does = "has this mail waited and come again",
	.stage = STAGE_RCPT, .decides = STAGE_RCPT, .last = true,
	.needs = FACT_STANDING | FACT_REVERSE | FACT_BLOCKLISTS | FACT_WHITELISTS | FACT_SPF | FACT_SENDER,
	.mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .deadline_ms = DEADLINE_MS,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.hermes_values = hermes_values, .state_size = sizeof(struct state), .configure = configure, .applies = applies,
	.run = run_greylist, .cancel = cancel,
};
