/*
 * Accepts connections. Decides who gets a session when there are too many: a new client takes the place of the oldest
 * that sits idle before MAIL in the most crowded network, and is told 421 when there is none. Called by the loop.
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

#include "lib/log.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"

#define ACCEPT_AT_ONCE	64		/* in one turn of the loop: others wait too */
#define PAUSE_MS	200		/* when the kernel has no memory or descriptors for us */
#define CROWDS		1024		/* counters of networks, by hash */

static const char busy[] = "421 4.3.2 Too many connections; try again later\r\n";

struct listener {
	struct smtpd	*srv;
	const char	*name;
	int		 fd;
	struct event	*event;
	struct timer	 pause;
};

/* The last word to a client for whom there is no place. */
static void
turn_away(int fd, const char *why)
{
	ssize_t n = send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

	log_info("event=turned-away reason=%s told=%s", why, n > 0 ? "yes" : "no");
	close(fd);
}

/*
 * No descriptor is left, and the connection would wake us for ever: the one in reserve is given up for as long as it
 * takes to say 421. It is a copy of a listener, since nothing can be opened in here. 0, or what is wrong; EAGAIN is
 * that nobody waits after all, which accept only tells to those who have a descriptor.
 */
static int
turn_away_with_reserve(struct listener *l)
{
	struct smtpd *srv = l->srv;
	int fd, error;

	if (srv->reserve_fd < 0)
		return EMFILE;
	close(srv->reserve_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	error = fd < 0 ? errno : 0;
	if (fd >= 0)
		turn_away(fd, "no-descriptors");
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

	event_add(l->event, NULL);
}

/* Closes the oldest idle session of the most crowded network; false when all are at work. */
static bool
evict(struct smtpd *srv)
{
	uint16_t crowd[CROWDS] = { 0 };
	struct session *s, *victim = NULL;
	int64_t now = clock_ms();

	TAILQ_FOREACH(s, &srv->sessions, next)
		if (crowd[s->network % CROWDS] < UINT16_MAX)
			crowd[s->network % CROWDS]++;
	TAILQ_FOREACH(s, &srv->sessions, next)
		if (session_evictable(s, now) &&
		    (victim == NULL || crowd[s->network % CROWDS] > crowd[victim->network % CROWDS]))
			victim = s;
	if (victim == NULL)
		return false;
	victim->parted = true;		/* idle: nothing of it is unread */
	session_end(victim, "evicted", 421, "4.3.2", "Others need this place; come back later");
	stream_go_on(victim);
	return true;
}

static void
take_connection(struct listener *l, int fd, const struct sockaddr *address)
{
	struct smtpd *srv = l->srv;

	if (srv->n_sessions - srv->n_local >= srv->process.conf->connections && !evict(srv))
		turn_away(fd, "connections");
	else
		session_new(srv, fd, address, 0, l->name);
}

/* What to do when accept fails: true to go on. */
static bool
accept_failed(struct listener *l, int error)
{
	if (error == EMFILE || error == ENFILE) {
		if ((error = turn_away_with_reserve(l)) == 0)
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
	srv->listeners = calloc(srv->n_listeners + 1, sizeof(*srv->listeners));
	if (srv->listeners == NULL)
		log_fatal("event=out-of-memory");
	for (size_t i = 0; i < srv->n_listeners; i++)
		start(srv, &srv->listeners[i], &srv->process.listeners[i]);
	srv->reserve_fd = srv->n_listeners > 0 ? fcntl(srv->listeners[0].fd, F_DUPFD_CLOEXEC, 0) : -1;
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
