/*
 * SMTP AUTH from the client's side (delivery/login.h): which mechanism, and what is said in turn. Decides nothing about the
 * session, and never logs. Whether a login is allowed at all without encryption, the configuration says. Called by
 * client_steps.c.
 */
#include "delivery/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/alloc.h"
#include "lib/log.h"

#define ITERATIONS_MIN	4096		/* RFC 7677, 4; with less, whoever listens finds the password sooner */
#define ITERATIONS_MAX	200000		/* about a fifth of a second; a server that wants more wants our time */
#define RAW_MAX		((LOGIN_LINE_MAX - 8) / 4 * 3)
#define HASH		32

struct login {
	enum login_mechanism mechanism;
	char		*user, *password, *nonce;
	unsigned	 step;			/* answers given */
	bool		 proven;		/* SCRAM: the server has */
	char		 first[700];		/* SCRAM: client-first-message-bare */
	uint8_t		 server_signature[HASH];
};

static const struct { enum login_mechanism mechanism; const char *name; } names[] = {
	{ LOGIN_SCRAM_SHA_256, "SCRAM-SHA-256" },
	{ LOGIN_CRAM_MD5, "CRAM-MD5" },
	{ LOGIN_PLAIN, "PLAIN" },
	{ LOGIN_LOGIN, "LOGIN" },
};
#define N_NAMES (sizeof(names) / sizeof(names[0]))

unsigned
login_offered(const char *words, size_t len)
{
	unsigned offered = 0;
	size_t word;

	for (; len > 0; words += word + (word < len), len -= word + (word < len)) {
		const char *space = memchr(words, ' ', len);

		word = space != NULL ? (size_t)(space - words) : len;
		for (size_t i = 0; i < N_NAMES; i++)
			if (strlen(names[i].name) == word && strncasecmp(names[i].name, words, word) == 0)
				offered |= names[i].mechanism;
	}
	return offered;
}

struct login *
login_new(unsigned offered, const char *user, const char *password, const char *nonce)
{
	struct login *l;
	size_t i = 0;

	while (i < N_NAMES && (offered & names[i].mechanism) == 0)
		i++;
	if (i == N_NAMES)
		return NULL;
	l = alloc_new(1, sizeof(*l));
	l->mechanism = names[i].mechanism;
	l->user = alloc_text(user);
	l->password = alloc_text(password);
	l->nonce = alloc_text(nonce);
	return l;
}

void
login_free(struct login *l)
{
	if (l == NULL)
		return;
	explicit_bzero(l->user, strlen(l->user));
	explicit_bzero(l->password, strlen(l->password));
	free(l->user);
	free(l->password);
	free(l->nonce);
	explicit_bzero(l, sizeof(*l));
	free(l);
}

const char *
login_name(const struct login *l)
{
	size_t i = 0;

	while (names[i].mechanism != l->mechanism)
		i++;
	return names[i].name;
}

/* ---- base64 ---- */

static size_t
encode(char to[LOGIN_LINE_MAX], size_t at, const void *from, size_t len)
{
	if (len > RAW_MAX - at)
		return 0;
	at += (size_t)EVP_EncodeBlock((unsigned char *)to + at, from, (int)len);
	memcpy(to + at, "\r\n", 3);
	return at + 2;
}

/* -1: it is none. */
static int
decode(uint8_t *to, size_t size, const char *from, size_t len)
{
	int n, padding = 0;

	if (len % 4 != 0 || len / 4 * 3 > size)
		return -1;
	while (padding < 2 && len > 0 && from[len - 1 - (size_t)padding] == '=')
		padding++;
	if (memchr(from, '=', len - (size_t)padding) != NULL)
		return -1;
	n = EVP_DecodeBlock(to, (const unsigned char *)from, (int)len);
	return n < padding ? -1 : n - padding;
}

/* ---- CRAM-MD5 ---- */

