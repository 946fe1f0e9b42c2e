/*
 * What a signature signs, as SHA-256: chosen header fields (RFC 6376, 3.7 and 5.4.2) and bodies. Linear in the header for
 * each signature and in the body for each of the (at most twenty) ways to hash it that are asked for.
 */
#ifndef FILTERS_DKIM_HASH_H
#define FILTERS_DKIM_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/dkim_canon.h"
#include "filters/dkim_signature.h"

#define DKIM_BODIES_MAX		10
#define DKIM_NO_FIELD		SIZE_MAX

struct evp_md_ctx_st;
struct header_field;

/* ---- header fields ---- */

struct dkim_fields;

/* Copies the header block (lines end with CRLF). */
struct dkim_fields *dkim_fields_new(const char *header, size_t len);
void		 dkim_fields_free(struct dkim_fields *);
size_t		 dkim_fields_count(const struct dkim_fields *);
const struct header_field *dkim_fields_get(const struct dkim_fields *, size_t);
/*
 * The hash of the fields that h= names, from the lowest of each name upwards, and of the signature's own field with an empty
 * b=. own_at is that field's place, which h= never means; DKIM_NO_FIELD when it is not among the fields.
 */
void		 dkim_fields_hash(struct dkim_fields *, const struct dkim_signature *, const struct header_field *own,
		    size_t own_at, uint8_t hash[DKIM_HASH_BYTES]);

/* SHA-256 from pieces; dkim_hash_put is a dkim_put_fn with the context as its argument. */
struct evp_md_ctx_st *dkim_hash_new(void);
void		 dkim_hash_put(void *ctx, const void *bytes, size_t len);
void		 dkim_hash_end(struct evp_md_ctx_st *, uint8_t hash[DKIM_HASH_BYTES]);	/* and frees it */
/* A signature's own field with an empty b= and no end of line. */
void		 dkim_hash_own(const struct dkim_signature *, const struct header_field *, bool relaxed, dkim_put_fn *, void *arg);

/* ---- bodies ---- */

struct dkim_body_hash {
	struct evp_md_ctx_st *ctx;
	bool		 relaxed, limited;
	uint64_t	 limit, size;		/* size: of the whole canonical body */
	uint8_t		 hash[DKIM_HASH_BYTES];
};

/* Zeroed memory is one without any hash. */
struct dkim_bodies {
	struct dkim_body_hash hashes[DKIM_BODIES_MAX];
	size_t		 n;
	struct dkim_canon *canons[2];		/* simple and relaxed, where wanted */
};

/* Which of the hashes this signature's is; equal ones are made once. Before the first byte; at most DKIM_BODIES_MAX times. */
size_t		 dkim_bodies_want(struct dkim_bodies *, const struct dkim_signature *);
void		 dkim_bodies_put(struct dkim_bodies *, const void *, size_t);
void		 dkim_bodies_end(struct dkim_bodies *);
void		 dkim_bodies_clear(struct dkim_bodies *);

#endif
