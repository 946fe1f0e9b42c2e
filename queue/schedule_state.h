/*
 * What the scheduler keeps, and the moves between its lists: private to queue/schedule.c, schedule_state.c and
 * schedule_fair.c. Everything uses schedule.now, set at each event.
 */
#ifndef QUEUE_SCHEDULE_STATE_H
#define QUEUE_SCHEDULE_STATE_H

#include <sys/queue.h>

#include "lib/hash.h"
#include "queue/due.h"
#include "queue/idmap.h"
#include "queue/lanes.h"
#include "queue/schedule.h"

#define SCHED_CRASHES_ALONE	2	/* in flight at so many deaths: tried alone from then on */

enum job_state {
	JOB_WAITING,			/* in the heap, for its time */
	JOB_READY,			/* in its hop's list, for a place */
	JOB_SUSPECT,			/* in its agent's list, to be tried alone */
	JOB_GIVEN_UP,			/* in the list of those to expire */
	JOB_TO_WARN,			/* in the list of those whose sender is to hear that they wait */
	JOB_ACTIVE,			/* with the caller */
};

enum rcpt_flags { RCPT_SETTLED = 1, RCPT_DROPPED = 2 };

struct rcpt {
	uint32_t	index;
	uint16_t	attempts;
	uint8_t		flags;
};

struct schedule_job {
	struct due		 due;		/* first: the heap's entries are told apart by due.kind. When active: its start */
	TAILQ_ENTRY(schedule_job) next;
	struct schedule_job	*sibling;	/* of the same message */
	struct message		*message;
	struct hop		*hop;
	struct rcpt		*rcpts;		/* &one, or an array */
	struct rcpt		 one;
	int64_t			 warn_at;
	uint32_t		 pause_ms;	/* that the last reply asked for; 0 none */
	uint32_t		 met;		/* 1 + the hop's epoch when it last met trouble there; 0: never */
	uint16_t		 n, room;
	uint8_t			 state, crashes;
	bool			 counted, backlog;	/* among its hop's and agent's active jobs; as what */
};

TAILQ_HEAD(job_list, schedule_job);

/* Jobs of one sender at one hop, ready. It exists while there are any. */
struct lane {
	TAILQ_ENTRY(lane)	 next;
	struct job_list		 jobs;
	uint32_t		 sender;
	bool			 served;	/* in which list it is */
};
TAILQ_HEAD(lane_list, lane);

/* A hop's ready jobs, senders in turn: one who has none waiting goes before those who have had a turn. */
struct fair {
	struct lane_list	 newer, served;
	uint32_t		 turn;
};

/* Of an agent: hops that may be tried, by the sender whose job is next there; senders in turn, too. */
struct flow {
	TAILQ_ENTRY(flow)	 next;
	TAILQ_HEAD(hop_list, hop) hops;		/* in the list of flows while there are any */
	uint32_t		 n;
};

struct flows {
	TAILQ_HEAD(, flow)	 active;
	struct flow		 flows[LANES];
};

struct message {
	uint64_t		 id;
	int64_t			 expires;
	struct schedule_job	*jobs;
	uint32_t		 sender;
	uint32_t		 longer_s;	/* that it lives beyond limits.expire_ms */
};

struct hop {
	struct due		 due;		/* first, see above: when the next probe may start */
	UT_hash_handle		 hh;
	struct agent		*agent;
	struct fair		 fresh, backlog;
	TAILQ_ENTRY(hop)	 next;
	struct flow		*flow;		/* that it is listed in */
	enum { HOP_IDLE, HOP_FRESH, HOP_BACKLOG } listed;
	uint32_t		 jobs, active, limit, most, turn;
	uint32_t		 failures;	/* in a row */
	uint32_t		 epoch;		/* how often it came back */
	bool			 trouble;	/* the last thing known of it */
	bool			 paused;	/* by an administrator: stays, even with nothing to do */
	int64_t			 not_before, last_success, failed_at;
	char			*why;
	char			 name[];
};

