/*
 * What the files of the configuration share and nobody else sees: the table of options (conf.c), the step from an
 * option's text to its place in struct conf (conf_value.c), and what goes together (conf_check.c).
 *
 * `why` always gets a phrase in two halves: what is wrong; what would be right.
 */
#ifndef LIB_CONF_OPTION_H
#define LIB_CONF_OPTION_H

#include "lib/address.h"
#include "lib/conf.h"
#include "lib/conf_table.h"

#define CONF_FILE_MAX	(1024U * 1024)

#define CONF_OPTIONS	83
extern const struct conf_option	conf_options[CONF_OPTIONS];

/* What stands in a relay, sender or destination section; the first ones in the former two only. Offsets in its struct. */
#define CONF_DESTINATION_OPTIONS	9
#define CONF_RELAY_OPTIONS		4
extern const struct conf_option	conf_destination_options[CONF_DESTINATION_OPTIONS];

/* The option of that name, or NULL; the name nearest to a wrong one, or NULL when none is near. */
const struct conf_option *conf_option_find(const char *name);
const char	*conf_option_nearest(const char *name);

/* Replaces the value, or appends to a list. 0, or -1 with why. Into any struct that has such a table, and into struct conf. */
int		 conf_value_set(void *, const struct conf_option *, const char *text, char why[CONF_WHY]);
int		 conf_option_set(struct conf *, const struct conf_option *, const char *text, char why[CONF_WHY]);
/* The kinds of sections that are kept as they are; NULL at the end. */
extern const char *const conf_section_kinds[];
/* Appends an empty section, and a value to one (same line and name: the same entry). */
struct conf_section *conf_section_add(struct conf *, const char *kind, const char *title, int line);
void		 conf_section_put(struct conf_section *, const char *name, const char *value, bool first, int line);
void		 conf_section_free(struct conf_section *);	/* its contents */
/* Appends a section; the same domain twice is refused. NULL with why. */
struct conf_destination *conf_destination_add(struct conf *, const char *kind, const char *title, char why[CONF_WHY]);
/* "relay", "sender" or "destination". */
const char	*conf_destination_kind(const struct conf_destination *);
/* Replaces one of its values, or appends a host. 0, or -1 with why. */
int		 conf_destination_set(struct conf_destination *, const struct conf_option *, const char *text,
		    char why[CONF_WHY]);
/* Digits at *p, which moves behind them. 0, or -1: none, or too many. */
int		 conf_digits(const char **p, uint64_t *r);
/* The n-th of the choices. Returns to, 32 bytes. */
char		*conf_word_text(char to[32], const char *choices, int n);
/* Numbers as they are written in the file: "1h30m", "50M". Returns to, 32 bytes. */
char		*conf_duration_text(char to[32], int64_t ms);
char		*conf_size_text(char to[32], uint64_t bytes);
/* The reason, and -1. */
int		 conf_wrong(char why[CONF_WHY], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "127.0.0.1:25", "[::1]:25" to a socket address; without a port there: port, unless that is -1. 0 or -1 with why. */
int		 conf_address(struct conf_listen *, const char *text, int port, char why[CONF_WHY]);
/* "192.0.2.0/24", without bits beyond the prefix; and a host by name or address, port 0 where none is said. Likewise. */
int		 conf_network(struct conf_network *, const char *text, char why[CONF_WHY]);
int		 conf_host(char name[ADDRESS_DOMAIN_MAX + 1], unsigned *port_r, const char *text, char why[CONF_WHY]);

/* What is right alone and wrong together: the option at fault, with why, or NULL. */
const struct conf_option *conf_check(const struct conf *, char why[CONF_WHY]);

/* 0, or -1 with "name:line: …" in err. lines: per option, where it was set. (conf_parse.c) */
int		 conf_parse(struct conf *, const char *text, size_t len, const char *name, int lines[CONF_OPTIONS],
		    char *err, size_t size);

#endif
