/*
 * Channels between processes (lib/ipc.h): framing, gathering, descriptors, and the check of every message against the
 * table in lib/messages.h. Called by lib/process.c for children and by master; it knows no message's meaning.
 *
 * A message on the wire is a header of 16 bytes (payload length u32, type u16, descriptor u8, zero u8, id u64, all
 * little-endian) and its payload. A descriptor travels with the first byte of its message; the kernel never merges two
 * such writes in one read, so descriptors arrive in the order of the messages that announce them.
 */
#include <endian.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/pack.h"

#define HEADER_SIZE	16
#define IN_SIZE		(2 * (HEADER_SIZE + MSG_PAYLOAD_MAX))
#define FDS_MAX		16	/* received and not yet claimed: more is a peer that does not follow the rules */
#define IOV_MAX_HERE	16
#define IDLE_US		5000	/* what was sent idly waits no longer */
#define IDLE_BYTES	16384	/* and when this much waits, not at all */

enum fd_rule { NOFD, FD };

struct rule {
	enum proc_set	from, to;
	enum msg_phase	phase;
	uint32_t	least, most;
	enum fd_rule	fd;
};

static const struct rule rules[MSG_COUNT] = {
#define M(name, from, to, phase, least, most, fd) \
	[MSG_##name] = { SET_##from, SET_##to, MSG_PHASE_##phase, least, most, fd },
	MESSAGES(M)
#undef M
};

struct out_fd {
	STAILQ_ENTRY(out_fd)	next;
	uint64_t		at;	/* stream offset of its message */
	int			fd;
};

struct handler_set {
	const struct ipc_handler *table;
	void			 *arg;
};

struct ipc {
	int		 fd;
	enum proc	 self, peer;
	uint32_t	 instance;
	enum msg_phase	 phase;
	struct handler_set handlers[2];
	ipc_down_fn	*on_down;
	void		*arg;

	struct event	*readable, *writable, *turn;	/* turn: end of this turn of the loop */
	struct evbuffer	*out;
	uint64_t	 out_at;			/* stream offset of out's first byte */
	STAILQ_HEAD(, out_fd) out_fds;

	uint8_t		*in;
	size_t		 in_len;
	int		 in_fds[FDS_MAX];
	unsigned	 n_in_fds;

	bool		 postponed;			/* the end of a turn, once, behind what else is to be done in it */
	bool		 down, dispatching, freed;
	char		 reason[256];
};

static void	on_readable(evutil_socket_t, short, void *);
static void	on_writable(evutil_socket_t, short, void *);
static void	on_turn(evutil_socket_t, short, void *);

struct ipc *
ipc_new(struct event_base *base, int fd, enum proc self, enum proc peer, uint32_t instance,
    const struct ipc_handler *handlers, ipc_down_fn *on_down, void *arg)
{
	struct ipc *ipc = alloc_new(1, sizeof(*ipc));

	ipc->in = alloc_raw(IN_SIZE);
	ipc->out = alloc_must(evbuffer_new());
	evutil_make_socket_nonblocking(fd);
	ipc->fd = fd;
	ipc->self = self;
	ipc->peer = peer;
	ipc->instance = instance;
	ipc->phase = MSG_PHASE_RUN;
	ipc->handlers[0] = (struct handler_set){ handlers, arg };
	ipc->on_down = on_down;
	ipc->arg = arg;
	STAILQ_INIT(&ipc->out_fds);
	ipc->readable = alloc_must(event_new(base, fd, EV_READ | EV_PERSIST, on_readable, ipc));
	ipc->writable = alloc_must(event_new(base, fd, EV_WRITE, on_writable, ipc));
	ipc->turn = alloc_must(event_new(base, -1, 0, on_turn, ipc));
	event_add(ipc->readable, NULL);
	return ipc;
}

void
ipc_add_handlers(struct ipc *ipc, const struct ipc_handler *table, void *arg)
{
	ipc->handlers[1] = (struct handler_set){ table, arg };
}

void
ipc_set_arg(struct ipc *ipc, void *arg)
{
	ipc->handlers[0].arg = arg;
}

void
ipc_set_phase(struct ipc *ipc, enum msg_phase phase)
{
	ipc->phase = phase;
}

void
ipc_free(struct ipc *ipc)
{
	struct out_fd *o;

	if (ipc == NULL)
		return;
	if (ipc->dispatching) {
		ipc->freed = ipc->down = true;
		return;
	}
	event_free(ipc->readable);
	event_free(ipc->writable);
	event_free(ipc->turn);
	while ((o = STAILQ_FIRST(&ipc->out_fds)) != NULL) {
		STAILQ_REMOVE_HEAD(&ipc->out_fds, next);
		close(o->fd);
		free(o);
	}
	for (unsigned i = 0; i < ipc->n_in_fds; i++)
		if (ipc->in_fds[i] >= 0)
			close(ipc->in_fds[i]);
	evbuffer_free(ipc->out);
	free(ipc->in);
	close(ipc->fd);
	free(ipc);
}

enum proc
ipc_peer(const struct ipc *ipc)
{
	return ipc->peer;
}

uint32_t
ipc_instance(const struct ipc *ipc)
{
	return ipc->instance;
}

#ifdef PUPPET
int
ipc_fd(const struct ipc *ipc)
{
	return ipc->fd;
}
#endif

size_t
ipc_pending(const struct ipc *ipc)
{
	return evbuffer_get_length(ipc->out);
}

int
ipc_fail(struct ipc *ipc, const char *fmt, ...)
{
	va_list ap;

	if (ipc->down)
		return -1;
	va_start(ap, fmt);
	vsnprintf(ipc->reason, sizeof(ipc->reason), fmt, ap);
	va_end(ap);
	ipc->down = true;
	event_del(ipc->readable);
	event_del(ipc->writable);
	event_active(ipc->turn, 0, 0);
	return -1;
}

/* ---- sending ---- */

static void
queue_fd(struct ipc *ipc, int fd)
{
	struct out_fd *o = alloc_raw(sizeof(*o));

	o->at = ipc->out_at + evbuffer_get_length(ipc->out);
	o->fd = fd;
	STAILQ_INSERT_TAIL(&ipc->out_fds, o, next);
}

/* Puts it behind what waits already; false when the channel is dead. */
static bool
gather(struct ipc *ipc, enum msg type, uint64_t id, const void *data, size_t len, int fd)
{
	uint8_t header[HEADER_SIZE] = { 0 };
	struct evbuffer_iovec pieces[2] = { { header, sizeof(header) }, { (void *)data, len } };
	uint32_t n = htole32((uint32_t)len);
	uint16_t t = htole16((uint16_t)type);
	uint64_t i = htole64(id);

	if (ipc->down) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (len > MSG_PAYLOAD_MAX)
		log_fatal("event=bug what=\"%s with %zu bytes\"", msg_name(type), len);
	if (fd >= 0)
		queue_fd(ipc, fd);
	memcpy(header, &n, 4);
	memcpy(header + 4, &t, 2);
	header[6] = fd >= 0;
	memcpy(header + 8, &i, 8);
	/* Both or none: a header alone would garble the last words that still follow it. */
	if (evbuffer_add_iovec(ipc->out, pieces, 2) != sizeof(header) + len)
		log_fatal("event=out-of-memory");
	if (evbuffer_get_length(ipc->out) > IPC_OUT_MAX)
		ipc_fail(ipc, "does not read: %zu bytes wait for it", evbuffer_get_length(ipc->out));
	return !ipc->down;
}

void
ipc_send(struct ipc *ipc, enum msg type, uint64_t id, const void *data, size_t len, int fd)
{
	if (gather(ipc, type, id, data, len, fd))
		event_active(ipc->turn, 0, 0);
}

void
ipc_send_idly(struct ipc *ipc, enum msg type, uint64_t id, const void *data, size_t len)
{
	static const struct timeval idle = { .tv_usec = IDLE_US };

	if (!gather(ipc, type, id, data, len, -1))
		return;
	if (evbuffer_get_length(ipc->out) > IDLE_BYTES)
		event_active(ipc->turn, 0, 0);
	else if (!event_pending(ipc->turn, EV_TIMEOUT, NULL))
		event_add(ipc->turn, &idle);
}

void
ipc_send_pack(struct ipc *ipc, enum msg type, uint64_t id, struct pack *p, int fd)
{
	ipc_send(ipc, type, id, p->data, p->len, fd);
	p->len = 0;
}

/* How many bytes may go in the next sendmsg, and with which descriptor, if any. */
static size_t
next_span(struct ipc *ipc, struct out_fd **with_r)
{
	struct out_fd *first = STAILQ_FIRST(&ipc->out_fds), *limit = first;
	size_t all = evbuffer_get_length(ipc->out);

	*with_r = NULL;
	if (first != NULL && first->at == ipc->out_at) {
		*with_r = first;
		limit = STAILQ_NEXT(first, next);
	}
	if (limit != NULL && limit->at - ipc->out_at < all)
		return (size_t)(limit->at - ipc->out_at);
	return all;
}

/* One sendmsg. Bytes sent, 0 when the kernel takes no more now, -1 when the peer is gone. */
static ssize_t
send_once(struct ipc *ipc)
{
	struct evbuffer_iovec vec[IOV_MAX_HERE];
	struct iovec iov[IOV_MAX_HERE];
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { 0 };
	struct msghdr mh = { .msg_iov = iov };
	struct out_fd *with;
	size_t span = next_span(ipc, &with), sum = 0;
	int n = evbuffer_peek(ipc->out, (ev_ssize_t)span, NULL, vec, IOV_MAX_HERE);
	ssize_t sent;

	for (int i = 0; i < n && i < IOV_MAX_HERE && sum < span; i++, mh.msg_iovlen++) {
		iov[i].iov_base = vec[i].iov_base;
		iov[i].iov_len = vec[i].iov_len < span - sum ? vec[i].iov_len : span - sum;
		sum += iov[i].iov_len;
	}
	if (with != NULL) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = sizeof(control.bytes);
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), &with->fd, sizeof(int));
	}
	sent = sendmsg(ipc->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS ? 0 : -1;
	if (with != NULL && sent > 0) {
		STAILQ_REMOVE_HEAD(&ipc->out_fds, next);
		close(with->fd);
		free(with);
	}
	evbuffer_drain(ipc->out, (size_t)sent);
	ipc->out_at += (uint64_t)sent;
	return sent;
}

