/*
 * The Authenticated Received Chain verified: RFC 8617, 5.2. Whether its sealers are believed is the caller's business.
 *
 * arc_start() leads to exactly one callback, from the loop, some time after arc_end(); then the struct is gone. Or to
 * arc_cancel(), after which there is none.
 */
#ifndef FILTERS_ARC_H
#define FILTERS_ARC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/dkim_signature.h"

struct dkim_fields;
struct dns;

/* ---- the chain as it stands in a header; pure ---- */

/* Places in the header of the fields of each set, [1] to [n]. */
struct arc_sets {
	unsigned	 n;
	size_t		 results[ARC_SETS_MAX + 1], message[ARC_SETS_MAX + 1], seal[ARC_SETS_MAX + 1];
	struct dkim_signature *messages, *seals;	/* likewise; [0] is not used */
};

/* 0, or -1 when they do not make a chain: *why_r says why and *at_r at which set (0: none in particular). n is the highest i=,
 * 0 without ARC. What came of either is freed. */
int		 arc_sets_read(struct arc_sets *, const struct dkim_fields *, const char **why_r, unsigned *at_r);
void		 arc_sets_free(struct arc_sets *);
/* The fields of a set, whole, into a hash; for seals above it. */
void		 arc_sets_put(const struct arc_sets *, const struct dkim_fields *, unsigned i, void *ctx);
/* The hash that the seal of set i signs. */
void		 arc_sets_hash(const struct arc_sets *, const struct dkim_fields *, unsigned i, uint8_t hash[DKIM_HASH_BYTES]);

/* ---- verified ---- */

struct arc_finding {
	enum arc_cv	 result;
	const char	*why;		/* of a fail; "" */
	unsigned	 sets;		/* how many there are */
	unsigned	 at;		/* a fail: with which of them, 0 for none in particular */
	const struct dkim_signature *seals;	/* a pass: [1] to [sets], whose domains have sealed; borrowed */
};

struct arc;
typedef void	arc_done_fn(void *arg, const struct arc_finding *);

struct arc	*arc_start(struct dns *, const char *header, size_t len, uint32_t deadline_ms, arc_done_fn *, void *arg);
void		 arc_body(struct arc *, const void *, size_t);
void		 arc_end(struct arc *);
void		 arc_cancel(struct arc *);		/* NULL is fine */

#endif
