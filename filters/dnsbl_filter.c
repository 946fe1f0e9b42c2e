/*
 * DNS lists as filters: block lists and white lists of addresses, lists of domains for HELO, sender and reverse name. What a
 * list says is filters/dnsbl.c's business; here, what follows. No answer and an error code are never a listing.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/adapters.h"
#include "filters/dnsbl.h"
#include "filters/dnsbl_watch.h"
#include "lib/alloc.h"
#include "lib/conf_table.h"
#include "lib/log.h"

struct options {
	char		**lists;
	uint32_t	 weight;		/* of a list that names none */
	uint32_t	 percent;		/* 0: points decide */
	uint32_t	 enough;		/* points from which on it is enough */
	bool		 text;
};

struct kept {
	struct dnsbl_list lists[DNSBL_LISTS_MAX];
	size_t		 n;
	struct dnsbl_watch *watch;
	char		 why[300];		/* of a list that cannot be read */
};

struct state {
	struct dnsbl_lookup *lookup;
};

/* ---- configuration ---- */

#define AT(field)	offsetof(struct options, field)
#define TABLE(name, weight_text, enough_text) \
	static const struct conf_option name[] = { \
		{ "lists",	CONF_TEXTS,	AT(lists),	.value = NULL }, \
		{ "weight",	CONF_COUNT,	AT(weight),	1, DNSBL_WEIGHT_MAX, weight_text, NULL }, \
		{ "percent",	CONF_COUNT,	AT(percent),	0, 100, "0", NULL }, \
		{ "enough",	CONF_COUNT,	AT(enough),	1, 1000, enough_text, NULL }, \
		{ "text",	CONF_BOOL,	AT(text),	.value = "yes" }, \
	}

TABLE(block_options, "10", "10");
TABLE(white_options, "1", "1");
TABLE(domain_options, "5", "10");

static const char *const hermes_values[] = { "percent", "100", NULL };

static int
configure(struct filter_config *c, const char **why_r)
{
	const struct options *o = c->options;
	struct kept *k = alloc_new(1, sizeof(*k));
	char err[200];

	c->kept = k;
	for (char **l = o->lists; l != NULL && *l != NULL; l++, k->n++) {
		if (k->n == DNSBL_LISTS_MAX) {
			*why_r = "lists: these are too many; name up to 64";
			return -1;
		}
		if (dnsbl_list_parse(&k->lists[k->n], *l, err, sizeof(err)) != 0) {
			snprintf(k->why, sizeof(k->why), "lists: %.60s: %s", logq(*l), err);
			*why_r = k->why;
			return -1;
		}
		if (strchr(*l, '*') == NULL)
			k->lists[k->n].weight = (int)o->weight;
	}
	return 0;
}

static void
start_addresses(struct filter_config *c, struct dns *dns, struct memory *memory)
{
	struct kept *k = c->kept;

	(void)memory;
	if (k->n > 0 && dns != NULL)
		k->watch = dnsbl_watch_new(dns, k->lists, k->n, false);
}

static void
start_domains(struct filter_config *c, struct dns *dns, struct memory *memory)
{
	struct kept *k = c->kept;

	(void)memory;
	if (k->n > 0 && dns != NULL)
		k->watch = dnsbl_watch_new(dns, k->lists, k->n, true);
}

static void
release(struct filter_config *c)
{
	struct kept *k = c->kept;

	if (k == NULL)
		return;
	dnsbl_watch_free(k->watch);
	free(k);
	c->kept = NULL;
}

/* ---- what was found ---- */

/* Which lists, what they said, and those that had trouble: "a.example 127.0.0.2, b.example no-answer". */
static void
put_value(struct filter_finding *f, const struct kept *k, const struct dnsbl_verdict *v)
{
	char code[INET_ADDRSTRLEN];
	size_t len = 0;

	for (size_t i = 0; i < v->n && i < k->n && len < sizeof(f->value); i++) {
		const struct dnsbl_finding *one = &v->findings[i];

		if (one->state == DNSBL_NOT_LISTED || one->state == DNSBL_NOT_ASKED)
			continue;
		inet_ntop(AF_INET, &one->code, code, sizeof(code));
		len += (size_t)snprintf(f->value + len, sizeof(f->value) - len, "%s%s %s", len > 0 ? ", " : "", k->lists[i].zone,
		    one->code.s_addr != 0 ? code : dnsbl_state_name(one->state));
	}
}