static void
send_pending(struct ipc *ipc)
{
	ssize_t sent;

	while (!ipc->down && evbuffer_get_length(ipc->out) > 0) {
		sent = send_once(ipc);
		if (sent < 0) {
			/* Its last words may still wait to be read: the end is found there. */
			evbuffer_drain(ipc->out, evbuffer_get_length(ipc->out));
		} else if (sent == 0) {
			event_add(ipc->writable, NULL);
			return;
		}
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_pending(arg);
}

/* What is still to be done in this turn may have more to send. */
static bool
others_are_due(const struct ipc *ipc)
{
	return event_base_get_num_events(event_get_base(ipc->turn), EVENT_BASE_COUNT_ACTIVE) > 0;
}

/* The end of a turn: what was gathered leaves; or, for a dead channel, its owner is told and it is freed. */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct ipc *ipc = arg;

	(void)fd;
	(void)what;
	if (!ipc->down && !ipc->postponed && others_are_due(ipc)) {
		ipc->postponed = true;
		event_active(ipc->turn, 0, 0);
		return;
	}
	ipc->postponed = false;
	if (!ipc->down) {
		send_pending(ipc);
		return;
	}
	ipc->on_down(ipc->arg, ipc, ipc->reason);
	ipc_free(ipc);
}

void
ipc_flush(struct ipc *ipc, int timeout_ms)
{
	struct pollfd p = { .fd = ipc->fd, .events = POLLOUT };

	send_pending(ipc);
	while (!ipc->down && evbuffer_get_length(ipc->out) > 0 && poll(&p, 1, timeout_ms) > 0)
		send_pending(ipc);
}

