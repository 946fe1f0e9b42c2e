/*
 * Sender callback, as a filter: would the sender's own domain take a bounce to it. lookup answers (filters/memory.h,
 * MEMORY_CALLBACK); off by default, and last of all, for it costs somebody else's time.
 */
#ifndef FILTERS_CALLBACK_H
#define FILTERS_CALLBACK_H

#include "filters/filter.h"

extern const struct filter filter_callback;

#endif
