/*
 * The text of a report to a sender, that mail failed, is delayed, or was delivered: RFC 3464, in a multipart/report (RFC 6522)
 * that a person can read first. Pure.
 *
 * Replies of strangers' servers go into it, so nothing of them is trusted: what is not printable becomes '?', lines and their
 * number are bounded, and the boundary is one that cannot occur. About internationalised mail it is RFC 6533's form. All of
 * it is 7 bit (text that is not is quoted-printable), but for a To field that names an internationalised sender, and for a
 * message that is returned whole.
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOUNCE_REPLY_LINES	50	/* of one recipient's reply */
#define BOUNCE_LINE_MAX		900	/* bytes of one of them: RFC 5322, 2.1.1 with room for what goes around it */
#define BOUNCE_RCPTS_MAX	200	/* described one by one; the rest is counted */
#define BOUNCE_HEADER_MAX	(32U * 1024)	/* of the original's header */

enum bounce_action {			/* RFC 3464, 2.3.3 */
	BOUNCE_FAILED,
	BOUNCE_DELAYED,
	BOUNCE_DELIVERED,
	BOUNCE_RELAYED,			/* to a host that does not report further */
	BOUNCE_EXPANDED,		/* to those that it stands for */
};

struct bounce_rcpt {
	enum bounce_action action;
	const char	*address;
	const char	*orcpt;		/* "type;address", NULL none */
	const char	*enhanced;	/* "5.1.1" */
	const char	*host;		/* who said so; "" ourselves */
	unsigned	 code;		/* 0: no SMTP reply */
	const char	*text;		/* lines joined with '\n' */
	bool		 expired;	/* given up after trying for long */
};

struct bounce {
	enum bounce_action action;	/* what it is about: FAILED, DELAYED or (all others) DELIVERED */
	const char	*hostname;
	const char	*id, *original_id;	/* the report's and the message's own, as text */
	const char	*session;	/* the message's, "" unknown */
	const char	*sender;	/* to whom it goes */
	const char	*envid;		/* NULL none */
	bool		 utf8;		/* the message was one of SMTPUTF8 */
	bool		 full;		/* the message whole, if it can be: what follows is all of it */
	int64_t		 now, arrived, until;	/* seconds since the epoch; until: for which it is tried */
	uint64_t	 boundary;	/* random */
	const char	*content;	/* of the original: header (complete lines), or all */
	size_t		 header_len, content_len;
	const struct bounce_rcpt *rcpts;
	size_t		 n_rcpts;
};

/* The whole message in CRLF lines, for the caller to free; *flags_r gets its enum envelope_flags. */
char	*bounce_write(const struct bounce *, size_t *len_r, uint32_t *flags_r);

#endif
