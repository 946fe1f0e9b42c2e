/*
 * DKIM-Signature and ARC-Message-Signature fields made: RFC 6376, 5. The private key is not needed here: the signer gives the
 * hash to be signed and takes the signature, so that whoever holds the key can be another process.
 */
#ifndef FILTERS_DKIM_SIGN_H
#define FILTERS_DKIM_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "filters/dkim_signature.h"

struct dkim_sign_options {
	enum dkim_kind	 kind;			/* DKIM_MESSAGE or ARC_MESSAGE */
	enum dkim_algorithm algorithm;
	bool		 relaxed_header, relaxed_body;
	const char	*domain, *selector;
	const char	*names;			/* "from:to:…"; NULL: the usual ones, oversigned where that protects */
	time_t		 now;			/* t=; 0: none */
	unsigned	 instance;		/* ARC_MESSAGE: i= */
};

struct dkim_signer;

/* NULL when there is something wrong with what was asked for, and why. The options are not needed afterwards. */
struct dkim_signer *dkim_signer_new(const struct dkim_sign_options *, const char *header, size_t len, const char **why_r);
void		 dkim_signer_body(struct dkim_signer *, const void *, size_t);
/* The end of the body: what is to be signed. */
void		 dkim_signer_hash(struct dkim_signer *, uint8_t hash[DKIM_HASH_BYTES]);
/* The whole field, with CRLF; malloced. */
char		*dkim_signer_field(struct dkim_signer *, const uint8_t *b, size_t b_len);
void		 dkim_signer_free(struct dkim_signer *);	/* NULL is fine */

/* Base64 in lines, each but the first after a fold. For seals. */
void		 dkim_sign_put_base64(FILE *to, const uint8_t *, size_t);

#endif
