/*
 * Tokens: an HMAC over claim, session, time of issue and subject. Decides whether a token is genuine and fresh; what it
 * then allows is decided by lookup (trusted) and queue (local, relay). Called by lookup and queue only.
 */
#include "lib/token.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/log.h"
#include "lib/pack.h"

#define TOKEN_MAC	16
#define TOKEN_SKEW_S	60	/* lookup and queue read the same clock, but a test moves it in one after the other */

/* Set up once: finding the algorithm costs six times what using it does. A process has one key. */
static struct {
	EVP_MAC_CTX	*ctx;
	uint8_t		 key[32];
} hmac;

static void
put_time(uint8_t *to, int64_t seconds)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)((uint64_t)seconds >> (8 * i));
}

static int64_t
get_time(const uint8_t *from)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return (int64_t)v;
}

static void
hmac_begin(const uint8_t key[32])
{
	OSSL_PARAM digest[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0), OSSL_PARAM_construct_end()
	};
	EVP_MAC *mac;

	if (hmac.ctx != NULL && CRYPTO_memcmp(hmac.key, key, sizeof(hmac.key)) == 0) {
		if (EVP_MAC_init(hmac.ctx, NULL, 0, NULL) != 1)
			log_fatal("event=hmac-failed");
		return;
	}
	EVP_MAC_CTX_free(hmac.ctx);
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	hmac.ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	memcpy(hmac.key, key, sizeof(hmac.key));
	if (hmac.ctx == NULL || EVP_MAC_init(hmac.ctx, key, sizeof(hmac.key), digest) != 1)
		log_fatal("event=hmac-failed");
}

/* Fields are packed with their lengths, so that no two different claims have the same bytes. */
static void
token_mac(uint8_t to[TOKEN_MAC], const uint8_t key[32], enum token_claim claim, uint64_t session, const char *what,
    int64_t issued_s)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	size_t mac_len = 0;
	struct pack p;

	pack_init(&p);
	pack_u8(&p, (uint8_t)claim);
	pack_u64(&p, session);
	pack_i64(&p, issued_s);
	pack_str(&p, what);
	hmac_begin(key);
	if (EVP_MAC_update(hmac.ctx, p.data, p.len) != 1 || EVP_MAC_final(hmac.ctx, mac, &mac_len, sizeof(mac)) != 1 ||
	    mac_len < TOKEN_MAC)
		log_fatal("event=hmac-failed");
	pack_free(&p);
	memcpy(to, mac, TOKEN_MAC);
}

void
token_make(uint8_t to[TOKEN_SIZE], const uint8_t key[32], enum token_claim claim, uint64_t session, const char *what,
    int64_t now_s)
{
	put_time(to, now_s);
	token_mac(to + 8, key, claim, session, what, now_s);
}

bool
token_check(const void *token, size_t len, const uint8_t key[32], enum token_claim claim, uint64_t session,
    const char *what, int64_t now_s)
{
	uint8_t mac[TOKEN_MAC];
	int64_t issued;

	if (len != TOKEN_SIZE)
		return false;
	issued = get_time(token);
	token_mac(mac, key, claim, session, what, issued);
	if (CRYPTO_memcmp(mac, (const uint8_t *)token + 8, TOKEN_MAC) != 0)
		return false;
	/* Only now is the time known to be our own, and the subtraction safe. */
	return issued <= now_s + TOKEN_SKEW_S && now_s - issued <= TOKEN_LIFE_S;
}
