/*
 * SRS addresses, made and read. Decides whether one is ours, whole and young enough; whether it may be used now (for a bounce)
 * its caller decides. The hash covers day, domain and local part in lower case, for hosts on the way may change the case.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/srs.h"
#include "lib/log.h"

#define HASH_MOST	20		/* characters that one may have: 100 bits */
#define DAYS_CYCLE	1024		/* two characters */
#define DAY_SECONDS	86400

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const char *
srs_result_name(enum srs_result result)
{
	static const char *const names[] = {
		[SRS_OK] = "ok",
		[SRS_UNCHANGED] = "unchanged",
		[SRS_MALFORMED] = "malformed",
		[SRS_TOO_LONG] = "too-long",
		[SRS_FORGED] = "forged",
		[SRS_EXPIRED] = "expired",
	};

	return (unsigned)result < sizeof(names) / sizeof(names[0]) ? names[result] : "?";
}

/* ---- hash and day ---- */

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

/* HASH_MOST characters over what is signed. */
static void
hash_make(char to[HASH_MOST + 1], const char *secret, const char *text)
{
	unsigned char digest[EVP_MAX_MD_SIZE], folded[2 * ADDRESS_MAX];
	unsigned len = 0, bits = 0, n_bits = 0;
	size_t n = 0;

	for (; *text != '\0' && n < sizeof(folded); text++)
		folded[n++] = (unsigned char)lower(*text);
	if (HMAC(EVP_sha256(), secret, (int)strnlen(secret, 4096), folded, n, digest, &len) == NULL)
		log_fatal("event=hmac_failed");
	for (size_t i = 0, at = 0; i < HASH_MOST; i++) {
		if (n_bits < 5) {
			bits = bits << 8 | digest[at++];
			n_bits += 8;
		}
		n_bits -= 5;
		to[i] = base32[bits >> n_bits & 31];
	}
	to[HASH_MOST] = '\0';
}

static bool
hash_is_ours(const char *hash, size_t len, const char *text, const struct srs_secrets *secrets)
{
	char given[HASH_MOST], right[HASH_MOST + 1];
	bool ours = false;

	if (len < SRS_HASH_LEN || len > HASH_MOST)
		return false;
	for (size_t i = 0; i < len; i++)
		given[i] = upper(hash[i]);
	for (size_t i = 0; i < sizeof(secrets->list) / sizeof(secrets->list[0]); i++)
		if (secrets->list[i] != NULL) {
			hash_make(right, secrets->list[i], text);
			ours |= CRYPTO_memcmp(given, right, len) == 0;
		}
	return ours;
}

static unsigned
day_of(time_t now)
{
	return (unsigned)(now / DAY_SECONDS % DAYS_CYCLE);
}

/* -1: no day. */
static int
day_read(const char *p, size_t len)
{
	int day = 0;

	if (len != 2)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		const char *at = p[i] != '\0' ? strchr(base32, upper(p[i])) : NULL;

		if (at == NULL)
			return -1;
		day = day * 32 + (int)(at - base32);
	}
	return day;
}

/* A day ahead is fine: clocks differ. */
static bool
day_is_good(int day, time_t now)
{
	unsigned age = (day_of(now) + DAYS_CYCLE - (unsigned)day) % DAYS_CYCLE;

	return age <= SRS_DAYS || age == DAYS_CYCLE - 1;
}

/* ---- addresses ---- */

/* Whether a local part is "SRS0" or "SRS1" and one of the separators that are in use. */
static bool
is_srs(const char *local, char digit)
{
	return strncasecmp(local, "SRS", 3) == 0 && local[3] == digit && local[4] != '\0' && strchr("=+-", local[4]) != NULL;
}

