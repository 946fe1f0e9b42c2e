/*
 * Keys of DKIM and ARC. Decides whether a key counts and whether a signature is its; what was signed is decided by dkim.c,
 * arc.c and the signers. All arithmetic is libcrypto's.
 */
#include "filters/dkim_key.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "filters/dkim_hash.h"
#include "mx/dns.h"

#define ED25519_KEY_BYTES	32
#define ED25519_B_BYTES		64
#define EXPONENT_BITS_MAX	64	/* a long public exponent makes verifying as slow as signing */
#define RECORDS_MAX		4	/* there should be one (RFC 6376, 3.6.2.2); of several the first that is right counts */

/* ---- public keys ---- */

enum dkim_result
dkim_key_from_answer(struct dkim_key_record *k, const struct dkim_signature *s, const struct dns_answer *a,
    const char **why_r)
{
	enum dkim_result result = DKIM_PERMERROR;

	if (a->result == DNS_TEMPORARY) {
		*why_r = "no answer about the key";
		return DKIM_TEMPERROR;
	}
	*why_r = "there is no key in DNS";
	if (a->result != DNS_OK)
		return DKIM_PERMERROR;
	for (size_t i = 0; i < a->n && i < RECORDS_MAX && result != DKIM_PASS; i++)
		result = dkim_key_parse(k, a->records[i].bytes, a->records[i].len, why_r);
	if (result != DKIM_PASS)
		return result;
	if (k->len == 0)
		*why_r = "the key is revoked";
	else if (k->algorithm != s->algorithm)
		*why_r = "the key is of another kind than the signature";
	else if (k->same_domain && s->kind == DKIM_MESSAGE && strcmp(s->identity_domain, s->domain) != 0)
		*why_r = "the key is for its very domain only, i= is below it";
	else
		return DKIM_PASS;
	return DKIM_PERMERROR;
}

/* What is inside the DER element at *p, which moves behind it; false where another one is. */
static bool
take_element(const unsigned char **p, const unsigned char *end, int wanted, const unsigned char **inside_r,
    const unsigned char **end_r)
{
	int tag, class, rc;
	long len;

	if (*p >= end)
		return false;
	rc = ASN1_get_object(p, &len, &tag, &class, end - *p);
	if ((rc & 0x81) != 0 || tag != wanted || class != V_ASN1_UNIVERSAL)
		return false;
	*inside_r = *p;
	*end_r = *p += len;
	return true;
}

/* RSAPublicKey: SEQUENCE { n INTEGER, e INTEGER }, both positive. */
static bool
read_numbers(const unsigned char *p, const unsigned char *end, BIGNUM **n_r, BIGNUM **e_r)
{
	const unsigned char *n, *n_end, *e, *e_end;

	if (!take_element(&p, end, V_ASN1_SEQUENCE, &n, &n_end) || p != end)
		return false;
	p = n;
	end = n_end;
	if (!take_element(&p, end, V_ASN1_INTEGER, &n, &n_end) || !take_element(&p, end, V_ASN1_INTEGER, &e, &e_end) || p != end ||
	    n == n_end || e == e_end || (*n & 0x80) != 0 || (*e & 0x80) != 0)
		return false;
	*n_r = BN_bin2bn(n, (int)(n_end - n), NULL);
	*e_r = BN_bin2bn(e, (int)(e_end - e), NULL);
	return *n_r != NULL && *e_r != NULL;
}

