/*
 * An ARC set made. Decides its number and what the seal covers: all sets, or itself alone when the chain has failed (RFC
 * 8617, 5.1.2). What the results say is decided by the caller.
 */
#include "filters/arc_seal.h"

#include <stdlib.h>
#include <string.h>

#include "filters/arc.h"
#include "filters/dkim_hash.h"
#include "lib/alloc.h"
#include "lib/header.h"

struct arc_sealer {
	struct dkim_fields *fields;		/* as the message came */
	struct arc_sets	 sets;
	struct dkim_signer *message;
	char		*results_field, *message_field, *seal_field;	/* the last one up to "b=" */
	char		*domain, *selector;
	enum dkim_algorithm algorithm;
	enum arc_cv	 cv;
	unsigned	 instance;
	time_t		 now;
};

/* The message's header with our results on top, which our signature may name. */
static struct dkim_signer *
message_signer(const struct arc_sealer *s, const struct dkim_sign_options *options, const char *header, size_t len,
    const char **why_r)
{
	struct dkim_sign_options o = *options;
	size_t top = strlen(s->results_field);
	char *all = alloc_raw(top + len + 1);
	struct dkim_signer *signer;

	memcpy(all, s->results_field, top);
	memcpy(all + top, header, len);
	o.kind = ARC_MESSAGE;
	o.instance = s->instance;
	signer = dkim_signer_new(&o, all, top + len, why_r);
	free(all);
	return signer;
}

static bool
may_be_sealed(const struct arc_sets *sets, const char **why_r)
{
	*why_r = "the chain has 50 sets, which is all there may be";
	if (sets->n >= ARC_SETS_MAX)
		return false;
	*why_r = "the chain had failed before, so nothing may be added to it";	/* RFC 8617, 5.1 */
	return sets->n == 0 || sets->seals == NULL || sets->seals[sets->n].cv != ARC_CV_FAIL;
}

struct arc_sealer *
arc_sealer_new(const struct dkim_sign_options *o, const char *authserv_id, const char *results, enum arc_cv cv,
    const char *header, size_t len, const char **why_r)
{
	struct arc_sealer *s = alloc_new(1, sizeof(*s));
	const char *ignored;
	unsigned at;

	s->fields = dkim_fields_new(header, len);
	if (arc_sets_read(&s->sets, s->fields, &ignored, &at) == -1)
		cv = ARC_CV_FAIL;
	s->cv = cv;
	s->instance = s->sets.n + 1;
	s->algorithm = o->algorithm;
	s->now = o->now;
	s->domain = alloc_text(o->domain);
	s->selector = alloc_text(o->selector);
	s->results_field = alloc_printf("ARC-Authentication-Results: i=%u; %s;\r\n\t%s\r\n", s->instance,
	    authserv_id, results);
	if (may_be_sealed(&s->sets, why_r))
		s->message = message_signer(s, o, header, len, why_r);
	if (s->message != NULL)
		return s;
	arc_sealer_free(s);
	return NULL;
}

void
arc_sealer_free(struct arc_sealer *s)
{
	if (s == NULL)
		return;
	dkim_signer_free(s->message);
	arc_sets_free(&s->sets);
	dkim_fields_free(s->fields);
	free(s->results_field);
	free(s->message_field);
	free(s->seal_field);
	free(s->domain);
	free(s->selector);
	free(s);
}

void
arc_sealer_body(struct arc_sealer *s, const void *bytes, size_t len)
{
	dkim_signer_body(s->message, bytes, len);
}

void
arc_sealer_message_hash(struct arc_sealer *s, uint8_t hash[DKIM_HASH_BYTES])
{
	dkim_signer_hash(s->message, hash);
}

/* A field of ours, into a hash. */
static void
put_text(const char *text, void *ctx)
{
	struct header_field f;
	size_t at = 0;

	if (header_next(text, strlen(text), &at, &f))
		dkim_canon_field(&f, true, true, dkim_hash_put, ctx);
}

void
arc_sealer_seal_hash(struct arc_sealer *s, const uint8_t *b, size_t b_len, uint8_t hash[DKIM_HASH_BYTES])
{
	static const char name[] = "ARC-Seal";
	struct dkim_signature sig = { .kind = ARC_SEAL };
	struct evp_md_ctx_st *ctx = dkim_hash_new();
	struct header_field own = { .name_len = strlen(name) };
	char time[32] = "";

	s->message_field = dkim_signer_field(s->message, b, b_len);
	if (s->now != 0)
		snprintf(time, sizeof(time), " t=%lld;", (long long)s->now);
	s->seal_field = alloc_printf("%s: i=%u; a=%s;%s cv=%s;\r\n\td=%s; s=%s;\r\n\tb=", name, s->instance,
	    dkim_algorithm_name(s->algorithm), time, arc_cv_name(s->cv), s->domain, s->selector);
	for (unsigned i = 1; s->cv == ARC_CV_PASS && i <= s->sets.n; i++)
		arc_sets_put(&s->sets, s->fields, i, ctx);
	put_text(s->results_field, ctx);
	put_text(s->message_field, ctx);
	own.name = s->seal_field;
	own.value = s->seal_field + own.name_len + 1;
	own.value_len = strlen(own.value);
	sig.b_at = sig.b_end = own.value_len;
	dkim_hash_own(&sig, &own, true, dkim_hash_put, ctx);
	dkim_hash_end(ctx, hash);
}

char *
arc_sealer_fields(struct arc_sealer *s, const uint8_t *b, size_t b_len)
{
	char *text = NULL;
	size_t size;
	FILE *f = alloc_stream(&text, &size);

	fputs(s->seal_field, f);
	dkim_sign_put_base64(f, b, b_len);
	fprintf(f, "\r\n%s%s", s->message_field, s->results_field);
	alloc_stream_end(f);
	return text;
}