/* Quoted, so that the parser decides whether it must be; canonical. */
static enum srs_result
address_make(char to[ADDRESS_MAX], const char *local, const char *domain)
{
	char text[2 * ADDRESS_MAX + ADDRESS_DOMAIN_MAX];
	struct address address;
	size_t n = 0;

	if (strlen(local) > ADDRESS_LOCAL_MAX)
		return SRS_TOO_LONG;
	text[n++] = '"';
	for (const char *p = local; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			text[n++] = '\\';
		text[n++] = *p;
	}
	snprintf(text + n, sizeof(text) - n, "\"@%s", domain);
	if (address_parse(&address, text, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return SRS_MALFORMED;
	snprintf(to, ADDRESS_MAX, "%s", address.text);
	return SRS_OK;
}

static enum srs_result	make(char to[ADDRESS_MAX], const char *secret, const char *domain, const char *tag, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* TAG=HASH=SIGNED@domain. */
static enum srs_result
make(char to[ADDRESS_MAX], const char *secret, const char *domain, const char *tag, const char *fmt, ...)
{
	char signed_text[2 * ADDRESS_MAX], hash[HASH_MOST + 1], local[3 * ADDRESS_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(signed_text, sizeof(signed_text), fmt, args);
	va_end(args);
	hash_make(hash, secret, signed_text);
	snprintf(local, sizeof(local), "%s=%.*s=%s", tag, SRS_HASH_LEN, hash, signed_text);
	return address_make(to, local, domain);
}

/* HOST= and the rest of an SRS1 local part; NULL: it only looks like one. */
static const char *
signed_part(const char *local)
{
	const char *host = strchr(local + 5, '='), *rest = host != NULL ? strchr(host + 1, '=') : NULL;

	return rest != NULL && rest[1] != '\0' && strchr("=+-", rest[1]) != NULL ? host + 1 : NULL;
}

enum srs_result
srs_forward(char to[ADDRESS_MAX], const char *sender, const char *domain, const struct srs_secrets *secrets, time_t now)
{
	struct address a;
	const char *rest;
	unsigned day = day_of(now);

	if (address_parse(&a, sender, ADDRESS_UTF8 | ADDRESS_NULL, NULL) != ADDRESS_OK && sender[0] != '\0')
		return SRS_MALFORMED;
	if (sender[0] == '\0' || strcasecmp(a.domain, domain) == 0) {
		snprintf(to, ADDRESS_MAX, "%s", sender[0] == '\0' ? "" : a.text);
		return SRS_UNCHANGED;
	}
	if (is_srs(a.local, '0'))
		return make(to, secrets->list[0], domain, "SRS1", "%s=%s", a.domain, a.local + 4);
	/* The first forwarder stays: bounces go past all between it and us. */
	if (is_srs(a.local, '1') && (rest = signed_part(a.local)) != NULL)
		return make(to, secrets->list[0], domain, "SRS1", "%s", rest);
	return make(to, secrets->list[0], domain, "SRS0", "%c%c=%s=%s", base32[day / 32], base32[day % 32], a.domain, a.local);
}

/* signed_text is DAY=DOMAIN=LOCAL. */
static enum srs_result
reverse_first(char to[ADDRESS_MAX], const char *signed_text, time_t now)
{
	const char *domain = strchr(signed_text, '='), *local = domain != NULL ? strchr(domain + 1, '=') : NULL;
	char name[ADDRESS_MAX];
	int day;

	day = domain != NULL ? day_read(signed_text, (size_t)(domain - signed_text)) : -1;
	if (day == -1 || local == NULL)
		return SRS_MALFORMED;
	if (!day_is_good(day, now))
		return SRS_EXPIRED;
	snprintf(name, sizeof(name), "%.*s", (int)(local - domain - 1), domain + 1);
	return address_make(to, local + 1, name);
}

/* signed_text is HOST=, then what stood behind the first forwarder's "SRS0". */
static enum srs_result
reverse_second(char to[ADDRESS_MAX], const char *signed_text)
{
	const char *rest = strchr(signed_text, '=');
	char host[ADDRESS_MAX], local[ADDRESS_MAX];

	if (rest == NULL || rest[1] == '\0' || strchr("=+-", rest[1]) == NULL)
		return SRS_MALFORMED;
	snprintf(host, sizeof(host), "%.*s", (int)(rest - signed_text), signed_text);
	snprintf(local, sizeof(local), "SRS0%s", rest + 1);
	return address_make(to, local, host);
}

enum srs_result
srs_reverse(char to[ADDRESS_MAX], const char *address, const struct srs_secrets *secrets, time_t now)
{
	const char *hash, *signed_text;
	struct address a;
	bool first;

	if (address_parse(&a, address, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return SRS_MALFORMED;
	first = is_srs(a.local, '0');
	if (!first && !is_srs(a.local, '1')) {
		snprintf(to, ADDRESS_MAX, "%s", a.text);
		return SRS_UNCHANGED;
	}
	hash = a.local + 5;
	signed_text = strchr(hash, '=');
	if (signed_text == NULL)
		return SRS_MALFORMED;
	if (!hash_is_ours(hash, (size_t)(signed_text - hash), signed_text + 1, secrets))
		return SRS_FORGED;
	return first ? reverse_first(to, signed_text + 1, now) : reverse_second(to, signed_text + 1);
}
