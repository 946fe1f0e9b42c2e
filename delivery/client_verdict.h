/*
 * A verdict: what became of a recipient, with the words that log and bounce will show. Shared by all recipients that it
 * concerns, so counted. Pure.
 */
#ifndef DELIVERY_CLIENT_VERDICT_H
#define DELIVERY_CLIENT_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/job.h"
#include "mx/mx.h"

struct reply;

#define VERDICT_LINE_MAX	1024		/* of a reply's line that is kept */
#define VERDICT_TEXT_MAX	(50U * 1024)	/* of a reply: fits in JOB_RESULT, and 50 lines are enough for a bounce */
#define VERDICT_HOST_MAX	320		/* "name [address]:port" */

struct verdict {
	unsigned	 refs;
	enum job_outcome outcome;
	uint16_t	 code;			/* 0: no reply, our own finding */
	char		 enhanced[12];
	bool		 host_trouble;
	bool		 dsn;			/* delivered to a server that reports what becomes of it */
	char		 host[VERDICT_HOST_MAX];	/* who said so; "" for ourselves */
	char		*text;
};

/*
 * From a reply: its code and text; the enhanced code's class is made to agree with the outcome (a 5xx can mean "later"),
 * "N.0.0" where it has none. most: bytes of text to keep, at most VERDICT_TEXT_MAX. The caller has one reference.
 */
struct verdict	*verdict_from_reply(enum job_outcome, bool host_trouble, const char *host, const struct reply *,
		    size_t most);
/* Our own finding. host may be "". */
struct verdict	*verdict_new(enum job_outcome, bool host_trouble, const char *host, uint16_t code, const char *enhanced,
		    const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Why there is no host to ask. Not for MX_OK. */
struct verdict	*verdict_from_mx(enum mx_result, const char *why);
/* The same of a host that the configuration names: whatever is wrong is there, so the mail waits until it is mended. */
struct verdict	*verdict_from_relay(enum mx_result, const char *why);

struct verdict	*verdict_ref(struct verdict *);
void		 verdict_drop(struct verdict *);	/* NULL is fine */

#endif
