/*
 * DMARC as a filter: what the author's domain wants done with mail that is not its own. Refuses for p=reject and marks for
 * p=quarantine at the end of the message; a chain of forwarders that is believed overrides both. Where something that could have
 * been a pass is not known, nothing is held against the message. Every author domain of a From that has several is asked: else one
 * more address would be enough to be nobody's mail.
 */
#include <stdio.h>
#include <string.h>

#include "filters/adapters.h"
#include "filters/dmarc.h"
#include "filters/dmarc_author.h"
#include "lib/conf_table.h"

#define DEADLINE_MS	8000

struct options {
	int	reject, quarantine;	/* points */
	bool	tempfail;
};

struct author {
	struct filter_run *run;
	struct dmarc_lookup *lookup;
};

struct state {
	struct author	 authors[DMARC_AUTHORS_MAX];
	unsigned	 n, pending;
	const char	*unclear;		/* what is wrong with From; NULL: it has one author domain */
	struct dmarc_verdict worst;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "reject",	CONF_INT,	AT(reject),	0, 100, "10", NULL },
	{ "quarantine",	CONF_INT,	AT(quarantine),	0, 100, "4", NULL },
	{ "tempfail",	CONF_BOOL,	AT(tempfail),	.value = "no" },
};

/* What SPF and DKIM found. A key that is being tested proves as much as another; l= lets anybody add to the message. */
static size_t
identifiers(const struct facts *f, struct dmarc_identifier ids[DMARC_IDENTIFIERS_MAX])
{
	size_t n = 0;

	if ((f->known & FACT_SPF) != 0)
		ids[n++] = (struct dmarc_identifier){ .method = DMARC_SPF, .domain = f->spf.domain, .pass = f->spf.code == SPF_PASS,
		    .temporary = f->spf.code == SPF_TEMPERROR };
	for (unsigned i = 0; (f->known & FACT_DKIM) != 0 && i < f->dkim->n && n < DMARC_IDENTIFIERS_MAX; i++)
		ids[n++] = (struct dmarc_identifier){ .method = DMARC_DKIM, .domain = f->dkim->signatures[i].domain,
		    .pass = f->dkim->signatures[i].result == DKIM_PASS && !f->dkim->signatures[i].limited,
		    .temporary = f->dkim->signatures[i].result == DKIM_TEMPERROR };
	return n;
}

static void
ask(struct filter_run *run, enum dmarc_policy policy, const char *domain)
{
	const struct options *o = run->config->options;
	struct filter_finding *f = &run->finding;

	if (policy == DMARC_POLICY_REJECT) {
		f->action = FILTER_REFUSE;
		f->score = o->reject;
		f->code = 550;
		snprintf(f->enhanced, sizeof(f->enhanced), "5.7.1");
		snprintf(f->text, sizeof(f->text), "The domain %.100s wants mail refused that is not its own, and this fails "
		    "DMARC", domain);
	} else if (policy == DMARC_POLICY_QUARANTINE) {
		f->action = FILTER_QUARANTINE;
		f->score = o->quarantine;
	}
}

static void
ask_for_later(struct filter_run *run, const char *domain)
{
	const struct options *o = run->config->options;

	if (!o->tempfail)
		return;
	run->finding.action = FILTER_DEFER;
	run->finding.code = 451;
	snprintf(run->finding.enhanced, sizeof(run->finding.enhanced), "4.7.1");
	snprintf(run->finding.text, sizeof(run->finding.text), "What %.100s publishes for DMARC cannot be looked up now", domain);
}

/* RFC 9989, 11.5: of several author domains the strictest policy counts among those that fail. */
static unsigned
severity(const struct dmarc_verdict *v)
{
	static const unsigned of[] = { [DMARC_PASS] = 0, [DMARC_NONE] = 1, [DMARC_PERMERROR] = 2, [DMARC_FAIL] = 3, [DMARC_TEMPERROR] = 4 };

	return v->result == DMARC_FAIL && v->policy != DMARC_POLICY_NONE ? 5 + v->policy : of[v->result];
}

