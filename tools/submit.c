/*
 * Handing a message to the running server: an SMTP client for one server that is known to be ours, over its control
 * socket. Recipients are pipelined in groups small enough that neither side ever waits for the other to read. Decides
 * which code of sysexits(3) a refusal is.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/reply.h"
#include "lib/wire.h"
#include "tools/call.h"
#include "tools/submit.h"

#define GROUP		50		/* commands sent before their replies are read */
#define REPLY_MS	(10 * 60 * 1000)	/* RFC 5321, 4.5.3.2.6: the longest wait of all */
#define PAUSE_MS	500

struct submit {
	int		 fd;
	FILE		*transcript;
	char		 hostname[256], origin[256];
	char		 out[16384];
	size_t		 out_len;
	char		 in[4096];
	size_t		 in_at, in_len;
	struct reply	 reply;
	bool		 size, eight_bit, utf8, dsn, later, require_tls;	/* offered in EHLO */
	unsigned long	 rcpt_max;		/* RFC 9422; 0: not said */
	char		 id[64];		/* of what was accepted last */
	bool		 dead;
};

static void
flush(struct submit *s)
{
	size_t sent = 0;
	ssize_t n;

	while (!s->dead && sent < s->out_len) {
		n = send(s->fd, s->out + sent, s->out_len - sent, MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			s->dead = true;		/* a reply may still be there to read */
	}
	s->out_len = 0;
}

static void
put(struct submit *s, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		size_t n = sizeof(s->out) - s->out_len;

		if (n > len)
			n = len;
		memcpy(s->out + s->out_len, p, n);
		s->out_len += n;
		p += n;
		len -= n;
		if (s->out_len == sizeof(s->out))
			flush(s);
	}
}

