/*
 * Accepts connections and, where crowd.c finds no place for one, says so. Decides what happens when accept fails: a
 * lack of descriptors must neither make us spin nor leave clients without an answer. Called by the loop.
 */
#include "smtpd/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "smtpd/client.h"
#include "smtpd/crowd.h"
#include "smtpd/network.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

#define ACCEPT_AT_ONCE	64		/* in one turn of the loop: others wait too */
#define PAUSE_MS	200		/* when the kernel has no memory or descriptors for us */
#define LINES_A_SECOND	20		/* about those turned away; the others are only counted */

static const struct crowd_reason no_descriptors = { "descriptors",
    "421 4.3.2 Too many connections; try again later\r\n" };
static const struct crowd_reason no_memory = { "memory", "421 4.3.2 Not enough memory; try again later\r\n" };

struct listener {
	struct smtpd	*srv;
	const char	*name;
	int		 fd;
	struct event	*event;
	struct timer	 pause;
};

/* Under a flood the log must not become one too. */
static bool
may_log(struct smtpd *srv)
{
	int64_t now = clock_ms();

	if (now - srv->turned_ms >= 1000) {
		srv->turned_ms = now;
		srv->turned_lines = 0;
	}
	if (++srv->turned_lines <= LINES_A_SECOND)
		return true;
	srv->turned_unlogged++;
	return false;
}

/* The last word to a client for whom there is no place. */
static void
turn_away(struct listener *l, int fd, const struct sockaddr *address, const struct crowd_reason *why)
{
	ssize_t n = send(fd, why->reply, strlen(why->reply), MSG_NOSIGNAL | MSG_DONTWAIT);
	struct smtpd *srv = l->srv;
	char client[56];

	close(fd);
	srv->total_turned_away++;
	if (!may_log(srv))
		return;
	client_name(client, sizeof(client), address);
	log_info("event=turned-away client=%s listener=%s reason=%s told=%s unlogged=%llu", logq(client), logq(l->name),
	    why->word, n > 0 ? "yes" : "no", (unsigned long long)srv->turned_unlogged);
	srv->turned_unlogged = 0;
}

static void
take_connection(struct listener *l, int fd, const struct sockaddr *address)
{
	const struct crowd_reason *why;
	struct network *network;

	why = crowd_admit(l->srv, address, false, &network);
	if (why == NULL && session_new(l->srv, fd, address, network, 0, l->name) < 0) {
		crowd_starve(l->srv);
		why = &no_memory;
	}
	if (why == NULL)
		return;
	turn_away(l, fd, address, why);
	if (network != NULL)
		network_leave(&l->srv->networks, network, clock_ms());
}

/*
 * No descriptor is left, and the connection would wake us for ever: the one in reserve is given up for as long as it
 * takes to find another place, or to say 421. It is a copy of a listener, since nothing can be opened in here. 0, or
 * what is wrong; EAGAIN is that nobody waits after all, which accept only tells to those who have a descriptor.
 */
static int
accept_with_reserve(struct listener *l)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	struct smtpd *srv = l->srv;
	int fd, error;

	if (srv->reserve_fd < 0)
		return EMFILE;
	close(srv->reserve_fd);
	fd = accept4(l->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	error = fd < 0 ? errno : 0;
	if (fd >= 0 && crowd_evict(srv, NULL))
		take_connection(l, fd, (struct sockaddr *)&address);
	else if (fd >= 0)
		turn_away(l, fd, (struct sockaddr *)&address, &no_descriptors);
	srv->reserve_fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
	return error;
}

static void
pause_listener(struct listener *l, const char *why)
{
	log_warn("event=accept-paused listener=%s reason=%s", l->name, logq(why));
	event_del(l->event);
	timer_start(&l->pause, PAUSE_MS);
}

static void
on_pause_over(void *arg)
{
	struct listener *l = arg;

	if (l->srv->reserve_fd < 0)
		l->srv->reserve_fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
	event_add(l->event, NULL);
}

/* What to do when accept fails: true to go on. */
static bool
accept_failed(struct listener *l, int error)
{
	if (error == EMFILE || error == ENFILE) {
		if ((error = accept_with_reserve(l)) == 0)
			return true;
	}
	switch (error) {
	case EAGAIN:
		return false;
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case EPERM:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ETIMEDOUT:
		return true;		/* of that connection, not of ours */
	default:
		pause_listener(l, strerror(error));
		return false;
	}
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage address = { 0 };
		socklen_t len = sizeof(address);
		int client = accept4(fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client >= 0)
			take_connection(l, client, (struct sockaddr *)&address);
		else if (!accept_failed(l, errno))
			return;
	}
}

static void
start(struct smtpd *srv, struct listener *l, const struct process_listener *from)
{
	int on = 1;

	l->srv = srv;
	l->fd = from->fd;
	l->name = from->name;
	evutil_make_socket_nonblocking(l->fd);
	/* Connections inherit it: replies are whole when they are written, there is nothing to gather. */
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	timer_set(&l->pause, on_pause_over, l);
	l->event = event_new(srv->process.base, l->fd, EV_READ | EV_PERSIST, on_connection, l);
	if (l->event == NULL || event_add(l->event, NULL) != 0)
		log_fatal("event=out-of-memory");
}

void
listener_start(struct smtpd *srv)
{
	srv->n_listeners = srv->process.n_listeners;
	srv->listeners = alloc_new(srv->n_listeners + 1, sizeof(*srv->listeners));
	for (size_t i = 0; i < srv->n_listeners; i++)
		start(srv, &srv->listeners[i], &srv->process.listeners[i]);
	srv->reserve_fd = srv->n_listeners > 0 ? fcntl(srv->listeners[0].fd, F_DUPFD_CLOEXEC, 0) : -1;
}

void
listener_drain(struct smtpd *srv)
{
	for (size_t i = 0; i < srv->n_listeners; i++)
		on_connection(srv->listeners[i].fd, 0, &srv->listeners[i]);
	listener_stop(srv);
}

void
listener_stop(struct smtpd *srv)
{
	for (size_t i = 0; i < srv->n_listeners; i++) {
		timer_stop(&srv->listeners[i].pause);
		event_free(srv->listeners[i].event);
		close(srv->listeners[i].fd);
	}
	if (srv->reserve_fd >= 0)
		close(srv->reserve_fd);
	srv->reserve_fd = -1;
	srv->n_listeners = 0;
	free(srv->listeners);
	srv->listeners = NULL;
}
