/*
 * DKIM signatures verified: RFC 6376, 6. Keys are asked for as soon as the header is there, the body is hashed while it
 * comes; at most DKIM_SIGNATURES_MAX signatures are looked at, from the top.
 *
 * dkim_start() leads to exactly one callback, from the loop, some time after dkim_end(); then the struct is gone. Or to
 * dkim_cancel(), after which there is none.
 */
#ifndef FILTERS_DKIM_H
#define FILTERS_DKIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "filters/dkim_signature.h"

#define DKIM_SIGNATURES_MAX	10

struct dns;

struct dkim_finding {				/* about one signature */
	enum dkim_result result;
	const char	*why;			/* of all but a pass; "" */
	char		 domain[DKIM_NAME_MAX + 1];	/* d=, "" when it could not be read */
	char		 selector[DKIM_NAME_MAX + 1];
	char		 identity_domain[DKIM_NAME_MAX + 1];
	enum dkim_algorithm algorithm;
	unsigned	 bits;			/* of the key, 0 when there was none */
	bool		 testing;		/* the key says t=y: no worse than without a signature */
	bool		 limited;		/* l=, even though it covered all: anyone may add to such mail */
};

struct dkim;
/* The findings are borrowed, in the order of the header; 0 of them: no signature. */
typedef void	dkim_done_fn(void *arg, const struct dkim_finding *, size_t n);

/* header: the whole header block. now: for x=. deadline_ms for each key, 0: DNS_DEADLINE_MS. */
struct dkim	*dkim_start(struct dns *, const char *header, size_t len, time_t now, uint32_t deadline_ms, dkim_done_fn *,
		    void *arg);
void		 dkim_body(struct dkim *, const void *, size_t);	/* behind the empty line; in order, in any pieces */
void		 dkim_end(struct dkim *);		/* of the body */
void		 dkim_cancel(struct dkim *);		/* NULL is fine */

#endif
