/*
 * The author domain (filters/dmarc_author.h). A field that two readers could read differently is none of one author; what
 * becomes of such a message is decided by the caller.
 */
#include "filters/dmarc_author.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/header.h"

struct reading {
	struct dmarc_authors *authors;
	bool	 several, missing, many;
};

static void
take_domain(struct reading *r, const char *text)
{
	struct dmarc_authors *a = r->authors;
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (address_domain(domain, text, ADDRESS_UTF8) == -1 || domain[0] == '[' || domain[0] == '\0') {
		r->missing = true;
		return;
	}
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->domains[i], domain) == 0)
			return;
	r->several = r->several || a->n > 0;
	if (a->n < DMARC_AUTHORS_MAX)
		snprintf(a->domains[a->n++], sizeof(a->domains[0]), "%s", domain);
	else
		r->many = true;
}

static void
take_address(void *arg, const char *address)
{
	const char *at = strrchr(address, '@');

	take_domain(arg, at != NULL ? at + 1 : "");
}

/* In a field that is not all addresses: whatever stands behind an @, for a reader may show that. */
static void
take_all(struct reading *r, const char *p, size_t len)
{
	const char *end = p + len;
	char text[ADDRESS_DOMAIN_MAX + 1];
	size_t n;

	while ((p = memchr(p, '@', (size_t)(end - p))) != NULL) {
		for (p++; p < end && (*p == ' ' || *p == '\t' || *p == '.'); p++)
			;
		for (n = 0; p + n < end && (isalnum((unsigned char)p[n]) || p[n] == '.' || p[n] == '-' || p[n] == '_' ||
		    (unsigned char)p[n] >= 0x80); n++)
			;
		snprintf(text, sizeof(text), "%.*s", n < sizeof(text) ? (int)n : 0, p);
		p += n;
		for (n = strlen(text); n > 0 && text[n - 1] == '.'; n--)
			text[n - 1] = '\0';
		take_domain(r, text);
	}
}

enum dmarc_author
dmarc_author_find(struct dmarc_authors *authors, const char *block, size_t len)
{
	struct reading r = { .authors = authors };
	struct header_field f;
	unsigned fields = 0;
	bool broken = false, all;

	authors->n = 0;
	for (size_t at = 0; header_next_any(block, len, &at, &f); )
		if (header_is(&f, "From")) {
			fields++;
			all = header_addresses(f.value, f.value_len, take_address, &r) != -1;
			if (!all || r.missing)
				take_all(&r, f.value, f.value_len);
			broken |= !all;
		}
	if (r.many)
		return DMARC_AUTHOR_MANY;
	if (fields > 1 || r.several)
		return DMARC_AUTHOR_SEVERAL;
	if (broken)
		return DMARC_AUTHOR_BROKEN;
	return authors->n == 1 && !r.missing ? DMARC_AUTHOR_ONE : DMARC_AUTHOR_NONE;
}
