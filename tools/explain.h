/*
 * `minimtactl explain`: the stories that logger found, in words that can be read to a caller on the telephone, or as JSON.
 * Reads and writes FILEs, else pure.
 */
#ifndef TOOLS_EXPLAIN_H
#define TOOLS_EXPLAIN_H

#include <stdint.h>
#include <stdio.h>

/* From where to look, as seconds since 1970: "2h" and "3d" are so long ago; a date is "2026-11-21" or "2026-11-21 14:30", local
 * time. 0 or -1. */
int	explain_since(const char *text, int64_t now, int64_t *since_r);
/* 0, or -1: cut short. */
int	explain_print(FILE *from, FILE *to);
int	explain_print_json(FILE *from, FILE *to);

#endif
