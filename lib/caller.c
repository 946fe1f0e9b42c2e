/*
 * Output to a tool (lib/caller.h): a buffer, one socket, one deadline. Decides when a reader is too
 * slow; what is said is not its business.
 */
#include "lib/caller.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"

#define FULL_BYTES	(64U * 1024)
#define PIECES		16		/* of the buffer in one call */
#define SLOW_MS		30000		/* without taking a byte of what waits for it */

struct caller {
	int		 fd;
	struct evbuffer	*out;
	struct event	*writable, *turn;
	struct timer	 slow;
	bool		 ended, lost;
	void		(*more)(void *), (*gone)(void *);
	void		*arg;
};

/* What the socket takes. */
static void
send_some(struct caller *c)
{
	struct evbuffer_iovec v[PIECES];
	struct msghdr h = { .msg_iov = v };
	ssize_t n;
	int pieces;

	while (!c->lost && (pieces = evbuffer_peek(c->out, -1, NULL, v, PIECES)) > 0) {
		h.msg_iovlen = (size_t)(pieces < PIECES ? pieces : PIECES);
		n = sendmsg(c->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			event_add(c->writable, NULL);
			return;
		}
		if (n <= 0) {
			c->lost = true;
			return;
		}
		evbuffer_drain(c->out, (size_t)n);
		timer_start(&c->slow, SLOW_MS);
	}
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	bool was_full = caller_is_full(c);

	(void)fd;
	(void)what;
	send_some(c);
	if (c->lost || (c->ended && evbuffer_get_length(c->out) == 0)) {
		c->gone(c->arg);
		caller_free(c);
	} else if (was_full && !caller_is_full(c) && c->more != NULL && !c->ended) {
		c->more(c->arg);
	}
}

/* Who has nothing to read is not slow, as long as he is there: what he asked for may take minutes. */
static void
on_slow(void *arg)
{
	struct caller *c = arg;
	struct pollfd p = { .fd = c->fd };

	if (evbuffer_get_length(c->out) == 0 && poll(&p, 1, 0) >= 0 && (p.revents & (POLLHUP | POLLERR)) == 0) {
		timer_start(&c->slow, SLOW_MS);
		return;
	}
	c->lost = true;
	event_active(c->turn, 0, 0);
}

struct caller *
caller_new(struct event_base *base, int fd, void (*more)(void *), void (*gone)(void *), void *arg)
{
	struct caller *c = alloc_new(1, sizeof(*c));

	evutil_make_socket_nonblocking(fd);
	c->out = alloc_must(evbuffer_new());
	c->writable = alloc_must(event_new(base, fd, EV_WRITE, on_turn, c));
	c->turn = alloc_must(event_new(base, -1, 0, on_turn, c));
	c->fd = fd;
	c->more = more;
	c->gone = gone;
	c->arg = arg;
	timer_set(&c->slow, on_slow, c);
	timer_start(&c->slow, SLOW_MS);
	return c;
}

void
caller_put(struct caller *c, const void *data, size_t len)
{
	if (evbuffer_add(c->out, data, len) != 0)
		log_fatal("event=out-of-memory");
	event_active(c->turn, 0, 0);
}

void
caller_say(struct caller *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (evbuffer_add_vprintf(c->out, fmt, ap) < 0)
		log_fatal("event=out-of-memory");
	va_end(ap);
	event_active(c->turn, 0, 0);
}

bool
caller_is_full(const struct caller *c)
{
	return evbuffer_get_length(c->out) >= FULL_BYTES;
}

void
caller_end(struct caller *c)
{
	c->ended = true;
	event_active(c->turn, 0, 0);
}

void
caller_free(struct caller *c)
{
	if (c == NULL)
		return;
	timer_stop(&c->slow);
	event_free(c->writable);
	event_free(c->turn);
	evbuffer_free(c->out);
	close(c->fd);
	free(c);
}
