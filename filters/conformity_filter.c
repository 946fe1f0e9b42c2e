/*
 * The form of a message: fields that RFC 5322, 3.6 wants once and no more, and signs of hurried programs. Points only; but more
 * than one From is refused, for every reader shows another one (`from`). What would smuggle (bare CR, LF, NUL) never comes here.
 */
#include <stdio.h>

#include "filters/adapters.h"
#include "filters/dmarc_author.h"
#include "lib/conf_table.h"
#include "lib/header.h"

struct options {
	int	missing_from, unclear_from, missing_date, missing_id, doubled, many_for_null, route, long_lines;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "missing_from",	CONF_INT,	AT(missing_from),	0, 100, "3", NULL },
	{ "unclear_from",	CONF_INT,	AT(unclear_from),	0, 100, "3", NULL },
	{ "missing_date",	CONF_INT,	AT(missing_date),	0, 100, "1", NULL },
	{ "missing_id",		CONF_INT,	AT(missing_id),		0, 100, "1", NULL },
	{ "doubled",		CONF_INT,	AT(doubled),		0, 100, "2", NULL },
	{ "many_for_null",	CONF_INT,	AT(many_for_null),	0, 100, "2", NULL },
	{ "route",		CONF_INT,	AT(route),		0, 100, "1", NULL },
	{ "long_lines",		CONF_INT,	AT(long_lines),		0, 100, "1", NULL },
};

struct sum {
	struct filter_run *run;
	int	 score;
	size_t	 len;
};

static void
add(struct sum *s, int score, const char *what, const char *which)
{
	char *to = s->run->finding.value;
	size_t size = sizeof(s->run->finding.value);

	s->score += score;
	if (s->len < size)
		s->len += (size_t)snprintf(to + s->len, size - s->len, "%s%s%s", s->len > 0 ? ", " : "", what, which);
}

static unsigned
count(const struct facts *f, const char *name)
{
	return header_count(f->header, f->header_len, name);
}

/* What DMARC can ask nobody about must not be the better for it. (Two fields are another filter's.) */
static void
look_at_author(struct sum *s, const struct facts *f, const struct options *o)
{
	static const char *const whys[] = { [DMARC_AUTHOR_NONE] = "without a domain", [DMARC_AUTHOR_SEVERAL] = "of several domains",
	    [DMARC_AUTHOR_BROKEN] = "that cannot be read", [DMARC_AUTHOR_MANY] = "of domains without end" };
	struct dmarc_authors authors;
	enum dmarc_author author = dmarc_author_find(&authors, f->header, f->header_len);
	unsigned n = count(f, "From");

	if (n == 0)
		add(s, o->missing_from, "no ", "From");
	else if (n == 1 && author != DMARC_AUTHOR_ONE)
		add(s, o->unclear_from, "a From ", whys[author]);
}

static void
look_at_fields(struct sum *s, const struct facts *f, const struct options *o)
{
	static const char *const once[] = { "Date", "Message-ID", "Subject", "To", "Cc", "Reply-To" };

	look_at_author(s, f, o);
	if (count(f, "Date") == 0)
		add(s, o->missing_date, "no ", "Date");
	if (count(f, "Message-ID") == 0)
		add(s, o->missing_id, "no ", "Message-ID");
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (count(f, once[i]) > 1)
			add(s, o->doubled, "more than one ", once[i]);
}

static enum filter_progress
run_conformity(struct filter_run *run)
{
	const struct options *o = run->config->options;
	const struct facts *f = run->facts;
	struct sum s = { .run = run };

	look_at_fields(&s, f, o);
	if (f->sender != NULL && f->sender[0] == '\0' && f->n_recipients > 1)
		add(&s, o->many_for_null, "a bounce", " for several recipients");
	if (f->source_route)
		add(&s, o->route, "a source route", "");
	if (f->long_lines)
		add(&s, o->long_lines, "lines over 998 bytes", "");
	return filter_say(run, s.len > 0 ? "odd" : "pass", s.score, "%s", s.len > 0 ? "" : "it has the form of RFC 5322");
}

const struct filter filter_conformity = {
	.name = "conformity", .does = "does the message have the form that the standards want",
	.stage = STAGE_END, .decides = STAGE_END, .mode = FILTER_SCORE, .hermes = FILTER_SCORE,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.run = run_conformity,
};

static enum filter_progress
run_from(struct filter_run *run)
{
	unsigned n = count(run->facts, "From");

	snprintf(run->finding.value, sizeof(run->finding.value), "%u", n);
	if (n <= 1)
		return filter_say(run, "pass", 0, "it has not more than one From field");
	run->finding.action = FILTER_REFUSE;
	run->finding.code = 554;
	snprintf(run->finding.enhanced, sizeof(run->finding.enhanced), "5.6.0");
	snprintf(run->finding.text, sizeof(run->finding.text), "A message has one From field, and this has %u", n);
	return filter_say(run, "doubled", 10, "readers would show different authors");
}

const struct filter filter_from = {
	.name = "from", .does = "is there one From field only",
	.stage = STAGE_HEADER, .decides = STAGE_END, .mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .run = run_from,
};
