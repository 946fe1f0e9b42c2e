/*
 * Authentication-Results, RFC 8601: our field written, and forged ones that claim to be ours found. Pure. What goes into
 * it is decided by the filters, whether it is added by smtpd.
 *
 *	struct authres a;
 *	authres_begin(&a, "mail.example.org");
 *	authres_result(&a, "spf", "pass", NULL);
 *	authres_property(&a, "smtp", "mailfrom", "example.com");
 *	authres_end(&a);		a.text is the field, with a CRLF at its end
 */
#ifndef FILTERS_AUTHRES_H
#define FILTERS_AUTHRES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/header.h"

#define AUTHRES_MAX		8192	/* of the whole field; results that do not fit are left out, whole */
#define AUTHRES_SCORE		"X-Minimta-Score"	/* our field with the points: nobody else's passes either */
#define AUTHRES_VALUE_MAX	320	/* of one value; a longer one is cut */

struct authres {
	char	text[AUTHRES_MAX + 1];
	size_t	len;
	size_t	column;			/* of the line under way */
	size_t	result_at;		/* where the result under way began, to take it back */
	bool	any, full;
};

/* id: our authserv-id, the host's name unless configured. */
void	authres_begin(struct authres *, const char *id);
/* method and result are constants of the registry ("dkim", "temperror"); reason may be NULL. */
void	authres_result(struct authres *, const char *method, const char *result, const char *reason);
/* Of the result before: "smtp", "header" or "policy", a property's name, and a value that strangers may have made. */
void	authres_property(struct authres *, const char *type, const char *property, const char *value);
void	authres_end(struct authres *);

/* Whether the field is an Authentication-Results with our id, however it is written; one that cannot be read counts as such. */
bool	authres_is_ours(const struct header_field *, const char *id);
/*
 * Takes such fields, and those with points, out of a header block, in its place (RFC 8601, 5). A line that is no field does not end the search.
 * Returns the block's new length; *removed_r is how many there were.
 */
size_t	authres_strip(char *block, size_t len, const char *id, unsigned *removed_r);

#endif
