/*
 * SPF (RFC 7208): may this client send as this name? Asks DNS and gives one result; what follows from it is decided by others.
 *
 * spf_start() leads to exactly one callback, from the loop and never from inside spf_start(), or to spf_cancel() after which
 * there is none. With the callback it is gone.
 */
#ifndef FILTERS_SPF_H
#define FILTERS_SPF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "filters/spf_record.h"

struct dns;
struct spf;

enum spf_code {				/* RFC 7208, 2.6 */
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR,
};

struct spf_facts {			/* copied where they are needed longer than the call */
	const struct sockaddr *client;	/* a v4-mapped IPv6 address counts as IPv4 */
	const char	*helo;
	const char	*sender;	/* "" or NULL: the identity is HELO (2.3), postmaster there */
	const char	*receiver;	/* who asks, for explanations; NULL: "unknown" */
	time_t		 now;
	uint32_t	 deadline_ms;	/* over all; 0: SPF_DEADLINE_MS */
	bool		 pra;		/* Sender ID: the sender is the purported responsible address, and only spf2.0/pra counts */
};

#define SPF_DEADLINE_MS	20000		/* RFC 7208, 4.6.4: at least 20 s */

struct spf_result {
	enum spf_code	 code;
	bool		 helo;		/* the identity was HELO */
	const char	*domain;	/* of the identity, as A-labels */
	const char	*reason;	/* what decided, for people: safe to print */
	const char	*explanation;	/* the domain's own, on fail; "" none; printable ASCII */
	unsigned	 lookups, voids;	/* as RFC 7208 counts them */
};

typedef void	spf_done_fn(void *arg, const struct spf_result *);	/* the result is borrowed */

struct spf	*spf_start(struct dns *, const struct spf_facts *, spf_done_fn *, void *arg);
void		 spf_cancel(struct spf *);	/* NULL is fine */

const char	*spf_code_name(enum spf_code);	/* "none", "neutral", "pass", "fail", "softfail", "temperror", "permerror" */

#endif