static size_t
answer_cram(const struct login *l, const uint8_t *challenge, size_t len, char *to)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char raw[RAW_MAX];
	unsigned n = 0;
	int at;

	if (HMAC(EVP_md5(), l->password, (int)strlen(l->password), challenge, len, digest, &n) == NULL || n != 16)
		return 0;
	at = snprintf(raw, sizeof(raw), "%s ", l->user);
	for (unsigned i = 0; i < n; i++)
		at += snprintf(raw + at, sizeof(raw) - (size_t)at, "%02x", digest[i]);
	return encode(to, 0, raw, (size_t)at);
}

/* ---- SCRAM-SHA-256 ---- */

/* RFC 5802, 5.1: in a name "," and "=" are written otherwise. */
static void
scram_first(struct login *l)
{
	size_t at = (size_t)snprintf(l->first, sizeof(l->first), "n=");

	for (const char *p = l->user; *p != '\0' && at < sizeof(l->first) - 80; p++)
		at += (size_t)snprintf(l->first + at, sizeof(l->first) - at, *p == ',' ? "=2C" : *p == '=' ? "=3D" : "%c", *p);
	snprintf(l->first + at, sizeof(l->first) - at, ",r=%.*s", LOGIN_NONCE_MAX, l->nonce);
}

static void
hmac(uint8_t to[HASH], const uint8_t *key, size_t key_len, const void *data, size_t len)
{
	unsigned n = HASH;

	if (HMAC(EVP_sha256(), key, (int)key_len, data, len, to, &n) == NULL)
		log_fatal("event=crypto-failed where=login");
}

/* "r=…,s=…,i=…" and perhaps more behind it (server-first-message). */
struct scram_server {
	const char	*nonce;
	size_t		 nonce_len;
	uint8_t		 salt[256];
	int		 salt_len;
	unsigned	 iterations;
};

static bool
scram_read(struct scram_server *s, const struct login *l, const char *text)
{
	const char *salt, *iterations, *end;
	size_t own = strlen(l->nonce);

	if (strncmp(text, "r=", 2) != 0 || (salt = strstr(text, ",s=")) == NULL || (iterations = strstr(salt + 3, ",i=")) == NULL)
		return false;
	s->nonce = text + 2;
	s->nonce_len = (size_t)(salt - s->nonce);
	/* The server's own part must be there: an answer for another exchange cannot be used again. */
	if (s->nonce_len <= own || s->nonce_len > 256 || memcmp(s->nonce, l->nonce, own) != 0)
		return false;
	s->salt_len = decode(s->salt, sizeof(s->salt), salt + 3, (size_t)(iterations - salt - 3));
	s->iterations = 0;
	for (end = iterations + 3; *end >= '0' && *end <= '9' && s->iterations <= ITERATIONS_MAX; end++)
		s->iterations = s->iterations * 10 + (unsigned)(*end - '0');
	return s->salt_len > 0 && s->iterations >= ITERATIONS_MIN && s->iterations <= ITERATIONS_MAX &&
	    (*end == '\0' || *end == ',');
}

/* RFC 5802, 3: what is signed by both is all that was said, in this order. */
static size_t
scram_final(struct login *l, const char *challenge, char *to)
{
	uint8_t salted[HASH], key[HASH], stored[HASH], signature[HASH], proof[HASH];
	char final[400], signed_text[LOGIN_LINE_MAX + 1200], raw[RAW_MAX];
	struct scram_server s;
	int len;

	if (!scram_read(&s, l, challenge))
		return 0;
	snprintf(final, sizeof(final), "c=biws,r=%.*s", (int)s.nonce_len, s.nonce);
	len = snprintf(signed_text, sizeof(signed_text), "%s,%s,%s", l->first, challenge, final);
	if (len < 0 || (size_t)len >= sizeof(signed_text) ||
	    PKCS5_PBKDF2_HMAC(l->password, (int)strlen(l->password), s.salt, s.salt_len, (int)s.iterations, EVP_sha256(), HASH,
	    salted) != 1)
		return 0;
	hmac(key, salted, HASH, "Client Key", 10);
	if (EVP_Digest(key, HASH, stored, NULL, EVP_sha256(), NULL) != 1)
		return 0;
	hmac(signature, stored, HASH, signed_text, (size_t)len);
	for (int i = 0; i < HASH; i++)
		proof[i] = key[i] ^ signature[i];
	hmac(key, salted, HASH, "Server Key", 10);
	hmac(l->server_signature, key, HASH, signed_text, (size_t)len);
	len = snprintf(raw, sizeof(raw), "%s,p=", final);
	len += EVP_EncodeBlock((unsigned char *)raw + len, proof, HASH);
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(key, sizeof(key));
	return encode(to, 0, raw, (size_t)len);
}

