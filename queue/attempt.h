/*
 * One attempt: a job of the scheduler under way in lookup, mda or delivery. Private to queue/dispatch.c
 * and attempt.c (start them), transfer.c (talks to mda and delivery), expansion.c (talks to lookup), outcome.c (what
 * came of it) and tell.c (reports).
 *
 * An attempt begins in attempt.c, gets a result for each recipient from one of the others, and ends in
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
#include "queue/log.h"
#include "queue/notice.h"

struct bouncecap;
struct event;

enum attempt_result {
	RESULT_NONE,			/* nothing is known yet */
	RESULT_DELIVERED,
	RESULT_DEFERRED,
	RESULT_FAILED,
	RESULT_AWAY,			/* our process could not try it: soon again, and not counted */
	RESULT_DIRECT,			/* expansion: the recipient is a mailbox, and next it goes to mda */
	RESULT_EXPANDED,		/* others stand for it, in `targets` unless they are another message's */
	RESULT_FORWARDED,		/* mda: its user wants it elsewhere, in `targets`; not recorded yet (forward.c) */
};

struct attempt_rcpt {
	struct envelope_rcpt	 rcpt;
	uint32_t		 slot;		/* its place in the scheduler's job */
	uint32_t		 index, attempts;
	enum attempt_result	 result;
	bool			 trouble;	/* of the hop as a whole */
	bool			 expired;	/* failed because its time was over */
	bool			 dsn_passed_on;	/* the next hop answers for it from now on (RFC 3461, 5.2.1) */
	bool			 untried;	/* what is recorded is what was known before, but for the marks */
	bool			 relayed;	/* delivered to another host, not to a mailbox */
	unsigned		 code;
	char			*enhanced, *host, *text;	/* NULL without a result */
	char			*before, *past;	/* its outcome before this one, and those before that; NULL none */
	int64_t			 before_at, next_try;	/* seconds since the epoch */
	uint16_t		 past_room;	/* bytes that its past may have */
	uint8_t			 marks, marks_before;	/* enum log_mark: to be recorded, and recorded */
	struct envelope_rcpt	*targets;
	uint32_t		 n_targets, first_target;	/* how many, and the first one's index */
	char			*owner;		/* expansion: whose message it is then; NULL: the sender's still */
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
	int64_t			 arrived;	/* of the message, by the wall clock of then: what people are told */
	int64_t			 arrived_ms;	/* and by the clock that is never set: what its age goes by */
	char			*sender, *session, *head, *envid;	/* envid: NULL none */
	uint8_t			 ret;		/* enum dsn_ret */
	uint32_t		 flags;
	uint64_t		 size;
	uint32_t		 n;
	struct attempt_rcpt	*rcpts;

	bool			 expiring;	/* given up without a try */
	bool			 warning;	/* not tried either: its sender hears that it waits */
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
	LIST_HEAD(, tell)	 tells;		/* reports being made */
	struct bouncecap	*cap;		/* and how many strangers have caused */
	int64_t			 warn_ms[LOG_WARNED];	/* ages at which a sender is told of a delay */
	int			 n_warnings;
	int64_t			 longest_ms;	/* pause between two attempts */
	void			(*stopped)(void *);
	void			*stopped_arg;
};

/* dispatch.c */
void	dispatch_kick(struct dispatch *);		/* looks at the schedule at the end of this turn */
/* A recipient of which the entry says what it is, its age and when it is due. hop NULL: where its address leads. warned: how
 * many warnings its sender has had. */
void	dispatch_schedule(struct dispatch *, struct schedule_entry, const char *sender, const struct envelope_rcpt *, int warned);

/* attempt.c */
extern const enum proc attempt_procs[SCHEDULE_AGENTS];
void	attempt_start(struct dispatch *, struct schedule_job *, enum schedule_action);
void	attempt_free(struct attempt *);
/* Ends it with what its recipients have: now, or when the log has read. The last use of it. */
void	attempt_end(struct attempt *, enum schedule_end);
/* A recipient's result in our own words, unless it has one. */
void	attempt_set(struct attempt_rcpt *, enum attempt_result, const char *enhanced, const char *text);
void	attempt_free_rcpt(struct attempt_rcpt *);
/* Seconds since its message arrived. */
int64_t	attempt_age(const struct attempt *);
void	attempt_free_rcpts(struct attempt_rcpt *, uint32_t n);
void	attempt_drop_targets(struct attempt_rcpt *);

