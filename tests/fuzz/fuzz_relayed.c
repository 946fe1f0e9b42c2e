/*
 * The file of known recipients of relayed domains: whatever stands in it, it is read, and asked.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lookup/relayed.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relayed *r = relayed_new();
	struct address a;

	relayed_take(r, (const char *)data, size);
	if (relayed_count(r) > size || address_parse(&a, "anna+x@example.net", 0, NULL) != ADDRESS_OK)
		abort();
	(void)relayed_has(r, "+", &a);
	relayed_free(r);
	return 0;
}
