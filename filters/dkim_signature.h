/*
 * What DKIM and ARC fields and key records say: RFC 6376, 3.2, 3.5, 3.6.1; RFC 8463; RFC 8617, 4.1. Pure.
 *
 * One struct serves DKIM-Signature, ARC-Message-Signature and ARC-Seal; which tags are needed depends on the kind.
 */
#ifndef FILTERS_DKIM_SIGNATURE_H
#define FILTERS_DKIM_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct header_field;

#define DKIM_HASH_BYTES		32	/* SHA-256, the only one that counts (RFC 8301) */
#define DKIM_SIGNATURE_BYTES	512	/* of a 4096-bit key, the longest that is tried */
#define DKIM_KEY_BYTES		1024	/* of a public key as it stands in DNS */
#define DKIM_NAME_MAX		253
#define DKIM_KEY_NAME_MAX	(DKIM_NAME_MAX + 12 + DKIM_NAME_MAX)
#define DKIM_TAGS_MAX		40	/* the doubled are looked for among these; more are refused */
#define ARC_SETS_MAX		50	/* RFC 8617, 4.2.1 */

/* In the terms of RFC 8601, 2.7.1. */
enum dkim_result {
	DKIM_NONE,
	DKIM_PASS,
	DKIM_FAIL,			/* the message is not the one that was signed */
	DKIM_POLICY,			/* it may be right, but such a signature does not count here */
	DKIM_NEUTRAL,			/* syntax errors */
	DKIM_TEMPERROR,
	DKIM_PERMERROR,
};

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256, DKIM_RSA_SHA1 };

enum dkim_kind { DKIM_MESSAGE, ARC_MESSAGE, ARC_SEAL };

enum arc_cv { ARC_CV_NONE, ARC_CV_PASS, ARC_CV_FAIL };

struct dkim_signature {
	enum dkim_kind	 kind;
	enum dkim_algorithm algorithm;
	bool		 relaxed_header, relaxed_body;
	char		 domain[DKIM_NAME_MAX + 1];	/* d=, in lower case */
	char		 selector[DKIM_NAME_MAX + 1];	/* s= */
	char		 identity_domain[DKIM_NAME_MAX + 1];	/* of i=; d= when there is none */
	uint8_t		 b[DKIM_SIGNATURE_BYTES];
	size_t		 b_len;
	uint8_t		 bh[DKIM_HASH_BYTES];
	const char	*h;				/* borrowed: h= as it stands */
	size_t		 h_len;
	bool		 limited;			/* l= */
	uint64_t	 limit;
	time_t		 made, expires;			/* t= and x=, 0 without */
	unsigned	 instance;			/* ARC: i= */
	enum arc_cv	 cv;				/* ARC_SEAL */
	size_t		 b_at, b_end;			/* b='s value, all white space with it, in the field's value */
};

/* A public key record. */
struct dkim_key_record {
	enum dkim_algorithm algorithm;			/* k=: DKIM_RSA_SHA256 or DKIM_ED25519_SHA256 */
	uint8_t		 key[DKIM_KEY_BYTES];
	size_t		 len;				/* 0: revoked */
	bool		 same_domain;			/* t=s */
	bool		 testing;			/* t=y */
};

struct dkim_tag {
	const char	*name, *value;			/* borrowed; white space around them is gone */
	size_t		 name_len, value_len;
	size_t		 begin, end;			/* of all that is between "=" and ";" */
};

/* The next tag at *at (start with 0): 1, 0 at the end, -1 where it is no tag-list. */
int		 dkim_tag_next(const char *list, size_t len, size_t *at, struct dkim_tag *);

/*
 * Reads a field. DKIM_PASS, or what the signature's result is and a phrase that says why. What was read until then is there
 * (domain and selector may be ""). Whether it has expired is not looked at.
 */
enum dkim_result dkim_signature_parse(struct dkim_signature *, enum dkim_kind, const struct header_field *,
		    const char **why_r);
/* The next name of h= at *at; false at the end. Empty names are left out. */
bool		 dkim_signature_name(const struct dkim_signature *, size_t *at, const char **name_r, size_t *len_r);
bool		 dkim_signature_signs(const struct dkim_signature *, const char *name);
/* DKIM_PASS, or DKIM_PERMERROR and why. A revoked key is read well. */
enum dkim_result dkim_key_parse(struct dkim_key_record *, const char *text, size_t len, const char **why_r);
/* i= at the beginning of an ARC-Authentication-Results (RFC 8617, 4.1.1): 1 to 50, or 0. */
unsigned	 arc_results_instance(const struct header_field *);

/* Where the key is: "selector._domainkey.domain". Returns to; needs DKIM_KEY_NAME_MAX + 1 bytes. */
char		*dkim_key_name(char *to, const struct dkim_signature *);
/* White space inside is fine, everything else that is not base64 is not. Bytes written, or -1. */
int		 dkim_base64(uint8_t *to, size_t size, const char *from, size_t len);

const char	*dkim_result_name(enum dkim_result);
const char	*dkim_algorithm_name(enum dkim_algorithm);	/* "rsa-sha256" */
const char	*arc_cv_name(enum arc_cv);

#endif
