/*
 * Whether DNS lists work: once an hour their test points are asked (RFC 5782, 5). A list that lists what none may, or
 * not what all must, or refuses us, is off until it does better; that is logged once.
 */
#ifndef FILTERS_DNSBL_WATCH_H
#define FILTERS_DNSBL_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "filters/dnsbl_list.h"
#include "mx/dns.h"

enum dnsbl_health {
	DNSBL_HEALTHY,
	DNSBL_DEAD,			/* its test point is not listed */
	DNSBL_LISTS_ALL,		/* what must not be listed is */
	DNSBL_REFUSES,			/* an error code */
	DNSBL_SILENT,			/* no answer: nothing is known, and nothing changes */
};

struct dnsbl_watch;

/* Tests at once and then hourly; before the first answer all lists count as working. domains: they are lists of domains. */
struct dnsbl_watch *dnsbl_watch_new(struct dns *, const struct dnsbl_list *, size_t n, bool domains);
void		 dnsbl_watch_free(struct dnsbl_watch *);	/* NULL is fine */
const bool	*dnsbl_watch_off(const struct dnsbl_watch *);	/* one per list; borrowed, changes under way */

/* One test of one list. */
struct dnsbl_test;
typedef void	dnsbl_test_fn(void *arg, enum dnsbl_health, const char *why);	/* exactly once, from the loop */

struct dnsbl_test *dnsbl_test_start(struct dns *, const struct dnsbl_list *, bool domains, dnsbl_test_fn *, void *arg);
void		 dnsbl_test_cancel(struct dnsbl_test *);	/* NULL is fine */
const char	*dnsbl_health_name(enum dnsbl_health);	/* "healthy", "dead", "lists-all", "refuses", "silent" */

#endif
