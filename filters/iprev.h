/*
 * The reverse name of a client and back again: iprev of RFC 8601, 2.7.3 and 3. PTR, then A or AAAA of at most 10 names,
 * side by side. Facts; what they count is decided by the caller.
 */
#ifndef FILTERS_IPREV_H
#define FILTERS_IPREV_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/iprev_name.h"
#include "mx/dns.h"

#define IPREV_DEADLINE_MS	5000		/* all of it, when the caller names none */
#define IPREV_NAMES_MAX		10		/* of a PTR answer; more are passed over */

enum iprev_result {
	IPREV_PASS,			/* a name leads back to the address */
	IPREV_FAIL,			/* there are names, and none does */
	IPREV_TEMPERROR,		/* no answer: this is not "no name" */
	IPREV_PERMERROR,		/* there is no name */
};

struct iprev_verdict {
	enum iprev_result result;
	char		 name[DNS_NAME_MAX + 1];	/* the one that leads back, else the first; "" none */
	enum iprev_look	 look;		/* of that name */
	bool		 helo;		/* one of the names that lead back is HELO's */
	unsigned	 names;		/* of the PTR answer */
	bool		 cut;		/* there were more than we looked at */
	char		 why[320];	/* a sentence */
};

struct iprev_lookup;
typedef void	iprev_done_fn(void *arg, const struct iprev_verdict *);	/* borrowed; exactly once, from the loop */

/* helo: NULL or "" when there is none yet. deadline_ms 0: IPREV_DEADLINE_MS. */
struct iprev_lookup *iprev_start(struct dns *, const struct reverse_address *, const char *helo, uint32_t deadline_ms,
		    iprev_done_fn *, void *arg);
void		 iprev_cancel(struct iprev_lookup *);	/* NULL is fine */
const char	*iprev_result_name(enum iprev_result);	/* "pass", "fail", "temperror", "permerror" */

#endif