/* SubjectPublicKeyInfo: SEQUENCE { SEQUENCE { rsaEncryption, … }, BIT STRING }. */
static bool
read_info(const unsigned char *p, const unsigned char *end, BIGNUM **n_r, BIGNUM **e_r)
{
	static const unsigned char rsa[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01 };
	const unsigned char *in, *in_end, *algorithm, *algorithm_end, *bits, *bits_end;

	if (!take_element(&p, end, V_ASN1_SEQUENCE, &in, &in_end) || p != end ||
	    !take_element(&in, in_end, V_ASN1_SEQUENCE, &algorithm, &algorithm_end) ||
	    !take_element(&in, in_end, V_ASN1_BIT_STRING, &bits, &bits_end) || in != in_end ||
	    !take_element(&algorithm, algorithm_end, V_ASN1_OBJECT, &in, &in_end))
		return false;
	return in_end - in == sizeof(rsa) && memcmp(in, rsa, sizeof(rsa)) == 0 && bits < bits_end && *bits == 0 &&
	    read_numbers(bits + 1, bits_end, n_r, e_r);
}

static EVP_PKEY *
key_of_numbers(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (build != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		params = OSSL_PARAM_BLD_to_param(build);
	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* The usual forms, a hundred times faster than libcrypto's decoder of all forms. NULL for others. */
static EVP_PKEY *
usual_rsa_key(const struct dkim_key_record *k)
{
	BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *key = NULL;

	if (read_info(k->key, k->key + k->len, &n, &e) || read_numbers(k->key, k->key + k->len, &n, &e))
		key = key_of_numbers(n, e);
	BN_free(n);
	BN_free(e);
	return key;
}

/* A SubjectPublicKeyInfo as everyone publishes it, or the bare RSAPublicKey that RFC 6376 says. */
static EVP_PKEY *
rsa_key(const struct dkim_key_record *k)
{
	const unsigned char *p = k->key;
	EVP_PKEY *key = usual_rsa_key(k);

	if (key != NULL)
		return key;
	key = d2i_PUBKEY(NULL, &p, (long)k->len);

	if (key == NULL) {
		p = k->key;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)k->len);
	}
	if (key != NULL && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static bool
exponent_fits(const EVP_PKEY *key)
{
	BIGNUM *e = NULL;
	bool fits = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_num_bits(e) <= EXPONENT_BITS_MAX;

	BN_free(e);
	return fits;
}

static bool
rsa_verifies(EVP_PKEY *key, const struct dkim_signature *s, const uint8_t hash[DKIM_HASH_BYTES])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool right = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_verify(ctx, s->b, s->b_len, hash, DKIM_HASH_BYTES) == 1;

	EVP_PKEY_CTX_free(ctx);
	return right;
}

/* RFC 8463, 3: the hash is the message that is signed. */
static bool
ed25519_verifies(EVP_PKEY *key, const struct dkim_signature *s, const uint8_t hash[DKIM_HASH_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool right = ctx != NULL && s->b_len == ED25519_B_BYTES &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, s->b, s->b_len, hash, DKIM_HASH_BYTES) == 1;

	EVP_MD_CTX_free(ctx);
	return right;
}

/* Whether a key of that length counts. */
static enum dkim_result
long_enough(const EVP_PKEY *key, enum dkim_algorithm algorithm, unsigned bits, const char **why_r)
{
	if (algorithm == DKIM_ED25519_SHA256)
		return DKIM_PASS;
	if (bits < DKIM_RSA_BITS_MIN)
		*why_r = "the key has less than 1024 bits";	/* RFC 8301, 3.2 */
	else if (bits > DKIM_RSA_BITS_MAX)
		*why_r = "the key has more than 4096 bits";
	else if (!exponent_fits(key))
		*why_r = "the key has an exponent of more than 64 bits";
	else
		return DKIM_PASS;
	return DKIM_POLICY;
}

enum dkim_result
dkim_key_verify(const struct dkim_key_record *k, const struct dkim_signature *s, const uint8_t hash[DKIM_HASH_BYTES],
    unsigned *bits_r, const char **why_r)
{
	enum dkim_result result;
	EVP_PKEY *key = NULL;
	bool right;

	if (k->algorithm == DKIM_RSA_SHA256)
		key = rsa_key(k);
	else if (k->len == ED25519_KEY_BYTES)
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->key, k->len);
	*bits_r = key != NULL ? (unsigned)EVP_PKEY_get_bits(key) : 0;
	*why_r = "the key cannot be read";
	result = key != NULL ? long_enough(key, k->algorithm, *bits_r, why_r) : DKIM_PERMERROR;
	if (result == DKIM_PASS) {
		right = k->algorithm == DKIM_RSA_SHA256 ? rsa_verifies(key, s, hash) : ed25519_verifies(key, s, hash);
		*why_r = right ? "" : "the signature is not that of the header";
		result = right ? DKIM_PASS : DKIM_FAIL;
	}
	EVP_PKEY_free(key);
	ERR_clear_error();		/* what failed is known; the next user of libcrypto must not find it */
	return result;
}

