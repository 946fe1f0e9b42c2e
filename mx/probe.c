/*
 * One callback (mx/probe.h): finds the hosts, connects to one after the other, carries commands and replies between the
 * socket and probe_steps.c, which decides. Whatever a server does, there is one answer, within PROBE_MS. Called by delivery
 * (for lookup) and by minimtactl (for itself).
 */
#include "mx/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/ids.h"
#include "lib/reply.h"
#include "lib/route.h"
#include "mx/mx_order.h"

#define CONNECT_MS	8000		/* for one address: there may be another one */
#define CONNECTIONS_MAX	4		/* of one callback */

struct probe {
	struct event_base	*base;
	struct dns		*dns;
	struct address		 address;
	struct route		 route;
	struct mx_options	 options;
	size_t			 host_at;	/* of the route: looked up next */
	struct mx_lookup	*lookup;
	struct mx_list		 found;
	size_t			 at;		/* of found: tried next */
	unsigned		 connections;
	int			 fd;
	bool			 connected;
	struct event		*read_event, *write_event, *over_event;
	struct timer		 connecting, total;
	struct reply		 reply;
	struct probe_steps	 steps;
	struct probe_answer	 answer;
	bool			 over;
	probe_done_fn		*done;
	void			*arg;
};

static void	probe_next_host(struct probe *);

/* ---- the end ---- */

static void
hang_up(struct probe *p)
{
	if (p->read_event != NULL)
		event_free(p->read_event);
	if (p->write_event != NULL)
		event_free(p->write_event);
	p->read_event = p->write_event = NULL;
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
	p->connected = false;
	timer_stop(&p->connecting);
	reply_reset(&p->reply);
}

void
probe_cancel(struct probe *p)
{
	if (p == NULL)
		return;
	hang_up(p);
	mx_cancel(p->lookup);
	timer_stop(&p->total);
	event_free(p->over_event);
	free(p);
}

static void
on_over(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;
	struct probe_answer answer = p->answer;
	probe_done_fn *done = p->done;
	void *done_arg = p->arg;

	(void)fd;
	(void)what;
	probe_cancel(p);
	done(done_arg, &answer);
}

static void
probe_over(struct probe *p)
{
	if (p->over)
		return;
	p->over = true;
	hang_up(p);
	timer_stop(&p->total);
	event_active(p->over_event, 0, 0);
}

/* Nothing was found out with this host, and perhaps not with the next one either: the last word stands. */
static void
note(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
note(struct probe *p, const char *fmt, ...)
{
	va_list ap;

	p->answer.result = PROBE_UNKNOWN;
	p->answer.code = 0;
	va_start(ap, fmt);
	vsnprintf(p->answer.text, sizeof(p->answer.text), fmt, ap);
	va_end(ap);
}

static void
on_total(void *arg)
{
	struct probe *p = arg;

	if (p->connected)
		note(p, "timed out, waiting for %s", probe_step_name(p->steps.step));
	else if (p->answer.text[0] == '\0')
		note(p, "timed out");
	mx_cancel(p->lookup);
	p->lookup = NULL;
	probe_over(p);
}

/* ---- the dialog ---- */

static void
next_address_later(struct probe *p)
{
	hang_up(p);
	probe_next_host(p);
}

/* Commands are short: what the socket does not take at once, it does not take. */
static bool
say(struct probe *p, const char *line, size_t len)
{
	return send(p->fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static void
take_reply(struct probe *p)
{
	char line[PROBE_LINE_MAX];
	size_t len = probe_steps_answer(&p->steps, &p->reply, line);

	reply_reset(&p->reply);
	if (len > 0) {
		if (!say(p, line, len)) {
			note(p, "connection lost, at %s", probe_step_name(p->steps.step));
			probe_over(p);
		}
		return;
	}
	p->answer.result = p->steps.result;
	p->answer.code = p->steps.code;
	snprintf(p->answer.text, sizeof(p->answer.text), "%s", p->steps.text);
	say(p, "QUIT\r\n", 6);		/* for its answer nobody waits */
	if (p->steps.next_host)
		next_address_later(p);
	else
		probe_over(p);
}

/* What breaks the protocol ends it: who lies about replies is not asked about addresses. */
static void
take(struct probe *p, const char *data, size_t len)
{
	size_t used;

	switch (reply_feed(&p->reply, data, len, &used)) {
	case REPLY_MORE:
		return;
	case REPLY_BAD:
		note(p, "the server breaks the protocol: %s", p->reply.why);
		probe_over(p);
		return;
	case REPLY_DONE:
		break;
	}
	if (used < len) {
		note(p, "the server breaks the protocol: it spoke before it was asked");
		probe_over(p);
		return;
	}
	take_reply(p);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), 0);
	bool greeted = p->steps.step != PROBE_GREETING;

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		take(p, data, (size_t)n);
		return;
	}
	note(p, "connection lost (%s), waiting for %s", n == 0 ? "closed" : strerror(errno), probe_step_name(p->steps.step));
	if (greeted)
		probe_over(p);
	else
		next_address_later(p);
}

