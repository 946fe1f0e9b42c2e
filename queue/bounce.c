/*
 * Writes reports (queue/bounce.h). Decides their form and what of a stranger's words may be in them; who gets one and when is
 * decided in queue/tell.c, the only caller.
 */
#include "queue/bounce.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/dsn.h"
#include "lib/envelope.h"

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
		t->data = alloc_resize(t->data, t->room, 1);
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

/* A part: 7 bit as it stands, or quoted-printable. Lines are below 998 bytes already. */
static void
put_part(struct text *t, const char *type, const struct text *body)
{
	bool ascii = is_ascii(body->data, body->len);

	say(t, "Content-Type: %s", type);
	if (strncmp(type, "text/", 5) == 0)
		say(t, "; charset=%s", ascii ? "us-ascii" : "utf-8");
	say(t, "\r\nContent-Transfer-Encoding: %s\r\n\r\n", ascii ? "7bit" : "quoted-printable");
	if (ascii)
		put(t, body->data, body->len);
	else
		put_quoted_printable(t, body->data, body->len);
}

/* "rfc822; a@b" or RFC 6533, 3's "utf-8; …", in its 7-bit form where not `utf8`. */
static void
put_typed_address(struct text *t, const char *type, const char *address, bool utf8)
{
	char text[8192];

	if (is_ascii(address, strlen(address)) && strcasecmp(type, "utf-8") != 0) {
		say(t, "%s; ", type);
		put_printable(t, address, strlen(address), false);
		return;
	}
	dsn_utf8_address(text, sizeof(text), address, utf8);
	say(t, "utf-8; %s", text);
}

/* ---- the parts ---- */

