/*
 * mda's own structures: jobs from queue (main.c) and the deliveries that they consist of (deliver.c).
 */
#ifndef MDA_MDA_H
#define MDA_MDA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/job.h"
#include "lib/process.h"

struct event;
struct mda;

enum delivery_state {
	DELIVERY_NAMED,			/* the job has not begun */
	DELIVERY_WAITING,		/* for a free place, or for a mailbox to be unlocked */
	DELIVERY_RUNNING,		/* a child is at work */
	DELIVERY_DONE,			/* its result has been sent, or is of no interest any more */
};

/* One recipient of a job. */
struct delivery {
	struct local_job	*job;
	uint32_t		 index;		/* queue's number of the recipient */
	struct envelope_rcpt	 rcpt;
	enum delivery_state	 state;
	pid_t			 pid;		/* of DELIVERY_RUNNING; 0: a command */
	int			 result_fd;	/* of a child, or the leash of a command */
	struct event		*said;		/* of a command: something comes by it */
	bool			 timed_out;
	bool			 is_locked;	/* of DELIVERY_WAITING: it waits for its mailbox, not for a place */
	unsigned		 busy;		/* how often its mailbox was locked */
	int64_t			 started_ms;
	struct timer		 timeout;
	TAILQ_ENTRY(delivery)	 entry;		/* in waiting, running or locked */
};

TAILQ_HEAD(delivery_list, delivery);

struct local_job {
	uint64_t	 id;			/* queue's */
	struct ipc	*queue;			/* NULL: queue is gone, nobody wants to know */
	struct mda	*mda;
	struct job_begin begin;
	struct delivery	**deliveries;
	uint32_t	 n, room;
	uint32_t	 open;			/* deliveries that are not done */
	int		 content_fd;
	uint64_t	 received, pulled;
	bool		 started, cancelled;
	UT_hash_handle	 hh;
};

struct mda {
	struct process		 process;
	uid_t			 started_by;
	struct local_job	*jobs;
	struct delivery_list	 waiting, running, locked;
	unsigned		 n_running, n_commands;
	struct event		*child_ended;
	struct alias_file	*aliases;	/* for commands and files that they name */
	int			 runner_fd;
	struct event		*runner_gone;
	uint64_t		 delivered, deferred, failed;
};

/* Once, before the sandbox. */
void	deliver_init(struct mda *);
/* The job's content is complete: its deliveries wait for their turn. The job may be gone when this returns. */
void	deliver_job(struct local_job *);
/* Those that still wait will not run: they are done without a result. The job may be gone when this returns. */
void	deliver_cancel(struct local_job *);
/* queue is gone: what runs for this job is killed, lest it be delivered and not known. */
void	deliver_abandon(struct local_job *);
/* Everything that waits goes back to queue, untried; commands have a little time left. */
void	deliver_stop(struct mda *);
/* The configuration has changed: other aliases. */
void	deliver_reconfigure(struct mda *, const struct conf *old);

/* main.c: one delivery has this result. Frees the job with its last delivery. */
void	local_job_result(struct delivery *, const struct job_result *);
/* The same without a result: nobody wants it, or JOB_DONE alone says enough. */
void	local_job_done_without(struct delivery *);

#endif
