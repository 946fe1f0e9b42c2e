/*
 * SPF as a filter. Its points count from the start, but by default decide nothing before the end of the message: forwarded mail
 * fails SPF and may well carry a good signature, which then takes the points away. `strict` refuses at RCPT.
 */
#include <stdio.h>
#include <string.h>

#include "filters/adapters.h"
#include "filters/dmarc.h"
#include "lib/conf_table.h"

#define DEADLINE_MS	10000		/* less than RFC 7208 grants a check in the background: somebody is waiting */

struct options {
	int	fail, softfail, neutral, permerror, helo_fail;
	bool	strict, tempfail;
};

struct state {
	struct spf	*mail, *helo;
	unsigned	 pending;
	char		 explanation[160];
	/* as found, before others are weighed */
	int		 score;
	enum filter_action action;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "fail",	CONF_INT,	AT(fail),	0, 100, "6", NULL },
	{ "softfail",	CONF_INT,	AT(softfail),	0, 100, "2", NULL },
	{ "neutral",	CONF_INT,	AT(neutral),	0, 100, "0", NULL },
	{ "permerror",	CONF_INT,	AT(permerror),	0, 100, "0", NULL },
	{ "helo_fail",	CONF_INT,	AT(helo_fail),	0, 100, "3", NULL },
	{ "strict",	CONF_BOOL,	AT(strict),	.value = "no" },
	{ "tempfail",	CONF_BOOL,	AT(tempfail),	.value = "no" },
};

static const char *const hermes_values[] = { "strict", "yes", NULL };

/* What is refused by `strict` and for want of an answer is said before the message is sent. */
static int
configure(struct filter_config *c, const char **why_r)
{
	const struct options *o = c->options;

	(void)why_r;
	if (o->strict || o->tempfail)
		c->decides = STAGE_RCPT;
	return 0;
}

/* ---- what was found ---- */

static int
score_of(const struct options *o, const struct facts_spf *spf)
{
	const int scores[] = { [SPF_FAIL] = o->fail, [SPF_SOFTFAIL] = o->softfail, [SPF_NEUTRAL] = o->neutral,
	    [SPF_PERMERROR] = o->permerror, [SPF_TEMPERROR] = 0 };
	int score = (size_t)spf->code < sizeof(scores) / sizeof(scores[0]) ? scores[spf->code] : 0;

	return spf->helo_code == SPF_FAIL && o->helo_fail > score ? o->helo_fail : score;
}

static void
ask(struct filter_run *run)
{
	const struct options *o = run->config->options;
	const struct facts_spf *spf = &run->facts->spf;
	struct state *s = run->state;
	struct filter_finding *f = &run->finding;

	if (spf->code == SPF_FAIL || (o->strict && spf->helo_code == SPF_FAIL)) {
		f->action = FILTER_REFUSE;
		f->code = 550;
		snprintf(f->enhanced, sizeof(f->enhanced), "5.7.23");
		snprintf(f->text, sizeof(f->text), "The domain %.100s does not let %.45s send for it%s%.120s", spf->code == SPF_FAIL ?
		    spf->domain : run->facts->helo, run->facts->client_text, s->explanation[0] != '\0' ? ": " : "", s->explanation);
	} else if (spf->code == SPF_TEMPERROR && o->tempfail) {
		f->action = FILTER_DEFER;
		f->code = 451;
		snprintf(f->enhanced, sizeof(f->enhanced), "4.7.24");
		snprintf(f->text, sizeof(f->text), "The SPF record of %.100s cannot be looked up now", spf->domain);
	}
}

static void
settle(struct filter_run *run)
{
	const struct options *o = run->config->options;
	struct facts_spf *spf = &run->facts->spf;
	struct state *s = run->state;

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", spf->domain);
	snprintf(run->finding.value, sizeof(run->finding.value), "helo=%s", spf_code_name(spf->helo_code));
	ask(run);
	filter_say(run, spf_code_name(spf->code), score_of(o, spf), "%s", spf->reason);
	run->finding.at_end = !o->strict && spf->code != SPF_TEMPERROR;
	s->score = run->finding.score;
	s->action = run->finding.action;
	filter_finish(run);
}

static void
on_mail(void *arg, const struct spf_result *r)
{
	struct filter_run *run = arg;
	struct state *s = run->state;
	struct facts_spf *spf = &run->facts->spf;

	s->mail = NULL;
	spf->tried = true;
	spf->code = r->code;
	if (r->helo)
		spf->helo_code = r->code;
	snprintf(spf->domain, sizeof(spf->domain), "%s", r->domain);
	snprintf(spf->reason, sizeof(spf->reason), "%s", r->reason);
	snprintf(s->explanation, sizeof(s->explanation), "%s", r->explanation);
	if (--s->pending == 0)
		settle(run);
}

static void
on_helo(void *arg, const struct spf_result *r)
{
	struct filter_run *run = arg;
	struct state *s = run->state;

	s->helo = NULL;
	run->facts->spf.helo_code = r->code;
	if (--s->pending == 0)
		settle(run);
}

/* ---- running ---- */

static enum filter_progress
run_spf(struct filter_run *run)
{
	const struct facts *f = run->facts;
	struct state *s = run->state;
	struct spf_facts q = { .client = (const struct sockaddr *)&f->client, .helo = f->helo, .sender = f->sender,
	    .receiver = f->hostname, .now = f->now, .deadline_ms = run->deadline_ms };

	run->facts->spf = (struct facts_spf){ .code = SPF_NONE, .helo_code = SPF_NONE };
	s->pending = f->sender[0] != '\0' ? 2 : 1;
	s->mail = spf_start(run->dns, &q, on_mail, run);
	q.sender = NULL;
	if (s->pending == 2)
		s->helo = spf_start(run->dns, &q, on_helo, run);
	return FILTER_PENDING;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	spf_cancel(s->mail);
	spf_cancel(s->helo);
	s->mail = s->helo = NULL;
}

/* An author that is genuine by other means, or a forwarder that is believed. */
static bool
is_vouched_for(const struct facts *f)
{
	if ((f->known & FACT_ARC) != 0 && f->arc.believed)
		return true;
	if ((f->known & FACT_DMARC) == 0)
		return false;
	if (f->dmarc.result == DMARC_PASS)
		return true;
	if ((f->known & FACT_DKIM) == 0 || f->dmarc.domain[0] == '\0')
		return false;
	for (unsigned i = 0; i < f->dkim->n; i++)
		if (f->dkim->signatures[i].result == DKIM_PASS && !f->dkim->signatures[i].limited &&
		    strcmp(f->dkim->signatures[i].domain, f->dmarc.domain) == 0)
			return true;
	return false;
}

static void
weigh(struct filter_run *run)
{
	struct state *s = run->state;
	bool vouched = is_vouched_for(run->facts);

	run->finding.score = vouched ? 0 : s->score;
	run->finding.action = vouched ? FILTER_PASS : s->action;
}

static bool
has_client(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->address.len > 0 && f->helo != NULL;
}

const struct filter filter_spf = {
	.name = "spf", .does = "may this client send for the sender's domain",
	.stage = STAGE_MAIL, .decides = STAGE_END, .gives = FACT_SPF, .weighs = FACT_DMARC | FACT_DKIM | FACT_ARC, .weigh = weigh,
	.mode = FILTER_SCORE, .hermes = FILTER_ENFORCE, .hermes_values = hermes_values, .deadline_ms = DEADLINE_MS,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.state_size = sizeof(struct state), .configure = configure, .applies = has_client, .run = run_spf, .cancel = cancel,
};
