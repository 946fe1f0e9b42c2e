/*
 * A whole SMTP session against a lookup and a queue of our own, in one process. The first byte of an input chooses how
 * they behave and into what pieces the client's bytes, which are the rest, are divided. In these 0xff is a client that
 * waits for replies, 0xfe stands for some 260,000 bytes of text.
 *
 * Beside crashes, a finding is: a reply that is none; content at queue with a bare CR or LF, NUL or an unfinished last
 * line; a size that is not the content's; more than the credit; a trace field of more than its own lines; a recipient
 * without its token; and a session that stays when its client has gone.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filters/chain.h"
#include "filters/memory.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/reply.h"
#include "mx/dns.h"
#include "smtpd/crowd.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

enum behaviour {
	LOOKUP_DIES = 1,	/* at the third recipient */
	QUEUE_DIES = 2,		/* at the second end */
	QUEUE_REFUSES = 4,
	TRUSTED = 8,
	LOCAL = 16,		/* a program of this machine */
	PIECES = 32,		/* small ones */
	QUEUE_SLOW = 64,	/* gives credit when there is no more, and first next to none */
	FILTERS = 128,		/* with their defaults, and nobody who answers them; the clock runs ahead */
};

struct world {
	struct smtpd	 smtpd;
	struct conf	 conf;
	unsigned	 how;
	struct ipc	*lookup, *queue;	/* the peers' own ends */
	unsigned	 asked, ends;
	int64_t		 ahead_ms;		/* of real time */
	int		 client;
	struct reply	 reply;

	/* the message at queue */
	bool		 open;
	uint64_t	 id, size, unacknowledged;
	unsigned	 rcpts;
	uint8_t		 last;
};

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
claim(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "finding: %s\n", what);
	abort();
}

