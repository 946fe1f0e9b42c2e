/*
 * An ARC set made: RFC 8617, 5.1. In three steps, because two signatures are needed and the key may be in another process:
 * the message's hash, then with its signature the seal's hash, then with that one's signature the fields.
 */
#ifndef FILTERS_ARC_SEAL_H
#define FILTERS_ARC_SEAL_H

#include "filters/dkim_sign.h"

struct arc_sealer;

/*
 * cv: what verifying the chain gave. results: what stands in Authentication-Results behind the authserv-id, "none" at least,
 * lines folded with CRLF. Kind and instance of the options are set here. NULL and why: wrong options, or a chain that must
 * not be sealed (it had failed before, or has 50 sets).
 */
struct arc_sealer *arc_sealer_new(const struct dkim_sign_options *, const char *authserv_id, const char *results, enum arc_cv,
		    const char *header, size_t len, const char **why_r);
void		 arc_sealer_body(struct arc_sealer *, const void *, size_t);
void		 arc_sealer_message_hash(struct arc_sealer *, uint8_t hash[DKIM_HASH_BYTES]);
void		 arc_sealer_seal_hash(struct arc_sealer *, const uint8_t *b, size_t b_len, uint8_t hash[DKIM_HASH_BYTES]);
/* ARC-Seal, ARC-Message-Signature and ARC-Authentication-Results, to stand on top; malloced. */
char		*arc_sealer_fields(struct arc_sealer *, const uint8_t *b, size_t b_len);
void		 arc_sealer_free(struct arc_sealer *);		/* NULL is fine */

#endif
