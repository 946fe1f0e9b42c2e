/*
 * The purported responsible address (filters/senderid.h), by the steps of RFC 4407, 2, and Sender ID (RFC 4406) as a filter:
 * whether that address' domain lets this client send, by its spf2.0/pra records. A v=spf1 record was never written for this
 * address and is never asked: that mistake refused honest mail for years.
 */
#include "filters/senderid.h"

#include <stdio.h>
#include <string.h>

#include "filters/adapters.h"
#include "lib/conf_table.h"
#include "lib/header.h"

/* ---- pure ---- */

struct found {
	struct header_field field;
	unsigned n;			/* of those that are not empty */
	size_t	 at;			/* which field of the header it is */
};

static bool
is_empty(const struct header_field *f)
{
	for (size_t i = 0; i < f->value_len; i++)
		if (memchr(" \t\r\n", f->value[i], 4) == NULL)
			return false;
	return true;
}

struct fields {
	struct found resent_sender, resent_from, sender, from;
	bool	 trace_between;		/* Received or Return-Path behind Resent-From and above Resent-Sender */
};

static void
take(struct found *to, const struct header_field *f, size_t at)
{
	if (is_empty(f))
		return;
	if (to->n++ == 0) {
		to->field = *f;
		to->at = at;
	}
}

static void
read_fields(struct fields *to, const char *header, size_t len)
{
	struct header_field f;
	size_t at = 0;

	*to = (struct fields){ .trace_between = false };
	for (size_t i = 0; header_next_any(header, len, &at, &f); i++) {
		if (header_is(&f, "Resent-Sender"))
			take(&to->resent_sender, &f, i);
		else if (header_is(&f, "Resent-From"))
			take(&to->resent_from, &f, i);
		else if (header_is(&f, "Sender"))
			take(&to->sender, &f, i);
		else if (header_is(&f, "From"))
			take(&to->from, &f, i);
		else if ((header_is(&f, "Received") || header_is(&f, "Return-Path")) && to->resent_from.n > 0 &&
		    to->resent_sender.n == 0)
			to->trace_between = true;
	}
}

static const struct header_field *
choose(const struct fields *f, const char **name_r)
{
	if (f->resent_sender.n > 0 &&
	    !(f->resent_from.n > 0 && f->resent_from.at < f->resent_sender.at && f->trace_between)) {
		*name_r = "resent-sender";
		return &f->resent_sender.field;
	}
	if (f->resent_from.n > 0) {
		*name_r = "resent-from";
		return &f->resent_from.field;
	}
	if (f->sender.n > 0) {
		*name_r = "sender";
		return f->sender.n == 1 ? &f->sender.field : NULL;
	}
	*name_r = "from";
	return f->from.n == 1 ? &f->from.field : NULL;
}

struct mailbox_found {
	char	*to;
	unsigned n;
};

static void
on_address(void *arg, const char *text)
{
	struct mailbox_found *m = arg;
	struct address a;

	if (m->n++ == 0 && address_parse(&a, text, ADDRESS_UTF8, NULL) == ADDRESS_OK)
		snprintf(m->to, ADDRESS_MAX, "%s", a.text);
}

bool
senderid_pra(char to[ADDRESS_MAX], const char **field_r, const char *header, size_t len)
{
	struct mailbox_found m = { .to = to };
	const struct header_field *field;
	struct fields f;

	to[0] = '\0';
	read_fields(&f, header, len);
	field = choose(&f, field_r);
	return field != NULL && header_addresses(field->value, field->value_len, on_address, &m) == 1 && m.n == 1 && to[0] != '\0';
}

/* ---- as a filter ---- */

#define DEADLINE_MS	8000

struct options {
	int	fail, softfail;
	bool	tempfail;
};

struct state {
	struct spf	*spf;
	const char	*field;
	char		 address[ADDRESS_MAX];
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "fail",	CONF_INT,	AT(fail),	0, 100, "3", NULL },
	{ "softfail",	CONF_INT,	AT(softfail),	0, 100, "1", NULL },
	{ "tempfail",	CONF_BOOL,	AT(tempfail),	.value = "no" },
};

static void
on_result(void *arg, const struct spf_result *r)
{
	struct filter_run *run = arg;
	struct state *s = run->state;
	const struct options *o = run->config->options;
	struct facts *f = run->facts;

	s->spf = NULL;
	f->sender_id.code = r->code;
	f->sender_id.field = s->field;
	snprintf(f->sender_id.domain, sizeof(f->sender_id.domain), "%s", r->domain);
	if (r->code == SPF_FAIL) {
		run->finding.action = FILTER_REFUSE;
		snprintf(run->finding.text, sizeof(run->finding.text), "The domain %.100s does not let %.45s send for it", r->domain,
		    f->client_text);
	} else if (r->code == SPF_TEMPERROR && o->tempfail) {
		run->finding.action = FILTER_DEFER;
		run->finding.code = 451;
		snprintf(run->finding.text, sizeof(run->finding.text), "The spf2.0 record of %.100s cannot be looked up now", r->domain);
	}
	filter_say(run, spf_code_name(r->code), r->code == SPF_FAIL ? o->fail : r->code == SPF_SOFTFAIL ? o->softfail : 0, "%s",
	    r->reason);
	filter_finish(run);
}

static enum filter_progress
run_senderid(struct filter_run *run)
{
	struct facts *f = run->facts;
	struct state *s = run->state;
	struct spf_facts q = { .client = (const struct sockaddr *)&f->client, .helo = f->helo, .sender = s->address,
	    .receiver = f->hostname, .now = f->now, .deadline_ms = run->deadline_ms, .pra = true };

	if (!senderid_pra(s->address, &s->field, f->header, f->header_len)) {
		f->sender_id.code = SPF_PERMERROR;
		f->sender_id.field = "from";
		f->sender_id.domain[0] = '\0';
		return filter_say(run, "permerror", 0, "the header names nobody who is responsible, or several");
	}
	snprintf(run->finding.key, sizeof(run->finding.key), "%.255s", s->address);
	snprintf(run->finding.value, sizeof(run->finding.value), "%s", s->field);
	s->spf = spf_start(run->dns, &q, on_result, run);
	return FILTER_PENDING;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	spf_cancel(s->spf);
	s->spf = NULL;
}

static bool
has_client(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->address.len > 0 && f->helo != NULL;
}

const struct filter filter_senderid = {
	.name = "sender-id", .does = "may this client send for the address in the header",
	.stage = STAGE_HEADER, .decides = STAGE_END, .gives = FACT_SENDER_ID, .mode = FILTER_OFF, .hermes = FILTER_OFF,
	.deadline_ms = DEADLINE_MS, .options = options, .n_options = sizeof(options) / sizeof(options[0]),
	.options_size = sizeof(struct options), .state_size = sizeof(struct state), .applies = has_client, .run = run_senderid,
	.cancel = cancel,
};
