/*
 * An SMTP client's connection: connecting, reading, writing, deadlines, and how a message or the session ends. Reading
 * never waits for writing, so that two pipelining ends cannot block each other; one reply is gathered at a time, within
 * lib/reply.h' limits, and nothing else that comes is kept.
 *
 * What is said and what follows from an answer is client_steps.c's. Called by agent.c (mail) and pool.c (idle ones).
 */
#include "delivery/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "delivery/body.h"
#include "delivery/client_session.h"
#include "delivery/login.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "mx/mx.h"

#define MINUTES		(60 * 1000)
#define READ_BYTES	(8 * 1024)		/* at a time */
#define BLOCK_MS	(3 * MINUTES)		/* RFC 5321, 4.5.3.2.5: for each so many bytes of content */
#define BLOCK_BYTES	(16 * 1024)
#define TOTAL_MS	(120 * MINUTES)		/* for one message: no server holds us longer, however it does it */

/* ---- deadlines ---- */

static void
client_wait(struct client *c)
{
	enum client_step step = client_awaited(c);
	bool sending = c->content != CONTENT_NONE && step == STEP_CONTENT && !client_is_final(c);

	c->block = BLOCK_BYTES;
	timer_start(&c->deadline, sending ? BLOCK_MS : client_timeout_ms(step));
}

/* There is no word of it: known from the greeting, or when that takes long. */
static void
client_is_connected(struct client *c)
{
	c->step = STEP_GREETING;
	c->awaited = 1;
}

static void
client_no_connection(struct client *c, int error)
{
	c->connect_error = error;
	client_fail(c, verdict_new(JOB_DEFERRED, true, c->host, 0, "4.4.1", "no connection: %s", strerror(error)));
}

static void
on_deadline(void *arg)
{
	struct client *c = arg;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int64_t left;

	if (c->step == STEP_CONNECT && getpeername(c->fd, (struct sockaddr *)&peer, &len) == 0) {
		client_is_connected(c);		/* it only does not say anything */
		left = client_timeout_ms(STEP_GREETING) - (clock_ms() - c->began_ms);
		if (left > 0) {
			timer_start(&c->deadline, left);
			return;
		}
	}
	if (c->step == STEP_CONNECT)
		client_no_connection(c, ETIMEDOUT);
	else
		client_fail(c, verdict_new(JOB_DEFERRED, true, c->host, 0, "4.4.2", "timed out, waiting for %s",
		    client_step_name(client_awaited(c))));
}

static void
on_total(void *arg)
{
	struct client *c = arg;

	client_fail(c, verdict_new(JOB_DEFERRED, true, c->host, 0, "4.4.2", "took too long for one message"));
}

/* ---- the end of a message, and of a session ---- */

void
client_over(struct client *c, enum client_end end)
{
	if (c->over)
		return;
	c->over = true;
	c->end = end;
	timer_stop(&c->deadline);
	timer_stop(&c->total);
	if (c->mail != NULL)
		body_set_ready(c->mail->body, NULL, NULL);
	if (end != CLIENT_KEPT && c->read_event != NULL) {
		event_del(c->read_event);
		event_del(c->write_event);
	}
	event_active(c->over_event, 0, 0);
}

/* The one place from which the owner is called. The client may be freed in there. */
static void
on_over(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->mail != NULL) {
		c->mail = NULL;
		c->over = c->end != CLIENT_KEPT;
		c->step = c->next = STEP_IDLE;
		c->done(c->done_arg, c->end);
	} else if (c->on_lost != NULL) {
		c->on_lost(c->lost_arg);
	}
}

bool
client_is_final(const struct client *c)
{
	return c->content == CONTENT_ENDED && !c->broken && evbuffer_get_length(c->out) == 0;
}

/* The session cannot go on. Takes over why. */
void
client_fail(struct client *c, struct verdict *why)
{
	if (c->over) {
		verdict_drop(why);
		return;
	}
	if (c->mail == NULL) {
		verdict_drop(why);
		client_over(c, CLIENT_CLOSED);
		return;
	}
	log_info("msg=%s event=trouble host=%s step=%s code=%u text=%s", c->mail->message, logq(c->host),
	    client_step_name(client_awaited(c)), why->code, logq(why->text));
	if (client_is_final(c) && c->n_live > 0 && !c->stale && !c->refused_ipv6) {
		/* RFC 1047: it may have been taken. To send it again is allowed, to lose it is not. */
		log_info("msg=%s event=may-be-repeated host=%s", c->mail->message, logq(c->host));
		client_settle_live(c, verdict_new(JOB_DEFERRED, true, c->host, why->code, why->enhanced,
		    "%s; all was sent, so the message may be repeated", why->text));
	}
	c->why = why;
	client_over(c, c->mail->n_open > 0 ? CLIENT_FAILED : CLIENT_CLOSED);
}

/* The transaction is settled; the connection stays. */
void
client_finish(struct client *c, bool needs_rset)
{
	c->needs_rset = needs_rset;
	client_over(c, CLIENT_KEPT);
}

