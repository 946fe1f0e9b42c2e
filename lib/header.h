/*
 * Header fields of RFC 5322, 2.2 and 3.6: finding them in a message, and writing our own. Pure.
 */
#ifndef LIB_HEADER_H
#define LIB_HEADER_H

#include <stdbool.h>
#include <stddef.h>

/* A walk over a header block (CRLF or LF ended lines), field by field. */
struct header_field {
	const char	*name;		/* borrowed, not terminated */
	size_t		 name_len;
	const char	*value;		/* after the colon, folds and end of line included */
	size_t		 value_len;
};

/* The next field at *at (start with 0); false at the empty line, the end, or a line that is no field. */
bool	header_next(const char *block, size_t len, size_t *at, struct header_field *);
/* Likewise, past lines that are no field: some who read a mail stop there, some show what stands behind. */
bool	header_next_any(const char *block, size_t len, size_t *at, struct header_field *);
bool	header_is(const struct header_field *, const char *name);	/* without case */
/* Where the body begins: after the empty line, or len without one. */
size_t	header_end(const char *block, size_t len);
/* How many fields of that name, also behind lines that are none. */
unsigned header_count(const char *block, size_t len, const char *name);
/* The value unfolded, trimmed, as a new string; NUL and controls become '?'. NULL when the field is not there. */
char	*header_value(const char *block, size_t len, const char *name);

/* Appends addresses found in a To/Cc/Bcc value, RFC 5322 3.4: groups, comments, quoted strings, names. Returns how
 * many, -1 on a syntax error (what came before it stays). fn gets "local@domain" or "local" as written. */
int	header_addresses(const char *value, size_t len, void (*fn)(void *arg, const char *address), void *arg);

#endif
