/*
 * Connections that delivery cannot make itself, for it has no files: to the configured LMTP server's socket. Master makes
 * them and hands them over.
 */
#ifndef DELIVERY_ENDPOINT_H
#define DELIVERY_ENDPOINT_H

#include "lib/ipc.h"

struct endpoints;
struct endpoint_ask;

/* fd: connected, the callee's; or -1, and why. */
typedef void	endpoint_fn(void *arg, int fd, const char *why);

struct endpoints	*endpoints_new(struct ipc *master);
/* Exactly one callback, from the loop, or none after endpoint_cancel. */
struct endpoint_ask	*endpoint_start(struct endpoints *, const char *path, endpoint_fn *, void *arg);
void			 endpoint_cancel(struct endpoint_ask *);	/* NULL is fine */

/* Handlers of master's answers; their arg is the endpoints. */
int			 endpoints_on_fd(struct endpoints *, struct ipc *, struct ipc_message *);
int			 endpoints_on_none(struct endpoints *, struct ipc *, struct ipc_message *);

#endif
