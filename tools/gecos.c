/*
 * A person's full name from the password file or from -F: whatever is in there, one line comes out. Called by sendmail.
 */
#include <ctype.h>

#include "tools/gecos.h"

char *
gecos_name(char *to, size_t size, const char *name)
{
	size_t n = 0;

	for (; *name != '\0' && n + 1 < size; name++)
		if (((unsigned char)*name > ' ' || n > 0) && *name != 0x7f)
			to[n++] = (unsigned char)*name < ' ' ? ' ' : *name;
	/* The cut may have gone through a character. */
	if (*name != '\0')
		while (n > 0 && ((unsigned char)*name & 0xc0) == 0x80)
			name--, n--;
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
	return to;
}

char *
gecos_of_user(char *to, size_t size, const char *gecos, const char *user)
{
	char name[1024];
	size_t n = 0;

	for (; *gecos != '\0' && *gecos != ',' && n + 1 < sizeof(name); gecos++) {
		if (*gecos != '&') {
			name[n++] = *gecos;
			continue;
		}
		for (const char *u = user; *u != '\0' && n + 1 < sizeof(name); u++)
			name[n++] = u == user ? (char)toupper((unsigned char)*u) : *u;
	}
	name[n] = '\0';
	return gecos_name(to, size, name);
}
