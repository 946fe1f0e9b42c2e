/*
 * What administrators ask of lookup's memory: the command lines "memory\tshow\tKEY", "memory\tforget\tKEY" and
 * "memory\tgreylist\tKEY\tSENDER\tHELO\tRECIPIENT" (minimtactl(8)) and their answers. Called by lookup/state.c.
 */
#ifndef LOOKUP_STATE_SHOW_H
#define LOOKUP_STATE_SHOW_H

#include <stdio.h>
#include <time.h>

struct memory_core;

void	state_show(struct memory_core *, const char *line, time_t now, FILE *out);

#endif
