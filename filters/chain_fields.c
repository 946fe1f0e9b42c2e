/*
 * The fields that a message gets on top of it, telling later readers what was found: Authentication-Results (RFC 8601),
 * Received-SPF (RFC 7208, 9.1) and the points of every filter. What strangers may have made is cut and cleaned where it is
 * written. Called by smtpd and the tools once a message is taken.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "filters/authres.h"
#include "filters/chain_state.h"
#include "filters/spf_received.h"

#define LINE_MOST	76

struct out {
	char	*to;
	size_t	 size, len;
	size_t	 column;
};

/* All of it, or nothing. */
static void
put(struct out *o, const char *text, size_t len)
{
	if (len > o->size - o->len)
		return;
	memcpy(o->to + o->len, text, len);
	o->len += len;
}

/* ---- Authentication-Results ---- */

static void
put_spf(struct authres *a, const struct facts *f)
{
	bool null = f->sender == NULL || f->sender[0] == '\0';

	if ((f->known & FACT_SPF) == 0 || !f->spf.tried)
		return;
	authres_result(a, "spf", spf_code_name(f->spf.code), NULL);
	if (null)
		authres_property(a, "smtp", "helo", f->helo != NULL ? f->helo : "");
	else
		authres_property(a, "smtp", "mailfrom", f->sender);
}

/* What is not known is left out. */
static void
put_header(struct authres *a, const char *property, const char *value)
{
	if (value[0] != '\0')
		authres_property(a, "header", property, value);
}

static void
put_dkim(struct authres *a, const struct facts *f)
{
	if ((f->known & FACT_DKIM) == 0)
		return;
	if (f->dkim->n == 0)
		authres_result(a, "dkim", "none", NULL);
	for (unsigned i = 0; i < f->dkim->n; i++) {
		authres_result(a, "dkim", dkim_result_name(f->dkim->signatures[i].result),
		    f->dkim->signatures[i].why[0] != '\0' ? f->dkim->signatures[i].why : NULL);
		put_header(a, "d", f->dkim->signatures[i].domain);
		put_header(a, "s", f->dkim->signatures[i].selector);
	}
}

static void
put_others(struct authres *a, const struct facts *f)
{
	if ((f->known & FACT_DMARC) != 0) {
		authres_result(a, "dmarc", dmarc_result_name(f->dmarc.result), NULL);
		put_header(a, "from", f->dmarc.domain);
		if (f->dmarc.result == DMARC_FAIL)
			authres_property(a, "policy", "dmarc", dmarc_policy_name(f->dmarc.policy));
	}
	if ((f->known & FACT_ARC) != 0) {
		authres_result(a, "arc", f->arc.result, NULL);
		authres_property(a, "smtp", "remote-ip", f->client_text);
	}
	if ((f->known & FACT_SENDER_ID) != 0) {
		authres_result(a, "sender-id", spf_code_name(f->sender_id.code), NULL);
		put_header(a, f->sender_id.field, f->sender_id.domain);
	}
	if ((f->known & FACT_REVERSE) != 0) {
		authres_result(a, "iprev", iprev_result_name(f->reverse.result), NULL);
		authres_property(a, "policy", "iprev", f->client_text);
	}
}

static void
put_results(struct out *o, const struct facts *f)
{
	struct authres a;

	authres_begin(&a, f->hostname);
	put_spf(&a, f);
	put_dkim(&a, f);
	put_others(&a, f);
	authres_end(&a);
	put(o, a.text, a.len);
}

static void
put_received_spf(struct out *o, const struct facts *f)
{
	char text[SPF_RECEIVED_MAX];
	bool null = f->sender == NULL || f->sender[0] == '\0';
	struct spf_received r = { .code = f->spf.code, .helo = null, .reason = f->spf.reason, .client = f->client_text,
	    .sender = null ? "" : f->sender, .helo_name = f->helo != NULL ? f->helo : "", .receiver = f->hostname };

	if ((f->known & FACT_SPF) != 0 && f->spf.tried)
		put(o, text, spf_received_write(text, &r));
}

/* ---- the points ---- */

static void put_word(struct out *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One word, on a new line where it would make the old one too long. */
static void
put_word(struct out *o, const char *fmt, ...)
{
	char text[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n <= 0 || (size_t)n >= sizeof(text) || (size_t)n + 3 > o->size - o->len)
		return;
	if (o->column > 0 && o->column + (size_t)n + 1 > LINE_MOST) {
		put(o, "\r\n\t", 3);
		o->column = 8;
	} else if (o->column > 0) {
		put(o, " ", 1);
		o->column++;
	}
	put(o, text, (size_t)n);
	o->column += (size_t)n;
}

static bool
counts(const struct chain_entry *e)
{
	return !e->exempt && (e->mode == FILTER_SCORE || e->mode == FILTER_ENFORCE);
}

/* X-Minimta-Score: 6 of 10; spf=fail+6 iprev=pass dnsbl=not-listed (arc=none) tagged=spf */
static void
put_score(struct out *o, const struct chain *c)
{
	struct chain_entry e;
	int score = 0;

	for (size_t at = 0; chain_next(c, &at, &e);)
		if (counts(&e))
			score += e.finding->score;
	o->column = 0;
	put_word(o, AUTHRES_SCORE ": %d of %d;", score, c->filters->refuse_score);
	for (size_t at = 0; chain_next(c, &at, &e);)
		if (counts(&e) && e.finding->score != 0)
			put_word(o, "%s=%s%+d", e.filter->name, e.finding->result, e.finding->score);
		else if (counts(&e))
			put_word(o, "%s=%s", e.filter->name, e.finding->result);
		else
			put_word(o, "(%s=%s)", e.filter->name, e.finding->result);
	if (c->quarantine)
		put_word(o, "quarantine");
	if (c->tagged != NULL)
		put_word(o, "tagged=%s", c->tagged);
	put(o, "\r\n", 2);
}

size_t
chain_fields(const struct chain *c, char *to, size_t size)
{
	struct out o = { .to = to, .size = size };

	put_results(&o, c->facts);
	put_received_spf(&o, c->facts);
	if (o.size - o.len > 256)
		put_score(&o, c);
	return o.len;
}
