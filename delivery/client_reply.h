/*
 * What a server's reply means at each step of a session: RFC 5321, 3 and 4.2 to 4.3. Pure.
 */
#ifndef DELIVERY_CLIENT_REPLY_H
#define DELIVERY_CLIENT_REPLY_H

#include <stdbool.h>
#include <stdint.h>

struct reply;

/* What was asked last, so whose reply is awaited; in the order of a session. */
enum client_step {
	STEP_CONNECT,		/* TCP */
	STEP_GREETING,		/* connected; the server speaks first */
	STEP_EHLO,
	STEP_HELO,		/* it did not know EHLO */
	STEP_AUTH,		/* logging in; a step as long as 334 comes */
	STEP_RSET,		/* the transaction before this one ended in an error */
	STEP_MAIL,
	STEP_RCPT,		/* one for each recipient */
	STEP_DATA,		/* 354 is awaited */
	STEP_CONTENT,		/* after the final dot, or BDAT */
	STEP_IDLE,		/* between two messages: nothing is awaited */
	STEP_COUNT
};

enum client_meaning {
	REPLY_GOOD,		/* go on */
	REPLY_TRY_HELO,		/* EHLO is not known */
	REPLY_PUTS_OFF_ONE,	/* this recipient: in a transaction of its own, at once */
	REPLY_DEFERS_ONE,	/* this recipient: later */
	REPLY_FAILS_ONE,	/* this recipient: never */
	REPLY_DEFERS_ALL,	/* the message, for all recipients that are still open: later */
	REPLY_FAILS_ALL,	/* ... never */
	REPLY_ENDS_SESSION,	/* this host takes no mail now: another one may */
	REPLY_SENSELESS,	/* no reply that this step can have: temporary, close */
};

/*
 * accepted: how many recipients of this transaction were accepted before. A 5xx greeting, or one to both EHLO and HELO,
 * ends the session only: it speaks of the host, not of the mail, which goes to the next one or waits (RFC 5321, 4.2.4.2
 * lets a client that has no other host to ask return it; an operator's mistake for an hour should not).
 */
enum client_meaning	 client_reply_means(enum client_step, const struct reply *, unsigned accepted);
/* Whether it is a refusal because of the IPv6 address we came from: it has no name in the DNS, as a rule. */
bool			 client_reply_dislikes_ipv6(const struct reply *);
const char		*client_step_name(enum client_step);	/* "greeting", "RCPT", as a sentence needs it */

/* What EHLO's reply offers. */
struct client_offers {
	bool	 pipelining, eight_bit, utf8, chunking, dsn;
	unsigned login;			/* enum login_mechanism, together */
	bool	 size;
	uint64_t size_max;	/* 0: none said; so for those that follow, LIMITS' */
	uint32_t mail_max;	/* messages by one connection */
	uint32_t rcpt_max;	/* recipients in one transaction */
	uint32_t domain_max;	/* different domains of theirs */
};

void	client_offers_read(struct client_offers *, const struct reply *);

#endif
