/*
 * The smtpd process without its start: its table of messages, what becomes of its sessions when a peer goes or the
 * whole server stops, and its status. main.c and the fuzz target run it.
 */
#include "smtpd/smtpd.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filters/chain.h"
#include "filters/memory.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "mx/dns.h"
#include "smtpd/crowd.h"
#include "smtpd/listener.h"
#include "smtpd/pretend.h"
#include "smtpd/recipient.h"
#include "smtpd/session.h"
#include "smtpd/stream.h"
#include "smtpd/tally_map.h"
#include "smtpd/transaction.h"

#define DRAIN_MS	30000		/* after STOP: for messages under way */

static void	check_drained(struct smtpd *);

/* The only place where sessions are freed. */
static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct smtpd *srv = arg;
	struct session *s;

	(void)fd;
	(void)what;
	while ((s = TAILQ_FIRST(&srv->dead)) != NULL) {
		TAILQ_REMOVE(&srv->dead, s, next);
		session_free(s);
	}
	check_drained(srv);
}

/* A program on this machine speaks SMTP over the control socket. */
static int
on_submit(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct smtpd *srv = arg;
	const struct crowd_reason *why;
	char words[200];
	struct unpack u;
	unsigned uid;

	(void)master;
	if (m->fd < 0)
		return 0;
	unpack_init(&u, m->data, m->len);
	uid = unpack_u32(&u);
	unpack_str_to(&u, words, sizeof(words));
	evutil_make_socket_nonblocking(m->fd);
	if (unpack_end(&u) && (why = crowd_admit_local(srv, uid)) != NULL) {
		log_info("event=turned-away client=\"local uid %u\" listener=control reason=%s told=%s", uid, why->word,
		    send(m->fd, why->reply, strlen(why->reply), MSG_NOSIGNAL | MSG_DONTWAIT) > 0 ? "yes" : "no");
		close(m->fd);
		return 0;
	}
	if (srv->stopping || !unpack_end(&u) || (words[0] != '\0' ? !pretend_new(srv, m->fd, words, uid) :
	    session_new(srv, m->fd, NULL, NULL, uid, "control") < 0))
		close(m->fd);
	return 0;
}

static int
on_dns(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return dns_on_answer(((struct smtpd *)arg)->dns, ipc, m);
}

static int
on_memory(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return memory_on_answer(((struct smtpd *)arg)->memory, ipc, m);
}

static int
on_callback(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return memory_on_callback(((struct smtpd *)arg)->memory, ipc, m);
}

static const struct ipc_handler handlers[] = {
	{ MSG_TRUST, recipient_on_trust },
	{ MSG_RCPT, recipient_on_rcpt },
	{ MSG_MAIL_CREDIT, transaction_on_credit },
	{ MSG_MAIL_DONE, transaction_on_done },
	{ MSG_SUBMIT, on_submit },
	{ MSG_DNS, on_dns },
	{ MSG_MEMORY, on_memory },
	{ MSG_CALLBACK, on_callback },
	{ MSG_TALLY, tally_map_on_page },
	{ MSG_TALLY_GONE, tally_map_on_gone },
	{ MSG_NONE, NULL },
};

static void
on_peer(void *arg, struct ipc *ipc)
{
	struct smtpd *srv = arg;

	if (ipc_peer(ipc) == PROC_RESOLVER)
		dns_set_ipc(srv->dns, ipc);
	else if (ipc_peer(ipc) == PROC_LOOKUP)
		memory_set_ipc(srv->memory, ipc);
}

static void
on_peer_down(void *arg, struct ipc *ipc)
{
	struct smtpd *srv = arg;

	if (ipc_peer(ipc) == PROC_RESOLVER)
		dns_ipc_down(srv->dns, ipc, process_peer(&srv->process, PROC_RESOLVER));
	else if (ipc_peer(ipc) == PROC_LOOKUP)
		memory_ipc_down(srv->memory, ipc, process_peer(&srv->process, PROC_LOOKUP));
	if (ipc_peer(ipc) == PROC_LOOKUP)
		recipient_lookup_down(arg);
	if (ipc_peer(ipc) == PROC_LOOKUP || ipc_peer(ipc) == PROC_QUEUE)
		transaction_peer_down(arg, ipc_peer(ipc));
}