/* The first listing and what the list says about it. */
static void
put_text(struct filter_run *run, const struct dnsbl_verdict *v)
{
	const struct kept *k = run->config->kept;

	for (size_t i = 0; i < v->n && i < k->n; i++) {
		const struct dnsbl_finding *one = &v->findings[i];

		if (one->state != DNSBL_LISTED || k->lists[i].weight < 0)
			continue;
		snprintf(run->finding.text, sizeof(run->finding.text), "%.80s is listed by %.80s%s%.140s", run->finding.key,
		    k->lists[i].zone, one->text[0] != '\0' ? ": " : "", one->text);
		return;
	}
}

static bool
is_enough(const struct options *o, const struct dnsbl_verdict *v)
{
	if (v->listed == 0)
		return false;
	return o->percent > 0 ? v->percent >= o->percent : v->score >= (int)o->enough;
}

static unsigned
count_trouble(const struct dnsbl_verdict *v)
{
	unsigned n = 0;

	for (size_t i = 0; i < v->n; i++)
		n += v->findings[i].state == DNSBL_NO_ANSWER || v->findings[i].state == DNSBL_TROUBLE;
	return n;
}

static void
say(struct filter_run *run, const struct dnsbl_verdict *v, int score)
{
	unsigned trouble = count_trouble(v);

	put_value(&run->finding, run->config->kept, v);
	if (v->listed > 0)
		filter_say(run, "listed", score, "%u of %u lists have it (%u%%)%s", v->listed, v->asked, v->percent,
		    trouble > 0 ? ", and not all have answered" : "");
	else if (trouble > 0)
		filter_say(run, "temperror", 0, "%u of %u lists did not answer or had trouble, which says nothing", trouble, v->asked);
	else if (v->asked == 0)
		filter_say(run, "not-asked", 0, "no list was asked: it is a private address or our own, or the lists are off");
	else
		filter_say(run, "not-listed", 0, "none of %u lists has it", v->asked);
}

/* Points as they add up; where a share of the lists decides, all or nothing. */
static int
block_score(const struct options *o, const struct dnsbl_verdict *v)
{
	if (o->percent == 0)
		return v->score;
	return is_enough(o, v) ? (int)o->enough : 0;
}

static void
on_block(void *arg, const struct dnsbl_verdict *v)
{
	struct filter_run *run = arg;
	const struct options *o = run->config->options;
	bool addresses = run->filter == &filter_dnsbl;

	((struct state *)run->state)->lookup = NULL;
	say(run, v, block_score(o, v));
	if (is_enough(o, v)) {
		run->finding.action = FILTER_REFUSE;
		put_text(run, v);
	}
	if (addresses) {
		run->facts->blocklists.listed = v->listed;
		run->facts->blocklists.enough = is_enough(o, v);
	}
	filter_finish(run);
}

static void
on_white(void *arg, const struct dnsbl_verdict *v)
{
	struct filter_run *run = arg;

	((struct state *)run->state)->lookup = NULL;
	say(run, v, 0);
	run->facts->whitelists.listed = v->listed;
	run->facts->whitelists.enough = is_enough(run->config->options, v);
	filter_finish(run);
}

/* ---- running ---- */

static enum filter_progress
look_up(struct filter_run *run, const char *domain, bool want_text, dnsbl_done_fn *done)
{
	const struct kept *k = run->config->kept;
	const struct facts *f = run->facts;
	struct state *s = run->state;
	struct dnsbl_question q = { .lists = k->lists, .n = k->n, .off = k->watch != NULL ? dnsbl_watch_off(k->watch) : NULL,
	    .address = domain == NULL ? &f->address : NULL, .domain = domain, .own = &f->own, .n_own = f->own.len > 0 ? 1 : 0,
	    .want_text = want_text, .deadline_ms = run->deadline_ms };

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", domain != NULL ? domain : f->client_text);
	s->lookup = dnsbl_start(run->dns, &q, done, run);
	return FILTER_PENDING;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	dnsbl_cancel(s->lookup);
	s->lookup = NULL;
}

