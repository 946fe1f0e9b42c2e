/*
 * What logger found in its journal, taken apart and put together by what belongs together: a session with its messages, what
 * became of them, and the bounces about them. Reads a FILE, else pure. minimta-journal(5) describes the lines.
 */
#ifndef TOOLS_STORY_H
#define TOOLS_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/pairs.h"

struct story_event {
	char		 letter;	/* D a decision, S a session's end, L an event of the log */
	int64_t		 time_ms;
	unsigned	 story;		/* events of one story have the same number */
	struct pairs	*pairs;
	struct pairs	*filters;	/* of D and S */
	size_t		 n_filters;
	char		*text;		/* what the pairs point into; of the filters, too */
};

struct stories {
	struct story_event *events;	/* as they happened */
	size_t		 n_events;
	unsigned	 n;		/* stories: 0 … n - 1, in the order of their first event */
	bool		 more;		/* there was more than logger tells */
	int64_t		 since;		/* from when there is something, seconds; 0: there is nothing */
};

/* 0, or -1: it is cut short, or none. */
int	stories_read(struct stories *, FILE *);
void	stories_free(struct stories *);

#endif
