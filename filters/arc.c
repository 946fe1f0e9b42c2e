/*
 * The Authenticated Received Chain verified. Decides pass, fail or none (RFC 8617, 5.2, steps 4 to 6). All errors, those of
 * DNS too, are a fail (5.2.1). The keys are asked for side by side, each once however many seals it has made.
 */
#include "filters/arc.h"

#include <stdlib.h>
#include <string.h>

#include "filters/dkim_hash.h"
#include "filters/dkim_key.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "mx/dns.h"

#define WANTS_MAX	(ARC_SETS_MAX + 1)	/* all seals, and the last message signature */

/* A signature that must be right, with its key. */
struct want {
	struct arc	*arc;
	const struct dkim_signature *signature;
	struct want	*same;			/* an earlier one with the same key; NULL: this one asks */
	struct dns_question *question;
	enum dkim_result result;
	const char	*why;
	struct dkim_key_record key;
};

struct arc {
	struct dkim_fields *fields;
	struct arc_sets	 sets;
	struct dkim_bodies bodies;
	struct arc_finding finding;		/* a pass until something is found */
	struct want	*wants;			/* [0] is the message signature's, [i] seal i's */
	size_t		 n, open;
	bool		 ended;
	struct timer	 timer;
	arc_done_fn	*done;
	void		*arg;
};

static void
arc_free(struct arc *a)
{
	timer_stop(&a->timer);
	for (size_t i = 0; i < a->n; i++)
		dns_cancel(a->wants[i].question);
	dkim_bodies_clear(&a->bodies);
	arc_sets_free(&a->sets);
	dkim_fields_free(a->fields);
	free(a->wants);
	free(a);
}

static void
fail(struct arc *a, unsigned at, const char *why)
{
	a->finding.result = ARC_CV_FAIL;
	a->finding.at = at;
	a->finding.why = why;
}

/* Whether the key is there and has made the signature. */
static enum dkim_result
judge(const struct want *w, const uint8_t hash[DKIM_HASH_BYTES], const char **why_r)
{
	const struct want *asked = w->same != NULL ? w->same : w;
	unsigned bits;

	*why_r = asked->why;
	if (asked->result != DKIM_PASS)
		return asked->result;
	return dkim_key_verify(&asked->key, w->signature, hash, &bits, why_r);
}

static enum dkim_result
judge_message(struct arc *a, const char **why_r)
{
	const struct dkim_signature *s = &a->sets.messages[a->sets.n];
	size_t place = a->sets.message[a->sets.n];
	uint8_t hash[DKIM_HASH_BYTES];

	*why_r = "the body is not the one that was signed";
	if (memcmp(a->bodies.hashes[0].hash, s->bh, DKIM_HASH_BYTES) != 0)
		return DKIM_FAIL;
	*why_r = "l= does not cover the whole body";
	if (s->limited && s->limit != a->bodies.hashes[0].size)
		return DKIM_FAIL;
	dkim_fields_hash(a->fields, s, dkim_fields_get(a->fields, place), place, hash);
	return judge(&a->wants[0], hash, why_r);
}

static void
judge_all(struct arc *a)
{
	uint8_t hash[DKIM_HASH_BYTES];
	const char *why;

	if (judge_message(a, &why) != DKIM_PASS) {
		fail(a, a->sets.n, why);
		return;
	}
	for (unsigned i = a->sets.n; i >= 1; i--) {
		arc_sets_hash(&a->sets, a->fields, i, hash);
		if (judge(&a->wants[i], hash, &why) != DKIM_PASS) {
			fail(a, i, why);
			return;
		}
	}
}

static void
finish(void *arg)
{
	struct arc *a = arg;

	if (a->finding.result == ARC_CV_PASS)
		judge_all(a);
	a->finding.seals = a->sets.seals;
	a->done(a->arg, &a->finding);
	arc_free(a);
}

static void
finish_if_all_is_there(struct arc *a)
{
	if (a->ended && a->open == 0)
		timer_start(&a->timer, 0);
}

static void
on_key(void *arg, const struct dns_answer *answer)
{
	struct want *w = arg;

	w->question = NULL;
	w->arc->open--;
	w->result = dkim_key_from_answer(&w->key, w->signature, answer, &w->why);
	finish_if_all_is_there(w->arc);
}

static bool
same_key(const struct dkim_signature *one, const struct dkim_signature *other)
{
	return strcmp(one->selector, other->selector) == 0 && strcmp(one->domain, other->domain) == 0 &&
	    one->algorithm == other->algorithm;
}

static void
want(struct arc *a, const struct dkim_signature *s, struct dns *dns, uint32_t deadline_ms)
{
	struct want *w = &a->wants[a->n];
	char name[DKIM_KEY_NAME_MAX + 1];

	w->arc = a;
	w->signature = s;
	for (size_t i = 0; i < a->n && w->same == NULL; i++)
		if (a->wants[i].same == NULL && same_key(a->wants[i].signature, s))
			w->same = &a->wants[i];
	a->n++;
	if (w->same != NULL)
		return;
	w->question = dns_ask(dns, DNS_TXT, dkim_key_name(name, s), deadline_ms, on_key, w);
	a->open++;
}

/* What keeps the signatures from counting, before anything is asked. */
static bool
usable(struct arc *a)
{
	const struct header_field *f = dkim_fields_get(a->fields, a->sets.message[a->sets.n]);
	struct dkim_signature again;
	const char *why;

	if (dkim_signature_parse(&again, ARC_MESSAGE, f, &why) != DKIM_PASS) {
		fail(a, a->sets.n, why);
		return false;
	}
	for (unsigned i = a->sets.n; i >= 1; i--)
		if (a->sets.seals[i].algorithm == DKIM_RSA_SHA1) {
			fail(a, i, "rsa-sha1 does not count");
			return false;
		}
	return true;
}

static void
begin(struct arc *a, struct dns *dns, uint32_t deadline_ms)
{
	const char *why;
	unsigned at;

	if (arc_sets_read(&a->sets, a->fields, &why, &at) == -1) {
		fail(a, at, why);
	} else if (a->sets.n == 0) {
		a->finding.result = ARC_CV_NONE;
	} else if (usable(a)) {
		a->wants = alloc_new(WANTS_MAX, sizeof(*a->wants));
		dkim_bodies_want(&a->bodies, &a->sets.messages[a->sets.n]);
		want(a, &a->sets.messages[a->sets.n], dns, deadline_ms);
		for (unsigned i = 1; i <= a->sets.n; i++)
			want(a, &a->sets.seals[i], dns, deadline_ms);
	}
	a->finding.sets = a->sets.n;
}

struct arc *
arc_start(struct dns *dns, const char *header, size_t len, uint32_t deadline_ms, arc_done_fn *done, void *arg)
{
	struct arc *a = alloc_new(1, sizeof(*a));

	a->done = done;
	a->arg = arg;
	a->finding.result = ARC_CV_PASS;
	a->finding.why = "";
	timer_set(&a->timer, finish, a);
	a->fields = dkim_fields_new(header, len);
	begin(a, dns, deadline_ms);
	return a;
}

void
arc_body(struct arc *a, const void *bytes, size_t len)
{
	dkim_bodies_put(&a->bodies, bytes, len);
}

void
arc_end(struct arc *a)
{
	dkim_bodies_end(&a->bodies);
	a->ended = true;
	finish_if_all_is_there(a);
}

void
arc_cancel(struct arc *a)
{
	if (a != NULL)
		arc_free(a);
}
