/*
 * aliases(5): the text of an aliases file, of a list that one includes, or of a user's ~/.forward, taken apart. Pure;
 * lib/alias_file.c reads.
 *
 *	# a comment
 *	name: target, target
 *		target on a continued line
 *	"odd name": \name, user@example.org, :include:/path/of/a/list
 *	"@example.net": anna, "@example.org"
 *	tickets: "|/usr/local/bin/tickets --new", /var/log/tickets
 *
 * Names are compared without case; a name with a domain (info@example.org) holds in that domain only and goes first, one
 * without a local part (@example.org) is for all that nobody else has there.
 * A mistake costs the alias that it is in and no other: the alias stays known, with its error.
 */
#ifndef LIB_ALIASES_H
#define LIB_ALIASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/hash.h"

#define ALIASES_ERRORS_MAX	20	/* remembered with their text; all are counted */

enum alias_kind {
	ALIAS_ADDRESS,			/* user@domain, canonical */
	ALIAS_LOCAL,			/* name: here */
	ALIAS_MAILBOX,			/* \name: here, and no alias any more */
	ALIAS_INCLUDE,			/* path of a list */
	ALIAS_DOMAIN,			/* the same local part in that domain */
	ALIAS_COMMAND,			/* what command_split takes */
	ALIAS_FILE,			/* an absolute path */
};

/* Whose text it is: who may name what. */
enum alias_source {
	ALIAS_ROOTS,			/* all */
	ALIAS_OTHERS,			/* no commands, no files: they would be run and written by somebody else */
	ALIAS_USERS,			/* ~/.forward: his own commands and files; no lists, which others would read for him */
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
struct aliases		*aliases_parse(const char *file, const char *text, size_t len, enum alias_source);
void			 aliases_free(struct aliases *);
const struct alias	*aliases_find(const struct aliases *, const char *name);	/* name in lower case */
/* An alias for exactly this local part (any case): in this domain, then in every local one. */
const struct alias	*aliases_find_in(const struct aliases *, const char *local, const char *domain);
/* What a domain has for everybody whom nobody else knows. */
const struct alias	*aliases_find_catch_all(const struct aliases *, const char *domain);
size_t			 aliases_count(const struct aliases *);

/* A list for :include:, or ~/.forward: targets separated by commas or ends of lines. */
void			 alias_list_parse(struct alias_list *, const char *file, const char *text, size_t len, enum alias_source);
/* What a command or file is called by those who must not say what it is. */
uint64_t		 alias_target_id(const struct alias_target *);
/* One target as it would stand in the file. */
void			 alias_list_parse_one(struct alias_list *, const char *file, const char *target);
void			 alias_list_free(struct alias_list *);

#endif
