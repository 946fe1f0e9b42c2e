/*
 * Looking something up in the journal for `minimtactl explain`: reads the files piece by piece, between everything else that
 * logger does. The answer is the lines of the journal themselves, without change, in their order, and a last one:
 *
 *	Z found=SESSIONS-AND-MESSAGES bytes=READ since=OLDEST [more=1]
 */
#ifndef LOGGER_SEARCH_H
#define LOGGER_SEARCH_H

#include <stdint.h>

struct event_base;
struct journal;
struct search;
struct searches;

struct searches	*searches_new(struct event_base *, struct journal *);	/* borrowed */
void		 searches_free(struct searches *);
/* Takes over fd, the connection of who asks. since: seconds; what was before is not looked at. */
void		 search_start(struct searches *, int fd, const char *what, int64_t since);

#endif
