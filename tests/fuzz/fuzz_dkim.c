/*
 * Whole messages: what is hashed does not depend on how the body comes in, chains are read or refused, and signing leaves a
 * field that reads as what was asked for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/arc.h"
#include "filters/dkim_hash.h"
#include "filters/dkim_sign.h"
#include "lib/header.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
hash_body(const uint8_t *body, size_t len, size_t step, bool relaxed, uint8_t hash[DKIM_HASH_BYTES])
{
	struct dkim_signature s = { .relaxed_body = relaxed }, limited = { .relaxed_body = relaxed, .limited = true, .limit = 7 };
	struct dkim_bodies bodies = { .n = 0 };

	if (dkim_bodies_want(&bodies, &s) != 0 || dkim_bodies_want(&bodies, &limited) != 1 || dkim_bodies_want(&bodies, &s) != 0)
		abort();
	for (size_t at = 0; at < len; at += step)
		dkim_bodies_put(&bodies, body + at, len - at < step ? len - at : step);
	dkim_bodies_end(&bodies);
	if (bodies.hashes[0].size != bodies.hashes[1].size || bodies.hashes[0].size > len + 2)
		abort();
	memcpy(hash, bodies.hashes[0].hash, DKIM_HASH_BYTES);
	dkim_bodies_clear(&bodies);
}

static void
read_fields(const char *header, size_t len)
{
	struct dkim_fields *fields = dkim_fields_new(header, len);
	uint8_t hash[DKIM_HASH_BYTES];
	struct dkim_signature s;
	struct arc_sets sets;
	const char *why;
	unsigned at;

	for (size_t i = 0, n = 0; i < dkim_fields_count(fields) && n < 10; i++) {
		const struct header_field *f = dkim_fields_get(fields, i);

		if (!header_is(f, "DKIM-Signature"))
			continue;
		n++;
		if (dkim_signature_parse(&s, DKIM_MESSAGE, f, &why) == DKIM_PASS)
			dkim_fields_hash(fields, &s, f, i, hash);
	}
	if (arc_sets_read(&sets, fields, &why, &at) == 0)
		for (unsigned i = 1; i <= sets.n; i++)
			arc_sets_hash(&sets, fields, i, hash);
	else if (why == NULL || at > ARC_SETS_MAX)
		abort();
	arc_sets_free(&sets);
	dkim_fields_free(fields);
}

static void
sign(const char *message, size_t header_len, size_t len)
{
	struct dkim_sign_options o = { .kind = DKIM_MESSAGE, .domain = "example.org", .selector = "s", .now = 1 };
	uint8_t hash[DKIM_HASH_BYTES], b[64] = { 0 };
	struct header_field f;
	struct dkim_signature s;
	const char *why;
	struct dkim_signer *signer = dkim_signer_new(&o, message, header_len, &why);
	size_t at = 0;
	char *field;

	if (signer == NULL)
		abort();
	dkim_signer_body(signer, message + header_len, len - header_len);
	dkim_signer_hash(signer, hash);
	field = dkim_signer_field(signer, b, sizeof(b));
	if (!header_next(field, strlen(field), &at, &f) || at != strlen(field) ||
	    dkim_signature_parse(&s, DKIM_MESSAGE, &f, &why) != DKIM_PASS || s.b_len != sizeof(b))
		abort();
	free(field);
	dkim_signer_free(signer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t whole[DKIM_HASH_BYTES], pieces[DKIM_HASH_BYTES];
	char *message = malloc(size + 1);
	size_t header_len;

	memcpy(message, data, size);
	for (int relaxed = 0; relaxed < 2; relaxed++) {
		hash_body(data, size, size + 1, relaxed != 0, whole);
		hash_body(data, size, 1 + size % 7, relaxed != 0, pieces);
		if (memcmp(whole, pieces, sizeof(whole)) != 0)
			abort();
	}
	header_len = header_end(message, size);
	read_fields(message, header_len);
	sign(message, header_len, size);
	free(message);
	return 0;
}
