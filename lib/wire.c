/*
 * Message content on the wire. Decides where a message ends and what in it is no SMTP: a CR or LF by itself, NUL, a
 * line beyond any reason. What to answer to a flawed message is smtpd's decision. Called by smtpd (in), delivery (out).
 *
 * Reading is one small state machine over bytes, so that any division into pieces gives the same; runs of ordinary
 * bytes inside a line are found and copied at once, which is where nearly all bytes are.
 */
#include "lib/wire.h"

#include <string.h>

#define LINE_LONG	998		/* RFC 5322, 2.1.1 */

enum wire_state {
	AT_START,		/* of a line */
	IN_LINE,
	AFTER_CR,		/* a CR that has been put out */
	DOT,			/* a dot at the start of a line, held back (DATA only) */
	DOT_CR,			/* and a CR after it, both held back */
	AT_END,			/* the final dot was found */
};

void
wire_in_init(struct wire_in *w, bool dots)
{
	memset(w, 0, sizeof(*w));
	w->dots = dots;
	w->state = AT_START;
}

/* Counts a byte of content into the line, with what it says about the message. The line's own CRLF does not count. */
static void
count_byte(struct wire_in *w, uint8_t c)
{
	if (c == 0)
		w->flaws |= WIRE_NUL;
	if (c >= 0x80)
		w->eight_bit = true;
	if (++w->line > LINE_LONG)
		w->long_lines = true;
	if (w->line > WIRE_LINE_MAX)
		w->flaws |= WIRE_LINE_TOO_LONG;
}

/* An ordinary byte, a bare LF or the start of a possible CRLF, anywhere in a line. */
static uint8_t *
put_byte(struct wire_in *w, uint8_t c, uint8_t *to)
{
	if (w->state == AT_START && c == '.')
		w->dot_lines = true;
	if (c == '\r') {
		w->state = AFTER_CR;
	} else {
		if (c == '\n')
			w->flaws |= WIRE_BARE_LF;
		count_byte(w, c);
		w->state = IN_LINE;
	}
	*to++ = c;
	return to;
}

/* The byte after a CR that has been put out. */
static uint8_t *
put_after_cr(struct wire_in *w, uint8_t c, uint8_t *to)
{
	if (c == '\n') {
		w->state = AT_START;
		w->line = 0;
		*to++ = c;
		return to;
	}
	w->flaws |= WIRE_BARE_CR;
	count_byte(w, '\r');
	w->state = IN_LINE;
	return put_byte(w, c, to);
}

/*
 * A step of DATA's dots: the first dot of a line goes, except that CRLF after it ends the message. A CR after it that
 * is no CRLF was content, and is put out late: hence the two bytes more that `to` needs.
 */
static uint8_t *
put_dotted(struct wire_in *w, uint8_t c, uint8_t *to)
{
	switch (w->state) {
	case AT_START:
		if (c != '.')
			return put_byte(w, c, to);
		w->state = DOT;
		return to;
	case DOT:
		if (c == '\r') {
			w->state = DOT_CR;
			return to;
		}
		w->state = AT_START;		/* the dot is gone; what follows begins the line */
		return put_byte(w, c, to);
	case DOT_CR:
		if (c == '\n') {
			w->state = AT_END;
			return to;
		}
		*to++ = '\r';
		w->state = AFTER_CR;
		return put_after_cr(w, c, to);
	case AFTER_CR:
		return put_after_cr(w, c, to);
	default:
		return put_byte(w, c, to);
	}
}

#define EACH_BYTE(b)	(UINT64_C(0x0101010101010101) * (b))

/* Whether one of eight bytes below 0x80 is zero. */
static uint64_t
any_zero(uint64_t x)
{
	return (x - EACH_BYTE(0x01)) & ~x & EACH_BYTE(0x80);
}

