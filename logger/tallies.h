/*
 * The counters' file: written beside the old one and put in its place, so that one of both is always whole.
 */
#ifndef LOGGER_TALLIES_H
#define LOGGER_TALLIES_H

#include "logger/counters.h"

/* folder: an open directory. 1: read; 0: there are none yet; -1: damaged, and begun anew; *why_r says how. */
int	tallies_load(struct counters *, int folder, const char **why_r);
/* 0, or -1 with errno. */
int	tallies_save(const struct counters *, int folder);

#endif
