/*
 * The text of a bounce: RFC 3464, in a multipart/report (RFC 6522) that a person can read first. Pure.
 *
 * Replies of strangers' servers go into it, so nothing of them is trusted: what is not printable becomes
 * '?', lines and their number are bounded, and the boundary is one that cannot occur. All of it is 7 bit
 * (text that is not is quoted-printable, addresses in RFC 6533's utf-8 form), but for a To field that
 * names an internationalised sender.
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

struct bounce_rcpt {
	const char	*address;
	const char	*enhanced;	/* "5.1.1" */
	const char	*host;		/* who said so; "" ourselves */
	unsigned	 code;		/* 0: no SMTP reply */
	const char	*text;		/* lines joined with '\n' */
	bool		 expired;	/* given up after trying for long */
};

struct bounce {
	const char	*hostname;
	const char	*id, *original_id;	/* the bounce's and the message's own, as text */
	const char	*session;	/* the message's, "" unknown */
	const char	*sender;	/* to whom it goes */
	int64_t		 now, arrived;	/* seconds since the epoch */
	uint64_t	 boundary;	/* random */
	const char	*header;	/* of the original: complete lines */
	size_t		 header_len;
	const struct bounce_rcpt *rcpts;
	size_t		 n_rcpts;
};

/* The whole message in CRLF lines, for the caller to free; *flags_r gets its enum envelope_flags. */
char	*bounce_write(const struct bounce *, size_t *len_r, uint32_t *flags_r);

#endif
