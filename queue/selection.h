/*
 * Which messages and recipients a command is about: words that all have to fit. Pure.
 *
 *	7K2QF		a message; of several any one		all		everything
 *	to=PATTERN	a recipient's address			@example.org	its domain
 *	from=PATTERN	the sender's; "from=" is the null sender
 *	reason=PATTERN	the last answer				hop=PATTERN	the next hop
 *	state=NAME	open, deferred, active, paused, held	older=S newer=S	seconds since it arrived
 *
 * A pattern with * or ? is the whole text; another one stands somewhere in it; in any case without regard to case.
 */
#ifndef QUEUE_SELECTION_H
#define QUEUE_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SELECTION_IDS_MAX	4096

struct selection {
	uint64_t	*ids;		/* sorted; NULL: any */
	size_t		 n_ids;
	const char	*to, *domain, *from, *reason, *hop, *state;	/* borrowed from the words; NULL: any */
	int64_t		 older_s, newer_s;	/* -1: any */
	bool		 all;
	bool		 by_rcpt;	/* something is asked of recipients: the others of their messages are not meant */
	bool		 any;		/* something was said at all */
};

struct selection_rcpt {
	const char	*address, *reason, *hop, *state;
	uint32_t	 attempts;
};

void	selection_init(struct selection *);
void	selection_free(struct selection *);
/* Takes a word. 1; 0: it is none of these; -1 with what is wrong in why. */
int	selection_take(struct selection *, const char *word, char *why, size_t size);
bool	selection_has_id(const struct selection *, uint64_t id);
/* What can be said without reading the message. */
bool	selection_fits_message(const struct selection *, uint64_t id, int64_t age_s);
bool	selection_fits_sender(const struct selection *, const char *sender);
bool	selection_fits_rcpt(const struct selection *, const struct selection_rcpt *);
bool	selection_pattern(const char *pattern, const char *text);

#endif