struct agent {
	enum schedule_agent	 kind;
	bool			 up;
	uint32_t		 most, active, active_backlog, turn;
	struct flows		 fresh, backlog;
	struct job_list		 suspects;
	struct schedule_job	*alone;		/* the suspect that is being tried */
	int64_t			 held_since, alone_until, drain_until, suspects_after;
	bool			 died;		/* under the last suspect: once it is back, others come first */
};

enum due_kind { DUE_JOB, DUE_HOP };

struct schedule {
	struct schedule_limits	 limits;
	int64_t			 now;
	uint64_t		 random;
	struct idmap		 messages;
	struct hop		*hops;
	struct due_heap		 heap;
	struct job_list		 given_up, to_warn;
	struct agent		 agents[SCHEDULE_AGENTS];
	uint32_t		 n_rcpts;
};

/* schedule_fair.c */
void	 fair_init(struct fair *);
void	 fair_free(struct fair *);
bool	 fair_is_empty(const struct fair *);
/* Last of its sender's. One who has none here yet: first of all if his mail waits for fewer hops than that of whose turn it is. */
void	 fair_put(struct fair *, struct schedule_job *, const struct flows *);
void	 fair_remove(struct fair *, struct schedule_job *);
/* Whose turn it is, and which of his; NULL: there is none. The same until fair_served or a change. */
struct schedule_job *fair_first(const struct fair *);
/* This one is about to be removed, for it had its turn. */
void	 fair_served(struct fair *, const struct schedule_job *);
/* Each job, which fn may not remove: to be taken out, they are put into `to`. */
void	 fair_take(struct fair *, bool (*is)(const struct schedule *, const struct schedule_job *), const struct schedule *,
	    struct job_list *to);
void	 flows_init(struct flows *);
void	 flows_put(struct flows *, struct hop *, uint32_t sender);	/* last */
void	 flows_remove(struct flows *, struct hop *);
struct hop *flows_first(const struct flows *);
/* The first sender has had a turn. */
void	 flows_turn(struct flows *);

void	*sched_must(void *);		/* the same pointer; NULL is out of memory and fatal */
/* The longest pause that a job has of itself. */
int64_t	 sched_longest(const struct schedule *);
/* The pause after `failures` of them in a row: grows by half, to `most`, a tenth more or less. */
int64_t	 sched_pause_after(struct schedule *, uint32_t failures, int64_t most);
/* The same where a reply asks for a pause, which is believed as far as it is neither much less nor more than we would wait. */
int64_t	 sched_pause_asked(struct schedule *, uint32_t failures, int64_t most, uint32_t asked_ms);

/* A hop by name, made when new. The caller adds a job to it before anything else. */
/* How many jobs at once it may have. */
uint32_t sched_hop_most(const struct schedule *, const char *name, enum schedule_agent);
struct hop *sched_hop_get(struct schedule *, const char *name, enum schedule_agent);
/* Puts it where it belongs after any change, and frees one that nobody needs: must be the last use of it. */
void	 sched_hop_update(struct schedule *, struct hop *);
void	 sched_hop_unlist(struct hop *);
void	 sched_hop_succeeded(struct schedule *, struct hop *);
/* All its mail pauses; expired mail is given up. Jobs that ran side by side count once. */
void	 sched_hop_failed(struct schedule *, struct hop *, const struct schedule_job *, const char *why);

struct schedule_job *sched_job_new(struct message *, struct hop *);	/* in no list, no recipients */
void	 sched_job_append(struct schedule_job *, struct rcpt);
void	 sched_job_unlink(struct schedule *, struct schedule_job *);	/* out of whatever list it is in */
/* An unlinked job goes, and its message with its last one. The caller updates the hop. */
void	 sched_job_free(struct schedule *, struct schedule_job *);
void	 sched_make_ready(struct schedule *, struct schedule_job *);
void	 sched_make_wait(struct schedule *, struct schedule_job *, int64_t until);	/* ready, when that is past */
void	 sched_job_start(struct schedule *, struct schedule_job *);
void	 sched_job_stop(struct schedule *, struct schedule_job *, bool crashed);
/* Takes out what was settled or dropped; counts an attempt for the rest. */
void	 sched_job_compact(struct schedule *, struct schedule_job *, bool attempted);

#endif
