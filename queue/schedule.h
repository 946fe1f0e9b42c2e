/*
 * When which recipients of which message are tried. Pure: a state, an event and the time in, jobs out; a
 * test runs years of it. It knows no envelope, no socket and no disk; queue/dispatch.c asks it what to do
 * and tells it what came of it.
 *
 * A job is what goes out in one attempt: up to SCHEDULE_JOB_RCPTS recipients of one message that share a
 * next hop. Times are milliseconds of one clock that does not jump; `now` never goes back.
 *
 *  - Each hop has a limit of jobs at once that rises with success and falls with failure.
 *  - Trouble with a hop as a whole is shared by all mail for it: one job at a time probes it, after
 *    growing pauses; what waits goes as soon as a probe succeeds. Mail that meets trouble where other
 *    mail went through is on its own.
 *  - Each job's own pauses grow by half from retry_first_ms to retry_most_ms, or are those of a list, a
 *    tenth more or less by chance. A pause that a reply asks for is believed, within bounds.
 *  - Mail that was never tried goes before what waited, three to one; what waited takes three quarters
 *    of the places.
 *  - Nothing expires without an attempt (its own or its hop's probe) that failed since this start.
 *  - A hop that an administrator paused starts nothing, and what waits for it does not expire.
 *  - A job in flight when its process died twice is tried alone; after three times the caller holds it. Others have as
 *    long to themselves as they waited for it: when nothing dies any more, many such jobs are soon done.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_JOB_RCPTS	100	/* RFC 5321, 4.5.3.1.8: what every server must take at once */
#define SCHEDULE_ALL		UINT32_MAX
#define SCHEDULE_INTERVALS	16
#define SCHEDULE_NEVER		INT64_MAX

struct schedule;
struct schedule_job;

/* Who runs a job. */
enum schedule_agent {
	SCHEDULE_LOOKUP,	/* expansion of local recipients */
	SCHEDULE_MDA,
	SCHEDULE_DELIVERY,
	SCHEDULE_AGENTS,
};

struct schedule_limits {
	uint32_t	jobs[SCHEDULE_AGENTS];	/* at once */
	uint32_t	hop_jobs;		/* at once to one hop of delivery */
	uint32_t	(*jobs_of)(const void *arg, const char *hop);	/* asked instead when it is not NULL; of mda's hops, too */
	const void	*jobs_arg;
	int64_t		retry_first_ms, retry_most_ms, expire_ms;
	int64_t		intervals[SCHEDULE_INTERVALS];	/* instead of the first two: the last one again and again */
	uint32_t	n_intervals;		/* 0: none */
};

/* A recipient to be tried. */
struct schedule_entry {
	uint64_t	 message;
	uint32_t	 index;
	uint32_t	 attempts;	/* so far */
	uint32_t	 sender;	/* whose mail it is, for fairness: queue/lanes.h */
	uint32_t	 crashes;	/* deaths of queue with its message in flight: from two on it is tried alone */
	const char	*hop;
	enum schedule_agent agent;
	int64_t		 arrived_ms;	/* of the message, on the scheduler's clock; may be negative */
	int64_t		 due_ms;
	int64_t		 longer_ms;	/* than other mail its message is tried; the most that any recipient of it has */
	int64_t		 warn_ms;	/* when its sender is to hear that it waits, if it still does; 0 or SCHEDULE_NEVER: not */
};

enum schedule_action {
	SCHEDULE_NOTHING,	/* for now: see schedule_due */
	SCHEDULE_START,		/* run this job */
	SCHEDULE_EXPIRE,	/* give this one up without trying it: its hop fails and its time has come */
	SCHEDULE_WARN,		/* its hop fails and its warning is due: to be put back then */
};

/* How an attempt ended for the hop; recipients' own results are told with schedule_settle. */
enum schedule_end {
	SCHEDULE_ANSWERED,	/* the hop took mail or answered for each recipient */
	SCHEDULE_TROUBLE,	/* it could not take mail at all */
	SCHEDULE_CRASHED,	/* the process running it died: counts as an attempt */
	SCHEDULE_PUT_BACK,	/* not tried after all: does not count, and may start again at once */
	SCHEDULE_AWAY,		/* not tried, for our process had no place or was going down: in a moment */
};

struct schedule	*schedule_new(const struct schedule_limits *, uint64_t seed);
void		 schedule_free(struct schedule *);		/* NULL is fine */

/* Other limits from now on, for what is known already too. */
void		 schedule_limit(struct schedule *, const struct schedule_limits *);