/* ---- connecting ---- */

static void
on_no_connection(struct probe *p, int error)
{
	note(p, "no connection: %s", strerror(error));
	next_address_later(p);
}

static void
on_connecting(void *arg)
{
	on_no_connection(arg, ETIMEDOUT);
}

static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		on_no_connection(p, error);
		return;
	}
	timer_stop(&p->connecting);
	p->connected = true;
	event_add(p->read_event, NULL);
}

static void
name_host(struct probe *p, const struct mx_address *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v4 = a->address.ss_family == AF_INET;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&a->address;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&a->address;

	inet_ntop(a->address.ss_family, v4 ? (const void *)&sin->sin_addr : (const void *)&sin6->sin6_addr, ip, sizeof(ip));
	snprintf(p->answer.host, sizeof(p->answer.host), "%.255s [%s]:%u", a->host, ip,
	    (unsigned)ntohs(v4 ? sin->sin_port : sin6->sin6_port));
}

/* From the address that the route's section names for this family, if any. */
static int
probe_bind(const struct probe *p, int family)
{
	const struct conf_destination *d = p->route.section;
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };

	if (d != NULL && family == AF_INET && inet_pton(AF_INET, d->source_ipv4, &sin.sin_addr) == 1)
		return bind(p->fd, (struct sockaddr *)&sin, sizeof(sin));
	if (d != NULL && family == AF_INET6 && inet_pton(AF_INET6, d->source_ipv6, &sin6.sin6_addr) == 1)
		return bind(p->fd, (struct sockaddr *)&sin6, sizeof(sin6));
	return 0;
}

/* What fails at once leaves no descriptor behind: the next one's turn. */
static void
probe_connect(struct probe *p, const struct mx_address *a)
{
	p->connections++;
	name_host(p, a);
	probe_steps_init(&p->steps, p->route.section != NULL ? p->route.section->helo : p->options.hostname, &p->address,
	    id_random());
	p->fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd == -1 || probe_bind(p, a->address.ss_family) != 0 ||
	    (connect(p->fd, (const struct sockaddr *)&a->address, a->length) != 0 && errno != EINPROGRESS)) {
		note(p, "no connection: %s", strerror(errno));
		hang_up(p);
		return;
	}
	p->read_event = alloc_must(event_new(p->base, p->fd, EV_READ | EV_PERSIST, on_readable, p));
	p->write_event = alloc_must(event_new(p->base, p->fd, EV_WRITE, on_connected, p));
	event_add(p->write_event, NULL);
	timer_start(&p->connecting, CONNECT_MS);
}

/* ---- from host to host ---- */

static void
on_mx(void *arg, const struct mx_list *list)
{
	struct probe *p = arg;

	p->lookup = NULL;
	if (list->result == MX_OK)
		p->found = *list;
	else
		note(p, "%s", list->why);
	p->at = 0;
	probe_next_host(p);
}

static void
probe_lookup(struct probe *p, const struct route_host *h)
{
	struct mx_options o = p->options;
	struct mx_address literal;

	o.port = h->port;
	o.only_address = !p->route.mx || (p->route.is_relay && mx_literal_parse(&literal, h->name, h->port) == 0);
	p->found.n = 0;
	p->lookup = mx_start(p->dns, h->name, &o, PROBE_MS, on_mx, p);
}

static void
probe_next_host(struct probe *p)
{
	while (p->fd == -1 && p->at < p->found.n && p->connections < CONNECTIONS_MAX)
		probe_connect(p, &p->found.list[p->at++]);
	if (p->fd != -1)
		return;
	if (p->host_at < p->route.n && p->connections < CONNECTIONS_MAX)
		probe_lookup(p, &p->route.hosts[p->host_at++]);
	else
		probe_over(p);
}

struct probe *
probe_start(struct event_base *base, struct dns *dns, const struct address *address, const struct route *route,
    const struct mx_options *options, probe_done_fn *done, void *arg)
{
	struct probe *p = alloc_new(1, sizeof(*p));

	p->over_event = alloc_must(event_new(base, -1, 0, on_over, p));
	p->base = base;
	p->dns = dns;
	p->address = *address;
	p->route = *route;
	p->options = *options;
	p->fd = -1;
	p->done = done;
	p->arg = arg;
	reply_init(&p->reply);
	timer_set(&p->connecting, on_connecting, p);
	timer_set(&p->total, on_total, p);
	timer_start(&p->total, PROBE_MS);
	probe_next_host(p);
	return p;
}