static void command(struct submit *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
command(struct submit *s, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (s->transcript != NULL)
		fprintf(s->transcript, ">>> %s\n", line);
	put(s, line, strlen(line));
	put(s, "\r\n", 2);
}

/* More bytes from the server, or -1: closed, or silent for too long. */
static int
fill(struct submit *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	ssize_t n;

	do {
		if (poll(&p, 1, REPLY_MS) == 0)
			return -1;
		n = recv(s->fd, s->in, sizeof(s->in), 0);
	} while (n < 0 && errno == EINTR);
	s->in_at = 0;
	s->in_len = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : -1;
}

/* The next reply's code, or 0 when there is none to come. */
static int
next_reply(struct submit *s)
{
	enum reply_result r;
	size_t used;

	flush(s);
	reply_reset(&s->reply);
	do {
		if (s->in_at == s->in_len && fill(s) != 0) {
			s->dead = true;
			return 0;
		}
		r = reply_feed(&s->reply, s->in + s->in_at, s->in_len - s->in_at, &used);
		s->in_at += used;
	} while (r == REPLY_MORE);
	if (r == REPLY_BAD) {
		s->dead = true;
		return 0;
	}
	if (s->transcript != NULL)
		fprintf(s->transcript, "<<< %d %s\n", s->reply.code, s->reply.text);
	return s->reply.code;
}

static void
learn_extensions(struct submit *s)
{
	const char *line;
	size_t len;

	for (int i = 1; reply_line(&s->reply, i, &line, &len); i++) {
		s->size |= len >= 4 && strncasecmp(line, "SIZE", 4) == 0;
		s->eight_bit |= len == 8 && strncasecmp(line, "8BITMIME", 8) == 0;
		s->utf8 |= len == 8 && strncasecmp(line, "SMTPUTF8", 8) == 0;
		s->dsn |= len == 3 && strncasecmp(line, "DSN", 3) == 0;
		s->later |= len == 6 && strncasecmp(line, "XLATER", 6) == 0;
		s->require_tls |= len == 10 && strncasecmp(line, "REQUIRETLS", 10) == 0;
		if (len > 15 && strncasecmp(line, "LIMITS RCPTMAX=", 15) == 0)
			s->rcpt_max = strtoul(line + 15, NULL, 10);
		if (len > 8 && strncasecmp(line, "XORIGIN ", 8) == 0)
			snprintf(s->origin, sizeof(s->origin), "%.*s", (int)(len - 8), line + 8);
	}
}

static void
tell_waiting(const char *why)
{
	fprintf(stderr, "sendmail: %s; waiting up to %d seconds\n", why, CALL_WAIT_MS / 1000);
}

/* The greeting and EHLO; -1 when the server is there and cannot serve now (it may be restarting its smtpd). */
static int
greet(struct submit *s)
{
	put(s, "submit\n", 7);
	if (next_reply(s) != 220)
		return -1;
	snprintf(s->hostname, sizeof(s->hostname), "%.*s", (int)strcspn(s->reply.text, " \n"), s->reply.text);
	snprintf(s->origin, sizeof(s->origin), "%s", s->hostname);
	command(s, "EHLO %s", s->hostname);
	if (next_reply(s) != 250)
		return -1;
	learn_extensions(s);
	return 0;
}

static void
explain(struct submit *s, char *why, size_t size)
{
	s->in[s->in_len < sizeof(s->in) ? s->in_len : sizeof(s->in) - 1] = '\0';
	if (strncmp(s->in, "error: ", 7) == 0 || strncmp(s->in, "later: ", 7) == 0)
		snprintf(why, size, "minimta cannot take mail now: %.*s", (int)strcspn(s->in + 7, "\n"), s->in + 7);
	else if (s->reply.code != 0)
		snprintf(why, size, "minimta cannot take mail now: %d %s", s->reply.code, s->reply.text);
	else
		snprintf(why, size, "minimta closed the connection");
}

struct submit *
submit_open(const char *path, FILE *transcript, int *code_r, char *why, size_t size)
{
	int64_t until = clock_ms() + CALL_WAIT_MS, left;
	struct submit *s = alloc_new(1, sizeof(*s));

	s->transcript = transcript;
	reply_init(&s->reply);
	while ((left = until - clock_ms()) >= 0) {
		s->fd = call_open(path, (int)left, tell_waiting, code_r, why, size);
		if (s->fd < 0)
			break;
		s->dead = false;
		s->in_at = s->in_len = 0;
		reply_reset(&s->reply);
		reply_init(&s->reply);
		if (greet(s) == 0)
			return s;
		*code_r = EX_TEMPFAIL;
		explain(s, why, size);
		close(s->fd);
		poll(NULL, 0, PAUSE_MS);
	}
	reply_reset(&s->reply);
	free(s);
	return NULL;
}

const char *
submit_origin(const struct submit *s)
{
	return s->origin;
}

bool
submit_can_wait(const struct submit *s)
{
	return s->later;
}

const char *
submit_id(const struct submit *s)
{
	return s->id;
}

const char *
submit_hostname(const struct submit *s)
{
	return s->hostname;
}

/* What a refusal means to the caller; what: of whom or what it was. */
static int
refused(struct submit *s, int code, const char *what, int permanent, FILE *errors)
{
	if (code == 0) {
		fprintf(errors, "sendmail: %s: the connection broke before there was an answer\n", what);
		return EX_TEMPFAIL;
	}
	fprintf(errors, "sendmail: %s: %d ", what, code);
	for (const char *p = s->reply.text; *p != '\0'; p++)
		putc(*p == '\n' ? ' ' : *p, errors);
	putc('\n', errors);
	if (code < 500)
		return EX_TEMPFAIL;
	return strncmp(s->reply.enhanced, "5.7.", 4) == 0 ? EX_NOPERM : permanent;
}

/* The code that tells most: what cannot succeed later before what may. */
static int
worse(int a, int b)
{
	if (a == 0 || (a == EX_TEMPFAIL && b != 0))
		return b;
	return a;
}

static bool
is_wanted(const struct submit *s, const char *dsn)
{
	return s->dsn && dsn != NULL && dsn[0] != '\0';
}

static int
send_recipients(struct submit *s, const struct submit_mail *m, FILE *errors)
{
	bool notify = is_wanted(s, m->dsn_notify);
	int rc = 0, code;
	size_t n;

	for (size_t at = 0; at < m->n_rcpts; at += n) {
		n = m->n_rcpts - at < GROUP ? m->n_rcpts - at : GROUP;
		for (size_t i = 0; i < n; i++)
			command(s, "RCPT TO:<%s>%s%s", m->rcpts[at + i], notify ? " NOTIFY=" : "", notify ? m->dsn_notify : "");
		for (size_t i = 0; i < n; i++)
			if ((code = next_reply(s)) / 100 != 2)
				rc = worse(rc, refused(s, code, m->rcpts[at + i], EX_NOUSER, errors));
		if (s->dead)
			return worse(rc, EX_TEMPFAIL);
	}
	return rc;
}

static int
send_body(struct submit *s, const struct submit_mail *m)
{
	uint8_t from[4096], stuffed[2 * sizeof(from)];
	struct wire_out w;
	size_t n;

	wire_out_init(&w);
	for (size_t at = 0; at < m->header_len; at += n) {
		n = m->header_len - at < sizeof(from) ? m->header_len - at : sizeof(from);
		put(s, stuffed, wire_out_put(&w, (const uint8_t *)m->header + at, n, stuffed));
	}
	rewind(m->body);
	while (!s->dead && (n = fread(from, 1, sizeof(from), m->body)) > 0)
		put(s, stuffed, wire_out_put(&w, from, n, stuffed));
	if (ferror(m->body))
		return -1;
	put(s, ".\r\n", 3);
	return 0;
}

/* What was asked for and cannot be had. */
static int
check_offers(const struct submit *s, const struct submit_mail *m, FILE *errors)
{
	if (m->utf8 && !s->utf8) {
		fprintf(errors, "sendmail: this server does not take internationalised mail; nothing was sent\n");
		return EX_DATAERR;
	}
	if (m->require_tls && !s->require_tls) {
		fprintf(errors, "sendmail: requiretls=yes cannot be kept: this server does not offer REQUIRETLS (RFC 8689); "
		    "nothing was sent\n");
		return EX_UNAVAILABLE;
	}
	/* Not to be tried again, and not said five hundred times. */
	if (s->rcpt_max > 0 && m->n_rcpts > s->rcpt_max) {
		fprintf(errors, "sendmail: %zu recipients, and this server takes %lu for one message; nothing was sent\n", m->n_rcpts,
		    s->rcpt_max);
		return EX_DATAERR;
	}
	return 0;
}

static void
say_mail(struct submit *s, const struct submit_mail *m)
{
	bool ret = is_wanted(s, m->dsn_return), envid = is_wanted(s, m->dsn_envid);
	char size[40] = "";

	if (s->size)
		snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)(m->header_len + m->body_size));
	command(s, "MAIL FROM:<%s>%s%s%s%s%s%s%s%s%s", m->sender, size, m->eight_bit && s->eight_bit ? " BODY=8BITMIME" : "",
	    m->utf8 ? " SMTPUTF8" : "", m->require_tls ? " REQUIRETLS" : "", m->later && s->later ? " XLATER" : "",
	    ret ? " RET=" : "", ret ? m->dsn_return : "", envid ? " ENVID=" : "", envid ? m->dsn_envid : "");
}

