/*
 * Filters that bring a technique of this folder into the chain, by name; filters/registry.c is the only reader. Each stands in the
 * file filters/NAME_filter.c, beside the technique that it uses.
 */
#ifndef FILTERS_ADAPTERS_H
#define FILTERS_ADAPTERS_H

#include "filters/filter.h"

extern const struct filter filter_client_domains, filter_refuse;	/* access_filter.c */
extern const struct filter filter_dnsbl, filter_dnswl, filter_helo_lists, filter_host_lists, filter_sender_lists;	/* dnsbl_filter.c */
extern const struct filter filter_arc, filter_dkim, filter_dmarc, filter_helo, filter_iprev, filter_spf;
extern const struct filter filter_conformity, filter_from;	/* conformity_filter.c */
extern const struct filter filter_senderid;	/* senderid.c */

/* On filters/memory.h: standing.c, trap.c, rate_filter.c, greylist.c. */
extern const struct filter filter_correspondents, filter_greylist, filter_rate, filter_standing, filter_trap;

#endif
