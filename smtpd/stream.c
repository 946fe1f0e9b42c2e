/*
 * A session's socket and its timer. Decides when to read, when to write and when a wait is over; what was read is for
 * commands.c and content.c, what becomes of a wait that is over for their timeouts. Called by the loop and by everyone who
 * has done something to a session.
 */
#include "smtpd/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/reply.h"
#include "smtpd/client.h"
#include "smtpd/content.h"
#include "smtpd/commands.h"
#include "smtpd/crowd.h"
#include "smtpd/pace.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

#define READ_COMMANDS	4096		/* of one recv between commands: all that a session may hold back while it waits */
#define OUT_MAX		(64 * 1024)	/* replies gathered before the client must read some */
#define STUCK_MS	60000		/* a client that does not read its replies is dropped after this */
#define LINGER_MS	2000		/* for a client to see our last reply before its own bytes reset the connection */
#define BARE_LF_MS	5000		/* a line that ended in LF alone gets this long to become one with CRLF */

static void	on_input(evutil_socket_t, short, void *);
static void	on_output(evutil_socket_t, short, void *);
static void	on_timer(void *);
static void	listen_for(struct session *, enum session_listening);
static void	settle(struct session *);

void
stream_init(struct session *s)
{
	struct event_base *base = s->srv->process.base;

	event_assign(&s->ev_in, base, s->fd, EV_READ | EV_PERSIST, on_input, s);
	event_assign(&s->ev_out, base, s->fd, EV_WRITE | EV_ET, on_output, s);
	timer_set(&s->timer, on_timer, s);
}

void
stream_free(struct session *s)
{
	event_del(&s->ev_in);
	event_del(&s->ev_out);
	timer_stop(&s->timer);
	s->listening = LISTENING_NOT;
}

/* ---- output ---- */

static bool
more_out(struct session *s, size_t room)
{
	char *out = realloc(s->out, room);

	if (out == NULL)
		return false;
	session_hold(s, (int64_t)(room - s->out_room));
	s->out = out;
	s->out_room = room;
	return true;
}

static void
put_out(struct session *s, const char *text, size_t len)
{
	if (s->out_len + len > s->out_room && !more_out(s, s->out_len + len + 256)) {
		s->parted = true;
		crowd_starve(s->srv);
		session_close(s, "no-memory");
		return;
	}
	memcpy(s->out + s->out_len, text, len);
	s->out_len += len;
}

void
stream_reply(struct session *s, int code, const char *enhanced, const char *text)
{
	char formatted[4096];

	put_out(s, formatted, reply_format(formatted, sizeof(formatted), code, enhanced, text));
}

void
stream_announce(struct session *s, int code, const char *text)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "%d-%s\r\n", code, text);

	put_out(s, line, (size_t)len);
}

void
stream_comment(struct session *s, const char *text)
{
	char line[2600];
	int len = snprintf(line, sizeof(line), "*** %s\r\n", text);

	put_out(s, line, (size_t)len);
}

/* One send. A client that is gone is found out here or by the next recv. */
static void
flush(struct session *s)
{
	ssize_t n;

	if (s->out_len == 0)
		return;
	n = send(s->fd, s->out, s->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		s->out_len = 0;
		s->parted = true;
		session_close(s, "client-left");
		return;
	}
	if (n > 0) {
		s->out_len -= (size_t)n;
		memmove(s->out, s->out + n, s->out_len);
		s->stuck_ms = s->out_len > 0 ? clock_ms() : 0;
	} else if (s->stuck_ms == 0)
		s->stuck_ms = clock_ms();
	if (s->out_len > 0) {
		/* libevent knows a descriptor as edge-triggered or not, never both; and who does not read is not read. */
		if (s->listening == LISTENING_READ)
			listen_for(s, LISTENING_NOT);
		event_add(&s->ev_out, NULL);
		return;
	}
	free(s->out);
	s->out = NULL;
	session_hold(s, -(int64_t)s->out_room);
	s->out_room = 0;
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	flush(s);
	stream_go_on(s);
}

/* ---- input ---- */