static void
silent(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* ---- lookup ---- */

static int
say_rcpt(struct world *w, struct ipc *ipc, uint64_t id, struct unpack *u)
{
	char address[1024];
	struct pack p;

	unpack_str_to(u, address, sizeof(address));
	claim(strpbrk(address, "\r\n") == NULL && strchr(address, '@') != NULL, "an address that is none");
	if ((w->how & LOOKUP_DIES) && ++w->asked == 3)
		return ipc_fail(ipc, "closed");
	pack_init(&p);
	pack_u8(&p, address[0] == 'u' ? RCPT_UNKNOWN : address[0] == 'd' ? RCPT_DENIED : address[0] == 't' ?
	    RCPT_TEMPORARY : address[0] == 'r' ? RCPT_RELAY : RCPT_LOCAL);
	pack_str(&p, "");
	pack_blob(&p, "token", 5);
	ipc_send_pack(ipc, MSG_RCPT, id, &p, -1);
	pack_free(&p);
	return 0;
}

static int
on_trust_ask(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;
	struct unpack u;
	struct pack p;

	close(m->fd);
	pack_init(&p);
	pack_u8(&p, (w->how & TRUSTED) != 0);
	pack_blob(&p, "trust", 5);
	ipc_send_pack(ipc, MSG_TRUST, m->id, &p, -1);
	pack_free(&p);
	unpack_init(&u, m->data, m->len);
	unpack_u64(&u);
	return say_rcpt(w, ipc, m->id, &u);
}

static int
on_rcpt_ask(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	unpack_u64(&u);
	return say_rcpt(arg, ipc, m->id, &u);
}

static const struct ipc_handler lookup_handlers[] = {
	{ MSG_TRUST_ASK, on_trust_ask },
	{ MSG_RCPT_ASK, on_rcpt_ask },
	{ MSG_NONE, NULL },
};

/* ---- queue ---- */

static int
on_begin(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;
	struct envelope_sender s;
	struct unpack u;

	(void)ipc;
	unpack_init(&u, m->data, m->len);
	claim(!w->open, "a message begun within another");
	claim(envelope_unpack_sender(&u, &s) == 0 && unpack_end(&u), "no sender");
	claim(strpbrk(s.address, "\r\n") == NULL, "a line end in the sender");
	envelope_free_sender(&s);
	w->open = true;
	w->id = m->id;
	w->size = w->unacknowledged = 0;
	w->rcpts = 0;
	w->last = '\n';
	return 0;
}

static int
on_rcpt(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;
	struct envelope_rcpt r;
	struct unpack u;
	size_t len;

	(void)ipc;
	unpack_init(&u, m->data, m->len);
	claim(w->open && m->id == w->id && w->size == 0, "a recipient out of place");
	claim(envelope_unpack_rcpt(&u, &r) == 0, "no recipient");
	claim(unpack_blob(&u, &len) != NULL && len == 5 && unpack_end(&u), "a recipient without its token");
	envelope_free_rcpt(&r);
	w->rcpts++;
	return 0;
}

static void
give_credit(struct world *w, struct ipc *ipc, uint64_t bytes)
{
	struct pack p;

	pack_init(&p);
	pack_u32(&p, (uint32_t)bytes);
	ipc_send_pack(ipc, MSG_MAIL_CREDIT, w->id, &p, -1);
	pack_free(&p);
	w->unacknowledged -= bytes;
}

static int
on_data(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;

	claim(w->open && m->id == w->id && w->rcpts > 0, "content out of place");
	for (size_t i = 0; i < m->len; i++) {
		claim(m->data[i] != '\0', "NUL");
		claim((w->last == '\r') == (m->data[i] == '\n') || (w->size == 0 && i == 0 && m->data[i] != '\n'),
		    "a bare CR or LF");
		w->last = m->data[i];
	}
	w->size += m->len;
	w->unacknowledged += m->len;
	claim(w->unacknowledged <= MSG_INLINE_MAX + MSG_CREDIT, "more than the credit");
	claim(w->size <= w->conf.message_size, "more than the limit");
	if ((w->how & QUEUE_SLOW) && w->unacknowledged < MSG_INLINE_MAX + MSG_CREDIT - 4096)
		return 0;
	if ((w->how & QUEUE_SLOW))
		give_credit(w, ipc, 100);
	else if (w->unacknowledged < MSG_INLINE_MAX)
		return 0;
	give_credit(w, ipc, w->unacknowledged);
	return 0;
}

/* What filters put above the trace field: whole fields of theirs. Returns what follows. */
static const char *
skip_fields(const char *head)
{
	static const char *const names[] = { "Authentication-Results: mx.example.org;", "Received-SPF: ", "X-Minimta-Score: " };
	const char *end;

	while (strncmp(head, "Received: ", 10) != 0) {
		size_t i = 0;

		while (i < 3 && strncmp(head, names[i], strlen(names[i])) != 0)
			i++;
		claim(i < 3, "a field of another name on top");
		do {
			claim((end = strstr(head, "\r\n")) != NULL, "a field without its end");
			claim(memchr(head, '\n', (size_t)(end - head)) == NULL, "a bare LF in a field");
			head = end + 2;
		} while (*head == '\t' || *head == ' ');
	}
	return head;
}

static void
check_trace(const char *head, const char *tail)
{
	const char *p;

	claim(strncmp(head, "Received: from ", 15) == 0, "a trace field of another name");
	claim(strcmp(head + strlen(head) - 4, " id ") == 0, "a trace field without its id");
	for (p = strchr(head, '\n'); p != NULL; p = strchr(p + 1, '\n'))
		claim(p[1] == '\t', "a trace field of two");
	for (p = strchr(tail, '\n'); p != NULL; p = strchr(p + 1, '\n'))
		claim(p[1] == '\t' || p[1] == '\0', "a trace field of two");
}

static int
on_end(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;
	char head[32768], tail[4096];
	struct unpack u;
	struct pack p;

	unpack_init(&u, m->data, m->len);
	claim(w->open && m->id == w->id && w->rcpts > 0, "an end out of place");
	claim(unpack_u64(&u) == w->size, "a size that is not the content's");
	unpack_u32(&u);
	unpack_str_to(&u, head, sizeof(head));
	unpack_str_to(&u, tail, sizeof(tail));
	claim(unpack_end(&u), "a malformed end");
	claim(w->last == '\n', "an unfinished line");
	check_trace(w->how & FILTERS ? skip_fields(head) : head, tail);
	w->open = false;
	if ((w->how & QUEUE_DIES) && ++w->ends == 2)
		return ipc_fail(ipc, "closed");
	pack_init(&p);
	pack_u16(&p, w->how & QUEUE_REFUSES ? 452 : 250);
	pack_str(&p, w->how & QUEUE_REFUSES ? "4.3.1 Full" : "queued");
	pack_str(&p, w->how & QUEUE_REFUSES ? "" : "ABC123");
	ipc_send_pack(ipc, MSG_MAIL_DONE, m->id, &p, -1);
	pack_free(&p);
	return 0;
}

static int
on_abort(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;

	(void)ipc;
	claim(w->open && m->id == w->id, "an abort of nothing");
	w->open = false;
	return 0;
}

static const struct ipc_handler queue_handlers[] = {
	{ MSG_MAIL_BEGIN, on_begin },
	{ MSG_MAIL_RCPT, on_rcpt },
	{ MSG_MAIL_DATA, on_data },
	{ MSG_MAIL_END, on_end },
	{ MSG_MAIL_ABORT, on_abort },
	{ MSG_NONE, NULL },
};

/* ---- the world ---- */

static void
on_far_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct world *w = arg;

	(void)reason;
	if (ipc == w->lookup)
		w->lookup = NULL;
	else
		w->queue = NULL;
}

