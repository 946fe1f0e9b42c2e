/*
 * Keys: public ones out of DNS answers and their signatures checked, private ones out of PEM files and signatures made.
 * RFC 6376, 3.6; RFC 8301, 3.2; RFC 8463, 3.
 */
#ifndef FILTERS_DKIM_KEY_H
#define FILTERS_DKIM_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "filters/dkim_signature.h"

#define DKIM_RSA_BITS_MIN	1024
#define DKIM_RSA_BITS_MAX	4096

struct dns_answer;
struct evp_pkey_st;

/* DKIM_PASS and the key; DKIM_TEMPERROR without an answer; DKIM_PERMERROR without a key, or with one that cannot be this
 * signature's. *why_r: a phrase. */
enum dkim_result dkim_key_from_answer(struct dkim_key_record *, const struct dkim_signature *, const struct dns_answer *,
		    const char **why_r);
/* Is it this key's signature of this hash? PASS, FAIL, POLICY (too short, too long), PERMERROR (no key at all). */
enum dkim_result dkim_key_verify(const struct dkim_key_record *, const struct dkim_signature *,
		    const uint8_t hash[DKIM_HASH_BYTES], unsigned *bits_r, const char **why_r);

/* All that libcrypto reads from disk and loads at its first use: before a process confines itself. */
void		 dkim_key_prepare(void);

/* A private key of PEM text; NULL and why. Freed with EVP_PKEY_free. */
struct evp_pkey_st *dkim_key_private(const char *pem, size_t len, const char **why_r);
/* The algorithm that goes with a private key. */
enum dkim_algorithm dkim_key_algorithm(const struct evp_pkey_st *);
/* Signs a hash. 0 or -1. */
int		 dkim_key_sign(struct evp_pkey_st *, const uint8_t hash[DKIM_HASH_BYTES], uint8_t b[DKIM_SIGNATURE_BYTES],
		    size_t *len_r);

#endif
