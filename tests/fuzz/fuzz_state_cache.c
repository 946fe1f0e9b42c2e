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
	if (cache_load(arg, record, len, 0) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_cache *c = cache_new(), *other = cache_new();

	cache_load(c, data, size, 0);
	cache_walk(c, load_again, other);
	if (cache_count(c) != cache_count(other))
		abort();
	cache_free(c);
	cache_free(other);
	return 0;
}
