/*
 * Signature fields made. Decides which header fields are signed when the caller names none: those that a reader sees or that
 * change what is shown, one more time than they are there (RFC 6376, 8.15), so that none can be added. Never with l=.
 */
#include "filters/dkim_sign.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dkim_hash.h"
#include "lib/alloc.h"
#include "lib/header.h"

#define COLUMN_MAX	72
#define B64_LINE	64
#define SAME_MAX	20		/* of fields with one name that are signed */

static const struct usual {
	const char	*name;
	bool		 oversign, arc_only;
} usual[] = {
	{ "from", true, false }, { "to", true, false }, { "cc", true, false }, { "subject", true, false },
	{ "date", true, false }, { "reply-to", true, false }, { "list-unsubscribe", true, false },
	{ "list-unsubscribe-post", true, false }, { "mime-version", true, false }, { "content-type", true, false },
	{ "content-transfer-encoding", true, false }, { "sender", false, false }, { "message-id", false, false },
	{ "in-reply-to", false, false }, { "references", false, false }, { "list-id", false, false },
	{ "dkim-signature", false, true }, { "arc-authentication-results", false, true },
};

struct dkim_signer {
	struct dkim_fields *fields;
	struct dkim_bodies bodies;
	struct dkim_signature signature;	/* what dkim_fields_hash() wants to know of it */
	char		*domain, *selector, *names;
	time_t		 now;
	char		*text;			/* the field up to "b=" */
};

/* ---- what is signed ---- */

static char *
usual_names(enum dkim_kind kind, const char *header, size_t len)
{
	char *text = NULL;
	size_t size;
	FILE *f = alloc_stream(&text, &size);
	bool begun = false;

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		unsigned n = header_count(header, len, usual[i].name);

		if (usual[i].arc_only && kind != ARC_MESSAGE)
			continue;
		n = (n > SAME_MAX ? SAME_MAX : n) + (usual[i].oversign ? 1 : 0);
		for (; n > 0; n--, begun = true)
			fprintf(f, "%s%s", begun ? ":" : "", usual[i].name);
	}
	alloc_stream_end(f);
	return text;
}

/* Names of fields between colons, and nothing else. */
static bool
names_are_right(const char *names)
{
	size_t len = 0;

	for (; *names != '\0'; names++) {
		if (*names == ':' && len == 0)
			return false;
		if (*names != ':' && (*names <= 0x20 || *names >= 0x7f || *names == ';'))
			return false;
		len = *names == ':' ? 0 : len + 1;
	}
	return len > 0;
}

/* What is wrong with d= or s=, or NULL. */
static const char *
names_wrong(const char *domain, const char *selector)
{
	char text[3 * DKIM_NAME_MAX];
	struct header_field f = { .name = text, .value = text };
	struct dkim_signature s;
	const char *why;

	if (strlen(domain) > DKIM_NAME_MAX || strlen(selector) > DKIM_NAME_MAX || strpbrk(domain, "; \t\r\n") != NULL ||
	    strpbrk(selector, "; \t\r\n") != NULL)
		return "the domain or the selector is none";
	f.value_len = (size_t)snprintf(text, sizeof(text), "i=1; a=rsa-sha256; cv=none; b=AAAA; d=%s; s=%s", domain, selector);
	return dkim_signature_parse(&s, ARC_SEAL, &f, &why) == DKIM_PASS ? NULL : why;
}

/* Read as they will be read by others. */
static const char *
options_wrong(const struct dkim_sign_options *o)
{
	struct dkim_signature s = { .kind = o->kind };

	if (o->names != NULL && !names_are_right(o->names))
		return "the names of header fields must stand between colons, like from:to:subject";
	s.h = o->names;
	s.h_len = o->names != NULL ? strlen(o->names) : 0;
	if (o->names != NULL && o->kind == DKIM_MESSAGE && !dkim_signature_signs(&s, "from"))
		return "From must be signed";
	if (o->names != NULL && o->kind == ARC_MESSAGE && dkim_signature_signs(&s, "arc-seal"))
		return "ARC-Seal must not be signed by an ARC-Message-Signature";
	if (o->algorithm == DKIM_RSA_SHA1)
		return "rsa-sha1 is not made any more";
	return names_wrong(o->domain, o->selector);
}