/* "Accepted as ID". */
static void
take_id(struct submit *s)
{
	static const char before[] = "Accepted as ";
	const char *at = strstr(s->reply.text, before);

	if (at != NULL)
		snprintf(s->id, sizeof(s->id), "%.*s", (int)strcspn(at + sizeof(before) - 1, " \n"), at + sizeof(before) - 1);
}

int
submit_send(struct submit *s, const struct submit_mail *m, FILE *errors)
{
	int code, rc;

	if ((rc = check_offers(s, m, errors)) != 0)
		return rc;
	say_mail(s, m);
	if ((code = next_reply(s)) / 100 != 2)		/* 552, 452: it is the size that is refused */
		return refused(s, code, code % 100 == 52 ? "the message" : m->sender[0] != '\0' ? m->sender : "the null sender",
		    EX_DATAERR, errors);
	if ((rc = send_recipients(s, m, errors)) != 0) {
		fprintf(errors, "sendmail: nothing was sent, to no recipient\n");
		return rc;
	}
	command(s, "DATA");
	if ((code = next_reply(s)) != 354)
		return refused(s, code, "the message", EX_DATAERR, errors);
	if (send_body(s, m) != 0) {
		/* Without the final dot nothing is accepted. */
		fprintf(errors, "sendmail: reading the temporary file: %s\n", strerror(errno));
		s->dead = true;
		return EX_TEMPFAIL;
	}
	if ((code = next_reply(s)) / 100 != 2)
		return refused(s, code, "the message", EX_DATAERR, errors);
	take_id(s);
	return 0;
}

void
submit_close(struct submit *s)
{
	if (s == NULL)
		return;
	if (!s->dead) {
		command(s, "QUIT");
		next_reply(s);
	}
	close(s->fd);
	reply_reset(&s->reply);
	free(s);
}
