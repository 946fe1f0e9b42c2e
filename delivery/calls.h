/*
 * Callbacks that lookup asks for: each one leads to one answer. Who may be called, and how often, lookup decides; here is
 * no memory of them.
 */
#ifndef DELIVERY_CALLS_H
#define DELIVERY_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "lib/ipc.h"

struct calls;
struct conf;
struct dns;
struct event_base;

/* own: our listeners' addresses, by which we do not call ourselves. All is borrowed. */
struct calls	*calls_new(struct event_base *, const struct conf *, struct dns *, const struct sockaddr_storage *own,
		    size_t n_own);

int		 calls_on_ask(struct calls *, struct ipc *, struct ipc_message *);	/* the handler of CALL_ASK */
void		 calls_lookup_down(struct calls *, struct ipc *);	/* the channel is gone: nobody waits */
void		 calls_stop(struct calls *);		/* those under way are answered: unknown */
bool		 calls_are_idle(const struct calls *);
unsigned	 calls_count(const struct calls *);

#endif