/* "v=…": the server's proof; the answer to it is an empty line. */
static size_t
scram_end(struct login *l, const char *challenge, char *to)
{
	uint8_t theirs[HASH + 1];

	if (strncmp(challenge, "v=", 2) != 0 || decode(theirs, sizeof(theirs), challenge + 2, strcspn(challenge + 2, ",")) != HASH ||
	    CRYPTO_memcmp(theirs, l->server_signature, HASH) != 0)
		return 0;
	l->proven = true;
	memcpy(to, "\r\n", 3);
	return 2;
}

/* ---- the exchange ---- */

static size_t
plain(const struct login *l, char *to, size_t at)
{
	char raw[RAW_MAX];
	int n = snprintf(raw, sizeof(raw), "%c%s%c%s", '\0', l->user, '\0', l->password);
	size_t len = encode(to, at, raw, (size_t)n);

	OPENSSL_cleanse(raw, sizeof(raw));
	return len;
}

size_t
login_command(struct login *l, char to[LOGIN_LINE_MAX])
{
	int at = snprintf(to, LOGIN_LINE_MAX, "AUTH %s ", login_name(l));
	char raw[800];
	int n;

	if (l->mechanism == LOGIN_PLAIN)
		return plain(l, to, (size_t)at);
	if (l->mechanism == LOGIN_SCRAM_SHA_256) {
		scram_first(l);
		n = snprintf(raw, sizeof(raw), "n,,%s", l->first);
		return encode(to, (size_t)at, raw, (size_t)n);
	}
	memcpy(to + at - 1, "\r\n", 3);
	return (size_t)at + 1;
}

size_t
login_answer(struct login *l, const char *challenge, size_t len, char to[LOGIN_LINE_MAX])
{
	uint8_t raw[RAW_MAX + 4];
	int n = decode(raw, RAW_MAX, challenge, len);
	unsigned step = l->step++;

	/* LOGIN's prompts are words that some write without base64; they do not matter. */
	if (l->mechanism == LOGIN_LOGIN && step < 2)
		return encode(to, 0, step == 0 ? l->user : l->password, strlen(step == 0 ? l->user : l->password));
	if (n < 0)
		return 0;
	raw[n] = '\0';
	if (l->mechanism == LOGIN_CRAM_MD5 && step == 0 && n > 0)
		return answer_cram(l, raw, (size_t)n, to);
	if (l->mechanism == LOGIN_SCRAM_SHA_256 && strlen((char *)raw) == (size_t)n && step < 2)
		return step == 0 ? scram_final(l, (char *)raw, to) : scram_end(l, (char *)raw, to);
	return 0;
}

bool
login_may_end(const struct login *l)
{
	static const struct { enum login_mechanism mechanism; unsigned answers; } ends[] = {
		{ LOGIN_SCRAM_SHA_256, 2 }, { LOGIN_CRAM_MD5, 1 }, { LOGIN_PLAIN, 0 }, { LOGIN_LOGIN, 2 },
	};
	size_t i = 0;

	while (ends[i].mechanism != l->mechanism)
		i++;
	return l->step == ends[i].answers && (l->mechanism != LOGIN_SCRAM_SHA_256 || l->proven);
}

void
login_prepare(void)
{
	uint8_t out[EVP_MAX_MD_SIZE];
	unsigned n;

	HMAC(EVP_md5(), "key", 3, (const unsigned char *)"x", 1, out, &n);
	HMAC(EVP_sha256(), "key", 3, (const unsigned char *)"x", 1, out, &n);
	EVP_Digest("x", 1, out, NULL, EVP_sha256(), NULL);
	PKCS5_PBKDF2_HMAC("x", 1, (const unsigned char *)"salt", 4, 1, EVP_sha256(), HASH, out);
}
