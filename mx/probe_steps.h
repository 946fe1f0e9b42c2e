/*
 * What is said to a server to find out whether it would take mail for an address, and what its answers mean: EHLO, MAIL with
 * the null sender, RCPT of somebody who cannot exist, RCPT of the address. Nothing is ever sent. Pure.
 */
#ifndef MX_PROBE_STEPS_H
#define MX_PROBE_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"

struct reply;

#define PROBE_LINE_MAX	(ADDRESS_MAX + 64)
#define PROBE_TEXT_MAX	512
#define PROBE_LOCAL_MAX	40		/* of the somebody */

enum probe_result {
	PROBE_UNKNOWN,			/* nothing can be said, or not now */
	PROBE_GOOD,			/* this address is taken, and not every one */
	PROBE_BAD,			/* it is refused for good */
	PROBE_ALL,			/* this server takes every address of the domain: nothing is known about this one */
	PROBE_RESULTS
};

/* What was sent last, so whose reply is awaited. */
enum probe_step {
	PROBE_GREETING,
	PROBE_EHLO,
	PROBE_HELO,
	PROBE_MAIL,
	PROBE_NOBODY,			/* RCPT of somebody who cannot exist */
	PROBE_RCPT,
	PROBE_OVER,
};

struct probe_steps {
	const char	 *hostname;	/* ours */
	const struct address *address;
	char		  nobody[PROBE_LOCAL_MAX];
	enum probe_step	  step;
	enum probe_result result;	/* when it is over */
	bool		  next_host;	/* the host takes no mail at all now: another one may know */
	uint16_t	  code;		/* of the reply that decided; 0: none */
	char		  text[PROBE_TEXT_MAX];	/* why, for people; printable */
};

/* seed makes up the somebody. hostname and address are borrowed. */
void	probe_steps_init(struct probe_steps *, const char *hostname, const struct address *, uint64_t seed);
/* A whole reply is there: the next command with CRLF into `to`, and its length; 0 when it is over. */
size_t	probe_steps_answer(struct probe_steps *, const struct reply *, char to[PROBE_LINE_MAX]);
/* "greeting", "RCPT" … */
const char *probe_step_name(enum probe_step);
/* "unknown", "good", "bad", "all" */
const char *probe_result_name(enum probe_result);

#endif
