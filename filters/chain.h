/*
 * The filters of one session, in the registry's order: starts each as soon as its facts are there, side by side, and
 * folds what they find into one decision per stage. The same for a live client (smtpd), `minimtactl check mail` and tests.
 *
 *	chain = chain_new(filters, &facts);	facts of CONNECT are set
 *	chain_reach(chain, STAGE_CONNECT);	lookups start, during the banner delay
 *	chain_reach(chain, STAGE_HELO);		again for each HELO, MAIL, RCPT: what an earlier one found goes
 *	chain_decide(chain, STAGE_RCPT, done, arg);	once all that count are settled, or one that no earlier one can change
 *
 * A verdict takes effect only when no earlier one in the order is pending: the result does not depend on which answer
 * came first. Points add up over connection, HELO, transaction and recipient; two thresholds decide. Callbacks come from
 * the loop, never from inside a call; after chain_wait_no_more() or chain_free() there is none.
 */
#ifndef FILTERS_CHAIN_H
#define FILTERS_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "filters/facts.h"
#include "filters/filter.h"

struct chain;
struct conf;
struct filters;

/* ---- all of a process' filters, as configured ---- */

/* memory NULL: without any. NULL with "file:line: what is wrong; what would be right" in err. dns and memory are borrowed. */
struct filters	*filters_new(const struct conf *, struct dns *, struct memory *, char *err, size_t size);
void		 filters_free(struct filters *);	/* no chain is left */
/* Whether the configuration's filter sections can be read: for master and -n. 0, or -1 as above. */
int		 filters_check(const struct conf *, char *err, size_t size);
/* The configuration of one, for what smtpd does itself (banner, throttle, penalty, pipelining). Never NULL for a registered name. */
const struct filter_config *filters_config(const struct filters *, const char *name);
/* Counters since the start, as "spf_refused=3 spf_deferred=0 …": for status. */
void		 filters_status(const struct filters *, char *to, size_t size);

/* ---- the chain ---- */

enum chain_outcome {
	CHAIN_PASS,
	CHAIN_DEFER,			/* 4xx */
	CHAIN_REFUSE,			/* 5xx */
	CHAIN_SPLIT,			/* RCPT: other policies than the recipients before: 452 4.5.3, another transaction */
};

#define CHAIN_IDLE_BYTES	(8 * 1024)	/* of memory that one takes, about, while it knows the client */
#define CHAIN_BYTES	(32 * 1024)	/* … and while it looks at a mail */
#define CHAIN_CODE_LEN	5		/* of the short code that names a refusal: "7K2QF" */

struct chain_decision {
	enum chain_outcome outcome;
	int		 code;			/* of the reply, unless it passes */
	char		 enhanced[12];
	char		 text[512];		/* with " (see 7K2QF)" behind it */
	char		 ref[CHAIN_CODE_LEN + 1];	/* in the record, too; "" when it passes or is split */
	int		 score;
	const char	*filter;		/* whose verdict it was, "score" for the sum, "" when it passes */
	bool		 quarantine;		/* STAGE_END */
	bool		 tagged;		/* tag_only: it passes, and all the rest is what would have been said */
};

typedef void	chain_done_fn(void *arg, const struct chain_decision *);	/* borrowed; from the loop */

struct chain	*chain_new(struct filters *, struct facts *);	/* facts are borrowed; log_fatal without memory */
void		 chain_free(struct chain *);			/* NULL is fine */
unsigned	 chain_questions(const struct chain *);		/* that its filters have asked DNS so far */
/* Called whenever something was found out, from the loop: for those who look at facts before there is a decision. */
void		 chain_on_found(struct chain *, void (*found)(void *), void *arg);
/* The facts of a stage are set. At HELO and MAIL all of that stage and later begins anew; at RCPT all about the last one. */
void		 chain_reach(struct chain *, enum facts_stage);
/* The body, behind the empty line, between chain_reach(HEADER) and chain_reach(END). Costs nothing when nobody listens. */
void		 chain_body(struct chain *, const void *, size_t);
/* RCPT, DATA or END, after chain_reach. One at a time. RCPT passed: the recipient's policies are those of the transaction. */
void		 chain_decide(struct chain *, enum facts_stage, chain_done_fn *, void *arg);
void		 chain_wait_no_more(struct chain *);
/* The transaction is over or forgotten. */
void		 chain_reset(struct chain *);
/* Whether lists exempt this client, as far as is known by now, from a filter by name: for what smtpd does itself. */
bool		 chain_is_exempt(const struct chain *, const char *name);
/* Who is being waited for, for the log: "dnsbl,spf". */
void		 chain_waits_for(const struct chain *, char *to, size_t size);

/* ---- what was found ---- */

struct chain_entry {			/* one run, finished, late or cancelled */
	const struct filter	*filter;
	enum filter_mode	 mode;
	enum facts_stage	 stage;
	const struct filter_finding *finding;	/* may lie in `room`: goes with the entry */
	bool			 exempt;	/* found and not counted */
	bool			 counted;	/* it was what decided */
	uint32_t		 ms;		/* it took */
	struct filter_finding	 room;
};

/* Of all that counts at present, in the order of the registry; *at begins with 0. False at the end. */
bool		 chain_next(const struct chain *, size_t *at, struct chain_entry *);
/* The fields that a message gets on top: Authentication-Results, Received-SPF, X-Minimta-Score. In CRLF lines; after END.
 * Returns the length, at most size. */
size_t		 chain_fields(const struct chain *, char *to, size_t size);

#endif
