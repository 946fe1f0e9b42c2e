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

struct memory;
struct memory_query;

enum memory_op {
	MEMORY_CLIENT,			/* key: a client's network -> standing */
	MEMORY_NOTE,			/* key: a client's network; note: what it did */
	MEMORY_GREYLIST,		/* key: network or domain; other: sender and recipient -> state, left_s */
	MEMORY_SENDER,			/* key: a sender's address, other: the recipient -> written_to */
	MEMORY_WROTE,			/* key: a local sender, other: whom it wrote to */
	MEMORY_RATE,			/* key: what is counted; counts one more -> count within window_s, left_s */
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
	const char	*key, *other;	/* other: "" when there is none */
	enum memory_note note;
	/* GREYLIST: its times, in seconds; from when a network or domain is known */
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
void		 memory_free(struct memory *);		/* no query is left */

#endif
