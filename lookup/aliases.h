/*
 * aliases(5): the text of an aliases file, or of a list that one includes, taken apart. Pure; lookup/alias_file.c reads.
 *
 *	# a comment
 *	name: target, target
 *		target on a continued line
 *	"odd name": \name, user@example.org, :include:/path/of/a/list
 *
 * Names are compared without case; a name with a domain (info@example.org) holds in that domain only and goes first.
 * A mistake costs the alias that it is in and no other: the alias stays known, with its error.
 */
#ifndef LOOKUP_ALIASES_H
#define LOOKUP_ALIASES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/hash.h"

#define ALIASES_ERRORS_MAX	20	/* remembered with their text; all are counted */

enum alias_kind {
	ALIAS_ADDRESS,			/* user@domain, canonical */
	ALIAS_LOCAL,			/* name: here */
	ALIAS_MAILBOX,			/* \name: here, and no alias any more */
	ALIAS_INCLUDE,			/* path of a list */
};

struct alias_target {
	enum alias_kind	 kind;
	char		*text;
};

struct alias_list {
	struct alias_target	*targets;
	size_t			 n, room;
	size_t			 bytes;		/* as written, for newaliases' summary */
	char			*error;		/* "/etc/aliases:3: …"; NULL: fine */
};

struct alias {
	char			*name;		/* lower case */
	unsigned		 line;
	struct alias_list	 list;
	UT_hash_handle		 hh;
};

struct aliases {
	struct alias	*table;
	size_t		 longest, bytes;
	unsigned	 n_errors;
	char		*errors[ALIASES_ERRORS_MAX];
};

/* Never fails; file is what errors name. */
struct aliases		*aliases_parse(const char *file, const char *text, size_t len);
void			 aliases_free(struct aliases *);
const struct alias	*aliases_find(const struct aliases *, const char *name);	/* name in lower case */
size_t			 aliases_count(const struct aliases *);

/* A list for :include: — targets separated by commas or ends of lines. */
void			 alias_list_parse(struct alias_list *, const char *file, const char *text, size_t len);
/* One target as it would stand in the file. */
void			 alias_list_parse_one(struct alias_list *, const char *file, const char *target);
void			 alias_list_free(struct alias_list *);

#endif
