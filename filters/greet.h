/*
 * What a stranger is made to wait for: the greeting, each reply before its message, and refusals longer. This is the
 * policy alone, as functions of what is known of the session to milliseconds; the waiting is smtpd's (smtpd/pace.c).
 * Four names in the registry: early, throttle, penalty and pipelining. Pure.
 */
#ifndef FILTERS_GREET_H
#define FILTERS_GREET_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/filter.h"

enum greet_early_action {		/* in the order of the words in the table */
	GREET_REFUSE,			/* recipients of who spoke early */
	GREET_DROP,			/* the connection, at once */
};

struct greet_early {			/* options of `early` */
	int64_t	 delay_ms, busy_ms;
	int	 action;		/* enum greet_early_action */
};

enum greet_throttled {			/* in the order of the words in the table */
	GREET_SELECTIVE,		/* strangers that did not wait for this session's greeting, or were refused something */
	GREET_ALL,			/* every stranger */
};

struct greet_throttle {			/* of `throttle` */
	int64_t	 delay_ms, most_ms;
	int	 who;			/* enum greet_throttled */
};

struct greet_penalty {			/* of `penalty` */
	int64_t	 hard_ms, soft_ms;
};

struct greet_client {			/* what is known of a session */
	bool	 trusted;		/* no delay of any kind */
	bool	 vouched;		/* known, or on a white list */
	bool	 passed;		/* it has waited for a greeting, within a day */
	bool	 waited;		/* … for this session's */
	bool	 content;		/* its message is on its way: replies wait no more */
	unsigned errors, junk;		/* refusals and commands without mail so far */
	unsigned hard, soft;		/* of the errors: 5xx, 4xx */
	unsigned stress;		/* 0 to 3: how much there is too much of everything */
	int64_t	 budget_ms, spent_ms;	/* all delay of a session together: at most, and so far */
};

/* How long the greeting takes. 0: it is said at once. */
int64_t	 greet_banner_ms(const struct filter_config *early, const struct greet_client *);
/*
 * How long replies that are ready are held back; code is the highest of them. Throttle and penalty do not add up: the longer
 * one counts. would_r (may be NULL) gets what filters that only observe would have added.
 */
int64_t	 greet_reply_ms(const struct filter_config *throttle, const struct filter_config *penalty,
	    const struct greet_client *, int code, int64_t *would_r);
/* Whether PIPELINING and CHUNKING are kept from it, so that speaking ahead is a violation. */
bool	 greet_keeps_order(const struct filter_config *pipelining, const struct greet_client *);

extern const struct filter filter_early, filter_throttle, filter_penalty, filter_pipelining;

#endif
