/*
 * Counts of the last minutes (lib/rate.h): a ring of slots, cleared as time passes over them.
 */
#include "lib/rate.h"

void
rate_add(struct rate *r, int64_t now_ms, uint32_t n)
{
	int64_t slot = now_ms / RATE_SLOT_MS;

	if (slot - r->slot > RATE_SLOTS)
		r->slot = slot - RATE_SLOTS;
	while (r->slot < slot)
		r->slots[++r->slot % RATE_SLOTS] = 0;
	r->slots[r->slot % RATE_SLOTS] += n;
	r->total += n;
}

uint32_t
rate_sum(const struct rate *r, int64_t now_ms, int64_t within_ms)
{
	int64_t slot = now_ms / RATE_SLOT_MS, oldest = slot - within_ms / RATE_SLOT_MS;
	uint32_t sum = 0;

	if (oldest <= slot - RATE_SLOTS)
		oldest = slot - RATE_SLOTS + 1;
	for (int64_t at = r->slot; at >= oldest && at > r->slot - RATE_SLOTS && at >= 0; at--)
		sum += r->slots[at % RATE_SLOTS];
	return sum;
}