static void
settle(struct filter_run *run)
{
	struct state *s = run->state;
	struct facts *f = run->facts;
	const struct dmarc_verdict *v = &s->worst;
	bool blind = (f->known & FACT_SPF) == 0 || (f->known & FACT_DKIM) == 0;
	bool believed = (f->known & FACT_ARC) != 0 && f->arc.believed;

	f->dmarc.result = v->result == DMARC_FAIL && blind ? DMARC_TEMPERROR : v->result;
	f->dmarc.policy = v->policy;
	snprintf(f->dmarc.domain, sizeof(f->dmarc.domain), "%s", v->domain);
	snprintf(run->finding.key, sizeof(run->finding.key), "%s", v->domain);
	snprintf(run->finding.value, sizeof(run->finding.value), "p=%s%s%s%s", dmarc_policy_name(v->policy),
	    v->policy_domain[0] != '\0' ? " of " : "", v->policy_domain, believed ? ", its forwarder is believed" : "");
	if (f->dmarc.result == DMARC_FAIL && !believed)
		ask(run, v->policy, v->domain);
	else if (f->dmarc.result == DMARC_TEMPERROR)
		ask_for_later(run, v->domain);
	filter_say(run, dmarc_result_name(f->dmarc.result), run->finding.score, "%s%s%s%s", v->why, f->dmarc.result != v->result ?
	    "; but not all of SPF and DKIM is known" : "", s->unclear != NULL ? "; " : "", s->unclear != NULL ? s->unclear : "");
}

/* Behind some domains of one's own another's could hide, who is not asked: refused unasked. */
static enum filter_progress
refuse_many(struct filter_run *run)
{
	const struct options *o = run->config->options;

	run->finding.action = FILTER_REFUSE;
	run->finding.code = 550;
	snprintf(run->finding.enhanced, sizeof(run->finding.enhanced), "5.7.1");
	snprintf(run->finding.text, sizeof(run->finding.text), "From has authors of more than %d domains", DMARC_AUTHORS_MAX);
	run->facts->dmarc.result = DMARC_PERMERROR;
	return filter_say(run, dmarc_result_name(DMARC_PERMERROR), o->reject, "there are author domains without end");
}

/* No domain has failed: that does not make a From that can be read in two ways a good one. */
static void
settle_unclear(struct filter_run *run)
{
	const struct state *s = run->state;

	run->facts->dmarc.result = DMARC_PERMERROR;
	filter_say(run, dmarc_result_name(DMARC_PERMERROR), 0, "%s", s->unclear);
}

static void
on_verdict(void *arg, const struct dmarc_verdict *v)
{
	struct author *a = arg;
	struct filter_run *run = a->run;
	struct state *s = run->state;

	a->lookup = NULL;
	if (s->pending-- == s->n || severity(v) > severity(&s->worst))
		s->worst = *v;
	if (s->pending > 0)
		return;
	if (s->unclear != NULL && severity(&s->worst) < severity(&(struct dmarc_verdict){ .result = DMARC_FAIL }))
		settle_unclear(run);
	else
		settle(run);
	filter_finish(run);
}

static enum filter_progress
run_dmarc(struct filter_run *run)
{
	static const char *const whys[] = { [DMARC_AUTHOR_NONE] = "there is no author domain in From",
	    [DMARC_AUTHOR_SEVERAL] = "there is more than one author domain", [DMARC_AUTHOR_BROKEN] = "From cannot be read" };
	struct dmarc_identifier ids[DMARC_IDENTIFIERS_MAX];
	struct dmarc_authors authors;
	struct state *s = run->state;
	enum dmarc_author author = dmarc_author_find(&authors, run->facts->header, run->facts->header_len);
	size_t n = identifiers(run->facts, ids);

	memset(&run->facts->dmarc, 0, sizeof(run->facts->dmarc));
	if (author == DMARC_AUTHOR_MANY)
		return refuse_many(run);
	s->unclear = author != DMARC_AUTHOR_ONE ? whys[author] : NULL;
	if (authors.n == 0) {
		run->facts->dmarc.result = author == DMARC_AUTHOR_NONE ? DMARC_NONE : DMARC_PERMERROR;
		return filter_say(run, dmarc_result_name(run->facts->dmarc.result), 0, "%s", s->unclear);
	}
	s->n = s->pending = authors.n;
	for (unsigned i = 0; i < authors.n; i++) {
		s->authors[i].run = run;
		s->authors[i].lookup = dmarc_start(run->dns, authors.domains[i], ids, n, run->deadline_ms, on_verdict, &s->authors[i]);
	}
	return FILTER_PENDING;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	for (unsigned i = 0; i < s->n; i++) {
		dmarc_cancel(s->authors[i].lookup);
		s->authors[i].lookup = NULL;
	}
}

const struct filter filter_dmarc = {
	.name = "dmarc", .does = "is the author genuine, and if not, what does its domain want",
	.stage = STAGE_HEADER, .decides = STAGE_END, .needs = FACT_SPF | FACT_DKIM | FACT_ARC, .insists = FACT_SPF | FACT_DKIM,
	.gives = FACT_DMARC, .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .deadline_ms = DEADLINE_MS,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.state_size = sizeof(struct state), .run = run_dmarc, .cancel = cancel,
};
