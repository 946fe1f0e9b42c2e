/*
 * DMARC, RFC 9989: the policy that applies to an author domain, found by the DNS tree walk, and whether an authenticated
 * identifier is aligned with it. What SPF and DKIM found is passed in; what becomes of the message is for the caller.
 */
#ifndef FILTERS_DMARC_H
#define FILTERS_DMARC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/dmarc_record.h"
#include "mx/dns.h"

#define DMARC_DEADLINE_MS	10000		/* all of it, when the caller names none */
#define DMARC_IDENTIFIERS_MAX	16		/* SPF's and 10 signatures' fit; more are passed over */
#define DMARC_WALK_MAX		8		/* questions of one tree walk, RFC 9989, 4.10 */

enum dmarc_method { DMARC_SPF, DMARC_DKIM };

/* What a method found for a domain: SPF's is that of MAIL FROM, DKIM's is d= of a signature. */
struct dmarc_identifier {
	enum dmarc_method	 method;
	const char		*domain;
	bool			 pass;
	bool			 temporary;	/* temperror: it may have been a pass */
};

enum dmarc_result {
	DMARC_NONE,			/* no policy applies */
	DMARC_PASS,
	DMARC_FAIL,
	DMARC_TEMPERROR,		/* something that could decide was not answered */
	DMARC_PERMERROR,		/* the author domain is none */
};

struct dmarc_verdict {
	enum dmarc_result	 result;
	enum dmarc_policy	 policy;	/* what is to be done with a fail, t=y seen to */
	enum dmarc_policy	 published;	/* before t=y */
	const char		*tag;		/* where it was taken from: "p", "sp", "np"; "" without a policy */
	bool			 test;
	char			 domain[DNS_NAME_MAX + 1];	/* the author domain, canonical */
	char			 policy_domain[DNS_NAME_MAX + 1];	/* whose record it is, "" without one */
	char			 organization[DNS_NAME_MAX + 1];	/* the author's organizational domain, "" when not needed */
	int			 aligned;	/* which identifier made it pass, -1: none */
	unsigned		 questions;	/* asked of DNS */
	char			 why[320];	/* a sentence */
};

struct dmarc_lookup;
typedef void	dmarc_done_fn(void *arg, const struct dmarc_verdict *);	/* borrowed; exactly once, from the loop */

/*
 * header_from: the domain of the one address in From. The identifiers are copied. deadline_ms 0: DMARC_DEADLINE_MS.
 */
struct dmarc_lookup *dmarc_start(struct dns *, const char *header_from, const struct dmarc_identifier *, size_t n,
		    uint32_t deadline_ms, dmarc_done_fn *, void *arg);
void		 dmarc_cancel(struct dmarc_lookup *);	/* NULL is fine */
const char	*dmarc_result_name(enum dmarc_result);	/* "none", "pass", "fail", "temperror", "permerror" */

#endif