/* ---- receiving ---- */

static const struct handler_set *
find_handler(const struct ipc *ipc, enum msg type, ipc_handler_fn **run_r)
{
	for (unsigned s = 0; s < 2; s++) {
		const struct ipc_handler *h = ipc->handlers[s].table;

		for (; h != NULL && h->type != MSG_NONE; h++)
			if (h->type == type) {
				*run_r = h->run;
				return &ipc->handlers[s];
			}
	}
	return NULL;
}

/* What is wrong with a message by the table, or NULL. */
static const char *
check(const struct ipc *ipc, unsigned type, size_t len, bool with_fd)
{
	const struct rule *r;

	if (type == MSG_NONE || type >= MSG_COUNT)
		return "unknown type";
	r = &rules[type];
	if ((r->from & 1U << ipc->peer) == 0)
		return "not its message to send";
	if ((r->to & 1U << ipc->self) == 0)
		return "not for this process";
	if (r->phase != MSG_PHASE_ALWAYS && r->phase != ipc->phase)
		return "not in this phase";
	if (len < r->least || len > r->most)
		return "impossible size";
	if (with_fd != (r->fd == FD))
		return with_fd ? "descriptor where none belongs" : "descriptor missing";
	if (with_fd && ipc->n_in_fds == 0)
		return "descriptor announced and not sent";
	return NULL;
}

