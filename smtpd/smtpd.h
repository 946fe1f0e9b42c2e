/*
 * The smtpd process as its files see it: one struct, made in main() and passed down. Private to smtpd/.
 */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/clock.h"
#include "lib/process.h"
#include "lib/wire.h"
#include "smtpd/network.h"
#include "smtpd/tally.h"
#include "smtpd/wrote.h"

struct dns;
struct filters;
struct listener;
struct memory;
struct session;

/* One recv(): below MSG_CREDIT, so that what a read brings always fits into the credit that let it happen. */
#define SMTPD_READ_MAX		(60U * 1024)
/* What a session may keep unread (one recv and the start of a line) and one recv more. */
#define SMTPD_INPUT_MAX		(2 * SMTPD_READ_MAX + 4096)
/* Descriptors beside the clients': channels, local programs, copies on their way to lookup. */
#define SMTPD_OTHER_FDS		128

TAILQ_HEAD(session_list, session);

struct smtpd {
	struct process		 process;
	struct session_list	 sessions;		/* oldest first */
	struct session_list	 dead;			/* freed by `reap`, never by their own callbacks */
	struct session		*by_number;		/* uthash: where answers of lookup and queue belong */
	struct event		*reap;
	struct listener		*listeners;
	size_t			 n_listeners;
	int			 reserve_fd;		/* given up to say 421 when descriptors run out; -1 */
	struct timer		 drain;			/* after STOP: when those under way are cut off */
	bool			 stopping;

	uint64_t		 last_number;
	unsigned		 n_sessions;		/* in `sessions` */
	unsigned		 n_local;		/* of them from local programs, which the limit does not count */
	uint64_t		 total_sessions, total_messages, total_refused, total_evicted, total_turned_away;

	/* For guard.c and pace.c; filters is NULL where there are none. */
	struct dns		*dns;
	struct memory		*memory;
	struct filters		*filters;
	struct filters		*trial;			/* for sessions that are only tried: pretend.c */
	struct memory		*trial_memory;
	unsigned		 n_delayed;		/* sessions that are made to wait now */
	uint64_t		 total_delayed_ms, total_early, total_ahead;
	struct wrote		 wrote;

	/* What there is too much of: crowd.c. */
	struct networks		 networks;
	struct tallies		 tallies;		/* what other processes of smtpd say of networks */
	unsigned		 stress;		/* 0 to STRESS_MOST */
	uint64_t		 held;			/* bytes of memory that sessions hold */
	unsigned		 memory_asked;
	void			*reserve;		/* memory to be given back when there is no other; NULL: it was */
	uint64_t		 descriptors;		/* that may be open; 0: unknown */
	int64_t			 turned_ms;		/* the second in which lines about those turned away are counted */
	unsigned		 turned_lines;
	uint64_t		 turned_unlogged;

	/* Scratch for the session whose turn it is; nothing in them outlives a callback. */
	uint8_t			 input[SMTPD_INPUT_MAX];
	uint8_t			 content[SMTPD_READ_MAX + 2];
};

/* Before process_init: the tables that it works with. */
void	smtpd_init(struct smtpd *);
/* After it (or, without a master, once process.base and process.conf are set). */
void	smtpd_start(struct smtpd *);

#endif
