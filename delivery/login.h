/*
 * Logging in to a relay: SMTP AUTH (RFC 4954) with SCRAM-SHA-256 (RFC 5802, 7677), CRAM-MD5 (RFC 2195), PLAIN (RFC 4616) or
 * LOGIN, the first of these that the server offers. Pure.
 */
#ifndef DELIVERY_LOGIN_H
#define DELIVERY_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum login_mechanism {
	LOGIN_SCRAM_SHA_256 = 1,
	LOGIN_CRAM_MD5 = 2,
	LOGIN_PLAIN = 4,
	LOGIN_LOGIN = 8,
};

#define LOGIN_LINE_MAX	2048		/* of a command or an answer, with CRLF and NUL */
#define LOGIN_NONCE_MAX	32

struct login;

/* The mechanisms, together, in what stands behind AUTH in EHLO's reply. */
unsigned	 login_offered(const char *words, size_t len);
/* NULL: none of the mechanisms is known here. user and password are copied; nonce: of this exchange alone, letters and digits. */
struct login	*login_new(unsigned offered, const char *user, const char *password, const char *nonce);
void		 login_free(struct login *);		/* wipes it; NULL is fine */
const char	*login_name(const struct login *);	/* of the mechanism */

/* The command with CRLF; its length. */
size_t		 login_command(struct login *, char to[LOGIN_LINE_MAX]);
/* The answer with CRLF to what stands behind 334; its length; 0: the server asks for what makes no sense, or is not genuine. */
size_t		 login_answer(struct login *, const char *challenge, size_t len, char to[LOGIN_LINE_MAX]);
/* Whether a 235 can be believed now: with SCRAM, whether the server has shown that it knows the password too. */
bool		 login_may_end(const struct login *);

/* Before the sandbox: libcrypto opens files at its first use. */
void		 login_prepare(void);

#endif
