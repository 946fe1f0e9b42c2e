/*
 * Which lines of the journal belong to what somebody asks about: those that name it, and those about the sessions and
 * messages that these lines name. Pure; logger/search.c reads the files, once for each of the three steps.
 */
#ifndef LOGGER_MATCH_H
#define LOGGER_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/pairs.h"

#define MATCH_STORIES_MAX	40	/* sessions and messages that are found; the newest stay */
#define MATCH_LINKED_MAX	400	/* and what belongs to them */

struct match;

/*
 * A refusal's code or an id of a session or message; an address or Message-ID; "@domain"; an IP address. NULL with a phrase in
 * *why_r: what was expected.
 */
struct match	*match_new(const char *what, const char **why_r);
void		 match_free(struct match *);		/* NULL is fine */

/* First: a line that names it is remembered by its session and message. */
void		 match_find(struct match *, const struct pairs *);
/* Then, until it returns false for all: messages of sessions, sessions of messages, bounces. True: something was new. */
bool		 match_link(struct match *, const struct pairs *);
/* Last: whether the line is a part of the story. */
bool		 match_wants(const struct match *, const struct pairs *);

unsigned	 match_count(const struct match *);	/* sessions and messages now */
bool		 match_left_out(const struct match *);	/* there were more */

#endif
