/*
 * The author domain (filters/dmarc_author.h). A field that two readers could read differently has no author domain here:
 * then there is nothing that a policy could be applied to, and what becomes of such a message is decided by the caller.
 */
#include "filters/dmarc_author.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/header.h"

struct domains {
	char	*first;
	bool	 several, missing;
};

static void
take_address(void *arg, const char *address)
{
	struct domains *d = arg;
	const char *at = strrchr(address, '@');
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (at == NULL || address_domain(domain, at + 1, ADDRESS_UTF8) == -1 || domain[0] == '[' || domain[0] == '\0')
		d->missing = true;
	else if (d->first[0] == '\0')
		memcpy(d->first, domain, strlen(domain) + 1);
	else if (strcmp(d->first, domain) != 0)
		d->several = true;
}

enum dmarc_author
dmarc_author_find(char domain[ADDRESS_DOMAIN_MAX + 1], const char *block, size_t len)
{
	struct domains d = { .first = domain };
	struct header_field f;
	unsigned fields = 0;
	int found = 0;

	domain[0] = '\0';
	for (size_t at = 0; header_next(block, len, &at, &f); )
		if (header_is(&f, "From") && fields++ == 0)
			found = header_addresses(f.value, f.value_len, take_address, &d);
	if (fields == 1 && found > 0 && !d.several && !d.missing)
		return DMARC_AUTHOR_ONE;
	domain[0] = '\0';
	if (fields > 1 || d.several)
		return DMARC_AUTHOR_SEVERAL;
	return found == -1 ? DMARC_AUTHOR_BROKEN : DMARC_AUTHOR_NONE;
}
