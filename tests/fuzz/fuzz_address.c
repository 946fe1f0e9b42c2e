/*
 * Addresses: whatever is accepted is canonical (it parses to itself), fits, and holds no control character.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct address *a, int flags)
{
	struct address again;

	if (a->text[0] == '\0' && (flags & ADDRESS_NULL))
		return;
	for (const char *p = a->text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			abort();
	if (address_parse(&again, a->text, flags, NULL) != ADDRESS_OK || strcmp(again.text, a->text) != 0 ||
	    strcmp(again.local, a->local) != 0 || strcmp(again.domain, a->domain) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char domain[ADDRESS_DOMAIN_MAX + 1], again[ADDRESS_DOMAIN_MAX + 1];
	const char *end = NULL, *why;
	struct address a;
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (address_parse_path(&a, text, data[0] & 7, &end, &why) == ADDRESS_OK) {
		if (end[-1] != '>' || end > text + size)
			abort();
		check(&a, data[0] & 7);
	} else if (why == NULL) {
		abort();
	}
	if (address_parse(&a, text, data[0] & 7, NULL) == ADDRESS_OK)
		check(&a, data[0] & 7);
	if (address_domain(domain, text, data[0] & 7) == 0 &&
	    (address_domain(again, domain, 0) != 0 || strcmp(domain, again) != 0))
		abort();
	free(text);
	return 0;
}