/* How many bytes from here need no thought: not CR, LF, NUL, nor above 0x7f. Nearly all mail passes here: eight at a time. */
static size_t
plain_run(const uint8_t *from, size_t len)
{
	size_t i = 0;
	uint64_t x;

	for (; len - i >= sizeof(x); i += sizeof(x)) {
		memcpy(&x, from + i, sizeof(x));
		if ((x & EACH_BYTE(0x80)) | any_zero(x) | any_zero(x ^ EACH_BYTE('\r')) | any_zero(x ^ EACH_BYTE('\n')))
			break;
	}
	while (i < len && from[i] != '\r' && from[i] != '\n' && from[i] != 0 && from[i] < 0x80)
		i++;
	return i;
}

/* A run inside a line. */
static void
put_run(struct wire_in *w, const uint8_t *from, size_t n, uint8_t *to)
{
	memcpy(to, from, n);
	w->line += n;
	if (w->line > LINE_LONG)
		w->long_lines = true;
	if (w->line > WIRE_LINE_MAX)
		w->flaws |= WIRE_LINE_TOO_LONG;
}

size_t
wire_in_take(struct wire_in *w, const uint8_t *from, size_t len, uint8_t *to, size_t *used_r, bool *end_r)
{
	uint8_t *start = to;
	size_t i = 0, run;

	while (i < len && w->state != AT_END) {
		if (w->state == IN_LINE && (run = plain_run(from + i, len - i)) > 0) {
			put_run(w, from + i, run, to);
			to += run;
			i += run;
			continue;
		}
		if (w->dots)
			to = put_dotted(w, from[i++], to);
		else if (w->state == AFTER_CR)
			to = put_after_cr(w, from[i++], to);
		else
			to = put_byte(w, from[i++], to);
	}
	*used_r = i;
	*end_r = w->state == AT_END;
	w->size += (uint64_t)(to - start);
	return (size_t)(to - start);
}

size_t
wire_in_finish(struct wire_in *w, uint8_t *to)
{
	size_t n = 0;

	if (w->state == AT_START)
		return 0;
	w->flaws |= WIRE_NO_END;
	if (w->state == AFTER_CR) {
		to[n++] = '\n';
	} else {
		to[n++] = '\r';
		to[n++] = '\n';
	}
	w->state = AT_START;
	w->line = 0;
	w->size += n;
	return n;
}

void
wire_out_init(struct wire_out *w)
{
	w->at_line_start = true;
}

bool
wire_out_dots(const struct wire_out *w, const uint8_t *from, size_t len)
{
	const uint8_t *end = from + len;

	if (len > 0 && w->at_line_start && *from == '.')
		return true;
	while ((from = memchr(from, '\n', (size_t)(end - from))) != NULL && ++from < end)
		if (*from == '.')
			return true;
	return false;
}

/* Stored content has only CRLF, so that LF alone tells where a line ends. */
size_t
wire_out_put(struct wire_out *w, const uint8_t *from, size_t len, uint8_t *to)
{
	const uint8_t *end = from + len, *lf;
	uint8_t *start = to;
	size_t n;

	while (from < end) {
		if (w->at_line_start && *from == '.')
			*to++ = '.';
		lf = memchr(from, '\n', (size_t)(end - from));
		n = (size_t)((lf != NULL ? lf + 1 : end) - from);
		memcpy(to, from, n);
		to += n;
		from += n;
		w->at_line_start = lf != NULL;
	}
	return (size_t)(to - start);
}

size_t
wire_command(const uint8_t *from, size_t len, bool *bad_r)
{
	const uint8_t *end = len > 0 ? memmem(from, len, "\r\n", 2) : NULL;
	size_t line = end != NULL ? (size_t)(end - from) : len;

	/* Not a line yet: a CR may be the last byte, before the LF that has not come. */
	if (end == NULL && line > 0 && from[line - 1] == '\r')
		line--;
	*bad_r = line > 0 && (memchr(from, '\n', line) != NULL || memchr(from, '\r', line) != NULL || memchr(from, 0, line) != NULL);
	return end != NULL ? line + 2 : 0;
}