static void
put_header(struct text *t, const struct bounce *b, const char *boundary)
{
	static const char *const subjects[] = { [BOUNCE_FAILED] = "Undelivered mail: returned to sender",
	    [BOUNCE_DELAYED] = "Delayed mail: still being tried", [BOUNCE_DELIVERED] = "Mail delivered" };
	char date[64];

	say(t, "Date: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->now));
	say(t, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", b->hostname);
	say(t, "To: <%s>\r\n", b->sender);
	say(t, "Subject: %s\r\n", subjects[b->action]);
	say(t, "Message-ID: <%s.bounce@%s>\r\n", b->id, b->hostname);
	say(t, "Auto-Submitted: auto-replied\r\n");
	say(t, "MIME-Version: 1.0\r\n");
	if (b->full && !is_ascii(b->content, b->content_len))
		say(t, "Content-Transfer-Encoding: 8bit\r\n");
	say(t, "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n\tboundary=\"%s\"\r\n", b->utf8 ? "global-" : "",
	    boundary);
	say(t, "\r\nThis is a message in several parts, as described in RFC 2045.\r\n");
}

/* The address as the sender wrote it, where an alias made another one of it. */
static void
say_address(struct text *t, const struct bounce_rcpt *r)
{
	const char *asked = r->orcpt == NULL ? NULL : strchr(r->orcpt, ';');

	say(t, "\r\n  <%s>", r->address);
	if (asked != NULL && strcasecmp(asked + 1, r->address) != 0) {
		say(t, " (you wrote to ");
		put_printable(t, asked + 1, strlen(asked + 1), true);
		say(t, ")");
	}
	say(t, "\r\n");
}

static void
say_for_people(struct text *t, const struct bounce_rcpt *r)
{
	static const char *const done[] = { [BOUNCE_DELIVERED] = "It is in the mailbox.",
	    [BOUNCE_RELAYED] = "It was passed on, to a server that does not report what becomes of it:",
	    [BOUNCE_EXPANDED] = "The address stands for others, to whom it was sent on." };
	char before[16];

	say_address(t, r);
	if (r->action >= BOUNCE_DELIVERED)
		say(t, "    %s\r\n", done[r->action]);
	if (r->action == BOUNCE_DELIVERED || r->action == BOUNCE_EXPANDED)
		return;
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
say_what_next(struct text *t, const struct bounce *b)
{
	char date[64];

	if (b->action == BOUNCE_FAILED)
		say(t, "\r\nIt will not be tried again. %s of your message is attached.\r\n", b->full ? "All" : "The header");
	else if (b->action == BOUNCE_DELAYED)
		say(t, "\r\nIt is being tried again until %s.\r\nYou need not send it once more; should it fail in the end, "
		    "you will hear of it.\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->until));
	say(t, "%sShould you ask your postmaster about it: its number here was %s.\r\n",
	    b->action == BOUNCE_DELIVERED ? "\r\n" : "", b->original_id);
}

static void
put_words(struct text *t, const struct bounce *b)
{
	static const char *const what[] = { [BOUNCE_FAILED] = "could not be delivered to", [BOUNCE_DELAYED] = "has not been "
	    "delivered yet to", [BOUNCE_DELIVERED] = "was delivered to" };
	struct text body = { 0 };
	char date[64];

	say(&body, "This is the mail server at %s.\r\n\r\n", b->hostname);
	say(&body, "Your message of %s %s:\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->arrived), what[b->action]);
	for (size_t i = 0; i < b->n_rcpts && i < BOUNCE_RCPTS_MAX; i++)
		say_for_people(&body, &b->rcpts[i]);
	if (b->n_rcpts > BOUNCE_RCPTS_MAX)
		say(&body, "\r\n  and %zu more recipients.\r\n", b->n_rcpts - BOUNCE_RCPTS_MAX);
	say_what_next(&body, b);
	put_part(t, "text/plain", &body);
	free(body.data);
}

static void
put_recipient_fields(struct text *t, const struct bounce_rcpt *r, bool utf8)
{
	char type[40];

	if (r->orcpt != NULL && strchr(r->orcpt, ';') != NULL) {
		snprintf(type, sizeof(type), "%.*s", (int)strcspn(r->orcpt, ";"), r->orcpt);
		say(t, "Original-Recipient: ");
		put_typed_address(t, type, strchr(r->orcpt, ';') + 1, utf8);
		say(t, "\r\n");
	}
	say(t, "Final-Recipient: ");
	put_typed_address(t, "rfc822", r->address, utf8);
}

static void
put_status_rcpt(struct text *t, const struct bounce *b, const struct bounce_rcpt *r)
{
	static const char *const actions[] = { [BOUNCE_FAILED] = "failed", [BOUNCE_DELAYED] = "delayed",
	    [BOUNCE_DELIVERED] = "delivered", [BOUNCE_RELAYED] = "relayed", [BOUNCE_EXPANDED] = "expanded" };
	char date[64];

	say(t, "\r\n");
	put_recipient_fields(t, r, b->utf8);
	say(t, "\r\nAction: %s\r\nStatus: %s\r\n", actions[r->action], r->enhanced);
	if (r->host[0] != '\0') {
		say(t, "Remote-MTA: dns; ");
		put_printable(t, r->host, strcspn(r->host, " \n"), false);
		say(t, "\r\n");
	}
	if (r->action == BOUNCE_DELAYED)
		say(t, "Will-Retry-Until: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->until));
	if (r->action == BOUNCE_DELIVERED || r->action == BOUNCE_EXPANDED)
		return;
	/* Folded before each line of the reply; no line is blank, which would end the field's group. */
	if (r->code != 0)
		say(t, "Diagnostic-Code: smtp; %u\r\n", r->code);
	else
		say(t, "Diagnostic-Code: x-minimta;\r\n");
	put_lines(t, r->text, "  ", b->utf8);
}

static void
put_status(struct text *t, const struct bounce *b)
{
	struct text body = { 0 };
	char date[64];

	if (b->envid != NULL) {
		say(&body, "Original-Envelope-Id: ");
		put_printable(&body, b->envid, strlen(b->envid), false);
		say(&body, "\r\n");
	}
	say(&body, "Reporting-MTA: dns; %s\r\n", b->hostname);
	say(&body, "X-Queue-ID: %s\r\n", b->original_id);
	if (b->session[0] != '\0')
		say(&body, "X-Session-ID: %s\r\n", b->session);
	say(&body, "Arrival-Date: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->arrived));
	for (size_t i = 0; i < b->n_rcpts && i < BOUNCE_RCPTS_MAX; i++)
		put_status_rcpt(&body, b, &b->rcpts[i]);
	put_part(t, b->utf8 ? "message/global-delivery-status" : "message/delivery-status", &body);
	free(body.data);
}

/* The original's header, in whole lines: one that is too long, or has bytes that break a line, is cut or cleaned. */
static void
put_original_header(struct text *t, const struct bounce *b)
{
	struct text body = { 0 };
	const char *at = b->content, *end = b->content + b->header_len, *eol;

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
	put_part(t, b->utf8 ? "message/global-headers" : "text/rfc822-headers", &body);
	free(body.data);
}

/* Whether the message can be in another one as it is: CRLF lines that are not too long, and no NUL. */
static bool
can_be_whole(const char *s, size_t len)
{
	const char *end = s + len, *eol;

	while (s < end) {
		eol = memchr(s, '\n', (size_t)(end - s));
		if (eol == NULL || eol == s || eol[-1] != '\r' || eol - s > 999)
			return false;
		if (memchr(s, '\0', (size_t)(eol - s)) != NULL || memchr(s, '\r', (size_t)(eol - s - 1)) != NULL)
			return false;
		s = eol + 1;
	}
	return len > 0;
}

static void
put_original(struct text *t, const struct bounce *b)
{
	bool ascii = is_ascii(b->content, b->content_len);

	if (!b->full) {
		put_original_header(t, b);
		return;
	}
	say(t, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", b->utf8 ? "message/global" : "message/rfc822",
	    ascii ? "7bit" : "8bit");
	put(t, b->content, b->content_len);
}

/* Facts of the whole, for the envelope. */
static uint32_t
flags_of(const struct bounce *b, const struct text *t)
{
	uint32_t flags = 0;

	if (!is_ascii(t->data, t->len))
		flags |= ENVELOPE_8BIT;		/* a message that is returned whole, or the To field, see bounce.h */
	if (!is_ascii(b->sender, strlen(b->sender)))
		flags |= ENVELOPE_UTF8 | ENVELOPE_HEADER_8BIT;
	for (size_t i = 0; i < t->len; i++)
		if (t->data[i] == '.' && (i == 0 || t->data[i - 1] == '\n'))
			flags |= ENVELOPE_DOTS;
	return flags;
}

char *
bounce_write(const struct bounce *from, size_t *len_r, uint32_t *flags_r)
{
	struct bounce whole = *from, *b = &whole;
	struct text t = { 0 };
	char boundary[40];

	b->full = from->full && from->action == BOUNCE_FAILED && can_be_whole(from->content, from->content_len);
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
	*flags_r = flags_of(b, &t);
	return t.data;
}
