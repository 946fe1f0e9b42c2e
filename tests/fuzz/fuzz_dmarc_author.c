/*
 * Author domains: what is found is a domain, and no more of them than there is room for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dmarc_author.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *block = calloc(1, size + 1), again[ADDRESS_DOMAIN_MAX + 1];
	struct dmarc_authors authors;
	enum dmarc_author result;

	if (size > 0)
		memcpy(block, data, size);
	result = dmarc_author_find(&authors, block, size);
	if (authors.n > DMARC_AUTHORS_MAX || (result == DMARC_AUTHOR_ONE && authors.n != 1))
		abort();
	for (unsigned i = 0; i < authors.n; i++)
		if (address_domain(again, authors.domains[i], 0) == -1 || strcmp(again, authors.domains[i]) != 0)
			abort();
	free(block);
	return 0;
}
