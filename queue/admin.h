/*
 * mailq and minimtactl queue: what people ask of the queue and tell it. minimtactl(8) describes the
 * commands.
 *
 * An answer begins with "ok" or "error: why". A list is made piece by piece as its reader takes it: M
 * lines (id, arrival, size, marks, sender) with R lines below (index, state, attempts, next try, address,
 * last reply), tab-separated, and an E line (messages, bytes) at the end. A reader who stops reading is
 * dropped; he keeps nobody waiting. Who asks while a start still reads the log is answered when all messages are known.
 */
#ifndef QUEUE_ADMIN_H
#define QUEUE_ADMIN_H

#include "queue/queue.h"

struct admin	*admin_new(struct queue *);
void		 admin_free(struct admin *);		/* after the log is closed; NULL is fine */
ipc_handler_fn	 admin_on_control;
void		 admin_complete(struct admin *);		/* all messages of before the start are known */
/* The next hops that were paused before this start (queue/pauses.h). */
void		 admin_pause_again(struct queue *, const char *names);

#endif
