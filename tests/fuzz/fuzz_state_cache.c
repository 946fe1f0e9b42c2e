/*
 * Records of lookup's results as a broken file may have them: what is taken comes out again as it is kept.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lookup/state_cache.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
load_again(void *arg, uint64_t number, const void *record, size_t len)
{
	(void)number;
	if (state_cache_load(arg, record, len, 0) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_cache *c = state_cache_new(), *other = state_cache_new();

	state_cache_load(c, data, size, 0);
	state_cache_walk(c, load_again, other);
	if (state_cache_count(c) != state_cache_count(other))
		abort();
	state_cache_free(c);
	state_cache_free(other);
	return 0;
}