void		 schedule_add(struct schedule *, int64_t now, const struct schedule_entry *);
bool		 schedule_has(const struct schedule *, uint64_t message);
/* Forgets recipient `index` or all. Those in a running job count as dropped. Returns how many were known. */
uint32_t	 schedule_drop(struct schedule *, uint64_t message, uint32_t index);
/* Due now: one message, all at a hop, or everything (message 0, hop NULL). Pauses of the hops end. How many recipients. */
uint32_t	 schedule_retry(struct schedule *, int64_t now, uint64_t message, const char *hop);
/* No job starts for a paused hop; those under way go on. Known or not, it stays paused. Whether that is a change. */
bool		 schedule_pause(struct schedule *, int64_t now, const char *hop, enum schedule_agent, bool pause);
/* No job starts for an agent that is away. All are away at first. */
void		 schedule_agent_up(struct schedule *, enum schedule_agent, bool up);

/* The next thing to do, again and again until NOTHING. The job belongs to the caller until schedule_finish. */
enum schedule_action schedule_next(struct schedule *, int64_t now, struct schedule_job **);
/* When schedule_next may have something again without another event. */
int64_t		 schedule_due(const struct schedule *);

uint64_t	 schedule_job_message(const struct schedule_job *);
const char	*schedule_job_hop(const struct schedule_job *);
/* What the last trouble with its hop was; "" none. */
const char	*schedule_job_trouble(const struct schedule_job *);
enum schedule_agent schedule_job_agent(const struct schedule_job *);
uint32_t	 schedule_job_crashes(const struct schedule_job *);
uint32_t	 schedule_job_size(const struct schedule_job *);
/* The i-th recipient; false when it was dropped meanwhile. */
bool		 schedule_job_rcpt(const struct schedule_job *, uint32_t i, uint32_t *index_r, uint32_t *attempts_r);
/* When its message arrived, by the scheduler's clock. */
int64_t		 schedule_job_arrived(const struct schedule_job *);
/* Whether a failure now is the last one. */
bool		 schedule_job_expired(const struct schedule *, const struct schedule_job *, int64_t now);
/* When the next warning of this job is due. */
void		 schedule_warn_next(struct schedule_job *, int64_t at);
/* Its reply asks for a pause: the next try is not before it, within bounds. */
void		 schedule_ask_pause(struct schedule_job *, int64_t ms);
/* The i-th recipient needs no further attempt. */
void		 schedule_settle(struct schedule_job *, uint32_t i);
/*
 * The job has ended. What was neither settled nor dropped will be tried again: when, is returned
 * (SCHEDULE_NEVER: nothing is left). why: of TROUBLE, copied. The job is the scheduler's again and may be
 * gone.
 */
int64_t		 schedule_finish(struct schedule *, int64_t now, struct schedule_job *, enum schedule_end, const char *why);

struct schedule_counts {
	uint32_t	messages, rcpts, active_jobs[SCHEDULE_AGENTS], hops, hops_in_trouble, hops_paused, waiting;
};

struct schedule_hop {
	const char	*name, *why;	/* why: the last trouble, "" none */
	enum schedule_agent agent;
	uint32_t	 jobs, active, limit, failures;
	bool		 trouble, paused;
	int64_t		 until_ms;	/* of trouble: the next probe */
};

/* Every hop that something waits for, is tried now, or that is paused or in trouble. All is borrowed. */
void		 schedule_each_hop(const struct schedule *, void (*fn)(void *arg, const struct schedule_hop *), void *arg);

void		 schedule_count(const struct schedule *, struct schedule_counts *);
/* Whether a recipient is being tried now; SCHEDULE_ALL: any. */
bool		 schedule_is_active(const struct schedule *, uint64_t message, uint32_t index);
/* Whether no recipient of it is being tried or waits for a place only: all wait for a time, or for a hop in trouble or paused. */
bool		 schedule_rests(const struct schedule *, int64_t now, uint64_t message);
bool		 schedule_is_paused(const struct schedule *, uint64_t message, uint32_t index);
enum schedule_reason {
	SCHEDULE_UNKNOWN,	/* it is not here: held, or being recorded */
	SCHEDULE_TRIED,		/* being tried now */
	SCHEDULE_TIME,		/* its own next time */
	SCHEDULE_HOP,		/* its next hop is in trouble: the hop's next probe */
	SCHEDULE_PAUSED,	/* an administrator paused its next hop */
	SCHEDULE_PLACE,		/* its turn: as many deliveries as there may be are under way */
	SCHEDULE_PROCESS,	/* the process that would try it is away */
	SCHEDULE_ALONE,		/* to be tried while nothing else is: its message may have killed a process */
};

/* Why a recipient is not being tried now, and until when (of TIME and HOP). */
enum schedule_reason schedule_reason(const struct schedule *, uint64_t message, uint32_t index, int64_t *until_r);
/* What a recipient waits for beside its own time: the trouble of its hop, and when that may be tried; NULL: nothing. */
const char	*schedule_waits(const struct schedule *, uint64_t message, uint32_t index, int64_t *until_r);

#endif
