/*
 * A command as aliases and users write it: a program and its arguments, which no shell sees. Pure.
 */
#ifndef LIB_COMMAND_H
#define LIB_COMMAND_H

#include <stddef.h>

#define COMMAND_WORDS_MAX	64

/*
 * Words between blanks; 'as it stands' and "with \" and \\" keep blanks; a backslash outside quotes keeps the next byte.
 * What only a shell would understand is a mistake, and so is a program with a slash in it that has no absolute path.
 * argv has room for COMMAND_WORDS_MAX + 1, ends with NULL, and all of it is one allocation: free(argv[0]).
 * The number of words, or -1 with a phrase in *why_r: what is wrong; what would be right.
 */
int	command_split(const char *text, char *argv[COMMAND_WORDS_MAX + 1], const char **why_r);

#endif
