/*
 * Replies of SMTP servers: RFC 5321, 4.2 and RFC 2034, 3463. The reader takes bytes as they come and never keeps more
 * than its limits. Pure. (delivery reads with it; smtpd writes with reply_format.)
 */
#ifndef LIB_REPLY_H
#define LIB_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#define REPLY_LINE_MAX	2048	/* bytes of one line, more is a protocol error (RFC 5321, 4.5.3.1.5 has 512) */
#define REPLY_LINES_MAX	100

enum reply_result {
	REPLY_MORE,			/* not complete */
	REPLY_DONE,			/* one reply is complete; what follows stays with the caller */
	REPLY_BAD,			/* no SMTP reply: `why` says what; the connection is of no use */
};

struct reply {
	int	 code;			/* 200..599 */
	char	 enhanced[12];		/* "2.1.5", or "" */
	char	*text;			/* all lines without code, with their enhanced codes, joined with '\n'; printable */
	size_t	 text_len;
	int	 lines;
	const char *why;		/* of REPLY_BAD */
	char	 line[REPLY_LINE_MAX];	/* being gathered */
	size_t	 line_len;
};

void	reply_init(struct reply *);
void	reply_reset(struct reply *);		/* for the next reply; frees the text */
/* Takes from data; *used_r bytes were taken, up to the end of one reply. Only printable ASCII, tab and valid UTF-8 are
 * kept in text; all else becomes '?'. Both CRLF and bare LF end a line here (servers that send LF exist). */
enum reply_result reply_feed(struct reply *, const char *data, size_t len, size_t *used_r);
/* The n-th line of text (0: first); false past the end. */
bool	reply_line(const struct reply *, int n, const char **line_r, size_t *len_r);

/* Writes "250-2.1.0 first\r\n250 2.1.0 last\r\n" for text with '\n' between lines; enhanced may be NULL. Returns the
 * length; lines are cut at 510 bytes, and what is not printable becomes '?'. What does not fit into size
 * (64 at least) is left out, and the reply is complete all the same. Not terminated. */
size_t	reply_format(char *to, size_t size, int code, const char *enhanced, const char *text);

#endif
