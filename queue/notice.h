/*
 * Mail of queue's own to postmaster: that it held a message, which only a person can decide about. Without a sender and marked
 * as automatic (RFC 3834), so that nothing answers it.
 */
#ifndef QUEUE_NOTICE_H
#define QUEUE_NOTICE_H

#include <stddef.h>
#include <stdint.h>

#include "queue/queue.h"

#define NOTICE_SESSION	"notice"	/* the session of such a mail: about a held notice there is none */
#define NOTICE_EVERY_MS	600000		/* of many held at once one is told */

struct notice {
	const char	*hostname, *to;
	const char	*id, *held;		/* its own id, and that of the message that is held */
	const char	*session, *sender, *rcpt, *why;		/* of the held one */
	int64_t		 now, arrived;
	uint64_t	 size;
};

/* The whole message in CRLF lines, 7 bit, for the caller to free. Pure. */
char	*notice_write(const struct notice *, size_t *len_r);
/* Sends one about a message that is held, at most every NOTICE_EVERY_MS. held, hostname, to, id and now are filled in. */
void	 notice_held(struct queue *, uint64_t message, const struct notice *);

#endif
