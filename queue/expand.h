/*
 * Questions to lookup: what does a local recipient expand to?
 */
#ifndef QUEUE_EXPAND_H
#define QUEUE_EXPAND_H

#include "queue/queue.h"

struct expand_answer {
	enum expand_verdict	 verdict;
	bool			 away;		/* of EXPAND_TEMPORARY: lookup is gone, or did not answer in time */
	struct envelope_rcpt	*targets;	/* all final; a callback that keeps them sets this to NULL */
	uint32_t		 n;
	const char		*text;		/* why not, "" where all is well */
	const char		*owner;		/* the reverse-path from here on; "" as it is */
};

typedef void	expand_fn(void *arg, struct expand_answer *);

struct expand	*expand_new(void);
void		 expand_free(struct expand *);		/* no callbacks; NULL is fine */
/* Exactly one callback, from the loop; never from inside. */
void		 expand_ask(struct expand *, struct ipc *lookup, const char *address, const char *sender, expand_fn *, void *arg);
ipc_handler_fn	 expand_on_answer;
void		 expand_peer_down(struct expand *, struct ipc *);

#endif
