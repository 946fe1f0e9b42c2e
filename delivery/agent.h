/*
 * The agent: takes jobs from queue (lib/job.h), brings each message to its next hop, answers for every recipient once.
 */
#ifndef DELIVERY_AGENT_H
#define DELIVERY_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "lib/ipc.h"

struct agent;
struct conf;
struct credentials;
struct dns;
struct endpoints;
struct event_base;

/* own: our listeners' addresses, by which a loop is known; copied. conf and dns are borrowed. */
struct agent	*agent_new(struct event_base *, const struct conf *, struct dns *, const struct sockaddr_storage *own,
		    size_t n_own);
/* By which sockets in the file system are reached; borrowed. */
void		 agent_set_endpoints(struct agent *, struct endpoints *);
/* What relays are logged in with; borrowed. */
void		 agent_set_credentials(struct agent *, const struct credentials *);
/* Ends everything at once, without results. NULL is fine. */
void		 agent_free(struct agent *);

/* Handlers of queue's messages; their arg is the agent. */
int		 agent_on_job_begin(struct agent *, struct ipc *, struct ipc_message *);
int		 agent_on_job_rcpt(struct agent *, struct ipc *, struct ipc_message *);
int		 agent_on_job_data(struct agent *, struct ipc *, struct ipc_message *);
int		 agent_on_job_start(struct agent *, struct ipc *, struct ipc_message *);
int		 agent_on_job_cancel(struct agent *, struct ipc *, struct ipc_message *);
/* The channel is gone: its jobs end, wherever they are. What was under way is sent again by the next queue. */
void		 agent_queue_down(struct agent *, struct ipc *);

/* No new work; what is under way has half a minute. Then, or when nothing is left, stopped(), once, from the loop. */
void		 agent_stop(struct agent *, void (*stopped)(void *), void *arg);
/* A successor has begun: what is here is finished, but no connection is kept for what does not come. */
void		 agent_drain(struct agent *);
/* No job is here. */
bool		 agent_is_idle(const struct agent *);
void		 agent_status(const struct agent *, char *to, size_t size);

#endif
