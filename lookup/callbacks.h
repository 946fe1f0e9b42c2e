/*
 * Who is called back, and when: what was found out before is answered at once, what is asked for twice is called once, a
 * sender's domain is called once a minute at most, and only so many calls are under way. delivery makes them.
 *
 * callbacks_ask() leads to exactly one done(), from the loop and never from inside it, or to callbacks_cancel() after which
 * there is none.
 */
#ifndef LOOKUP_CALLBACKS_H
#define LOOKUP_CALLBACKS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/messages.h"
#include "mx/probe.h"

struct callbacks;
struct callbacks_query;
struct conf;

struct callbacks_answer {
	enum probe_result result;
	bool		 known;			/* nobody was called for it now */
	bool		 refused;		/* unknown, for nobody may be called now: too much, too often, a domain of ours */
	char		 text[PROBE_TEXT_MAX + 330];	/* why, for people */
};

typedef void	callbacks_done_fn(void *arg, const struct callbacks_answer *);	/* borrowed */

/* What is kept of an address, or ("@domain") of a domain. */
struct callbacks_known {
	enum probe_result result;
	int64_t		 found;			/* seconds since the epoch */
	int64_t		 tried;			/* a call that found nothing since counts here */
};

/* What it stands on. */
struct callbacks_ground {
	/* 0, or -1: not known. */
	int		(*get)(void *arg, const char *key, struct callbacks_known *);
	void		(*put)(void *arg, const char *key, const struct callbacks_known *, time_t expiry);
	/* Has a delivery make a call; its end comes as callbacks_on_call(). 0 and which one it is, or -1: there is none. */
	int		(*call)(void *arg, uint64_t id, enum call_kind, const char *address, uint32_t *instance_r);
	void		*arg;
};

/* conf is asked at each question; callbacks_set_conf when it is another one. */
struct callbacks *callbacks_new(const struct conf *, const struct callbacks_ground *);
void		 callbacks_free(struct callbacks *);		/* queries end without an answer */
void		 callbacks_set_conf(struct callbacks *, const struct conf *);

struct callbacks_query *callbacks_ask(struct callbacks *, enum call_kind, const char *address, callbacks_done_fn *, void *arg);
void		 callbacks_cancel(struct callbacks_query *);	/* NULL is fine; the call goes on, and is remembered */

/* A call ended at this delivery. One that it does not have is late, and nothing happens. */
void		 callbacks_on_call(struct callbacks *, uint64_t id, uint32_t instance, const struct probe_answer *);
/* This delivery is gone: the calls that it had are unknown, and are not remembered. */
void		 callbacks_delivery_down(struct callbacks *, uint32_t instance);
/* Somebody is there to make calls. */
void		 callbacks_delivery_up(struct callbacks *);
bool		 callbacks_are_idle(const struct callbacks *);	/* nobody waits for an answer */

struct callbacks_counts { uint64_t asked, known, called, good, bad, all, unknown; unsigned under_way, waiting; };
void		 callbacks_counts(const struct callbacks *, struct callbacks_counts *);

#endif
