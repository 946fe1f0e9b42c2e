/*
 * What the two halves of the agent share: agent.c (jobs as queue gives them and hears of them) and agent_course.c (a job's
 * way from place to lookup to address after address). Included by nobody else.
 */
#ifndef DELIVERY_AGENT_JOB_H
#define DELIVERY_AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "delivery/client.h"
#include "delivery/pool.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/ipc.h"
#include "lib/job.h"

struct conf_destination;
struct credentials;
struct endpoint_ask;
struct endpoints;
struct event;
struct mx_address;
struct mx_lookup;
struct reach;
struct route;
struct verdict;

enum job_state {
	JOB_TAKING,			/* BEGIN to START */
	JOB_WAITING,			/* for a place in the pool */
	JOB_LOOKING,			/* for addresses */
	JOB_SENDING,			/* a client has it */
};

struct job_key {
	struct ipc	*ipc;
	uint64_t	 id;
};

struct job {
	struct job_key		 key;
	struct agent		*agent;
	enum job_state		 state;
	bool			 refused;	/* came beyond the limit: answered at START */
	bool			 cancelled;	/* no further address */
	struct job_begin	 begin;
	struct client_mail	 mail;
	uint32_t		*indexes;	/* queue's, of mail.rcpts */
	uint32_t		 rcpts_room;
	int64_t			 started_ms;
	struct pool_ticket	 ticket;
	uint32_t		 connections;	/* that its next hop may have */
	struct route		*route;		/* NULL: not needed yet */
	size_t			 host_at;	/* of the route: looked up next */
	struct mx_lookup	*lookup;
	struct endpoint_ask	*endpoint;	/* a connection that master makes */
	struct mx_address	*addresses;	/* of the host before; NULL: none was looked up */
	size_t			 n_addresses, at;
	struct client		*client;
	struct verdict		*why;		/* the last trouble */
	UT_hash_handle		 hh;
};

struct agent {
	struct event_base	*base;
	const struct conf	*conf;
	struct dns		*dns;
	struct sockaddr_storage	*own;
	size_t			 n_own;
	const struct credentials *credentials;	/* NULL: none */
	struct endpoints	*endpoints;
	struct pool		*pool;
	struct reach		*reach;
	struct job		*jobs;
	unsigned		 jobs_max;
	bool			 stopping;
	struct timer		 stop;
	struct event		*stopped_event;
	void			(*stopped)(void *);
	void			*stopped_arg;
};

/* agent.c: takes over the verdict, for all recipients without one; every recipient has one then, and the job ends. */
void	job_finish(struct job *, struct verdict *open);

/* agent_course.c: leads to job_finish() from the loop, unless the job is freed before. */
void	job_run(struct job *);
/* Lets go of all that its way has left behind. */
void	job_forget_course(struct job *);

#endif
