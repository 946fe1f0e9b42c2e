/*
 * The counters' file: whatever is in it, it is read whole or not at all. Its sum is made right first, so that what stands
 * behind it is tried.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "logger/counters.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct counters *c = counters_new();
	char *text = malloc(size + 64), *again = NULL;
	size_t len = size, len_again = 0;
	FILE *f;

	memcpy(text, data, size);
	len += (size_t)snprintf(text + size, 64, "end sum=%016" PRIx64 "\n", (uint64_t)XXH3_64bits(data, size));
	if (counters_read(c, text, len) == 0) {
		f = open_memstream(&again, &len_again);
		counters_print(c, f);
		fclose(f);
		if (counters_read(c, again, len_again) != 0)
			abort();
		free(again);
	}
	free(text);
	counters_free(c);
	return 0;
}
