/*
 * A DNS list as configured: its zone, the codes that count, its weight; and what a code that it answers means. RFC 5782.
 * Pure.
 *
 *	list.example					all codes count, weight 1
 *	list.example=127.0.0.2,127.0.0.4-7*5		those, weight 5
 *	list.example=127.0.0.10-127.0.0.11,127.0.2.0/24	ranges and networks
 *	list.example=&6*-3				one of these bits, of the last three octets, is set; weight -3
 */
#ifndef FILTERS_DNSBL_LIST_H
#define FILTERS_DNSBL_LIST_H

#include <stddef.h>
#include <stdint.h>

#define DNSBL_ZONE_MAX		180	/* leaves room for an IPv6 address before it */
#define DNSBL_CODES_MAX		16
#define DNSBL_WEIGHT_MAX	100
#define DNSBL_TEXT_MAX		200	/* of a TXT that goes into a reply */

struct dnsbl_code {			/* host byte order */
	uint32_t first, last;
	uint32_t bits;			/* not 0: one of them is set, and first and last mean nothing */
};

struct dnsbl_list {
	char			zone[DNSBL_ZONE_MAX + 1];
	struct dnsbl_code	codes[DNSBL_CODES_MAX];
	size_t			n_codes;	/* 0: all count */
	int			weight;
};

enum dnsbl_meaning {
	DNSBL_COUNTS,
	DNSBL_OTHER,			/* a listing, but none of the codes that were named */
	DNSBL_ERROR,			/* the list says that it does not serve us: never a listing */
	DNSBL_OUTSIDE,			/* not in 127.0.0.0/8: not a list's answer at all */
};

/* 0, or -1 with what was expected in err. */
int		 dnsbl_list_parse(struct dnsbl_list *, const char *text, char *err, size_t size);
/* address: of an A record, host byte order. *why_r gets a phrase for an error. */
enum dnsbl_meaning dnsbl_list_meaning(const struct dnsbl_list *, uint32_t address, const char **why_r);
/* A TXT for a reply: printable ASCII, white space folded, cut. to: DNSBL_TEXT_MAX + 1 bytes. */
void		 dnsbl_text_clean(char *to, const char *bytes, size_t len);

#endif
