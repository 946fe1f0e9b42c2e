/*
 * Callbacks as messages: questions of smtpd and of tools in, calls of delivery out and back, results kept in lookup's state.
 * Who is called when lookup/callbacks.c decides.
 */
#ifndef LOOKUP_CALLING_H
#define LOOKUP_CALLING_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/ipc.h"
#include "lib/messages.h"
#include "lookup/callbacks.h"

struct calling;
struct process;
struct state;

/* Both are borrowed. */
struct calling	*calling_new(struct process *, struct state *);

/* Handlers: CALLBACK_ASK of smtpd, CALL of delivery. */
int		 calling_on_ask(struct calling *, struct ipc *, struct ipc_message *);
int		 calling_on_call(struct calling *, struct ipc *, struct ipc_message *);
void		 calling_peer_up(struct calling *, struct ipc *);
void		 calling_peer_down(struct calling *, struct ipc *);
void		 calling_reconfigure(struct calling *);

/* For lookup itself: as callbacks_ask(). */
struct callbacks_query *calling_ask(struct calling *, enum call_kind, const char *address, callbacks_done_fn *, void *arg);
/* A tool's "callback\tADDRESS". Takes over fd, and answers when the answer is there. */
void		 calling_command(struct calling *, const char *address, bool privileged, int fd);
bool		 calling_is_idle(const struct calling *);
void		 calling_status(const struct calling *, char *to, size_t size);	/* "callbacks_asked=3 …" */

#endif
