/*
 * A tool's request of the queue while it is answered: shared by queue/admin.c (what it may be), change.c (changes) and show.c
 * (lists, one message, next hops). Private to those, and to await.c.
 *
 * A request lives until its caller is gone. While the log reads or writes for it, it cannot go: `reading` says so, and the
 * log's callback begins with request_is_wanted().
 */
#ifndef QUEUE_REQUEST_H
#define QUEUE_REQUEST_H

#include <sys/queue.h>

#include "lib/address.h"
#include "queue/admin.h"
#include "lib/caller.h"
#include "queue/dispatch.h"
#include "queue/selection.h"

#define REQUEST_LINE_MAX	1024

struct request {
	LIST_ENTRY(request)	 next, await;
	struct admin		*admin;
	struct queue		*queue;
	struct caller		*caller;	/* NULL: gone */
	bool			 reading;	/* the log has it as an argument: it cannot go */
	unsigned		 pending;	/* the same, for changes under way */
	uint32_t		 uid;
	bool			 may_change;
	bool			 early;		/* came before all messages were known */
	uint64_t		 id;		/* the message it is about */
	struct log_message	 message;
	/* a walk over messages */
	uint64_t		*ids;		/* oldest first */
	size_t			 n, at;
	unsigned		 walking;	/* messages that are being read */
	struct selection	 selection;
	char			*line;		/* its words */
	void			(*visit)(struct request *, const struct log_envelope *);
	void			(*visited)(struct request *);
	uint64_t		 shown, bytes;
	/* a change */
	const struct change_kind	*change;	/* change.c: which one */
	const char		*with;		/* its own argument: a next hop, an address, a reason; "" none */
	char			*own;		/* what `with` is, where it is not among the words */
	bool			 dry_run;
	uint64_t		 changed, changed_messages;
	bool			 content;	/* of `cat`: more of it is to come */
	uint64_t		 offset;
	bool			 awaiting;	/* in the queue's list of those */
	bool			 told;		/* of something that is tried again, or held */
};

/* admin.c: a line as the whole answer. A read has come back: whether somebody still waits for it; else the request is gone. */
void	request_answer(struct request *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool	request_is_wanted(struct request *);

/* A change has come back: likewise. */
bool	request_still_wanted(struct request *);

/* show.c: visits every message that the filter lets through, as fast as the caller reads, then calls visited. */
void	request_walk(struct request *, void (*visit)(struct request *, const struct log_envelope *),
	    void (*visited)(struct request *));
/* There is room for more output. */
void	request_more(void *);

/* Of the indexes of an envelope's recipients those that are open and selected, into `to` (room for all). How many. */
uint32_t	 request_select(const struct request *, const struct log_envelope *, uint32_t *to);
/* What state it is in now, in the words of a list. */
const char	*request_state(const struct request *, const struct log_envelope *, uint32_t index);

void	show_list(struct request *);
void	show_message(struct request *);
void	show_content(struct request *);
void	show_hops(struct request *);

/* change.c: what is done to each message and recipient that is selected. Each change is named as its command. */
extern const struct change_kind change_hold, change_release, change_remove, change_retry, change_bounce, change_reroute,
	change_replace, change_add;
void	change_begin(struct request *);		/* r->change, with r->with and the selection */

#endif
