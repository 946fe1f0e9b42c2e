/*
 * Replies of SMTP servers, read byte by byte within fixed limits, and written. Decides what is a reply at all; what a
 * code means for a message is delivery's decision. Called by delivery (reading) and smtpd (writing).
 */
#include "lib/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/utf8.h"

#define REPLY_OUT_MAX	510		/* RFC 5321, 4.5.3.1.5: 512 with CRLF */

void
reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
}

void
reply_reset(struct reply *r)
{
	free(r->text);
	r->text = NULL;
	r->text_len = 0;
	r->code = 0;
	r->lines = 0;
	r->enhanced[0] = '\0';
	r->why = NULL;
	r->line_len = 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 2034, 4: class "." subject "." detail, at most three digits in the latter two. Its length, or 0. */
static size_t
enhanced_length(const char *s, size_t len)
{
	size_t i = 1, digits;

	if (len < 5 || (s[0] != '2' && s[0] != '4' && s[0] != '5'))
		return 0;
	for (int part = 0; part < 2; part++) {
		if (i >= len || s[i] != '.')
			return 0;
		i++;
		for (digits = 0; i < len && is_digit(s[i]) && digits < 4; digits++)
			i++;
		if (digits == 0 || digits > 3)
			return 0;
	}
	return i == len || s[i] == ' ' ? i : 0;
}

/* What may stand in a log and in a bounce; never longer than `from`. Returns the end of what was written. */
static char *
copy_printable(char *to, const char *from, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		unsigned char c = (unsigned char)from[i];

		n = c >= 0x80 ? utf8_take(from + i, len - i, NULL) : 1;
		if (n == 0 || (c < 0x20 && c != '\t') || c == 0x7f) {
			*to++ = '?';
			n = 1;
			continue;
		}
		memcpy(to, from + i, n);
		to += n;
	}
	return to;
}

static enum reply_result
bad(struct reply *r, const char *why)
{
	r->why = why;
	return REPLY_BAD;
}

static void
append_text(struct reply *r, const char *from, size_t len)
{
	char *text = alloc_resize(r->text, r->text_len + len + 2, 1), *to;

	r->text = text;
	to = text + r->text_len;
	if (r->lines > 0)
		*to++ = '\n';
	to = copy_printable(to, from, len);
	*to = '\0';
	r->text_len = (size_t)(to - text);
}

/* A whole line, without its end: code, then '-' when more lines follow. */
static enum reply_result
take_line(struct reply *r)
{
	const char *line = r->line, *rest;
	size_t len = r->line_len, n;
	bool last;
	int code;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2]))
		return bad(r, "a line without a reply code");
	if (len > 3 && line[3] != ' ' && line[3] != '-')
		return bad(r, "neither space nor hyphen after the reply code");
	code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
	if (r->lines > 0 && code != r->code)
		return bad(r, "different codes in the lines of one reply");
	if (r->lines == REPLY_LINES_MAX)
		return bad(r, "a reply of too many lines");
	last = len == 3 || line[3] == ' ';
	rest = len > 4 ? line + 4 : line + len;
	len = (size_t)(line + len - rest);
	if (r->lines == 0 && (n = enhanced_length(rest, len)) != 0 && rest[0] == line[0]) {
		memcpy(r->enhanced, rest, n);
		r->enhanced[n] = '\0';
	}
	r->code = code;
	append_text(r, rest, len);
	r->lines++;
	r->line_len = 0;
	return last ? REPLY_DONE : REPLY_MORE;
}

enum reply_result
reply_feed(struct reply *r, const char *data, size_t len, size_t *used_r)
{
	enum reply_result result;
	const char *lf;
	size_t n, at;

	for (at = 0; at < len;) {
		lf = memchr(data + at, '\n', len - at);
		n = lf != NULL ? (size_t)(lf - data) - at : len - at;
		if (n > sizeof(r->line) - r->line_len) {
			*used_r = at;
			return bad(r, "a line that is too long");
		}
		memcpy(r->line + r->line_len, data + at, n);
		r->line_len += n;
		at += n;
		if (lf == NULL)
			break;
		*used_r = ++at;
		if ((result = take_line(r)) != REPLY_MORE)
			return result;
	}
	*used_r = at;
	return REPLY_MORE;
}

bool
reply_line(const struct reply *r, int n, const char **line_r, size_t *len_r)
{
	const char *p = r->text, *end;

	if (p == NULL || n < 0 || n >= r->lines)
		return false;
	/* Lines hold no '\n' of their own: copy_printable made it '?'. */
	for (; n > 0; n--)
		p = strchr(p, '\n') + 1;
	end = strchr(p, '\n');
	*line_r = p;
	*len_r = end != NULL ? (size_t)(end - p) : strlen(p);
	return true;
}

/* One line into `to`, cut to what may stand on one. Returns its length with CRLF. */
static size_t
format_line(char *to, size_t size, const char *prefix, const char *text, size_t len)
{
	size_t n = strlen(prefix), most = size - 2 < REPLY_OUT_MAX ? size - 2 : REPLY_OUT_MAX;
	char *end;

	memcpy(to, prefix, n);
	end = copy_printable(to + n, text, len < most - n ? len : most - n);
	memcpy(end, "\r\n", 2);
	return (size_t)(end + 2 - to);
}

size_t
reply_format(char *to, size_t size, int code, const char *enhanced, const char *text)
{
	char prefix[32];
	const char *end;
	size_t used = 0;
	bool last;

	if (size < 2 * sizeof(prefix))
		log_fatal("event=reply-buffer-too-small size=%zu", size);
	for (;; text = end + 1) {
		end = strchr(text, '\n');
		/* Too much text for the buffer ends early, with a last line that says that it is the last. */
		last = end == NULL || size - used < REPLY_OUT_MAX + 2 + 2 * sizeof(prefix);
		snprintf(prefix, sizeof(prefix), "%03d%c%s%s", code, last ? ' ' : '-',
		    enhanced != NULL ? enhanced : "", enhanced != NULL ? " " : "");
		used += format_line(to + used, size - used, prefix, text,
		    end != NULL ? (size_t)(end - text) : strlen(text));
		if (last)
			return used;
	}
}