static void
on_near_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct world *w = arg;
	struct process *p = &w->smtpd.process;

	claim(strcmp(reason, "closed") == 0, reason);
	for (unsigned i = 0; i < 2; i++)
		if (p->peers[i] == ipc)
			p->peers[i] = NULL;
	p->on_peer_down(p->arg, ipc);
}

static struct ipc *
join(struct world *w, unsigned slot, enum proc peer, const struct ipc_handler *handlers)
{
	struct process *p = &w->smtpd.process;
	int fds[2];

	claim(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "no socketpair");
	p->peers[slot] = ipc_new(p->base, fds[0], PROC_SMTPD, peer, 0, p->handlers, on_near_down, w);
	ipc_set_arg(p->peers[slot], p->arg);
	return ipc_new(p->base, fds[1], peer, PROC_SMTPD, 0, handlers, on_far_down, w);
}

static void
begin(struct world *w)
{
	static char host[] = "mx.example.org", domain[] = "example.org";
	static char *domains[] = { domain, NULL }, *none[] = { NULL };
	static struct conf_network client = { .family = AF_INET, .address = { 192, 0, 2, 1 }, .prefix = 32 };
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	int fds[2];

	w->conf = (struct conf){ .hostname = host, .domains = domains, .canonical = none, .masquerade = none, .masquerade_not = none,
	    .message_size = 600000, .header_size = 8192,
	    .recipients = 5, .errors = 20, .connections = 10, .command_timeout_ms = 300000, .data_timeout_ms = 180000,
	    .session_timeout_ms = 7200000, .hops = 5, .junk_commands = 100, .data_rate = 100, .data_rate_after_ms = 60000,
	    .header_field_size = 4096, .session_memory = 64 << 20, .network_message_rate = 1000,
	    .network_recipient_rate = 1000, .workers = 1, .filters = (w->how & FILTERS) != 0, .defer_score = 50, .refuse_score = 100,
	    .xclients = { &client, 1 } };
	if (w->how & FILTERS)			/* what comes slowly here does so by our clock */
		w->conf.data_rate = 0;
	smtpd_init(&w->smtpd);
	w->smtpd.process.conf = &w->conf;
	w->smtpd.process.base = event_base_new();
	clock_init(w->smtpd.process.base);
	smtpd_start(&w->smtpd);
	crowd_start(&w->smtpd, 0);
	w->lookup = join(w, 0, PROC_LOOKUP, lookup_handlers);
	w->queue = join(w, 1, PROC_QUEUE, queue_handlers);
	claim(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0, "no socketpair");
	w->client = fds[1];
	reply_init(&w->reply);
	if (w->how & LOCAL)
		session_new(&w->smtpd, fds[0], NULL, NULL, 1000, "fuzz");
	else
		session_new(&w->smtpd, fds[0], (struct sockaddr *)&from,
		    network_enter(&w->smtpd.networks, (struct sockaddr *)&from, clock_ms()), 0, "fuzz");
}

