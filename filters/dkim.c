/*
 * DKIM signatures verified. Decides for each signature of a message whether it is right; what follows from that is decided
 * by DMARC and by whoever reads the findings. All that can be known of a signature without DNS is known before DNS is asked.
 */
#include "filters/dkim.h"

#include <stdlib.h>
#include <string.h>

#include "filters/dkim_hash.h"
#include "filters/dkim_key.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/header.h"
#include "mx/dns.h"

struct candidate {
	struct dkim	*dkim;
	size_t		 field;			/* its place in the header */
	size_t		 body;			/* which of the hashes */
	struct dns_question *question;		/* while the key is being asked for */
	struct dkim_signature signature;
	struct dkim_key_record key;
	struct dkim_finding finding;		/* a pass until something is found */
};

struct dkim {
	struct dkim_fields *fields;
	struct dkim_bodies bodies;
	struct candidate *candidates;
	size_t		 n, open;		/* open: keys that are being asked for */
	bool		 ended;
	struct timer	 timer;			/* brings the callback to the loop */
	dkim_done_fn	*done;
	void		*arg;
};

static void
dkim_free(struct dkim *d)
{
	timer_stop(&d->timer);
	for (size_t i = 0; i < d->n; i++)
		dns_cancel(d->candidates[i].question);
	dkim_bodies_clear(&d->bodies);
	dkim_fields_free(d->fields);
	free(d->candidates);
	free(d);
}

/* A body longer than l= covers is one that anyone can have added to. */
static enum dkim_result
judge_body(const struct dkim_signature *s, const struct dkim_body_hash *h, const char **why_r)
{
	*why_r = "the body is not the one that was signed";
	if (memcmp(h->hash, s->bh, DKIM_HASH_BYTES) != 0)
		return DKIM_FAIL;
	*why_r = "l= is more than there is";
	if (s->limited && s->limit > h->size)
		return DKIM_PERMERROR;
	*why_r = "l= does not cover the whole body";
	return s->limited && s->limit < h->size ? DKIM_FAIL : DKIM_PASS;
}

static void
judge(struct candidate *c)
{
	struct dkim *d = c->dkim;
	struct dkim_finding *f = &c->finding;
	uint8_t hash[DKIM_HASH_BYTES];

	if (f->result != DKIM_PASS)
		return;
	f->result = judge_body(&c->signature, &d->bodies.hashes[c->body], &f->why);
	if (f->result != DKIM_PASS)
		return;
	dkim_fields_hash(d->fields, &c->signature, dkim_fields_get(d->fields, c->field), c->field, hash);
	f->result = dkim_key_verify(&c->key, &c->signature, hash, &f->bits, &f->why);
}

static void
finish(void *arg)
{
	struct dkim_finding findings[DKIM_SIGNATURES_MAX];
	struct dkim *d = arg;
	dkim_done_fn *done = d->done;
	void *done_arg = d->arg;
	size_t n = d->n;

	for (size_t i = 0; i < n; i++) {
		judge(&d->candidates[i]);
		findings[i] = d->candidates[i].finding;
	}
	dkim_free(d);
	done(done_arg, findings, n);
}

static void
finish_if_all_is_there(struct dkim *d)
{
	if (d->ended && d->open == 0)
		timer_start(&d->timer, 0);
}

static void
on_key(void *arg, const struct dns_answer *answer)
{
	struct candidate *c = arg;

	c->question = NULL;
	c->dkim->open--;
	c->finding.result = dkim_key_from_answer(&c->key, &c->signature, answer, &c->finding.why);
	c->finding.testing = c->finding.result == DKIM_PASS && c->key.testing;
	finish_if_all_is_there(c->dkim);
}

/* What a signature says by itself; the key is asked for if that is worth it. */
static void
consider(struct candidate *c, struct dns *dns, time_t now, uint32_t deadline_ms)
{
	struct dkim_signature *s = &c->signature;
	struct dkim_finding *f = &c->finding;
	char name[DKIM_KEY_NAME_MAX + 1];

	f->result = dkim_signature_parse(s, DKIM_MESSAGE, dkim_fields_get(c->dkim->fields, c->field), &f->why);
	memcpy(f->domain, s->domain, sizeof(f->domain));
	memcpy(f->selector, s->selector, sizeof(f->selector));
	memcpy(f->identity_domain, s->identity_domain, sizeof(f->identity_domain));
	f->algorithm = s->algorithm;
	f->limited = s->limited;
	if (f->result == DKIM_PASS && s->expires != 0 && s->expires < now) {
		f->result = DKIM_PERMERROR;
		f->why = "the signature has expired";
	}
	if (f->result != DKIM_PASS)
		return;
	c->body = dkim_bodies_want(&c->dkim->bodies, s);
	c->question = dns_ask(dns, DNS_TXT, dkim_key_name(name, s), deadline_ms, on_key, c);
	c->dkim->open++;
}

/* Where the signatures are; how many. */
static size_t
find_signatures(const struct dkim_fields *fields, size_t places[DKIM_SIGNATURES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < dkim_fields_count(fields) && n < DKIM_SIGNATURES_MAX; i++)
		if (header_is(dkim_fields_get(fields, i), "DKIM-Signature"))
			places[n++] = i;
	return n;
}

struct dkim *
dkim_start(struct dns *dns, const char *header, size_t len, time_t now, uint32_t deadline_ms, dkim_done_fn *done, void *arg)
{
	struct dkim *d = alloc_new(1, sizeof(*d));
	size_t places[DKIM_SIGNATURES_MAX];

	d->done = done;
	d->arg = arg;
	timer_set(&d->timer, finish, d);
	d->fields = dkim_fields_new(header, len);
	d->n = find_signatures(d->fields, places);
	d->candidates = alloc_new(d->n + 1, sizeof(*d->candidates));
	for (size_t i = 0; i < d->n; i++) {
		d->candidates[i].dkim = d;
		d->candidates[i].field = places[i];
		consider(&d->candidates[i], dns, now, deadline_ms);
	}
	return d;
}

void
dkim_body(struct dkim *d, const void *bytes, size_t len)
{
	dkim_bodies_put(&d->bodies, bytes, len);
}

void
dkim_end(struct dkim *d)
{
	dkim_bodies_end(&d->bodies);
	d->ended = true;
	finish_if_all_is_there(d);
}

void
dkim_cancel(struct dkim *d)
{
	if (d != NULL)
		dkim_free(d);
}
