/*
 * A line of words key=value, as the log and the journal have them: cut apart, and written. A value that needs it stands
 * in quotes; what is not printable ASCII, a quote or a backslash is \xNN there. Pure; the reader takes any bytes.
 */
#ifndef LIB_PAIRS_H
#define LIB_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#define PAIRS_MAX	48

struct pairs {
	unsigned	 n;
	struct { char *key, *value; } list[PAIRS_MAX];
};

/* Cuts the line in place and makes the values what they were; \x00 stays as it is written. Words without = are passed over, as is
 * what is more than PAIRS_MAX. How many there are. */
unsigned	 pairs_cut(struct pairs *, char *line);
/* The first value of that name, "" when there is none. */
const char	*pairs_get(const struct pairs *, const char *key);
bool		 pairs_has(const struct pairs *, const char *key);
/* A whole number, 0 for what is none. */
long long	 pairs_number(const struct pairs *, const char *key);

/* Text that grows up to the end of its room; what does not fit whole is left out, and `full` set. */
struct pairs_text {
	char	*to;
	size_t	 len, size;
	bool	 full;
};

void	pairs_init(struct pairs_text *, char *to, size_t size);
/* " key=value"; nothing for a value that is NULL or "". */
void	pairs_put(struct pairs_text *, const char *key, const char *value);
void	pairs_put_number(struct pairs_text *, const char *key, long long);
/* As it is. */
void	pairs_put_plain(struct pairs_text *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
