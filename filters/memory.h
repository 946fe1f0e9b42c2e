/*
 * What filters remember of clients and mail: who waited for the greeting, triplets of greylisting, good and bad behaviour,
 * people whom local users wrote to, rates. One interface with two faces: a table of its own (tools, tests, and inside
 * lookup, which keeps it on disk with gdbm) and through lookup (smtpd). Nothing in it may not be lost: every failure is
 * answered as "never seen", with `failed` set.
 *
 * memory_ask() leads to exactly one callback, from the loop and never from inside memory_ask(), or to memory_cancel() after
 * which there is none.
 */
#ifndef FILTERS_MEMORY_H
#define FILTERS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/facts.h"

struct ipc;
struct ipc_message;
struct memory;
struct memory_core;
struct memory_query;

#define MEMORY_KEY_MAX		320	/* bytes, with the NUL */
#define MEMORY_OTHER_MAX	1024

enum memory_op {
	MEMORY_CLIENT,			/* key: a client's network -> standing */
	MEMORY_NOTE,			/* key: a client's network; note: what it did */
	MEMORY_GREYLIST,		/* key: network or domain; other: sender, newline, recipient -> state, left_s */
	MEMORY_SENDER,			/* key: a sender's address, other: the recipient -> written_to */
	MEMORY_WROTE,			/* key: a local sender, other: whom it wrote to */
	MEMORY_RATE,			/* key: what is counted; counts one more -> count within window_s, left_s. Beyond
					 * `passes` (0: any) it is not counted: count is above that, and left_s says until when */
	MEMORY_OPS,			/* those above are asked of tables */
	MEMORY_CALLBACK,		/* key: a sender's address -> callback, why. Not remembered: its domain's servers are asked,
					 * by delivery, which takes up to half a minute. Without a server running: failed */
};

enum memory_callback {			/* in the order of enum probe_result (mx/probe_steps.h) */
	MEMORY_CALLBACK_UNKNOWN,	/* nothing can be said */
	MEMORY_CALLBACK_GOOD,		/* the address is taken there, and not every one is */
	MEMORY_CALLBACK_BAD,		/* refused for good */
	MEMORY_CALLBACK_ALL,		/* its domain takes every address */
};

enum memory_note {
	MEMORY_GREETED,			/* waited for the greeting */
	MEMORY_GOOD,			/* a message of it was taken */
	MEMORY_BAD,			/* was refused for what it is */
	MEMORY_TRAPPED,			/* wrote to a trap */
};

enum memory_grey {
	MEMORY_GREY_NEW,		/* first time, or the first window is over */
	MEMORY_GREY_EARLY,		/* tried again too early; the clock goes on */
	MEMORY_GREY_PASSED,		/* waited long enough, or did before */
	MEMORY_GREY_KNOWN,		/* the network or domain has passed often enough */
};

struct memory_question {
	enum memory_op	 op;
	const char	*key, *other;	/* other: "" when there is none; letters count in any case. Cut at their greatest length */
	enum memory_note note;
	/* GREYLIST: its times, in seconds; from when a network or domain is known. Less than a year each */
	uint32_t	 wait_s, window_s, keep_s, passes;
	bool		 peek;		/* changes nothing: for those who only try */
};

struct memory_answer {
	bool		 failed;	/* nothing could be found out */
	struct facts_standing standing;
	enum memory_grey grey;
	bool		 written_to;
	uint32_t	 count;
	uint32_t	 left_s;
	enum memory_callback callback;
	char		 why[320];	/* of it, for people: what which host said */
};

typedef void	memory_done_fn(void *arg, const struct memory_answer *);	/* borrowed */

struct memory_query *memory_ask(struct memory *, const struct memory_question *, memory_done_fn *, void *arg);
void		 memory_cancel(struct memory_query *);	/* NULL is fine */
/* The same without an answer: for notes. */
void		 memory_tell(struct memory *, const struct memory_question *);
void		 memory_free(struct memory *);		/* no query is left; NULL is fine */

/* The key of a client in CLIENT and NOTE: its address, or the /64 of IPv6. to: MEMORY_KEY_MAX bytes; returns to. */
char		*memory_client_key(char *to, const struct reverse_address *);
/* Two of the notes that whoever runs the chain makes, without an answer. */
void		 memory_note(struct memory *, const struct reverse_address *, enum memory_note);
void		 memory_wrote(struct memory *, const char *sender, const char *recipient);

/* The face with a table of its own, which is borrowed (filters/memory_core.h). */
struct memory	*memory_new_local(struct memory_core *);
/* A face for those who only try: looks into another one, which is borrowed, and changes nothing there. */
struct memory	*memory_new_peek(struct memory *behind);
/*
 * The face through lookup, for smtpd. memory_set_ipc when one comes up: new questions go there; without one they are
 * answered as failed. memory_ipc_down when one goes away: what it was asked has failed. memory_on_answer is the handler
 * for MSG_MEMORY. A question that has no answer after MEMORY_DEADLINE_MS has failed, too.
 */
#define MEMORY_DEADLINE_MS	5000
#define MEMORY_CALLBACK_MS	40000	/* for a callback; memory_on_callback is the handler for MSG_CALLBACK */
struct memory	*memory_new_client(void);
void		 memory_set_ipc(struct memory *, struct ipc *);		/* NULL: none */
void		 memory_ipc_down(struct memory *, struct ipc *gone, struct ipc *next);
int		 memory_on_answer(struct memory *, struct ipc *, struct ipc_message *);
int		 memory_on_callback(struct memory *, struct ipc *, struct ipc_message *);

#endif
