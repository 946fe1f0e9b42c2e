/*
 * Writes reports (queue/bounce.h). Decides their form and what of a stranger's words may be in them; who gets one and when is
 * decided in queue/tell.c, the only caller.
 */
#include "queue/bounce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/dsn.h"
#include "lib/envelope.h"

#define QP_LINE		72	/* RFC 2045, 6.7: 76 with its soft break */

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
put_printable(FILE *t, const char *s, size_t len, bool utf8)
{
	char c;

	if (len > BOUNCE_LINE_MAX)
		for (len = BOUNCE_LINE_MAX; utf8 && len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80;)
			len--;
	for (size_t i = 0; i < len; i++) {
		c = s[i] == '\t' ? ' ' : s[i];
		if ((unsigned char)c < 0x20 || c == 0x7f || ((unsigned char)c >= 0x80 && !utf8))
			c = '?';
		putc(c, t);
	}
}

/* Each line of a reply that is not blank with `before` in front, BOUNCE_REPLY_LINES at most. */
static void
put_lines(FILE *t, const char *text, const char *before, bool utf8)
{
	int lines = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		if (strspn(text, " \t\r") < len) {
			if (lines++ == BOUNCE_REPLY_LINES) {
				fprintf(t, "%s(and more)\r\n", before);
				return;
			}
			fputs(before, t);
			put_printable(t, text, len, utf8);
			fputs("\r\n", t);
		}
		text += len + (text[len] == '\n');
	}
	if (lines == 0)
		fprintf(t, "%s(no reason given)\r\n", before);
}

/* RFC 2045, 6.7, over lines that end in CRLF. */
static void
put_quoted_printable(FILE *t, const char *s, size_t len)
{
	size_t column = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bool ends_line = i + 2 < len && s[i + 1] == '\r' && s[i + 2] == '\n';

		if (c == '\r' && i + 1 < len && s[i + 1] == '\n') {
			fputs("\r\n", t);
			i++;
			column = 0;
			continue;
		}
		if (column >= QP_LINE) {
			fputs("=\r\n", t);
			column = 0;
		}
		if ((c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !ends_line)) {
			putc(s[i], t);
			column++;
		} else {
			fprintf(t, "=%02X", c);
			column += 3;
		}
	}
}

/* A part while it is written: how it is encoded is known at its end. */
struct part {
	char	*data;
	size_t	 len;
	FILE	*to;
};

static void
part_begin(struct part *p)
{
	p->to = alloc_stream(&p->data, &p->len);
}

/* Into the report: 7 bit as it stands, or quoted-printable. Lines are below 998 bytes already. */
static void
part_end(struct part *p, FILE *t, const char *type)
{
	bool ascii;

	alloc_stream_end(p->to);
	ascii = is_ascii(p->data, p->len);
	fprintf(t, "Content-Type: %s", type);
	if (strncmp(type, "text/", 5) == 0)
		fprintf(t, "; charset=%s", ascii ? "us-ascii" : "utf-8");
	fprintf(t, "\r\nContent-Transfer-Encoding: %s\r\n\r\n", ascii ? "7bit" : "quoted-printable");
	if (ascii)
		fwrite(p->data, 1, p->len, t);
	else
		put_quoted_printable(t, p->data, p->len);
	free(p->data);
}

/* "rfc822; a@b" or RFC 6533, 3's "utf-8; …", in its 7-bit form where not `utf8`. */
static void
put_typed_address(FILE *t, const char *type, const char *address, bool utf8)
{
	char text[8192];

	if (is_ascii(address, strlen(address)) && strcasecmp(type, "utf-8") != 0) {
		fprintf(t, "%s; ", type);
		put_printable(t, address, strlen(address), false);
		return;
	}
	dsn_utf8_address(text, sizeof(text), address, utf8);
	fprintf(t, "utf-8; %s", text);
}

/* ---- the parts ---- */

