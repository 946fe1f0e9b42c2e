/*
 * A tool's request of the queue while it is answered: shared by queue/admin.c (what it may be, and changes) and
 * queue/show.c (lists, one message, next hops). Private to those two.
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

#define REQUEST_LINE_MAX	1024

/* Which messages: "to=TEXT" and "from=TEXT" in an address, without case; "@domain" of a recipient; NULL: all. */
struct request_filter {
	enum { FILTER_NONE, FILTER_TO, FILTER_FROM, FILTER_DOMAIN } by;
	char	text[REQUEST_LINE_MAX];
};

struct request {
	LIST_ENTRY(request)	 next, await;
	struct admin		*admin;
	struct queue		*queue;
	struct caller		*caller;	/* NULL: gone */
	bool			 reading;	/* the log has it as an argument: it cannot go */
	uint32_t		 uid;
	bool			 may_change;
	uint64_t		 id;		/* the message it is about */
	struct log_message	 message;
	/* a walk over messages */
	uint64_t		*ids;		/* oldest first */
	size_t			 n, at;
	struct request_filter	 filter;
	void			(*visit)(struct request *, const struct log_envelope *);
	void			(*visited)(struct request *);
	uint64_t		 shown, bytes;
	uint32_t		 changed;
	const char		*change;	/* "held", "released", "removed" */
	bool			 content;	/* of `cat`: more of it is to come */
	uint64_t		 offset;
	bool			 awaiting;	/* in the queue's list of those */
	bool			 told;		/* of something that is tried again, or held */
	struct held { uint32_t index; struct envelope_rcpt rcpt; } *held;	/* to be released */
	size_t			 n_held;
	char			 sender[ADDRESS_MAX];
};

/* admin.c: a line as the whole answer. A read has come back: whether somebody still waits for it; else the request is gone. */
void	request_answer(struct request *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool	request_is_wanted(struct request *);

/* show.c: visits every message that the filter lets through, as fast as the caller reads, then calls visited. */
void	request_walk(struct request *, void (*visit)(struct request *, const struct log_envelope *),
	    void (*visited)(struct request *));
/* There is room for more output. */
void	request_more(void *);

void	show_list(struct request *, const char *argument);
void	show_message(struct request *, const char *argument);
void	show_content(struct request *, const char *argument);
void	show_hops(struct request *, const char *argument);

#endif
