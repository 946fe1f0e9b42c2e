/*
 * ARC as a filter: whether the chain of forwarders is whole, and whether the last of them is one whose word counts here
 * (`sealers`) and says that the message was genuine when it came there. By itself it refuses nothing (RFC 8617, 5.2.1).
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/adapters.h"
#include "filters/arc.h"
#include "filters/dkim_key.h"
#include "lib/conf_table.h"
#include "lib/header.h"

#define DEADLINE_MS	8000

struct options {
	char	**sealers;
};

struct state {
	struct arc *arc;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = { { "sealers", CONF_DOMAINS, AT(sealers), .value = NULL } };

static bool
is_named(char *const *list, const char *domain)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcasecmp(*list, domain) == 0)
			return true;
	return false;
}

/* Behind a quoted string, a comment with all in it, or one byte. */
static const char *
skip_one(const char *p, const char *end)
{
	int depth = 0;
	bool string = *p == '"';

	if (!string && *p != '(')
		return p + 1;
	for (; p < end; p++) {
		if (*p == '\\' && end - p >= 2)
			p++;
		else if (string ? *p == '"' && ++depth == 2 : (*p == '(' && ++depth == 0) || (*p == ')' && --depth == 0))
			return p + 1;
	}
	return end;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n(", *p) != NULL && *p != '\0')
		p = skip_one(p, end);
	return p;
}

/* Behind a word, in any case, and the space behind it; NULL when something else is there. */
static const char *
skip_word(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	if (p == NULL || (size_t)(end - p) < len || strncasecmp(p, word, len) != 0)
		return NULL;
	p += len;
	if (p < end && (isalnum((unsigned char)*p) || *p == '-' || *p == '_' || *p == '.') && isalnum((unsigned char)word[0]))
		return NULL;
	return skip_space(p, end);
}

/* Whether one of the results (RFC 8601, 2.2) is dmarc=pass. */
static bool
says_dmarc_pass(const char *p, size_t len)
{
	const char *end = p + len, *word;

	while (p < end) {
		p = skip_space(p, end);
		word = skip_word(skip_word(p, end, "dmarc"), end, "=");
		if (skip_word(word, end, "pass") != NULL)
			return true;
		while (p < end && *p != ';')
			p = skip_one(p, end);
		p += p < end;
	}
	return false;
}

/* What the last sealer found, in the ARC-Authentication-Results of its set. */
static bool
sealer_saw_pass(const struct facts *f, unsigned set)
{
	struct header_field field;
	size_t at = 0;

	while (header_next_any(f->header, f->header_len, &at, &field))
		if (header_is(&field, "ARC-Authentication-Results") && arc_results_instance(&field) == set)
			return says_dmarc_pass(field.value, field.value_len);
	return false;
}

static void
on_done(void *arg, const struct arc_finding *a)
{
	struct filter_run *run = arg;
	const struct options *o = run->config->options;
	struct facts *f = run->facts;

	((struct state *)run->state)->arc = NULL;
	memset(&f->arc, 0, sizeof(f->arc));
	snprintf(f->arc.result, sizeof(f->arc.result), "%s", arc_cv_name(a->result));
	f->arc.sets = a->sets;
	if (a->result == ARC_CV_PASS && a->sets > 0) {
		snprintf(f->arc.sealer, sizeof(f->arc.sealer), "%s", a->seals[a->sets].domain);
		f->arc.believed = is_named(o->sealers, f->arc.sealer) && sealer_saw_pass(f, a->sets);
	}
	snprintf(run->finding.key, sizeof(run->finding.key), "%s", f->arc.sealer);
	snprintf(run->finding.value, sizeof(run->finding.value), "sets=%u%s", a->sets, f->arc.believed ? " believed" : "");
	filter_say(run, f->arc.result, 0, "%s", a->why);
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
run_arc(struct filter_run *run)
{
	((struct state *)run->state)->arc = arc_start(run->dns, run->facts->header, run->facts->header_len, run->deadline_ms, on_done,
	    run);
	return FILTER_PENDING;
}

static void
body(struct filter_run *run, const void *bytes, size_t len)
{
	arc_body(((struct state *)run->state)->arc, bytes, len);
}

static void
end(struct filter_run *run)
{
	arc_end(((struct state *)run->state)->arc);
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	arc_cancel(s->arc);
	s->arc = NULL;
}

const struct filter filter_arc = {
	.name = "arc", .does = "is the chain of its forwarders whole",
	.stage = STAGE_HEADER, .decides = STAGE_END, .gives = FACT_ARC, .mode = FILTER_OBSERVE, .hermes = FILTER_OBSERVE,
	.deadline_ms = DEADLINE_MS, .options = options, .n_options = 1, .options_size = sizeof(struct options),
	.state_size = sizeof(struct state), .start = prepare, .run = run_arc, .cancel = cancel, .body = body, .end = end,
};