/* The part of what was read that is not used yet stays with the session, and nothing else does. */
static void
keep(struct session *s, const uint8_t *data, size_t len)
{
	if (len != s->in_len) {
		session_hold(s, (int64_t)len - (int64_t)s->in_len);
		free(s->in);
		s->in = len > 0 ? malloc(len) : NULL;
		s->in_len = len;
		if (len > 0 && s->in == NULL) {
			session_hold(s, -(int64_t)len);
			s->in_len = 0;
			s->parted = true;
			crowd_starve(s->srv);
			session_close(s, "no-memory");
			return;
		}
	}
	if (len > 0)
		memcpy(s->in, data, len);
}

static bool
may_go_on(const struct session *s)
{
	return !s->closing && s->wait == WAIT_NONE && s->stuck_ms == 0;
}

static bool
reads_content(const struct session *s)
{
	return s->input == INPUT_DATA || s->input == INPUT_CHUNK;
}

/* Works on srv->input as far as it goes. */
static void
work(struct session *s, size_t len)
{
	uint8_t *data = s->srv->input;
	size_t used = 0, n;

	while (used < len && may_go_on(s)) {
		if (reads_content(s))
			n = content_take(s, data + used, len - used);
		else if (s->input == INPUT_PROXY)
			n = client_take_proxy(s, data + used, len - used);
		else
			n = commands_take(s, data + used, len - used);
		if (n == 0)
			break;
		used += n;
		if (s->out_len > OUT_MAX)
			flush(s);
	}
	keep(s, data + used, s->closing ? 0 : len - used);
}

/* Bytes that a client sent and nobody read would reset the connection, and with it our last reply. */
static void
drain(struct session *s)
{
	ssize_t n = recv(s->fd, s->srv->input, SMTPD_READ_MAX, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		session_finish(s);
}

/*
 * Something happened while the session waits. Its input stays in the socket; only a client that leaves matters: one
 * that has sent more may just have closed its side for writing, and a message that is being made safe is not given up.
 */
static void
notice(struct session *s, short what)
{
	uint8_t byte;
	ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0 && s->wait == WAIT_GREETING) {
		pace_spoke_early(s);
		settle(s);
		return;
	}
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR) && (what & EV_CLOSED) == 0))
		return;
	if (s->in_len > 0 || s->wait == WAIT_DONE || s->pretend != NULL)
		return;
	s->parted = true;
	session_close(s, "client-left");
	settle(s);
}

/* ev_in as it should be; a change costs system calls, so that there is none while a short wait is on. */
static void
listen_for(struct session *s, enum session_listening wanted)
{
	short what = wanted == LISTENING_EDGE ? EV_READ | EV_CLOSED | EV_ET | EV_PERSIST : EV_READ | EV_PERSIST;

	if (s->listening == wanted)
		return;
	if (s->listening != LISTENING_NOT)
		event_del(&s->ev_in);
	s->listening = wanted;
	if (wanted == LISTENING_NOT)
		return;
	event_assign(&s->ev_in, s->srv->process.base, s->fd, what, on_input, s);
	event_add(&s->ev_in, NULL);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	uint8_t *to = s->srv->input;
	size_t room;
	ssize_t n;

	if (s->lingering) {
		drain(s);
		return;
	}
	if (s->listening == LISTENING_EDGE) {
		notice(s, what);
		return;
	}
	if (s->wait != WAIT_NONE) {
		listen_for(s, LISTENING_EDGE);	/* which calls back with what there is */
		return;
	}
	if ((room = reads_content(s) ? content_read_size(s) : READ_COMMANDS) == 0) {
		settle(s);
		return;
	}
	if (s->in_len > 0)
		memcpy(to, s->in, s->in_len);
	n = recv(fd, to + s->in_len, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		s->parted = true;
		session_close(s, "client-left");
	} else {
		s->last_ms = clock_ms();
		work(s, s->in_len + (size_t)n);
	}
	settle(s);
}

