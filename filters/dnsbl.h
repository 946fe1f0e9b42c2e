/*
 * An address or a domain looked up in DNS lists, side by side (RFC 5782), and whether the lists themselves work. Block
 * and white lists alike; what a score or a percentage leads to is decided by the caller.
 */
#ifndef FILTERS_DNSBL_H
#define FILTERS_DNSBL_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#include "filters/dnsbl_list.h"
#include "filters/reverse.h"
#include "mx/dns.h"

#define DNSBL_DEADLINE_MS	5000		/* all of it, when the caller names none */
#define DNSBL_LISTS_MAX		64		/* more are passed over */

enum dnsbl_state {
	DNSBL_NOT_ASKED,		/* switched off, or not about such an address: neutral */
	DNSBL_NO_ANSWER,		/* neutral */
	DNSBL_NOT_LISTED,
	DNSBL_LISTED,
	DNSBL_TROUBLE,			/* an error code or nonsense: neutral */
};

struct dnsbl_finding {			/* of one list */
	enum dnsbl_state state;
	struct in_addr	 code;		/* the first that counted, else the first */
	char		 text[DNSBL_TEXT_MAX + 1];	/* of its TXT, where wanted and found */
	const char	*why;		/* a phrase: constant text */
	uint32_t	 ms;		/* how long it took */
};

struct dnsbl_verdict {
	const struct dnsbl_finding *findings;	/* in the lists' order */
	size_t		 n;
	unsigned	 asked, listed;
	int		 score;		/* the weights of those that list it */
	unsigned	 percent;	/* of the lists asked: one that does not answer counts as a no */
};

struct dnsbl_question {
	const struct dnsbl_list *lists;		/* borrowed until the end */
	size_t		 n;
	const bool	*off;		/* one per list, from dnsbl_watch_off(); NULL: none is */
	const struct reverse_address *address;	/* of the client; or NULL and a domain, for lists of domains */
	const char	*domain;
	const struct reverse_address *own;	/* never asked about, nor are private addresses */
	size_t		 n_own;
	bool		 want_text;
	uint32_t	 deadline_ms;	/* 0: DNSBL_DEADLINE_MS */
};

struct dnsbl_lookup;
typedef void	dnsbl_done_fn(void *arg, const struct dnsbl_verdict *);	/* borrowed; exactly once, from the loop */

struct dnsbl_lookup *dnsbl_start(struct dns *, const struct dnsbl_question *, dnsbl_done_fn *, void *arg);
void		 dnsbl_cancel(struct dnsbl_lookup *);	/* NULL is fine */
const char	*dnsbl_state_name(enum dnsbl_state);	/* "not-asked", "no-answer", "not-listed", "listed", "trouble" */

#endif
