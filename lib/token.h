/*
 * lookup's tokens: what lookup vouches for towards queue, carried by smtpd, which cannot make any.
 * HMAC-SHA256 under a key that master gives to lookup and queue alone, over the claim, the session and the time, which is
 * the clock that is never set (clock_ms): both are on this machine, and the key is made anew at each start.
 */
#ifndef LIB_TOKEN_H
#define LIB_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_SIZE	(8 + 16)	/* i64 seconds of issue, HMAC cut to 128 bits */
#define TOKEN_LIFE_S	(2 * 3600)	/* a session's longest time */

enum token_claim {
	TOKEN_TRUSTED,			/* this session's client may relay; what: "" */
	TOKEN_LOCAL,			/* `what` is a recipient here */
	TOKEN_RELAY,			/* `what` is elsewhere and the session may send there */
};

void	token_make(uint8_t to[TOKEN_SIZE], const uint8_t key[32], enum token_claim, uint64_t session, const char *what,
	    int64_t now_s);
bool	token_check(const void *token, size_t len, const uint8_t key[32], enum token_claim, uint64_t session,
	    const char *what, int64_t now_s);

#endif
