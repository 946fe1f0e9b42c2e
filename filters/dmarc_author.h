/*
 * The author domain of a message: that of the addresses in its From field, RFC 9989, 5.3.1. Pure.
 */
#ifndef FILTERS_DMARC_AUTHOR_H
#define FILTERS_DMARC_AUTHOR_H

#include <stddef.h>

#include "lib/address.h"

enum dmarc_author {
	DMARC_AUTHOR_ONE,		/* one domain, however many addresses it has */
	DMARC_AUTHOR_NONE,		/* no From field, or no domain in it that could have a policy */
	DMARC_AUTHOR_SEVERAL,		/* several fields, or addresses of several domains */
	DMARC_AUTHOR_BROKEN,		/* what is in the field cannot be read as addresses */
};

/* block: the header. domain gets the one domain in A-labels, "" otherwise. */
enum dmarc_author dmarc_author_find(char domain[ADDRESS_DOMAIN_MAX + 1], const char *block, size_t len);

#endif
