/*
 * DKIM as a filter: what the signatures of a message are worth, as facts for DMARC and SPF. By itself it refuses nothing: a
 * broken signature is no worse than none (RFC 6376, 6.1).
 */
#include <stdio.h>

#include "filters/adapters.h"
#include "filters/dkim_key.h"

#define DEADLINE_MS	8000		/* of each key, and of all once the message is there */

struct state {
	struct dkim	*dkim;
	struct facts_dkim facts;
};

static void
take(struct facts_dkim *to, const struct dkim_finding *from)
{
	to->signatures[to->n].result = from->result;
	to->signatures[to->n].limited = from->limited;
	snprintf(to->signatures[to->n].domain, sizeof(to->signatures[0].domain), "%s", from->domain);
	snprintf(to->signatures[to->n].selector, sizeof(to->signatures[0].selector), "%.63s", from->selector);
	snprintf(to->signatures[to->n].why, sizeof(to->signatures[0].why), "%.95s", from->why);
	to->n++;
}

/* The best of them: a pass, else what is to be said of the first. */
static size_t
best(const struct facts_dkim *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->signatures[i].result == DKIM_PASS)
			return i;
	return 0;
}

static void
put_value(struct filter_finding *f, const struct facts_dkim *d)
{
	size_t len = 0;

	for (unsigned i = 0; i < d->n && len < sizeof(f->value); i++)
		len += (size_t)snprintf(f->value + len, sizeof(f->value) - len, "%s%s=%s", len > 0 ? " " : "",
		    d->signatures[i].domain, dkim_result_name(d->signatures[i].result));
}

static void
on_done(void *arg, const struct dkim_finding *findings, size_t n)
{
	struct filter_run *run = arg;
	struct state *s = run->state;
	size_t i;

	s->dkim = NULL;
	for (i = 0; i < n && i < DKIM_SIGNATURES_MAX; i++)
		take(&s->facts, &findings[i]);
	run->facts->dkim = &s->facts;
	put_value(&run->finding, &s->facts);
	i = best(&s->facts);
	if (s->facts.n == 0)
		filter_say(run, "none", 0, "it has no signature");
	else
		filter_say(run, dkim_result_name(s->facts.signatures[i].result), 0, "%s", s->facts.signatures[i].why);
	if (s->facts.n > 0)
		snprintf(run->finding.key, sizeof(run->finding.key), "%s", s->facts.signatures[i].domain);
	filter_finish(run);
}

static void
prepare(struct filter_config *c, struct dns *dns, struct memory *memory)
{
	(void)c;
	(void)dns;
	(void)memory;
	dkim_key_prepare();
}

static enum filter_progress
run_dkim(struct filter_run *run)
{
	struct state *s = run->state;

	s->dkim = dkim_start(run->dns, run->facts->header, run->facts->header_len, run->facts->now, run->deadline_ms, on_done, run);
	return FILTER_PENDING;
}

static void
body(struct filter_run *run, const void *bytes, size_t len)
{
	dkim_body(((struct state *)run->state)->dkim, bytes, len);
}

static void
end(struct filter_run *run)
{
	dkim_end(((struct state *)run->state)->dkim);
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	dkim_cancel(s->dkim);
	s->dkim = NULL;
}

const struct filter filter_dkim = {
	.name = "dkim", .does = "are the signatures of the message right",
	.stage = STAGE_HEADER, .decides = STAGE_END, .gives = FACT_DKIM, .mode = FILTER_OBSERVE, .hermes = FILTER_OBSERVE,
	.deadline_ms = DEADLINE_MS, .state_size = sizeof(struct state), .lends = true, .start = prepare,
	.run = run_dkim, .cancel = cancel, .body = body, .end = end,
};
