/*
 * The lines and dots of SMTP, both ways: RFC 5321, 2.3.8, 4.1.1.4 and 4.5.2. Pure.
 *
 * The one place where bare CR, bare LF and NUL are recognised: only CRLF ends a line and only CRLF.CRLF a message.
 */
#ifndef LIB_WIRE_H
#define LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_LINE_MAX	(64U * 1024)	/* of content; longer ones are refused: 554 5.6.0 */

/* What a message's bytes were found to be. */
enum wire_flaw {
	WIRE_BARE_LF = 1,
	WIRE_BARE_CR = 2,
	WIRE_NUL = 4,
	WIRE_LINE_TOO_LONG = 8,
	WIRE_NO_END = 16,		/* BDAT: the last line has no CRLF (it is completed, not refused) */
};

/* State of reading one message's content, by DATA or BDAT, over any division into pieces. */
struct wire_in {
	bool		 dots;		/* DATA: unstuff, and look for the end */
	int		 state;
	size_t		 line;		/* bytes of the current line so far */
	uint64_t	 size;		/* content bytes put out */
	unsigned	 flaws;		/* enum wire_flaw */
	bool		 eight_bit, dot_lines, long_lines;	/* facts for the envelope */
};

void	wire_in_init(struct wire_in *, bool dots);
/*
 * Takes up to len bytes of from; writes content to `to` (needs room for len + 2). Returns bytes written; *used_r bytes
 * were taken; *end_r tells that the final dot was found (what follows it was not taken). A flawed message is read on to
 * its true end, CRLF.CRLF, so that what is inside it is never taken for commands.
 */
size_t	wire_in_take(struct wire_in *, const uint8_t *from, size_t len, uint8_t *to, size_t *used_r, bool *end_r);
/* BDAT LAST: completes the last line; returns bytes written to `to` (0 or 2). */
size_t	wire_in_finish(struct wire_in *, uint8_t *to);

/* Dot-stuffing for DATA. */
struct wire_out {
	bool	at_line_start;
};

void	wire_out_init(struct wire_out *);
/* Whether any line that begins here begins with a dot: else the content goes out as it is. */
bool	wire_out_dots(const struct wire_out *, const uint8_t *from, size_t len);
/* Writes from, stuffed, to `to` (room for 2 * len); returns bytes written. */
size_t	wire_out_put(struct wire_out *, const uint8_t *from, size_t len, uint8_t *to);

/* A command line in a buffer: its length with CRLF, 0 when there is none yet. Sets *bad_r on bare CR, LF or NUL. */
size_t	wire_command(const uint8_t *from, size_t len, bool *bad_r);

#endif
