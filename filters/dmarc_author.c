/*
 * The author domain (filters/dmarc_author.h). A field that two readers could read differently is none of one author; what
 * becomes of such a message is decided by the caller.
 */
#include "filters/dmarc_author.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/header.h"

struct reading {
	struct dmarc_authors *authors;
	bool	 several, missing;
};

static void
take_address(void *arg, const char *address)
{
	struct reading *r = arg;
	struct dmarc_authors *a = r->authors;
	const char *at = strrchr(address, '@');
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (at == NULL || address_domain(domain, at + 1, ADDRESS_UTF8) == -1 || domain[0] == '[' || domain[0] == '\0') {
		r->missing = true;
		return;
	}
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->domains[i], domain) == 0)
			return;
	r->several = r->several || a->n > 0;
	if (a->n < DMARC_AUTHORS_MAX)
		snprintf(a->domains[a->n++], sizeof(a->domains[0]), "%s", domain);
}

enum dmarc_author
dmarc_author_find(struct dmarc_authors *authors, const char *block, size_t len)
{
	struct reading r = { .authors = authors };
	struct header_field f;
	unsigned fields = 0;
	bool broken = false;

	authors->n = 0;
	for (size_t at = 0; header_next_any(block, len, &at, &f); )
		if (header_is(&f, "From")) {
			fields++;
			broken |= header_addresses(f.value, f.value_len, take_address, &r) == -1;
		}
	if (fields > 1 || r.several)
		return DMARC_AUTHOR_SEVERAL;
	if (broken)
		return DMARC_AUTHOR_BROKEN;
	return authors->n == 1 && !r.missing ? DMARC_AUTHOR_ONE : DMARC_AUTHOR_NONE;
}
