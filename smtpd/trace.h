/*
 * The Received field (RFC 5321, 4.4; RFC 3848, 6531 for the protocol names), in two halves between which queue puts
 * the message's id. Pure. Nothing that a client said can put a line, or a comment's end, into it.
 */
#ifndef SMTPD_TRACE_H
#define SMTPD_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define TRACE_HELO_MAX	255
#define TRACE_MAX	1200		/* either half */

struct trace {
	const char	*helo;		/* trace_helo_ok */
	const char	*client;	/* "[192.0.2.1]", "[IPv6:2001:db8::1]", "local uid 1000" */
	const char	*hostname;
	const char	*protocol;	/* "ESMTP", "SMTP", "UTF8SMTP" */
	const char	*recipient;	/* the only one; NULL when there are several, who need not know of each other */
	time_t		 now;
};

/*
 * Whether what follows EHLO or HELO may stand in a Received field: no longer than a domain, of characters that domains
 * and address literals have. Names that are no domains are taken, since honest clients send them ("my_laptop").
 */
bool	trace_helo_ok(const char *text);
void	trace_head(char *to, size_t size, const struct trace *);	/* ends with " id " */
void	trace_tail(char *to, size_t size, const struct trace *);	/* begins after the id, ends with CRLF */

#endif
