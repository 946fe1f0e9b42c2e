/*
 * The next hops that an administrator paused, kept in a file of the spool: a start must not deliver what somebody stopped.
 */
#ifndef QUEUE_PAUSES_H
#define QUEUE_PAUSES_H

#include "queue/log.h"

/* Their names, a line each, for the caller to free; "" none, or the file cannot be read. Waits for the disk: at a start only. */
char	*pauses_read(int spool);
/* Replaces them: copies; done, from the loop, when that is on stable storage. */
void	 pauses_write(struct log *, const char *names, log_done_fn *done, void *arg);

#endif
