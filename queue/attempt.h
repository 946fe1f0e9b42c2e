/*
 * One attempt: a job of the scheduler under way in lookup, mda or delivery. Private to queue/dispatch.c
 * (starts them), transfer.c (talks to mda and delivery), expansion.c (talks to lookup), outcome.c (what
 * came of it) and giveup.c (bounces).
 *
 * An attempt begins in dispatch.c, gets a result for each recipient from one of the others, and ends in
 * outcome_conclude(), which frees it. While the log reads for it, it cannot go: who must end it marks it
 * `over`.
 */
#ifndef QUEUE_ATTEMPT_H
#define QUEUE_ATTEMPT_H

#include <sys/queue.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/job.h"
#include "queue/dispatch.h"
#include "queue/notice.h"

struct event;

enum attempt_result {
	RESULT_NONE,			/* nothing is known yet */
	RESULT_DELIVERED,
	RESULT_DEFERRED,
	RESULT_FAILED,
	RESULT_AWAY,			/* our process could not try it: soon again, and not counted */
	RESULT_DIRECT,			/* expansion: the recipient is a mailbox, and next it goes to mda */
	RESULT_EXPANDED,		/* expansion: others stand for it, in `targets` */
};

struct attempt_rcpt {
	struct envelope_rcpt	 rcpt;
	uint32_t		 slot;		/* its place in the scheduler's job */
	uint32_t		 index, attempts;
	enum attempt_result	 result;
	bool			 trouble;	/* of the hop as a whole */
	bool			 expired;	/* failed because its time was over */
	unsigned		 code;
	char			*enhanced, *host, *text;	/* NULL without a result */
	struct envelope_rcpt	*targets;
	uint32_t		 n_targets, first_target;	/* how many, and the first one's index */
};

struct attempt {
	UT_hash_handle		 hh;		/* by id */
	uint64_t		 id;		/* towards the agent */
	struct dispatch		*dispatch;
	struct schedule_job	*job;
	enum schedule_agent	 agent;
	struct ipc		*ipc;		/* who runs it; NULL: nobody, or gone */
	uint64_t		 message;
	int64_t			 started_ms;
	int64_t			 arrived;	/* of the message */
	char			*sender, *session, *head;
	uint32_t		 flags;
	uint64_t		 size;
	uint32_t		 n;
	struct attempt_rcpt	*rcpts;

	bool			 expiring;	/* given up without a try */
	bool			 begun;		/* the agent knows of it */
	bool			 started;	/* and was told to start */
	bool			 cancelled;
	bool			 reading;	/* the log reads for it */
	bool			 over;		/* to be concluded as soon as it does not */
	enum schedule_end	 end;		/* when over */
	uint64_t		 sent, wanted;	/* content bytes */
	uint32_t		 waiting;	/* expansion: answers that have not come */
	struct seen		*seen;		/* expansion: who gets the message already (expansion.c) */
};

struct dispatch {
	struct queue		*queue;
	struct schedule		*schedule;
	struct attempt		*attempts;
	uint64_t		 last_id;
	struct event		*turn;		/* the schedule may have something to do */
	struct timer		 due, sweep;
	bool			 stopping;
	LIST_HEAD(, giveup)	 giveups;	/* bounces being made */
	void			(*stopped)(void *);
	void			*stopped_arg;
};

/* dispatch.c */
void	dispatch_kick(struct dispatch *);		/* looks at the schedule at the end of this turn */
/* Ends it with what its recipients have: now, or when the log has read. The last use of it. */
void	attempt_end(struct attempt *, enum schedule_end);
/* A recipient's result in our own words, unless it has one. */
void	attempt_set(struct attempt_rcpt *, enum attempt_result, const char *enhanced, const char *text);
void	attempt_free_rcpts(struct attempt_rcpt *, uint32_t n);

/* transfer.c: the envelope is known, an mda or a delivery is there. */
void	transfer_begin(struct attempt *);
void	transfer_cancel(struct attempt *);

/* expansion.c: the envelope is known, lookup is there. */
void	expansion_begin(struct attempt *);
/* Before it: an address that needs no expansion, and gets or got the message. */
void	expansion_saw(struct attempt *, const char *address);
void	expansion_forget(struct attempt *);

/* outcome.c: records, reschedules and frees. */
void	outcome_conclude(struct attempt *, enum schedule_end);
#define OUTCOME_CRASHES_HELD	3	/* in flight at so many deaths of a process: held, and a person looks at it */
/* Holds a recipient for that reason, and tells postmaster. about: all but why, hostname, to, id, held and now. */
void	outcome_hold(struct queue *, uint64_t message, uint32_t index, const char *process, struct notice *about);
/* Failed without a try: last is the text of its own last outcome, "" none; trouble its hop's. */
void	outcome_expire(struct attempt_rcpt *, const char *last, const char *trouble);
/* Says and records that recipients failed and nobody hears of it. */
void	outcome_failed_silently(struct queue *, uint64_t message, const struct attempt_rcpt *, uint32_t n, const char *why);

/* giveup.c: tells the sender. Takes over rcpts (all RESULT_FAILED); puts them back where that cannot be done now. */
void	giveup_begin(struct dispatch *, const struct attempt *, struct attempt_rcpt *rcpts, uint32_t n);
/* An attempt of the message has ended: its bounce need not wait for more, if it was the last. */
void	giveup_poke(struct dispatch *, uint64_t message);
void	giveup_stop(struct dispatch *);		/* none waits any more */
void	giveup_free(struct dispatch *);		/* all of them, at the end */

#endif
