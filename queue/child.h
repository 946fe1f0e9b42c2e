/*
 * A message born of another one: the same content for other recipients, with a reverse-path or a field in front of its
 * own. One record accepts it and settles the recipient that it stands for, so that no crash can make two of it or none.
 */
#ifndef QUEUE_CHILD_H
#define QUEUE_CHILD_H

#include "queue/attempt.h"

#define CHILD_HEAD_MAX	(12U * 1024)	/* fits in JOB_BEGIN with all else */

/* error NULL: it is accepted and scheduled, and the recipient settled. */
typedef void	child_fn(void *arg, const char *error);

/*
 * sender: its reverse-path; field: goes in front of the parent's head, CRLF-ended, "" none. Exactly one callback, from the
 * loop; until then the attempt and r stay. r->targets are its recipients.
 */
void	child_begin(struct attempt *, struct attempt_rcpt *r, const char *sender, const char *field, child_fn *, void *arg);

#endif