static void
put_header(FILE *t, const struct bounce *b, const char *boundary)
{
	static const char *const subjects[] = { [BOUNCE_FAILED] = "Undelivered mail: returned to sender",
	    [BOUNCE_DELAYED] = "Delayed mail: still being tried", [BOUNCE_DELIVERED] = "Mail delivered" };
	char date[64];

	fprintf(t, "Date: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->now));
	fprintf(t, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", b->hostname);
	fprintf(t, "To: <%s>\r\n", b->sender);
	fprintf(t, "Subject: %s\r\n", subjects[b->action]);
	fprintf(t, "Message-ID: <%s.bounce@%s>\r\n", b->id, b->hostname);
	fputs("Auto-Submitted: auto-replied\r\n", t);
	fputs("MIME-Version: 1.0\r\n", t);
	if (b->full && !is_ascii(b->content, b->content_len))
		fputs("Content-Transfer-Encoding: 8bit\r\n", t);
	fprintf(t, "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n\tboundary=\"%s\"\r\n", b->utf8 ? "global-" : "",
	    boundary);
	fputs("\r\nThis is a message in several parts, as described in RFC 2045.\r\n", t);
}

/* The address as the sender wrote it, where an alias made another one of it. */
static void
say_address(FILE *t, const struct bounce_rcpt *r)
{
	const char *asked = r->orcpt == NULL ? NULL : strchr(r->orcpt, ';');

	fprintf(t, "\r\n  <%s>", r->address);
	if (asked != NULL && strcasecmp(asked + 1, r->address) != 0) {
		fputs(" (you wrote to ", t);
		put_printable(t, asked + 1, strlen(asked + 1), true);
		fputs(")", t);
	}
	fputs("\r\n", t);
}

static void
say_for_people(FILE *t, const struct bounce_rcpt *r)
{
	static const char *const done[] = { [BOUNCE_DELIVERED] = "It is in the mailbox.",
	    [BOUNCE_RELAYED] = "It was passed on, to a server that does not report what becomes of it:",
	    [BOUNCE_EXPANDED] = "The address stands for others, to whom it was sent on." };
	char before[16];

	say_address(t, r);
	if (r->action >= BOUNCE_DELIVERED)
		fprintf(t, "    %s\r\n", done[r->action]);
	if (r->action == BOUNCE_DELIVERED || r->action == BOUNCE_EXPANDED)
		return;
	if (r->expired)
		fputs("    It was tried again and again, and the time for that is over. The last try:\r\n", t);
	if (r->host[0] != '\0') {
		fputs("    ", t);
		put_printable(t, r->host, strlen(r->host), false);
		fputs(r->code != 0 ? " answered:\r\n" : ":\r\n", t);
	}
	snprintf(before, sizeof(before), r->code != 0 ? "    %u " : "    ", r->code);
	put_lines(t, r->text, before, true);
}

static void
say_what_next(FILE *t, const struct bounce *b)
{
	char date[64];

	if (b->action == BOUNCE_FAILED)
		fprintf(t, "\r\nIt will not be tried again. %s of your message is attached.\r\n", b->full ? "All" : "The header");
	else if (b->action == BOUNCE_DELAYED)
		fprintf(t, "\r\nIt is being tried again until %s.\r\nYou need not send it once more; should it fail in the end, "
		    "you will hear of it.\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->until));
	fprintf(t, "%sShould you ask your postmaster about it: its number here was %s.\r\n",
	    b->action == BOUNCE_DELIVERED ? "\r\n" : "", b->original_id);
}

static void
put_words(FILE *t, const struct bounce *b)
{
	static const char *const what[] = { [BOUNCE_FAILED] = "could not be delivered to", [BOUNCE_DELAYED] = "has not been "
	    "delivered yet to", [BOUNCE_DELIVERED] = "was delivered to" };
	struct part p;
	char date[64];

	part_begin(&p);
	fprintf(p.to, "This is the mail server at %s.\r\n\r\n", b->hostname);
	fprintf(p.to, "Your message of %s %s:\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->arrived), what[b->action]);
	for (size_t i = 0; i < b->n_rcpts && i < BOUNCE_RCPTS_MAX; i++)
		say_for_people(p.to, &b->rcpts[i]);
	if (b->n_rcpts > BOUNCE_RCPTS_MAX)
		fprintf(p.to, "\r\n  and %zu more recipients.\r\n", b->n_rcpts - BOUNCE_RCPTS_MAX);
	say_what_next(p.to, b);
	part_end(&p, t, "text/plain");
}

static void
put_recipient_fields(FILE *t, const struct bounce_rcpt *r, bool utf8)
{
	char type[40];

	if (r->orcpt != NULL && strchr(r->orcpt, ';') != NULL) {
		snprintf(type, sizeof(type), "%.*s", (int)strcspn(r->orcpt, ";"), r->orcpt);
		fputs("Original-Recipient: ", t);
		put_typed_address(t, type, strchr(r->orcpt, ';') + 1, utf8);
		fputs("\r\n", t);
	}
	fputs("Final-Recipient: ", t);
	put_typed_address(t, "rfc822", r->address, utf8);
}

static void
put_status_rcpt(FILE *t, const struct bounce *b, const struct bounce_rcpt *r)
{
	static const char *const actions[] = { [BOUNCE_FAILED] = "failed", [BOUNCE_DELAYED] = "delayed",
	    [BOUNCE_DELIVERED] = "delivered", [BOUNCE_RELAYED] = "relayed", [BOUNCE_EXPANDED] = "expanded" };
	char date[64];

	fputs("\r\n", t);
	put_recipient_fields(t, r, b->utf8);
	fprintf(t, "\r\nAction: %s\r\nStatus: %s\r\n", actions[r->action], r->enhanced);
	if (r->host[0] != '\0') {
		fputs("Remote-MTA: dns; ", t);
		put_printable(t, r->host, strcspn(r->host, " \n"), false);
		fputs("\r\n", t);
	}
	if (r->action == BOUNCE_DELAYED)
		fprintf(t, "Will-Retry-Until: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->until));
	if (r->action == BOUNCE_DELIVERED || r->action == BOUNCE_EXPANDED)
		return;
	/* Folded before each line of the reply; no line is blank, which would end the field's group. */
	if (r->code != 0)
		fprintf(t, "Diagnostic-Code: smtp; %u\r\n", r->code);
	else
		fputs("Diagnostic-Code: x-minimta;\r\n", t);
	put_lines(t, r->text, "  ", b->utf8);
}

static void
put_status(FILE *t, const struct bounce *b)
{
	struct part p;
	char date[64];

	part_begin(&p);
	if (b->envid != NULL) {
		fputs("Original-Envelope-Id: ", p.to);
		put_printable(p.to, b->envid, strlen(b->envid), false);
		fputs("\r\n", p.to);
	}
	fprintf(p.to, "Reporting-MTA: dns; %s\r\n", b->hostname);
	fprintf(p.to, "X-Queue-ID: %s\r\n", b->original_id);
	if (b->session[0] != '\0')
		fprintf(p.to, "X-Session-ID: %s\r\n", b->session);
	fprintf(p.to, "Arrival-Date: %s\r\n", clock_rfc5322(date, sizeof(date), (time_t)b->arrived));
	for (size_t i = 0; i < b->n_rcpts && i < BOUNCE_RCPTS_MAX; i++)
		put_status_rcpt(p.to, b, &b->rcpts[i]);
	part_end(&p, t, b->utf8 ? "message/global-delivery-status" : "message/delivery-status");
}

/* The original's header, in whole lines: one that is too long, or has bytes that break a line, is cut or cleaned. */
static void
put_original_header(FILE *t, const struct bounce *b)
{
	struct part p;
	const char *at = b->content, *end = b->content + b->header_len, *eol;

	part_begin(&p);
	while (at < end && (eol = memchr(at, '\n', (size_t)(end - at))) != NULL && ftell(p.to) < BOUNCE_HEADER_MAX) {
		size_t len = (size_t)(eol - at);

		if (len > 0 && at[len - 1] == '\r')
			len--;
		put_printable(p.to, at, len, true);
		fputs("\r\n", p.to);
		at = eol + 1;
	}
	if (ftell(p.to) == 0)
		fputs("\r\n", p.to);
	part_end(&p, t, b->utf8 ? "message/global-headers" : "text/rfc822-headers");
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
put_original(FILE *t, const struct bounce *b)
{
	bool ascii = is_ascii(b->content, b->content_len);

	if (!b->full) {
		put_original_header(t, b);
		return;
	}
	fprintf(t, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", b->utf8 ? "message/global" : "message/rfc822",
	    ascii ? "7bit" : "8bit");
	fwrite(b->content, 1, b->content_len, t);
}

/* Facts of the whole, for the envelope. */
static uint32_t
flags_of(const struct bounce *b, const char *text, size_t len)
{
	uint32_t flags = 0;

	if (!is_ascii(text, len))
		flags |= ENVELOPE_8BIT;		/* a message that is returned whole, or the To field, see bounce.h */
	if (!is_ascii(b->sender, strlen(b->sender)))
		flags |= ENVELOPE_UTF8 | ENVELOPE_HEADER_8BIT;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '.' && (i == 0 || text[i - 1] == '\n'))
			flags |= ENVELOPE_DOTS;
	return flags;
}

char *
bounce_write(const struct bounce *from, size_t *len_r, uint32_t *flags_r)
{
	struct bounce whole = *from, *b = &whole;
	char boundary[40], *text;
	FILE *t = alloc_stream(&text, len_r);

	b->full = from->full && from->action == BOUNCE_FAILED && can_be_whole(from->content, from->content_len);
	/* "=_" cannot occur in quoted-printable; elsewhere 64 random bits keep a stranger from guessing it. */
	snprintf(boundary, sizeof(boundary), "=_%016llx", (unsigned long long)b->boundary);
	put_header(t, b, boundary);
	fprintf(t, "\r\n--%s\r\n", boundary);
	put_words(t, b);
	fprintf(t, "\r\n--%s\r\n", boundary);
	put_status(t, b);
	fprintf(t, "\r\n--%s\r\n", boundary);
	put_original(t, b);
	fprintf(t, "\r\n--%s--\r\n", boundary);
	alloc_stream_end(t);
	*flags_r = flags_of(b, text, *len_r);
	return text;
}