/* ---- stop ---- */

static void
check_drained(struct smtpd *srv)
{
	if (!srv->stopping || srv->n_sessions > 0)
		return;
	timer_stop(&srv->drain);
	process_quit(&srv->process);
}

/* A last word, in case that they listen while they send, and a line in the log. */
static void
on_drain_over(void *arg)
{
	struct smtpd *srv = arg;
	struct session *s, *next;

	log_warn("event=stop sessions=%u what=\"cut off, their messages were not complete in time\"", srv->n_sessions);
	for (s = TAILQ_FIRST(&srv->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, next);
		s->parted = true;
		session_end(s, "stop", 421, "4.3.2", "This server is being stopped; come back soon");
		stream_go_on(s);
	}
	process_quit(&srv->process);
}

/* Sessions without a message under way end now (stream.c sees to it), the others after theirs. */
static void
on_stop(void *arg)
{
	struct smtpd *srv = arg;
	struct session *s, *next;

	srv->stopping = true;
	listener_stop(srv);
	timer_start(&srv->drain, DRAIN_MS);
	for (s = TAILQ_FIRST(&srv->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, next);
		stream_go_on(s);
	}
	check_drained(srv);
}

/* Another generation accepts now; sessions here go on as if nothing had happened. */
static void
on_drain(void *arg)
{
	listener_drain(arg);
}

static bool
is_drained(void *arg)
{
	return ((struct smtpd *)arg)->n_sessions == 0;
}

static void
on_status(void *arg, char *to, size_t size)
{
	const struct smtpd *srv = arg;
	size_t len;

	snprintf(to, size, "sessions=%u local=%u stress=%u networks=%u others=%zu memory=%llu sessions_total=%llu messages_total=%llu "
	    "refused_total=%llu turned_away_total=%llu evicted_total=%llu", srv->n_sessions, srv->n_local, srv->stress,
	    HASH_COUNT(srv->networks.by_key), srv->tallies.n_others, (unsigned long long)srv->held, (unsigned long long)srv->total_sessions,
	    (unsigned long long)srv->total_messages, (unsigned long long)srv->total_refused,
	    (unsigned long long)srv->total_turned_away, (unsigned long long)srv->total_evicted);
	len = strlen(to);
	if (srv->filters == NULL || len + 2 >= size)
		return;
	len += (size_t)snprintf(to + len, size - len, " delayed=%u delayed_total_s=%llu early_total=%llu sent_ahead_total=%llu ",
	    srv->n_delayed, (unsigned long long)srv->total_delayed_ms / 1000, (unsigned long long)srv->total_early,
	    (unsigned long long)srv->total_ahead);
	if (len < size)
		filters_status(srv->filters, to + len, size - len);
}

void
smtpd_init(struct smtpd *srv)
{
	memset(srv, 0, sizeof(*srv));
	TAILQ_INIT(&srv->sessions);
	TAILQ_INIT(&srv->dead);
	srv->reserve_fd = -1;
	timer_set(&srv->drain, on_drain_over, srv);
	srv->process.handlers = handlers;
	srv->process.on_peer = on_peer;
	srv->process.on_peer_down = on_peer_down;
	srv->process.on_stop = on_stop;
	srv->process.on_drain = on_drain;
	srv->process.is_drained = is_drained;
	srv->process.on_status = on_status;
	srv->process.arg = srv;
}

void
smtpd_start(struct smtpd *srv)
{
	char err[512];

	srv->reap = alloc_must(event_new(srv->process.base, -1, 0, on_reap, srv));
	srv->dns = dns_new_client(srv->process.base);
	srv->memory = memory_new_client();
	if (srv->process.conf->filters && (srv->filters = filters_new(srv->process.conf, srv->dns, srv->memory, err,
	    sizeof(err))) == NULL)
		log_fatal("event=start-failed what=%s", logq(err));
}