/* dispatch.c. A recipient is open again, and waits for its next attempt. */
int64_t	dispatch_longer_ms(const struct dispatch *, const struct envelope_rcpt *);	/* what it is tried beyond `expire` */
int64_t	dispatch_warn_ms(const struct dispatch *, int64_t arrived_ms, int warned);	/* when the next warning is due; SCHEDULE_NEVER */
void	dispatch_again(struct dispatch *, uint64_t message, int64_t arrived_ms, const char *sender, uint32_t index,
	    uint32_t attempts, const struct envelope_rcpt *);

/* transfer.c: the envelope is known, an mda or a delivery is there. */
void	transfer_begin(struct attempt *);
/* Whether its sender is somebody whose mail this server may not send for him: what is forwarded is sent for us (SRS). */
bool	transfer_rewrites(const struct attempt *);
void	transfer_cancel(struct attempt *);

/* forward.c: mda is done; records what its users forward, then ends the attempt. */
void	forward_begin(struct attempt *, enum schedule_end);
/* Whether mda may say that of this recipient. */
bool	forward_is_sane(const struct attempt_rcpt *, const struct job_result *);

/* expansion.c: the envelope is known, lookup is there. */
void	expansion_begin(struct attempt *);
/* Before it: an address that needs no expansion, and gets or got the message. */
void	expansion_saw(struct attempt *, const struct envelope_rcpt *);
void	expansion_forget(struct attempt *);
/* What the sender asked about reports, for those who stand for a recipient (RFC 3461, 5.2.7). */
void	expansion_pass_on(struct attempt_rcpt *);

/* outcome.c: records, reschedules and frees. */
void	outcome_conclude(struct attempt *, enum schedule_end);
#define OUTCOME_CRASHES_HELD	3	/* in flight at so many deaths of a process: held, and a person looks at it */
/* Holds a recipient for that reason, and tells postmaster. about: all but why, hostname, to, id, held and now. */
void	outcome_hold(struct queue *, uint64_t message, struct attempt_rcpt *, const char *process, struct notice *about);
/* What is known of a recipient from before, as the outcome of an attempt: for reports. */
void	outcome_recall(struct attempt_rcpt *, enum attempt_result, const char *enhanced, const char *last, const char *trouble);
/* What the log is to keep of these results, all with this state; for outcome_free_list. */
struct log_outcome *outcome_list(const struct attempt_rcpt *, uint32_t n, enum log_state);
void	outcome_free_list(struct log_outcome *, uint32_t n);
/* Says and records that recipients failed and nobody hears of it. */
void	outcome_failed_silently(struct queue *, uint64_t message, const struct attempt_rcpt *, uint32_t n, const char *why);

/* Says and records outcomes; the message may be gone. */
void	outcome_write(struct queue *, uint64_t message, const struct log_outcome *, size_t n);

enum tell_kind {
	TELL_FAILED,
	TELL_DELAYED,			/* marks say how often */
	TELL_DELIVERED,
	TELL_EXPANDED,			/* about to be: LOG_TOLD_EXPANDED */
};

/* tell.c. Whether the sender wants to hear that of a recipient, and may. */
bool	tell_wants(const struct attempt *, const struct attempt_rcpt *, enum tell_kind);
/* Takes over rcpts (all RESULT_FAILED); puts them back where that cannot be done now. */
void	tell_failed(struct dispatch *, const struct attempt *, struct attempt_rcpt *rcpts, uint32_t n);
/* Takes over rcpts, of which tell_wants() was true, and records their outcomes, with the report or without one. done (may be
 * NULL) is called from the loop after that. */
void	tell_now(struct dispatch *, const struct attempt *, enum tell_kind, struct attempt_rcpt *rcpts, uint32_t n,
	    void (*done)(void *), void *arg);
/* An attempt of the message has ended: its bounce need not wait for more, if it was the last. */
void	tell_poke(struct dispatch *, uint64_t message);
void	tell_stop(struct dispatch *);		/* none waits any more */
void	tell_free(struct dispatch *);		/* all of them, at the end */

#endif
