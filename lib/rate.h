/*
 * How often something happened in the last minutes, for status: counts in slots of ten seconds, and in all. Pure: the time is
 * an argument, lib/clock.h's clock_ms(). Zeroed memory is a fresh one.
 */
#ifndef LIB_RATE_H
#define LIB_RATE_H

#include <stdint.h>

#define RATE_SLOT_MS	10000
#define RATE_SLOTS	31		/* five minutes, and the slot that is being filled */
#define RATE_MINUTE	60000
#define RATE_FIVE	300000

struct rate {
	uint32_t	slots[RATE_SLOTS];
	int64_t		slot;		/* the newest one's number since the clock's beginning */
	uint64_t	total;
};

void		 rate_add(struct rate *, int64_t now_ms, uint32_t n);
/* How many in the last `within_ms`, at most RATE_FIVE; up to one slot more. */
uint32_t	 rate_sum(const struct rate *, int64_t now_ms, int64_t within_ms);

#endif
