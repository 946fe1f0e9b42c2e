/*
 * All filters, in the order in which their findings are folded. A new one has its file and a line in registry.c.
 */
#ifndef FILTERS_REGISTRY_H
#define FILTERS_REGISTRY_H

#include <stddef.h>

#include "filters/filter.h"

#define REGISTRY_MAX	64		/* sets of filters are bits of a uint64_t */

struct registry {
	const struct filter *const *list;
	size_t	n;
};

extern const struct registry filters_registry;

/* Where the one of that name stands, or n. */
size_t		 registry_find(const struct registry *, const char *name);
/* The name nearest to a wrong one, or NULL. */
const char	*registry_nearest(const struct registry *, const char *name);

#endif
