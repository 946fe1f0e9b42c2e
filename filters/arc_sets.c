/*
 * The sets of a chain found in a header, and what their seals sign. Decides whether the fields make a chain at all (RFC
 * 8617, 5.2, steps 1 to 3); whether the signatures are right is decided by arc.c.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/arc.h"
#include "filters/dkim_hash.h"
#include "lib/alloc.h"
#include "lib/header.h"

#define ABSENT	SIZE_MAX

static void
reset(struct arc_sets *sets)
{
	memset(sets, 0, sizeof(*sets));
	for (unsigned i = 0; i <= ARC_SETS_MAX; i++)
		sets->results[i] = sets->message[i] = sets->seal[i] = ABSENT;
}

/* Reads a signature into its place among all of its kind, which is made for as many as there are allowed. */
static unsigned
read_signature(struct dkim_signature **all, enum dkim_kind kind, const struct header_field *f, const char **why_r)
{
	struct dkim_signature s;

	if (dkim_signature_parse(&s, kind, f, why_r) == DKIM_NEUTRAL)
		return 0;
	if (*all == NULL)
		*all = alloc_new(ARC_SETS_MAX + 1, sizeof(s));
	(*all)[s.instance] = s;
	return s.instance;
}

/* One field: 0, or -1 and why. */
static int
read_field(struct arc_sets *sets, const struct header_field *f, size_t at, const char **why_r)
{
	size_t *places;
	unsigned i;

	if (header_is(f, "ARC-Authentication-Results")) {
		i = arc_results_instance(f);
		places = sets->results;
		*why_r = "ARC-Authentication-Results without an i= from 1 to 50";
	} else if (header_is(f, "ARC-Message-Signature")) {
		i = read_signature(&sets->messages, ARC_MESSAGE, f, why_r);
		places = sets->message;
	} else if (header_is(f, "ARC-Seal")) {
		i = read_signature(&sets->seals, ARC_SEAL, f, why_r);
		places = sets->seal;
	} else {
		return 0;
	}
	if (i == 0)
		return -1;
	*why_r = "a field of the set is there twice";
	if (places[i] != ABSENT)
		return -1;
	places[i] = at;
	if (i > sets->n)
		sets->n = i;
	return 0;
}

static int
complete(const struct arc_sets *sets, const char **why_r, unsigned *at_r)
{
	for (unsigned i = sets->n; i >= 1; i--) {
		*at_r = i;
		*why_r = "the set is not complete";
		if (sets->results[i] == ABSENT || sets->message[i] == ABSENT || sets->seal[i] == ABSENT)
			return -1;
		*why_r = "the chain had failed before";
		if (sets->seals[i].cv == ARC_CV_FAIL)
			return -1;
		*why_r = i == 1 ? "the first seal must say cv=none" : "the seal must say cv=pass";
		if (sets->seals[i].cv != (i == 1 ? ARC_CV_NONE : ARC_CV_PASS))
			return -1;
	}
	return 0;
}

int
arc_sets_read(struct arc_sets *sets, const struct dkim_fields *fields, const char **why_r, unsigned *at_r)
{
	const char *why = NULL, *here = NULL;

	reset(sets);
	*at_r = 0;
	for (size_t i = 0; i < dkim_fields_count(fields); i++)
		if (read_field(sets, dkim_fields_get(fields, i), i, &here) == -1 && why == NULL)
			why = here;
	*why_r = why;
	return why == NULL ? complete(sets, why_r, at_r) : -1;
}

void
arc_sets_free(struct arc_sets *sets)
{
	free(sets->messages);
	free(sets->seals);
	reset(sets);
}

void
arc_sets_put(const struct arc_sets *sets, const struct dkim_fields *fields, unsigned i, void *ctx)
{
	dkim_canon_field(dkim_fields_get(fields, sets->results[i]), true, true, dkim_hash_put, ctx);
	dkim_canon_field(dkim_fields_get(fields, sets->message[i]), true, true, dkim_hash_put, ctx);
	dkim_canon_field(dkim_fields_get(fields, sets->seal[i]), true, true, dkim_hash_put, ctx);
}

void
arc_sets_hash(const struct arc_sets *sets, const struct dkim_fields *fields, unsigned i, uint8_t hash[DKIM_HASH_BYTES])
{
	struct evp_md_ctx_st *ctx = dkim_hash_new();

	for (unsigned j = 1; j < i; j++)
		arc_sets_put(sets, fields, j, ctx);
	dkim_canon_field(dkim_fields_get(fields, sets->results[i]), true, true, dkim_hash_put, ctx);
	dkim_canon_field(dkim_fields_get(fields, sets->message[i]), true, true, dkim_hash_put, ctx);
	dkim_hash_own(&sets->seals[i], dkim_fields_get(fields, sets->seal[i]), true, dkim_hash_put, ctx);
	dkim_hash_end(ctx, hash);
}
