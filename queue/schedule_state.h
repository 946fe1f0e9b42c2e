/*
 * What the scheduler keeps, and the moves between its lists: private to queue/schedule.c, schedule_state.c,
 * schedule_facts.c and schedule_fair.c. Everything uses schedule.now, set at each event.
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

/* Of a million most only wait: 64 bytes each, and what only those have that are under way shares the place of their time. */
struct schedule_job {
	uint64_t		 message;
	uint32_t		 link;		/* idmap's, which finds all jobs of a message */
	uint32_t		 longer_s;	/* that the message lives beyond limits.expire_ms */
	struct hop		*hop;
	union {
		struct rcpt	 one;
		struct rcpt	*many;		/* if n > 1 */
	};
	union {
		struct due	 due;		/* JOB_WAITING */
		struct {
			int64_t	 started;
			uint32_t pause_ms;	/* that the last reply asked for; 0 none */
		};				/* JOB_ACTIVE */
		TAILQ_ENTRY(schedule_job) next;	/* else */
	};
	int64_t			 arrived:44;	/* its message, in ms: 278 years either way */
	uint64_t		 sender:8;	/* his lane */
	uint64_t		 crashes:4;
	uint64_t		 n:7;		/* recipients */
	bool			 counted:1;	/* among its hop's and agent's active jobs */
	int64_t			 warn_at:44;
	uint64_t		 met:16;	/* the hop's epoch when it last met trouble there; 0: never */
	uint64_t		 state:3;	/* enum job_state */
	bool			 backlog:1;	/* as what it stands in its hop's lists or is counted */
};
#define SCHED_MS_MOST	((INT64_C(1) << 43) - 1)
#define SCHED_CRASHES_MOST 15

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

struct hop {
	struct due		 due;		/* when the next probe may start */
	uint32_t		 number;	/* of its record */
	UT_hash_handle		 hh;
	struct agent		*agent;
	struct fair		 fresh, backlog;
	TAILQ_ENTRY(hop)	 next;
	struct flow		*flow;		/* that it is listed in */
	enum { HOP_IDLE, HOP_FRESH, HOP_BACKLOG } listed;
	uint32_t		 jobs, active, limit, most, turn;
	uint32_t		 failures;	/* in a row */
	uint16_t		 epoch;		/* counts how often it came back; never 0 */
	bool			 trouble;	/* the last thing known of it */
	bool			 paused;	/* by an administrator: stays, even with nothing to do */
	int64_t			 not_before, last_success, failed_at;
	char			*why;
	char			*name;
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

struct schedule {
	struct schedule_limits	 limits;
	int64_t			 now;
	uint64_t		 random;
	struct idmap		 jobs;		/* by message */
	struct slab		 hop_records;
	struct hop		*hops;		/* by name */
	struct due_heap		 waiting, probes;	/* of jobs and hops */
	struct job_list		 given_up, to_warn;
	struct agent		 agents[SCHEDULE_AGENTS];
	uint32_t		 n_messages, n_rcpts;
};

/* A message's jobs: the next one after j, or the first. NULL: none. */
struct schedule_job *sched_job_of(const struct schedule *, uint64_t message, const struct schedule_job *j);

static inline struct rcpt *
sched_job_rcpts(const struct schedule_job *j)
{
	return j->n > 1 ? j->many : (struct rcpt *)(uintptr_t)&j->one;
}

/* A job's recipients stand in the order of their index: of a list of fifty thousand most jobs are passed over by this. */
static inline bool
sched_job_may_have(const struct schedule_job *j, uint32_t index)
{
	return j->n > 0 && sched_job_rcpts(j)[0].index <= index && index <= sched_job_rcpts(j)[j->n - 1].index;
}

/* A time as a job keeps it. */
static inline int64_t
sched_ms(int64_t at)
{
	return at > SCHED_MS_MOST ? SCHED_MS_MOST : at < -SCHED_MS_MOST ? -SCHED_MS_MOST : at;
}

static inline int64_t
sched_job_expires(const struct schedule *s, const struct schedule_job *j)
{
	return j->arrived + s->limits.expire_ms + (int64_t)j->longer_s * 1000;
}

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
void	 sched_hop_free(struct schedule *, struct hop *);
void	 sched_hop_unlist(struct hop *);
void	 sched_hop_succeeded(struct schedule *, struct hop *);
/* All its mail pauses; expired mail is given up. Jobs that ran side by side count once. */
void	 sched_hop_failed(struct schedule *, struct hop *, const struct schedule_job *, const char *why);

/* In no list, no recipients, and otherwise like `like`: of the same message, or not of any yet. */
struct schedule_job *sched_job_new(struct schedule *, const struct schedule_job *like, struct hop *);
void	 sched_job_append(struct schedule_job *, struct rcpt);
void	 sched_job_shorten(struct schedule_job *, uint32_t n);	/* only the first n recipients stay */
void	 sched_job_unlink(struct schedule *, struct schedule_job *);	/* out of whatever list it is in */
/* An unlinked job goes. The caller updates the hop. */
void	 sched_job_free(struct schedule *, struct schedule_job *);
void	 sched_job_hand_out(struct schedule *, struct schedule_job *);	/* to the caller: from its list to JOB_ACTIVE */
void	 sched_make_ready(struct schedule *, struct schedule_job *);
void	 sched_make_wait(struct schedule *, struct schedule_job *, int64_t until);	/* ready, when that is past */
void	 sched_job_start(struct schedule *, struct schedule_job *);	/* handed out, and counted */
void	 sched_job_stop(struct schedule *, struct schedule_job *, bool crashed);
/* Takes out what was settled or dropped; counts an attempt for the rest. */
void	 sched_job_compact(struct schedule *, struct schedule_job *, bool attempted);

#endif
