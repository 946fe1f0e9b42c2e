/*
 * Writes bounces (queue/bounce.h). Decides their form and what of a stranger's words may be in them; who
 * gets one and when is decided in queue/giveup.c, the only caller.
 */
#include "queue/bounce.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/envelope.h"
#include "lib/log.h"

#define QP_LINE		72	/* RFC 2045, 6.7: 76 with its soft break */

/* A growing text. */
struct text {
	char	*data;
	size_t	 len, room;
};

static void
put(struct text *t, const void *data, size_t len)
{
	if (t->room - t->len < len) {
		t->room = (t->len + len) * 2 + 4096;
		t->data = realloc(t->data, t->room);
		if (t->data == NULL)
			log_fatal("event=out-of-memory");
	}
	if (len > 0)
		memcpy(t->data + t->len, data, len);
	t->len += len;
}

static void __attribute__((format(printf, 2, 3)))
say(struct text *t, const char *fmt, ...)
{
	char line[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		put(t, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static bool
is_ascii(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

/* A stranger's words: printable bytes stay; UTF-8 stays where `utf8` (lib/reply.h has checked it). */
static void
put_printable(struct text *t, const char *s, size_t len, bool utf8)
{
	char c;

	if (len > BOUNCE_LINE_MAX)
		for (len = BOUNCE_LINE_MAX; utf8 && len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80;)
			len--;
	for (size_t i = 0; i < len; i++) {
		c = s[i] == '\t' ? ' ' : s[i];
		if ((unsigned char)c < 0x20 || c == 0x7f || ((unsigned char)c >= 0x80 && !utf8))
			c = '?';
		put(t, &c, 1);
	}
}

/* Each line of a reply that is not blank with `before` in front, BOUNCE_REPLY_LINES at most. */
static void
put_lines(struct text *t, const char *text, const char *before, bool utf8)
{
	int lines = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		if (strspn(text, " \t\r") < len) {
			if (lines++ == BOUNCE_REPLY_LINES) {
				say(t, "%s(and more)\r\n", before);
				return;
			}
			put(t, before, strlen(before));
			put_printable(t, text, len, utf8);
			put(t, "\r\n", 2);
		}
		text += len + (text[len] == '\n');
	}
	if (lines == 0)
		say(t, "%s(no reason given)\r\n", before);
}

/* RFC 2045, 6.7, over lines that end in CRLF. */
static void
put_quoted_printable(struct text *t, const char *s, size_t len)
{
	size_t column = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bool ends_line = i + 2 < len && s[i + 1] == '\r' && s[i + 2] == '\n';

		if (c == '\r' && i + 1 < len && s[i + 1] == '\n') {
			put(t, "\r\n", 2);
			i++;
			column = 0;
			continue;
		}
		if (column >= QP_LINE) {
			put(t, "=\r\n", 3);
			column = 0;
		}
		if ((c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !ends_line)) {
			put(t, &s[i], 1);
			column++;
		} else {
			say(t, "=%02X", c);
			column += 3;
		}
	}
}

/* A text part: 7 bit as it stands, or quoted-printable. Lines are below 998 bytes already. */
static void
put_part(struct text *t, const char *type, const struct text *body)
{
	bool ascii = is_ascii(body->data, body->len);

	say(t, "Content-Type: %s; charset=%s\r\n", type, ascii ? "us-ascii" : "utf-8");
	say(t, "Content-Transfer-Encoding: %s\r\n\r\n", ascii ? "7bit" : "quoted-printable");
	if (ascii)
		put(t, body->data, body->len);
	else
		put_quoted_printable(t, body->data, body->len);
}

/* The bytes and value of the UTF-8 character at s; 1 and the byte itself where it is none. */
static size_t
utf8_char(const unsigned char *s, unsigned *value_r)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;

	*value_r = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*value_r = s[0];
			return 1;
		}
		*value_r = *value_r << 6 | (s[i] & 0x3fU);
	}
	return n;
}

/* "rfc822; a@b" or RFC 6533, 3's utf-8-addr-unitext in its 7-bit form. */
static void
put_typed_address(struct text *t, const char *address)
{
	const unsigned char *s = (const unsigned char *)address;
	unsigned value;

	if (is_ascii(address, strlen(address))) {
		say(t, "rfc822; %s", address);
		return;
	}
	say(t, "utf-8; ");
	while (*s != '\0') {
		size_t n = utf8_char(s, &value);

		if (*s > 0x20 && *s < 0x7f && *s != '\\' && *s != '+' && *s != '=')
			put(t, s, 1);
		else
			say(t, "\\x{%X}", value);
		s += n;
	}
}

/* ---- the parts ---- */

