/*
 * minimtactl's options that say which messages and recipients are meant, as words for the server (queue/selection.h has them).
 * Pure.
 */
#ifndef TOOLS_SELECT_H
#define TOOLS_SELECT_H

#include <getopt.h>
#include <stddef.h>

#define SELECT_FIRST	1000		/* the numbers of these options begin here */
#define SELECT_OPTIONS	9

/* For getopt_long's table: a zeroed end is the caller's. */
extern const struct option select_options[SELECT_OPTIONS];
/* The word for an option, new; NULL with what would be right in why. */
char	*select_word(int number, const char *value, char *why, size_t size);

#endif