static int
claim_fd(struct ipc *ipc)
{
	int fd = ipc->in_fds[0];

	memmove(ipc->in_fds, ipc->in_fds + 1, --ipc->n_in_fds * sizeof(int));
	return fd;
}

/* Checks and hands over one whole message. */
static int
dispatch(struct ipc *ipc, unsigned type, bool with_fd, uint64_t id, const uint8_t *data, size_t len)
{
	struct ipc_message m = { .type = (enum msg)type, .id = id, .data = data, .len = len, .fd = -1 };
	const char *wrong = check(ipc, type, len, with_fd);
	const struct handler_set *set;
	ipc_handler_fn *run;

	if (wrong == NULL && (set = find_handler(ipc, m.type, &run)) == NULL)
		wrong = "not expected here";
	if (wrong != NULL)
		return ipc_fail(ipc, "message %s (%u) of %zu bytes: %s", msg_name((enum msg)type), type, len, wrong);
	if (with_fd && (m.fd = claim_fd(ipc)) < 0)
		log_error("event=descriptor-lost message=%s what=\"this process has no descriptor left\"", msg_name(m.type));
	if (run(set->arg, ipc, &m) != 0)
		return ipc_fail(ipc, "message %s: not acceptable", msg_name(m.type));
	return 0;
}

/* All whole messages in the buffer. */
static void
dispatch_all(struct ipc *ipc)
{
	size_t at = 0;

	while (!ipc->down && ipc->in_len - at >= HEADER_SIZE) {
		const uint8_t *h = ipc->in + at;
		uint32_t len;
		uint16_t type;
		uint64_t id;

		memcpy(&len, h, 4);
		memcpy(&type, h + 4, 2);
		memcpy(&id, h + 8, 8);
		len = le32toh(len);
		if (len > MSG_PAYLOAD_MAX || h[6] > 1 || h[7] != 0) {
			ipc_fail(ipc, "no message: a header that says %u bytes", len);
			break;
		}
		if (ipc->in_len - at < HEADER_SIZE + len)
			break;
		dispatch(ipc, le16toh(type), h[6] == 1, le64toh(id), h + HEADER_SIZE, len);
		at += HEADER_SIZE + len;
	}
	memmove(ipc->in, ipc->in + at, ipc->in_len - at);
	ipc->in_len -= at;
}

/*
 * Keeps descriptors that came along; false when there are more than any honest peer sends. One that the kernel could not
 * give us is no fault of the peer's: -1 stands in its place.
 */
static bool
keep_fds(struct ipc *ipc, struct msghdr *mh)
{
	struct cmsghdr *c;
	unsigned before = ipc->n_in_fds;
	bool ok = true;
	int fd;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (ipc->n_in_fds == FDS_MAX) {
				close(fd);
				ok = false;
			} else
				ipc->in_fds[ipc->n_in_fds++] = fd;
		}
	}
	if ((mh->msg_flags & MSG_CTRUNC) != 0) {
		if (ipc->n_in_fds > before || ipc->n_in_fds == FDS_MAX)
			return false;
		ipc->in_fds[ipc->n_in_fds++] = -1;
	}
	return ok;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc *ipc = arg;
	union { char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))]; struct cmsghdr align; } control;
	struct iovec iov = { ipc->in + ipc->in_len, IN_SIZE - ipc->in_len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ipc_fail(ipc, "closed");
		return;
	}
	if (!keep_fds(ipc, &mh)) {
		ipc_fail(ipc, "more descriptors than messages for them");
		return;
	}
	ipc->in_len += (size_t)n;
	ipc->dispatching = true;
	dispatch_all(ipc);
	ipc->dispatching = false;
	if (ipc->freed)
		ipc_free(ipc);
}