/* Every byte that comes back belongs to a reply. */
static bool
read_replies(struct world *w)
{
	char data[16384];
	ssize_t n = recv(w->client, data, sizeof(data), 0);
	size_t used;

	for (size_t at = 0; n > 0 && at < (size_t)n; at += used) {
		enum reply_result r = reply_feed(&w->reply, data + at, (size_t)n - at, &used);

		claim(r != REPLY_BAD, "a reply that is none");
		if (r == REPLY_DONE)
			reply_reset(&w->reply);
	}
	return n > 0;
}

/* Lets all who have something to do do it. */
static void
turn(struct world *w)
{
	for (unsigned quiet = 0; quiet < 6; quiet++) {
		event_base_loop(w->smtpd.process.base, EVLOOP_NONBLOCK);
		if (read_replies(w))
			quiet = 0;
		else if ((w->how & FILTERS) && quiet < 5)	/* longer than anybody waits, and shorter than a command may take */
			clock_shift(w->ahead_ms += 25000);
	}
}

static void
say(struct world *w, const uint8_t *data, size_t len)
{
	size_t piece = w->how & PIECES ? 7 : 3000;
	ssize_t n;

	for (unsigned stalls = 0; len > 0 && stalls < 50; data += n, len -= (size_t)n) {
		n = send(w->client, data, len < piece ? len : piece, MSG_NOSIGNAL);
		if (n <= 0) {
			n = 0;
			stalls++;
		}
		event_base_loop(w->smtpd.process.base, EVLOOP_NONBLOCK);
		read_replies(w);
	}
}

/* Enough to stream, which no input should have to hold. */
static void
say_much(struct world *w)
{
	static const char line[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
	uint8_t page[40 * (sizeof(line) - 1)];

	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (uint8_t)line[i % (sizeof(line) - 1)];
	for (unsigned i = 0; i < 100; i++)
		say(w, page, sizeof(page));
}

static void
speak(struct world *w, const uint8_t *data, size_t len)
{
	const uint8_t *end = data + len, *p;

	for (; data < end; data = p + 1) {
		for (p = data; p < end && *p != 0xff && *p != 0xfe; p++)
			;
		say(w, data, (size_t)(p - data));
		if (p == end)
			return;
		if (*p == 0xff)
			turn(w);
		else
			say_much(w);
	}
}

static void
end(struct world *w)
{
	struct session *s;

	turn(w);
	shutdown(w->client, SHUT_WR);
	turn(w);
	close(w->client);
	turn(w);
	claim(TAILQ_EMPTY(&w->smtpd.sessions), "a session without a client");
	while ((s = TAILQ_FIRST(&w->smtpd.dead)) != NULL) {
		TAILQ_REMOVE(&w->smtpd.dead, s, next);
		session_free(s);
	}
	claim(w->smtpd.held == 0, "memory that nobody holds");
	networks_free(&w->smtpd.networks);
	free(w->smtpd.reserve);
	reply_reset(&w->reply);
	ipc_free(w->lookup);
	ipc_free(w->queue);
	ipc_free(w->smtpd.process.peers[0]);
	ipc_free(w->smtpd.process.peers[1]);
	filters_free(w->smtpd.filters);
	clock_shift(0);
	dns_free(w->smtpd.dns);
	memory_free(w->smtpd.memory);
	event_free(w->smtpd.reap);
	clock_init(NULL);
	event_base_free(w->smtpd.process.base);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct world w;

	if (len < 1)
		return 0;
	memset(&w, 0, sizeof(w));
	log_set_sink(silent, NULL);
	w.how = data[0];
	begin(&w);
	turn(&w);
	speak(&w, data + 1, len - 1);
	end(&w);
	return 0;
}
