/*
 * What a stranger waits for in a session: the greeting, replies, refusals. How long is for filters/greet.c; here it is
 * done, as waits like any other. Sessions without a guard wait for nothing. Private to smtpd/.
 */
#ifndef SMTPD_PACE_H
#define SMTPD_PACE_H

#include <stdbool.h>

struct session;

/* The greeting: all of it, or its first line, and the session waits (WAIT_GREETING). */
void	pace_greet(struct session *);
/* Something came before it was complete. */
void	pace_spoke_early(struct session *);
/* More is known of the client now: perhaps it need not wait. */
void	pace_look_again(struct session *);
/* The wait is over (WAIT_GREETING, WAIT_PACE): says what was held back, or lets it go. */
void	pace_over(struct session *);
/* A reply with that code is about to be gathered. */
void	pace_replied(struct session *, int code);
/* It was: of a session that is only tried out the delay is told. */
void	pace_told(struct session *);
/* Whether replies that are gathered must stay for now; the session may have been suspended for that (WAIT_PACE). */
bool	pace_holds(struct session *);
/* It waits no more, for whatever reason. */
void	pace_leave(struct session *);

/* Whether PIPELINING and CHUNKING are announced to it, */
bool	pace_may_pipeline(const struct session *);
/* and whether it goes on after having sent ahead all the same. */
bool	pace_tolerates_ahead(struct session *);

#endif
