/*
 * The text of a message as it is written into mailboxes and given to commands (mda/mail.h). Decides its line ends, the
 * fields in front and which lines are quoted; where it goes is its callers' business.
 */
#include "mda/mail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/header.h"
#include "lib/killpoint.h"

#define HEADER_LOOK	(1024U * 1024)	/* of content are searched for Delivered-To: above any header_size */
#define BUFFER_SIZE	(64U * 1024)
#define FROM_LINE	"From "

struct writer {
	const struct mail	*mail;
	struct mail_result	*result;
	int			 fd;
	bool			 quotes;	/* lines that begin like a From_ line */
	bool			 held_cr;	/* a CR that may be half of a CRLF */
	char			 start[8];	/* of a line, held until it is known whether that is one: > and letters */
	size_t			 n_start;
	bool			 in_line;	/* its start is behind us */
	uint64_t		 n_quotes;	/* '>' in front of this line, already written */
	size_t			 len;
	char			 buffer[BUFFER_SIZE];
};

int
mail_fail(struct mail_result *r, enum job_outcome outcome, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	r->outcome = outcome;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* Full (RFC 3463, 3.3), a full disk, or something to be mended: all temporary, for somebody can do something about it. */
int
mail_fail_errno(struct mail_result *r, const char *what, const char *which)
{
	int why = errno;

	if (why == EDQUOT || why == EFBIG)
		return mail_fail(r, JOB_DEFERRED, "4.2.2", "mailbox full: %s %s: %s", what, which, strerror(why));
	if (why == ENOSPC)
		return mail_fail(r, JOB_DEFERRED, "4.3.1", "disk full: %s %s: %s", what, which, strerror(why));
	if (why == ELOOP || why == ENOTDIR)
		return mail_fail(r, JOB_DEFERRED, "4.3.5", "%s %s: a symbolic link or no directory", what, which);
	return mail_fail(r, JOB_DEFERRED, "4.3.0", "%s %s: %s", what, which, strerror(why));
}

static int
look_for_recipient(const struct mail *m, const char *text, size_t len, struct mail_result *r)
{
	struct header_field f;
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && header_next(text, len, &at, &f)) {
		char *value;

		if (!header_is(&f, "Delivered-To"))
			continue;
		value = header_value(f.name, (size_t)(f.value - f.name) + f.value_len, "Delivered-To");
		if (value != NULL && strcasecmp(value, m->recipient) == 0)
			rc = mail_fail(r, JOB_FAILED, "5.4.6", "mail loop: it has been delivered to %.200s before", value);
		free(value);
	}
	return rc;
}

/* The header may be large, but never larger than HEADER_LOOK (smtpd's bound). */
int
mail_check_loop(const struct mail *m, struct mail_result *r)
{
	size_t len = m->size < HEADER_LOOK ? (size_t)m->size : HEADER_LOOK;
	char *text = malloc(len + 1);
	ssize_t n;
	int rc;

	if (text == NULL)
		return mail_fail(r, JOB_DEFERRED, "4.3.0", "out of memory");
	n = pread(m->content_fd, text, len, 0);
	rc = n < 0 ? mail_fail_errno(r, "read", "the message") : look_for_recipient(m, text, (size_t)n, r);
	free(text);
	return rc == 0 ? look_for_recipient(m, m->head, strlen(m->head), r) : rc;
}

/* ---- the text ---- */

static int
flush(struct writer *w)
{
	ssize_t n;

	for (size_t at = 0; at < w->len; at += (size_t)n) {
		KILLPOINT("write", "message");
		if ((n = write(w->fd, w->buffer + at, w->len - at)) < 0 && errno != EINTR)
			return mail_fail_errno(w->result, "write", "the message");
		n = n < 0 ? 0 : n;
	}
	w->len = 0;
	return 0;
}

static int
put(struct writer *w, char c)
{
	if (w->len == sizeof(w->buffer) && flush(w) != 0)
		return -1;
	w->buffer[w->len++] = c;
	return 0;
}