static bool
has_lists(const struct filter_config *c, const struct facts *f)
{
	(void)f;
	return ((const struct kept *)c->kept)->n > 0;
}

static bool
is_name(const char *domain)
{
	return domain != NULL && strchr(domain, '.') != NULL && domain[0] != '[' && strspn(domain, "0123456789.") != strlen(domain);
}

static bool
has_helo(const struct filter_config *c, const struct facts *f)
{
	return has_lists(c, f) && is_name(f->helo);
}

static bool
has_sender(const struct filter_config *c, const struct facts *f)
{
	return has_lists(c, f) && is_name(facts_domain(f->sender));
}

static bool
has_host(const struct filter_config *c, const struct facts *f)
{
	return has_lists(c, f) && (f->known & FACT_REVERSE) != 0 && f->reverse.result == IPREV_PASS;
}

static enum filter_progress
run_block(struct filter_run *run)
{
	return look_up(run, NULL, ((const struct options *)run->config->options)->text, on_block);
}

static enum filter_progress
run_white(struct filter_run *run)
{
	return look_up(run, NULL, false, on_white);
}

static enum filter_progress
run_helo(struct filter_run *run)
{
	return look_up(run, run->facts->helo, ((const struct options *)run->config->options)->text, on_block);
}

static enum filter_progress
run_sender(struct filter_run *run)
{
	return look_up(run, facts_domain(run->facts->sender), ((const struct options *)run->config->options)->text, on_block);
}

static enum filter_progress
run_host(struct filter_run *run)
{
	return look_up(run, run->facts->reverse.name, ((const struct options *)run->config->options)->text, on_block);
}

#define SHARED(table) \
	.decides = STAGE_RCPT, .deadline_ms = DNSBL_DEADLINE_MS, .options = (table), \
	.n_options = sizeof(table) / sizeof((table)[0]), .options_size = sizeof(struct options), \
	.state_size = sizeof(struct state), .hermes_values = hermes_values, .configure = configure, .release = release, \
	.cancel = cancel

const struct filter filter_dnsbl = {
	.name = "dnsbl", .does = "do block lists have its address", .stage = STAGE_CONNECT, .gives = FACT_BLOCKLISTS,
	.mode = FILTER_SCORE, .hermes = FILTER_ENFORCE, .start = start_addresses, .applies = has_lists, .run = run_block,
	SHARED(block_options),
};

const struct filter filter_dnswl = {
	.name = "dnswl", .does = "do white lists have its address", .stage = STAGE_CONNECT, .gives = FACT_WHITELISTS,
	.mode = FILTER_SCORE, .hermes = FILTER_SCORE, .start = start_addresses, .applies = has_lists, .run = run_white,
	SHARED(white_options),
};

const struct filter filter_helo_lists = {
	.name = "helo-lists", .does = "do lists of domains have the name that it gave", .stage = STAGE_HELO,
	.mode = FILTER_SCORE, .hermes = FILTER_SCORE, .start = start_domains, .applies = has_helo, .run = run_helo,
	SHARED(domain_options),
};

const struct filter filter_sender_lists = {
	.name = "sender-lists", .does = "do lists of domains have the sender's", .stage = STAGE_MAIL,
	.mode = FILTER_SCORE, .hermes = FILTER_SCORE, .start = start_domains, .applies = has_sender, .run = run_sender,
	SHARED(domain_options),
};

const struct filter filter_host_lists = {
	.name = "host-lists", .does = "do lists of domains have its reverse name", .stage = STAGE_CONNECT, .needs = FACT_REVERSE,
	.mode = FILTER_SCORE, .hermes = FILTER_SCORE, .start = start_domains, .applies = has_host, .run = run_host,
	SHARED(domain_options),
};
