/*
 * The author domain of a message: that of the addresses in its From field, RFC 9989, 5.3.1. There should be one. Where there
 * are several, or something that is no address stands there, it is told, and those that can be seen in it are named. Pure.
 */
#ifndef FILTERS_DMARC_AUTHOR_H
#define FILTERS_DMARC_AUTHOR_H

#include <stddef.h>

#include "lib/address.h"

#define DMARC_AUTHORS_MAX	3		/* named and asked; more have no honest use */

enum dmarc_author {
	DMARC_AUTHOR_ONE,		/* one domain, however many addresses it has */
	DMARC_AUTHOR_NONE,		/* no From field, or no domain in it that could have a policy */
	DMARC_AUTHOR_SEVERAL,		/* several fields, or addresses of several domains */
	DMARC_AUTHOR_BROKEN,		/* what is in the field cannot be read as addresses */
	DMARC_AUTHOR_MANY,		/* of more domains than are named */
};

struct dmarc_authors {
	char		 domains[DMARC_AUTHORS_MAX][ADDRESS_DOMAIN_MAX + 1];	/* A-labels; the first ones */
	unsigned	 n;
};

/* block: the header. Whatever is returned, authors has those domains that could be read. */
enum dmarc_author dmarc_author_find(struct dmarc_authors *, const char *block, size_t len);

#endif
