/*
 * What minimtactl queue has changed, or would have, as the server says it: lines "K id index address", "X id why", last "E
 * messages recipients word dry-run", fields between tabs. Reads and writes FILEs, else pure.
 */
#ifndef TOOLS_CHANGES_H
#define TOOLS_CHANGES_H

#include <stdio.h>

/* 0, or -1: the answer is cut short. */
int	changes_print(FILE *from, FILE *to);
int	changes_print_json(FILE *from, FILE *to);

#endif
