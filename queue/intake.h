/*
 * Messages on their way in: smtpd's transactions, from MAIL_BEGIN to the answer.
 *
 * smtpd parses what strangers send and is not believed: recipients need lookup's token, sizes and order
 * must be right, and whatever an honest smtpd never does ends it (ipc_fail). Exactly one MAIL_DONE answers
 * each MAIL_END, when the message is on stable storage or refused; nothing answers a MAIL_ABORT.
 */
#ifndef QUEUE_INTAKE_H
#define QUEUE_INTAKE_H

#include "queue/queue.h"

struct intake	*intake_new(struct queue *);
void		 intake_free(struct intake *);			/* after the log is closed; NULL is fine */

ipc_handler_fn	 intake_on_begin, intake_on_rcpt, intake_on_data, intake_on_end, intake_on_abort;
void		 intake_peer_down(struct intake *, struct ipc *);	/* its transactions are forgotten */
/* From now on every message is refused with 451. */
void		 intake_stop(struct intake *);
/* Transactions under way, acceptances being written among them. */
unsigned	 intake_count(const struct intake *);

#endif