static void
client_lost(struct client *c, const char *what)
{
	c->stale = c->count > 1 && c->replies == 0;
	client_fail(c, verdict_new(JOB_DEFERRED, true, c->host, 0, "4.4.2", "connection lost (%s), waiting for %s", what,
	    client_step_name(client_awaited(c))));
}

void
client_senseless(struct client *c, const char *what)
{
	client_fail(c, verdict_new(JOB_DEFERRED, true, c->host, 0, "4.5.0", "the server breaks the protocol: %s", what));
}

/* ---- writing ---- */

void
client_expect(struct client *c)
{
	if (c->awaited++ == 0)
		client_wait(c);
}

static void
client_flush(struct client *c)
{
	size_t before = evbuffer_get_length(c->out);
	int n, one = 1;

	/* Only content in pieces writes again before an answer: nothing else could be delayed. */
	if (c->content == CONTENT_FLOWING && !c->nodelay && before > 0) {
		c->nodelay = true;
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	n = before > 0 ? evbuffer_write(c->out, c->fd) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		/* What the server said before it closed is worth reading: a refusal, perhaps. The read finds the end. */
		c->broken = true;
		evbuffer_drain(c->out, before);
		event_del(c->write_event);
		c->writing = false;
		return;
	}
	if (n > 0 && c->content != CONTENT_NONE) {
		if (client_is_final(c) || (size_t)n >= c->block)
			client_wait(c);
		else
			c->block -= (size_t)n;
	}
	if ((evbuffer_get_length(c->out) > 0) != c->writing) {
		c->writing = !c->writing;
		if (c->writing)
			event_add(c->write_event, NULL);
		else
			event_del(c->write_event);
	}
}

static void
client_pump(struct client *c)
{
	bool was_full;

	while (!c->over && !c->broken && client_may_send(c))
		client_send_next(c);
	while (!c->over && !c->broken && c->content == CONTENT_FLOWING) {
		was_full = evbuffer_get_length(c->out) >= CLIENT_OUT_BYTES;
		if (!client_put_content(c) && !was_full)
			break;		/* on_content_ready() goes on */
		client_flush(c);
		if (evbuffer_get_length(c->out) > 0)
			return;		/* on_writable() goes on; if all was written, nobody would, and there may be more */
	}
	if (!c->over && !c->broken)
		client_flush(c);
}

/* ---- reading ---- */

