/*
 * `queue deliver ID`: a caller who wants a message tried now and waits for what comes of it (sendmail -odi). It may be his
 * own message, by the uid that smtpd was told, or anybody's for those who may change the queue.
 *
 * After "ok" comes a line for each recipient as it is tried: delivered, deferred, failed, expired or held; address; code;
 * enhanced status; reply; tab-separated. "E" is the end: nothing is being tried any more.
 */
#ifndef QUEUE_AWAIT_H
#define QUEUE_AWAIT_H

#include "queue/request.h"

struct attempt_rcpt;

void	await_delivery(struct request *);
void	await_forget(struct request *);		/* it goes */
/* A recipient's result, and one that was held instead. */
void	await_tell(struct queue *, uint64_t message, const struct attempt_rcpt *);
void	await_held(struct queue *, uint64_t message, const char *address);
/* What the scheduler could start is started: ends the answers about messages that rest. */
void	await_look(struct queue *);

#endif