/* The letters that were held back, quoted or not. */
static int
put_start(struct writer *w, bool quoted)
{
	if (quoted && put(w, '>') != 0)
		return -1;
	for (; w->n_quotes > 0; w->n_quotes--)
		if (put(w, '>') != 0)
			return -1;
	for (size_t i = 0; i < w->n_start; i++)
		if (put(w, w->start[i]) != 0)
			return -1;
	w->n_start = 0;
	w->in_line = true;
	return 0;
}

/* One byte of a line. ">From " gets a further '>' as "From " does, so that taking one off gives the text back. */
static int
put_quoting(struct writer *w, char c)
{
	if (!w->in_line && c == '>' && w->n_start == 0) {
		w->n_quotes++;
		return 0;
	}
	if (!w->in_line && c == FROM_LINE[w->n_start]) {
		w->start[w->n_start++] = c;
		return FROM_LINE[w->n_start] == '\0' ? put_start(w, true) : 0;
	}
	if (!w->in_line && put_start(w, false) != 0)
		return -1;
	w->in_line = c != '\n';
	return put(w, c);
}

static int
put_byte(struct writer *w, char c)
{
	return w->quotes ? put_quoting(w, c) : put(w, c);
}

/* CRLF becomes LF, which is what readers of mailboxes expect; any other byte stays. */
static int
put_text(struct writer *w, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (w->held_cr && text[i] != '\n' && put_byte(w, '\r') != 0)
			return -1;
		w->held_cr = text[i] == '\r';
		if (!w->held_cr && put_byte(w, text[i]) != 0)
			return -1;
	}
	return 0;
}

static int
put_string(struct writer *w, const char *text)
{
	return put_text(w, text, strlen(text));
}

/* "From sender date": a reader finds the date by counting words, so the sender is one. */
static int
put_from_line(struct writer *w)
{
	char sender[320], line[400], date[64];
	time_t now = (time_t)clock_wall();
	struct tm tm;

	snprintf(sender, sizeof(sender), "%s", w->mail->sender[0] != '\0' ? w->mail->sender : "MAILER-DAEMON");
	for (char *p = sender; *p != '\0'; p++)
		if (*p == ' ')
			*p = '_';
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
	snprintf(line, sizeof(line), FROM_LINE "%s %s\n", sender, date);
	for (const char *p = line; *p != '\0'; p++)
		if (put(w, *p) != 0)
			return -1;
	return 0;
}

static int
put_fields(struct writer *w)
{
	if (put_string(w, "Return-Path: <") != 0 || put_string(w, w->mail->sender) != 0 ||
	    put_string(w, ">\nDelivered-To: ") != 0 || put_string(w, w->mail->recipient) != 0 || put_string(w, "\n") != 0)
		return -1;
	if ((w->mail->flags & ENVELOPE_JUNK) != 0 && put_string(w, "X-Spam-Flag: YES\n") != 0)
		return -1;
	return put_string(w, w->mail->head);
}

static int
put_content(struct writer *w)
{
	char piece[BUFFER_SIZE];
	uint64_t at = 0;
	size_t most;
	ssize_t n;

	for (; at < w->mail->size; at += (uint64_t)n) {
		most = w->mail->size - at < sizeof(piece) ? (size_t)(w->mail->size - at) : sizeof(piece);
		n = pread(w->mail->content_fd, piece, most, (off_t)at);
		if (n <= 0)
			return mail_fail(w->result, JOB_DEFERRED, "4.3.0", "the message could not be read");
		if (put_text(w, piece, (size_t)n) != 0)
			return -1;
	}
	return w->held_cr ? put_byte(w, '\r') : 0;
}

/* An mbox's messages are told apart by an empty line and a From_ line. */
static int
put_end(struct writer *w)
{
	if (!w->quotes)
		return 0;
	if (w->n_start > 0 || w->n_quotes > 0 || w->in_line) {
		if (put_start(w, false) != 0 || put(w, '\n') != 0)
			return -1;
	}
	return put(w, '\n');
}

int
mail_write(const struct mail *m, int fd, enum mail_form form, struct mail_result *r)
{
	struct writer w = { .mail = m, .result = r, .fd = fd, .quotes = form == MAIL_MBOX };

	if (form != MAIL_PLAIN && put_from_line(&w) != 0)
		return -1;
	return put_fields(&w) == 0 && put_content(&w) == 0 && put_end(&w) == 0 ? flush(&w) : -1;
}
