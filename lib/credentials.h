/*
 * The file of names and passwords for other servers: one line for each, "NAME USER PASSWORD" between blanks, the password to
 * the end of the line; "#" begins a comment line. Relays name an entry by its NAME (minimta.conf(5), login). Pure: master
 * reads the file, and hands it to nobody but delivery.
 */
#ifndef LIB_CREDENTIALS_H
#define LIB_CREDENTIALS_H

#include <stddef.h>

struct credentials;

#define CREDENTIALS_FILE_MAX	(256U * 1024)
#define CREDENTIALS_WORD_MAX	255		/* bytes of a name, a user, a password */

struct credential {
	char	*name, *user, *password;
};

/* NULL with "line N: what is wrong; what would be right" in err; never a part of the line, which may be a password. */
struct credentials *credentials_parse(const char *text, size_t len, char *err, size_t size);
void		 credentials_free(struct credentials *);	/* wipes them; NULL is fine */
/* NULL: there is none of that name. */
const struct credential *credentials_find(const struct credentials *, const char *name);

#endif
