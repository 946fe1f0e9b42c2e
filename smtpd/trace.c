/*
 * Writes the Received field of a message that came in by SMTP. What it says is decided by its callers (commands.c for
 * the name the client gave, transaction.c for the rest); here it is only made safe to write.
 */
#include "smtpd/trace.h"

#include <stdio.h>
#include <string.h>

#include "lib/clock.h"

bool
trace_helo_ok(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]+/~";
	size_t len = strlen(text);

	return len > 0 && len <= TRACE_HELO_MAX && strspn(text, allowed) == len;
}

void
trace_head(char *to, size_t size, const struct trace *t)
{
	snprintf(to, size, "Received: from %s (%s)\r\n\tby %s with %s id ", t->helo, t->client, t->hostname,
	    t->protocol);
}

void
trace_tail(char *to, size_t size, const struct trace *t)
{
	char date[64];

	clock_rfc5322(date, sizeof(date), t->now);
	if (t->recipient != NULL)
		snprintf(to, size, "\r\n\tfor <%s>;\r\n\t%s\r\n", t->recipient, date);
	else
		snprintf(to, size, ";\r\n\t%s\r\n", date);
}