static void
put_header(struct text *t, const struct bounce *b, const char *boundary)
{
	char date[64];

	say(t, "Date: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->now));
	say(t, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", b->hostname);
	say(t, "To: <%s>\r\n", b->sender);
	say(t, "Subject: Undelivered mail: returned to sender\r\n");
	say(t, "Message-ID: <%s.bounce@%s>\r\n", b->id, b->hostname);
	say(t, "Auto-Submitted: auto-replied\r\n");
	say(t, "MIME-Version: 1.0\r\n");
	say(t, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n", boundary);
	say(t, "\r\nThis is a message in several parts, as described in RFC 2045.\r\n");
}

static void
say_for_people(struct text *t, const struct bounce_rcpt *r)
{
	char before[16];

	say(t, "\r\n  <%s>\r\n", r->address);
	if (r->expired)
		say(t, "    It was tried again and again, and the time for that is over. The last try:\r\n");
	if (r->host[0] != '\0') {
		say(t, "    ");
		put_printable(t, r->host, strlen(r->host), false);
		say(t, r->code != 0 ? " answered:\r\n" : ":\r\n");
	}
	snprintf(before, sizeof(before), r->code != 0 ? "    %u " : "    ", r->code);
	put_lines(t, r->text, before, true);
}

static void
put_words(struct text *t, const struct bounce *b)
{
	struct text body = { 0 };
	char date[64];

	say(&body, "This is the mail server at %s.\r\n\r\n", b->hostname);
	say(&body, "Your message of %s could not be delivered to:\r\n",
	    clock_rfc5322(date, sizeof(date), (time_t)b->arrived));
	for (size_t i = 0; i < b->n_rcpts && i < BOUNCE_RCPTS_MAX; i++)
		say_for_people(&body, &b->rcpts[i]);
	if (b->n_rcpts > BOUNCE_RCPTS_MAX)
		say(&body, "\r\n  and %zu more recipients.\r\n", b->n_rcpts - BOUNCE_RCPTS_MAX);
	say(&body, "\r\nIt will not be tried again. The header of your message is attached.\r\n");
	say(&body, "Should you ask your postmaster about it: its number here was %s.\r\n", b->original_id);
	put_part(t, "text/plain", &body);
	free(body.data);
}

static void
put_status_rcpt(struct text *t, const struct bounce_rcpt *r)
{
	say(t, "\r\nFinal-Recipient: ");
	put_typed_address(t, r->address);
	say(t, "\r\nAction: failed\r\nStatus: %s\r\n", r->enhanced);
	if (r->host[0] != '\0') {
		say(t, "Remote-MTA: dns; ");
		put_printable(t, r->host, strcspn(r->host, " \n"), false);
		say(t, "\r\n");
	}
	/* Folded before each line of the reply; no line is blank, which would end the field's group. */
	if (r->code != 0)
		say(t, "Diagnostic-Code: smtp; %u\r\n", r->code);
	else
		say(t, "Diagnostic-Code: x-minimta;\r\n");
	put_lines(t, r->text, "  ", false);
}

static void
put_status(struct text *t, const struct bounce *b)
{
	char date[64];

	say(t, "Content-Type: message/delivery-status\r\n\r\n");
	say(t, "Reporting-MTA: dns; %s\r\n", b->hostname);
	say(t, "X-Queue-ID: %s\r\n", b->original_id);
	if (b->session[0] != '\0')
		say(t, "X-Session-ID: %s\r\n", b->session);
	say(t, "Arrival-Date: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->arrived));
	for (size_t i = 0; i < b->n_rcpts && i < BOUNCE_RCPTS_MAX; i++)
		put_status_rcpt(t, &b->rcpts[i]);
}

/* The original's header, in whole lines: one that is too long, or has bytes that break a line, is cut or cleaned. */
static void
put_original(struct text *t, const struct bounce *b)
{
	struct text body = { 0 };
	const char *at = b->header, *end = b->header + b->header_len, *eol;

	while (at < end && (eol = memchr(at, '\n', (size_t)(end - at))) != NULL && body.len < BOUNCE_HEADER_MAX) {
		size_t len = (size_t)(eol - at);

		if (len > 0 && at[len - 1] == '\r')
			len--;
		put_printable(&body, at, len, true);
		put(&body, "\r\n", 2);
		at = eol + 1;
	}
	if (body.len == 0)
		put(&body, "\r\n", 2);
	put_part(t, "text/rfc822-headers", &body);
	free(body.data);
}

/* Facts of the whole, for the envelope. */
static uint32_t
flags_of(const struct text *t)
{
	uint32_t flags = 0;

	if (!is_ascii(t->data, t->len))
		flags |= ENVELOPE_8BIT | ENVELOPE_UTF8;		/* the To field, see bounce.h */
	for (size_t i = 0; i < t->len; i++)
		if (t->data[i] == '.' && (i == 0 || t->data[i - 1] == '\n'))
			flags |= ENVELOPE_DOTS;
	return flags;
}

char *
bounce_write(const struct bounce *b, size_t *len_r, uint32_t *flags_r)
{
	struct text t = { 0 };
	char boundary[40];

	/* "=_" cannot occur in quoted-printable; elsewhere 64 random bits keep a stranger from guessing it. */
	snprintf(boundary, sizeof(boundary), "=_%016llx", (unsigned long long)b->boundary);
	put_header(&t, b, boundary);
	say(&t, "\r\n--%s\r\n", boundary);
	put_words(&t, b);
	say(&t, "\r\n--%s\r\n", boundary);
	put_status(&t, b);
	say(&t, "\r\n--%s\r\n", boundary);
	put_original(&t, b);
	say(&t, "\r\n--%s--\r\n", boundary);
	*len_r = t.len;
	*flags_r = flags_of(&t);
	return t.data;
}