void
stream_go_on(struct session *s)
{
	size_t len = s->in_len;

	if (len > 0 && may_go_on(s)) {
		memcpy(s->srv->input, s->in, len);
		work(s, len);
	}
	settle(s);
}

bool
stream_sent_ahead(const struct session *s)
{
	uint8_t byte;

	return s->ahead > 0 || recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* ---- what comes next ---- */

/* A line of which only a bare LF has come: nc without -C. It is never taken for a line, but its sender is told. */
static bool
ends_in_bare_lf(const struct session *s)
{
	return s->input == INPUT_COMMANDS && s->wait == WAIT_NONE && s->in_len > 0 && s->in[s->in_len - 1] == '\n';
}

static enum session_listening
what_to_listen_for(const struct session *s)
{
	if (s->closing)
		return s->lingering ? LISTENING_READ : LISTENING_NOT;
	if (s->wait != WAIT_NONE)
		return s->stuck_ms != 0 || s->listening != LISTENING_READ ? LISTENING_EDGE : LISTENING_READ;
	return s->stuck_ms != 0 ? LISTENING_NOT : LISTENING_READ;
}

static bool
awaits_command(const struct session *s)
{
	return !s->closing && s->wait == WAIT_NONE && !reads_content(s);
}

static int64_t
command_due(const struct session *s)
{
	return s->progress_ms + crowd_time(s, s->input == INPUT_PROXY ? CLIENT_PROXY_MS :
	    s->srv->process.conf->command_timeout_ms);
}

static int64_t
stuck_due(const struct session *s)
{
	return s->stuck_ms + crowd_time(s, STUCK_MS);
}

static void
set_timer(struct session *s)
{
	int64_t due = awaits_command(s) ? command_due(s) : s->deadline_ms;

	if (ends_in_bare_lf(s) && s->last_ms + BARE_LF_MS < due)
		due = s->last_ms + BARE_LF_MS;
	if (s->stuck_ms != 0 && stuck_due(s) < due)
		due = stuck_due(s);
	/* Deadlines mostly move on: a timer that comes too early costs less than moving it each time. */
	if (!timer_running(&s->timer) || s->timer.due_ms > due)
		timer_start(&s->timer, due - clock_ms());
}

static void
settle(struct session *s)
{
	if (s->fd < 0)
		return;
	if (s->srv->stopping && session_idle(s))
		session_end(s, "stop", 421, "4.3.2", "This server is being stopped; come back soon");
	/* Replies wait for those of the commands that came along with theirs (RFC 2920, 3.2). */
	if (s->stuck_ms == 0 && (s->wait == WAIT_NONE || s->in_len == 0) && !pace_holds(s))
		flush(s);
	if (s->closing && s->out_len == 0 && !s->lingering) {
		if (s->parted) {
			session_finish(s);
			return;
		}
		s->lingering = true;
		s->deadline_ms = clock_ms() + LINGER_MS;
		shutdown(s->fd, SHUT_WR);
	}
	listen_for(s, what_to_listen_for(s));
	set_timer(s);
}

static void
on_timer(void *arg)
{
	struct session *s = arg;
	int64_t now = clock_ms();

	if (s->closing && now >= s->deadline_ms) {
		session_finish(s);
		return;
	}
	if (s->stuck_ms != 0 && now >= stuck_due(s)) {
		s->out_len = 0;
		s->parted = true;
		session_close(s, "does-not-read");
	} else if (ends_in_bare_lf(s) && now >= s->last_ms + BARE_LF_MS)
		session_end(s, "bare-lf", 500, "5.5.2", "A line ends with CR LF; this one ended with LF alone");
	else if (s->wait != WAIT_NONE && now >= s->deadline_ms)
		session_timeout(s);
	else if (reads_content(s) && s->wait == WAIT_NONE)
		content_timeout(s);
	else if (awaits_command(s) && now >= command_due(s))
		session_end(s, s->input == INPUT_PROXY ? "no-proxy-header" : "timeout", 421, "4.4.2", "Waited too long for a command; goodbye");
	stream_go_on(s);
}

void
stream_hurry(struct session *s)
{
	timer_start(&s->timer, 0);
}