static void
client_take(struct client *c, const char *data, size_t len)
{
	enum reply_result result;
	size_t used;

	while (len > 0 && !c->over) {
		if (c->awaited == 0) {
			client_senseless(c, "it spoke before it was asked");
			return;
		}
		result = reply_feed(&c->reply, data, len, &used);
		data += used;
		len -= used;
		if (result == REPLY_BAD)
			client_senseless(c, c->reply.why);
		if (result != REPLY_DONE)
			return;
		c->awaited--;
		timer_stop(&c->deadline);
		client_answer(c);
		reply_reset(&c->reply);
		if (!c->over && c->awaited > 0)
			client_wait(c);
	}
	/* Results stand, but who speaks out of turn is not asked again. */
	if (len > 0 && c->mail != NULL && c->end == CLIENT_KEPT)
		c->end = CLIENT_CLOSED;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	char data[READ_BYTES];
	ssize_t n;

	(void)what;
	if (c->over) {
		c->end = CLIENT_CLOSED;
		event_del(c->read_event);
		return;
	}
	n = recv(fd, data, sizeof(data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A reset is what a connection gets that was there. */
	if (c->step == STEP_CONNECT && n < 0 && errno != ECONNRESET) {
		client_no_connection(c, errno);
		return;
	}
	if (c->step == STEP_CONNECT)
		client_is_connected(c);
	if (n <= 0) {
		client_lost(c, n == 0 ? "closed" : strerror(errno));
		return;
	}
	client_take(c, data, (size_t)n);
	if (!c->over)
		client_pump(c);
}

static void
on_content_ready(void *arg)
{
	struct client *c = arg;

	if (!c->over && c->content == CONTENT_FLOWING)
		client_pump(c);
}

/* ---- the connection ---- */

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (!c->over)
		client_pump(c);
}

/* The kernel chooses the port when it knows both ends: then it can be used for several. */
static int
client_bind(struct client *c)
{
	int one = 1;

	if (c->source.ss_family == AF_UNSPEC)
		return 0;
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(c->fd, (struct sockaddr *)&c->source,
	    c->source.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

/* The server speaks first, so its greeting says that there is a connection, and an error that there is none. */
static void
client_connect(struct client *c)
{
	c->began_ms = clock_ms();
	c->step = STEP_CONNECT;
	c->next = STEP_IDLE;
	client_wait(c);
	if (c->fd == -1 && (c->fd = socket(c->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1) {
		client_no_connection(c, errno);
		return;
	}
	if (c->address.ss_family != AF_UNIX && (client_bind(c) != 0 || (connect(c->fd, (struct sockaddr *)&c->address, c->address_len) != 0 && errno != EINPROGRESS))) {
		client_no_connection(c, errno);
		return;
	}
	c->read_event = alloc_must(event_new(c->base, c->fd, EV_READ | EV_PERSIST, on_readable, c));
	c->write_event = alloc_must(event_new(c->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c));
	event_add(c->read_event, NULL);
}

/* ---- for the owner ---- */

static void
name_host(struct client *c, const struct mx_address *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;

	if (a->address.ss_family == AF_UNIX) {
		snprintf(c->host, sizeof(c->host), "%.255s", a->host);
		return;
	}
	if (a->address.ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)&a->address;

		inet_ntop(AF_INET, &sin->sin_addr, ip, sizeof(ip));
		port = ntohs(sin->sin_port);
	} else if (a->address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&a->address;

		inet_ntop(AF_INET6, &sin6->sin6_addr, ip, sizeof(ip));
		port = ntohs(sin6->sin6_port);
	}
	snprintf(c->host, sizeof(c->host), "%.255s [%s]:%u", a->host, ip, port);
}

struct client *
client_new(struct event_base *base, const struct mx_address *a, const char *hostname)
{
	struct client *c = alloc_new(1, sizeof(*c));

	c->out = alloc_must(evbuffer_new());
	c->over_event = alloc_must(event_new(base, -1, 0, on_over, c));
	c->base = base;
	c->fd = -1;
	c->hostname = hostname;
	c->address = a->address;
	c->address_len = a->length;
	c->step = c->next = STEP_IDLE;
	name_host(c, a);
	reply_init(&c->reply);
	timer_set(&c->deadline, on_deadline, c);
	timer_set(&c->total, on_total, c);
	return c;
}

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	timer_stop(&c->deadline);
	timer_stop(&c->total);
	if (c->mail != NULL)
		body_set_ready(c->mail->body, NULL, NULL);
	if (c->read_event != NULL)
		event_free(c->read_event);
	if (c->write_event != NULL)
		event_free(c->write_event);
	event_free(c->over_event);
	if (c->fd != -1)
		close(c->fd);
	evbuffer_free(c->out);
	reply_reset(&c->reply);
	verdict_drop(c->why);
	login_free(c->login);
	if (c->password != NULL)
		explicit_bzero(c->password, strlen(c->password));
	free(c->user);
	free(c->password);
	free(c);
}

void
client_set_source(struct client *c, const char *ipv4, const char *ipv6)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&c->source;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&c->source;

	memset(&c->source, 0, sizeof(c->source));
	if (c->address.ss_family == AF_INET && inet_pton(AF_INET, ipv4, &sin->sin_addr) == 1)
		sin->sin_family = AF_INET;
	if (c->address.ss_family == AF_INET6 && inet_pton(AF_INET6, ipv6, &sin6->sin6_addr) == 1)
		sin6->sin6_family = AF_INET6;
}

void
client_set_login(struct client *c, const char *user, const char *password)
{
	c->user = alloc_text(user);
	c->password = alloc_text(password);
}

void
client_quit(struct client *c)
{
	if (c->fd != -1 && c->step == STEP_IDLE && !c->over)
		(void)send(c->fd, "QUIT\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
	client_free(c);
}

void
client_send(struct client *c, struct client_mail *m, client_done_fn *done, void *arg)
{
	c->mail = m;
	c->done = done;
	c->done_arg = arg;
	c->on_lost = NULL;
	c->count++;
	c->replies = 0;
	c->n_live = 0;
	c->content = CONTENT_NONE;
	c->text_kept = 0;
	c->stale = c->spent = false;
	body_set_ready(m->body, on_content_ready, c);
	timer_start(&c->total, TOTAL_MS);
	if (c->over) {
		/* It was lost while nobody looked: reported as its end, which is already on its way. */
		c->stale = true;
		c->end = CLIENT_FAILED;
		c->why = verdict_new(JOB_DEFERRED, true, c->host, 0, "4.4.2", "connection closed while it was kept");
		return;
	}
	if (c->read_event == NULL) {
		client_connect(c);
		return;
	}
	client_begin(c);
	if (!c->over)
		client_pump(c);
}

void
client_set_lmtp(struct client *c, bool lmtp)
{
	c->lmtp = lmtp;
}

void
client_set_connected(struct client *c, int fd)
{
	c->fd = fd;
}

void
client_set_lost(struct client *c, client_lost_fn *lost, void *arg)
{
	c->on_lost = lost;
	c->lost_arg = arg;
}

struct verdict *
client_why(const struct client *c)
{
	return c->why;
}

bool
client_is_used_up(const struct client *c)
{
	return c->stale || c->spent;
}

void
client_set_ipv4_left(struct client *c, bool left)
{
	c->ipv4_left = left;
}

bool
client_refused_ipv6(const struct client *c)
{
	return c->refused_ipv6;
}

int
client_family(const struct client *c)
{
	return c->address.ss_family;
}

int
client_connect_error(const struct client *c)
{
	return c->connect_error;
}

bool
client_may_go_on(const struct client *c)
{
	return c->offers.mail_max == 0 || c->transactions < c->offers.mail_max;
}

unsigned
client_count(const struct client *c)
{
	return c->count;
}
