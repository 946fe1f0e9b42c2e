/*
 * Author domains: one is found or none, and one that is found is a domain.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dmarc_author.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *block = calloc(1, size + 1), domain[ADDRESS_DOMAIN_MAX + 1], again[ADDRESS_DOMAIN_MAX + 1];
	enum dmarc_author result;

	if (size > 0)
		memcpy(block, data, size);
	result = dmarc_author_find(domain, block, size);
	if ((result == DMARC_AUTHOR_ONE) != (domain[0] != '\0'))
		abort();
	if (result == DMARC_AUTHOR_ONE && (address_domain(again, domain, 0) == -1 || strcmp(again, domain) != 0))
		abort();
	free(block);
	return 0;
}
