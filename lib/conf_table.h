/*
 * Tables of options: what may stand in a section of minimta.conf, with types, bounds and defaults, and a struct filled from
 * it. lib/conf has one for itself; filters bring theirs and interpret their sections with it.
 *
 * `why` always gets a phrase in two halves: what is wrong; what would be right.
 */
#ifndef LIB_CONF_TABLE_H
#define LIB_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_WHY	512

enum conf_type {
	/* one value, char * */
	CONF_HOSTNAME,
	CONF_MAILBOX,			/* an address or a local name, or "" */
	CONF_FILE,			/* an absolute path, or "" */
	CONF_PLACE,			/* an absolute path */
	CONF_SOCKET,			/* an absolute path, short enough for a Unix socket */
	CONF_BELOW,			/* a path below a home directory */
	CONF_USER,
	CONF_DELIMITER,
	CONF_MBOX,			/* "maildir", or a path with %u or ~/ */
	CONF_ENDPOINT,			/* the path of a socket, or host:port, or "" */
	CONF_FOLDER,			/* of a Maildir, or "" */
	CONF_ADDRESS,			/* of the family that is its choices, "ipv4" or "ipv6"; or "" */
	CONF_TEXT,			/* any printable ASCII */
	CONF_DURATIONS,			/* some between commas or spaces, none shorter than the one before; or "" */
	CONF_CHOICE,
	/* one value, a number */
	CONF_BOOL,
	CONF_PORT,			/* uint16_t */
	CONF_COUNT,			/* uint32_t */
	CONF_INT,			/* int, may be negative */
	CONF_DURATION,			/* int64_t, milliseconds */
	CONF_SIZE,			/* uint64_t, bytes */
	CONF_WORD,			/* int, the place of the word among the choices */
	/* lists */
	CONF_DOMAINS,			/* char ** */
	CONF_TEXTS,			/* char ** of anything printable */
	CONF_SERVERS,			/* char ** */
	CONF_LISTEN,			/* an array and, right behind it, a count */
	CONF_NETWORKS,			/* struct conf_networks */
	CONF_HOSTS,			/* of a relay */
};

struct conf_option {
	const char	*name;
	enum conf_type	 type;
	size_t		 offset;		/* in the struct that the table is for */
	int64_t		 least, most;		/* of numbers */
	const char	*value;			/* the default, as in the file; NULL: an empty list, or computed */
	const char	*choices;		/* of CONF_CHOICE and CONF_WORD: words between spaces */
};

bool		 conf_option_is_list(const struct conf_option *);

/* The option of that name, or NULL. */
const struct conf_option *conf_table_find(const struct conf_option *, size_t n, const char *name);
/* Every default into a struct of zeroes; a bad one is a fault in the table, and fatal. */
void		 conf_table_defaults(void *to, const struct conf_option *, size_t n);
/* Values as they stand in the file, in place of what is there. 0, or -1 with why. */
int		 conf_table_set(void *to, const struct conf_option *, char *const *values, size_t n_values, char why[CONF_WHY]);
/* What the values own; the struct itself stays. */
void		 conf_table_free(void *, const struct conf_option *, size_t n);
/* Of two words that might have been meant instead of a wrong one the nearer; best may be NULL. NULL when none is near. */
const char	*conf_nearer(const char *wrong, const char *best, const char *candidate);

#endif