/* The keys of RFC 8463, appendix A, and one that is none, each tried once. */
void
dkim_key_prepare(void)
{
	static const char *const records[] = {
		"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Q"
		"vx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
		"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"v=DKIM1; k=rsa; p=AAAA",
	};
	struct dkim_signature s = { .b_len = 128 };
	struct evp_md_ctx_st *ctx = dkim_hash_new();
	uint8_t hash[DKIM_HASH_BYTES];
	struct dkim_key_record k;
	const char *why;
	unsigned bits;

	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	dkim_hash_put(ctx, "", 0);
	dkim_hash_end(ctx, hash);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		if (dkim_key_parse(&k, records[i], strlen(records[i]), &why) != DKIM_PASS)
			continue;
		s.algorithm = k.algorithm;
		s.b_len = k.algorithm == DKIM_RSA_SHA256 ? 128 : ED25519_B_BYTES;
		dkim_key_verify(&k, &s, hash, &bits, &why);
	}
	ERR_clear_error();
}

/* ---- private keys ---- */

/* Nobody is asked for a pass phrase. */
static int
no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

EVP_PKEY *
dkim_key_private(const char *pem, size_t len, const char **why_r)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	int id = key != NULL ? EVP_PKEY_get_base_id(key) : 0, bits = key != NULL ? EVP_PKEY_get_bits(key) : 0;

	BIO_free(bio);
	ERR_clear_error();
	*why_r = NULL;
	if (key == NULL)
		*why_r = "it is no private key in PEM without a pass phrase";
	else if (id != EVP_PKEY_RSA && id != EVP_PKEY_ED25519)
		*why_r = "it is neither RSA nor Ed25519";
	else if (id == EVP_PKEY_RSA && (bits < DKIM_RSA_BITS_MIN || bits > DKIM_RSA_BITS_MAX))
		*why_r = "an RSA key must have 1024 to 4096 bits";
	if (*why_r == NULL)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

enum dkim_algorithm
dkim_key_algorithm(const EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? DKIM_ED25519_SHA256 : DKIM_RSA_SHA256;
}

static bool
rsa_sign(EVP_PKEY *key, const uint8_t hash[DKIM_HASH_BYTES], uint8_t *b, size_t *len_r)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool done = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_sign(ctx, b, len_r, hash, DKIM_HASH_BYTES) == 1;

	EVP_PKEY_CTX_free(ctx);
	return done;
}

static bool
ed25519_sign(EVP_PKEY *key, const uint8_t hash[DKIM_HASH_BYTES], uint8_t *b, size_t *len_r)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(ctx, b, len_r, hash, DKIM_HASH_BYTES) == 1;

	EVP_MD_CTX_free(ctx);
	return done;
}

int
dkim_key_sign(EVP_PKEY *key, const uint8_t hash[DKIM_HASH_BYTES], uint8_t b[DKIM_SIGNATURE_BYTES], size_t *len_r)
{
	bool done;

	*len_r = DKIM_SIGNATURE_BYTES;
	done = dkim_key_algorithm(key) == DKIM_RSA_SHA256 ? rsa_sign(key, hash, b, len_r) : ed25519_sign(key, hash, b, len_r);
	ERR_clear_error();
	return done ? 0 : -1;
}
