/*
 * A person's full name, as it goes into a From field: from the password file or from -F. Pure.
 */
#ifndef TOOLS_GECOS_H
#define TOOLS_GECOS_H

#include <stddef.h>

/* A name without control characters and outer white space; cut at a whole character of UTF-8. Returns to. */
char	*gecos_name(char *to, size_t size, const char *name);
/* The name in a gecos field: up to the first comma, '&' standing for the user's name with a capital. Returns to. */
char	*gecos_of_user(char *to, size_t size, const char *gecos, const char *user);

#endif