struct dkim_signer *
dkim_signer_new(const struct dkim_sign_options *o, const char *header, size_t len, const char **why_r)
{
	struct dkim_signer *s;

	*why_r = options_wrong(o);
	if (*why_r != NULL)
		return NULL;
	s = alloc_new(1, sizeof(*s));
	s->fields = dkim_fields_new(header, len);
	s->domain = alloc_text(o->domain);
	s->selector = alloc_text(o->selector);
	s->names = o->names != NULL ? alloc_text(o->names) : usual_names(o->kind, header, len);
	s->now = o->now;
	s->signature = (struct dkim_signature){ .kind = o->kind, .algorithm = o->algorithm, .instance = o->instance,
	    .relaxed_header = o->relaxed_header, .relaxed_body = o->relaxed_body, .h = s->names, .h_len = strlen(s->names) };
	dkim_bodies_want(&s->bodies, &s->signature);
	return s;
}

void
dkim_signer_free(struct dkim_signer *s)
{
	if (s == NULL)
		return;
	dkim_fields_free(s->fields);
	dkim_bodies_clear(&s->bodies);
	free(s->domain);
	free(s->selector);
	free(s->names);
	free(s->text);
	free(s);
}

void
dkim_signer_body(struct dkim_signer *s, const void *bytes, size_t len)
{
	dkim_bodies_put(&s->bodies, bytes, len);
}

/* ---- the field ---- */

void
dkim_sign_put_base64(FILE *to, const uint8_t *bytes, size_t len)
{
	char text[(DKIM_SIGNATURE_BYTES + 2) / 3 * 4 + 1];
	int n = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);

	for (int at = 0; at < n; at += B64_LINE)
		fprintf(to, "%s%.*s", at > 0 ? "\r\n\t " : "", B64_LINE, text + at);
}

/* The names, folded behind colons. */
static void
put_names(FILE *to, const struct dkim_signature *s)
{
	size_t at = 0, len, column = 10;
	const char *name;
	bool begun = false;

	fputs("h=", to);
	while (dkim_signature_name(s, &at, &name, &len)) {
		if (begun)
			putc(':', to);
		if (begun && column + len > COLUMN_MAX) {
			fputs("\r\n\t ", to);
			column = 9;
		}
		fprintf(to, "%.*s", (int)len, name);
		column += len + 1;
		begun = true;
	}
	fputs(";\r\n\t", to);
}

void
dkim_signer_hash(struct dkim_signer *s, uint8_t hash[DKIM_HASH_BYTES])
{
	struct dkim_signature *sig = &s->signature;
	const char *name = sig->kind == ARC_MESSAGE ? "ARC-Message-Signature" : "DKIM-Signature";
	struct header_field own;
	size_t size;
	FILE *f = alloc_stream(&s->text, &size);

	dkim_bodies_end(&s->bodies);
	fprintf(f, "%s: ", name);
	if (sig->kind == ARC_MESSAGE)
		fprintf(f, "i=%u; ", sig->instance);
	else
		fputs("v=1; ", f);
	fprintf(f, "a=%s; c=%s/%s;\r\n\td=%s; s=%s;", dkim_algorithm_name(sig->algorithm),
	    sig->relaxed_header ? "relaxed" : "simple", sig->relaxed_body ? "relaxed" : "simple", s->domain, s->selector);
	if (s->now != 0)
		fprintf(f, " t=%lld;", (long long)s->now);
	fputs("\r\n\t", f);
	put_names(f, sig);
	fputs("bh=", f);
	dkim_sign_put_base64(f, s->bodies.hashes[0].hash, DKIM_HASH_BYTES);
	fputs(";\r\n\tb=", f);
	alloc_stream_end(f);
	own = (struct header_field){ .name = s->text, .name_len = strlen(name), .value = s->text + strlen(name) + 1,
	    .value_len = size - strlen(name) - 1 };
	sig->b_at = sig->b_end = own.value_len;
	dkim_fields_hash(s->fields, sig, &own, DKIM_NO_FIELD, hash);
}

char *
dkim_signer_field(struct dkim_signer *s, const uint8_t *b, size_t b_len)
{
	char *text = NULL;
	size_t size;
	FILE *f = alloc_stream(&text, &size);

	fputs(s->text, f);
	dkim_sign_put_base64(f, b, b_len);
	fputs("\r\n", f);
	alloc_stream_end(f);
	return text;
}
