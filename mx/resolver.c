/*
 * The direct face of mx/dns.h: asks DNS servers over c-ares, with a cache. The only code that knows c-ares.
 *
 * What c-ares is used for is sending, repeating, other servers and TCP. Queries are built here, so that each has a
 * random id of its own whatever c-ares would choose and asks for the AD bit; answers are read by mx/dns_answer.c.
 * A query on the wire belongs to all who ask the same; who cancels or has waited long enough leaves it, for c-ares can
 * only cancel everything at once. Its callbacks may come from inside the call, so they only put the query on a list.
 */
#define CARES_NO_DEPRECATED	/* ares_send() and friends: the newer ones are not in 1.18 */
#include <ares.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/util.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/time.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "mx/dns_cache.h"
#include "mx/dns_face.h"

#define TRY_MS			1500	/* doubled for each round: with one server 1.5, 3, 6 and 12 s */
#define TRIES			4
#define WIRE_MAX		2000	/* queries on the wire at once: dead domains must not hold up the others */
#define BURST			100	/* queries sent in … */
#define BURST_MS		2	/* … this time: 300 at once overrun a socket's default buffer */
#define QUERIES_MAX		20000	/* with those that wait for their turn */
#define SERVERS_MAX		8
#define MEMORY_NEEDED		(1U << 20)	/* must be there for a question to be begun … */
#define MEMORY_EVERY		8		/* … looked at at every so manieth */
#define CHANNEL_QUERIES		500	/* then a new one, with other source ports … */
#define CHANNEL_MS		60000	/* … or after this long */

struct direct {
	struct dns		 dns;
	struct event_base	*base;
	char			*servers;	/* "address:port,…" */
	int			 n_servers;
	bool			 trusted;	/* all are on loopback: their AD bit means something */
	struct dns_cache	*cache;
	struct query		*open;		/* by key: on the wire or waiting */
	size_t			 on_wire;
	TAILQ_HEAD(, query)	 waiting;	/* for their turn */
	struct timer		 burst_timer;
	unsigned		 burst;		/* sent since it was last due */
	unsigned		 asked;
	bool			 starved;	/* the system had no memory for the last question */
	TAILQ_HEAD(, query)	 ready;		/* answered, to be delivered by the loop */
	struct timer		 ready_timer;
	struct channel		*channel;	/* for new queries */
	LIST_HEAD(, channel)	 channels;	/* that one and those that wait for their last answers */
};

struct channel {
	struct direct		*direct;
	ares_channel		 ares;
	LIST_ENTRY(channel)	 link;
	LIST_HEAD(, watch)	 watches;
	struct timer		 timer;		/* of c-ares; at the end: to be freed from the loop */
	int64_t			 since_ms;
	unsigned		 asked, waiting;
};

struct watch {				/* a socket of c-ares */
	struct channel		*channel;
	struct event		*event;
	ares_socket_t		 fd;
	LIST_ENTRY(watch)	 link;
};

struct query {
	struct direct		*direct;
	struct channel		*channel;	/* NULL: waiting for its turn */
	TAILQ_HEAD(, asker)	 askers;
	TAILQ_ENTRY(query)	 link;		/* of waiting, later of ready */
	struct dns_answer	 answer;
	UT_hash_handle		 hh;
	char			 key[8 + DNS_NAME_MAX];	/* "type name" */
	char			 name[DNS_NAME_MAX + 1];
	enum dns_type		 type;
};

struct asker {
	struct dns_question	 q;
	struct query		*query;		/* NULL: the answer is at hand */
	TAILQ_ENTRY(asker)	 link;
};

/* -- sockets and timers of c-ares -- */

static void	channel_run(void *arg);

static void
channel_set_timer(struct channel *ch)
{
	struct timeval tv;

	if (ch->waiting == 0 && ch != ch->direct->channel)
		timer_start(&ch->timer, 0);
	else if (ares_timeout(ch->ares, NULL, &tv) != NULL)
		timer_start(&ch->timer, tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
	else
		timer_stop(&ch->timer);
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = ((struct watch *)arg)->channel;	/* the watch itself may go in the call */

	ares_process_fd(ch->ares, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	channel_set_timer(ch);
}

static void
watch_free(struct watch *w)
{
	LIST_REMOVE(w, link);
	event_free(w->event);
	free(w);
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = arg;
	struct watch *w;

	LIST_FOREACH(w, &ch->watches, link)
		if (w->fd == fd)
			break;
	if (w != NULL)
		watch_free(w);
	if (!readable && !writable)
		return;
	w = alloc_new(1, sizeof(*w));
	w->channel = ch;
	w->fd = fd;
	w->event = event_new(ch->direct->base, fd,
	    (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST, on_socket, w);
	if (w->event == NULL || event_add(w->event, NULL) != 0)
		log_fatal("cannot watch a DNS socket");
	LIST_INSERT_HEAD(&ch->watches, w, link);
}

/* -- channels -- */

static void
channel_free(struct channel *ch)
{
	timer_stop(&ch->timer);
	LIST_REMOVE(ch, link);
	ares_destroy(ch->ares);		/* ends its queries and closes its sockets through the callbacks */
	while (!LIST_EMPTY(&ch->watches))
		watch_free(LIST_FIRST(&ch->watches));
	free(ch);
}

static void
channel_run(void *arg)
{
	struct channel *ch = arg;

	if (ch->waiting == 0 && ch != ch->direct->channel) {
		channel_free(ch);
		return;
	}
	ares_process_fd(ch->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	channel_set_timer(ch);
}

/*
 * Every option is given, so that c-ares reads no file and a new channel can be made inside a chroot. NULL, reason in
 * err. SERVFAIL from one of several servers sends a query to the next; from the only one it is the answer.
 */
static struct channel *
channel_new(struct direct *d, char *err, size_t size)
{
	struct channel *ch = alloc_new(1, sizeof(*ch));
	struct in_addr placeholder = { htonl(INADDR_LOOPBACK) };
	char lookups[] = "b", unused[] = "invalid", *domains[] = { unused };	/* without one the host's name is asked for */
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS |
		    (d->n_servers == 1 ? ARES_FLAG_NOCHECKRESP : 0),
		.timeout = TRY_MS,
		.tries = TRIES,
		.ndots = 1,
		.servers = &placeholder,
		.nservers = 1,
		.domains = domains,
		.ndomains = 1,
		.lookups = lookups,
		.ednspsz = DNS_UDP_BYTES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = ch,
	};
	int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS |
	    ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
	int status;

#ifdef ARES_OPT_QUERY_CACHE		/* since 1.23: a cache of its own, by a clock of its own; ours is dns_cache.c */
	options.qcache_max_ttl = 0;
	given |= ARES_OPT_QUERY_CACHE;
#endif
	status = ares_init_options(&ch->ares, &options, given);
	if (status != ARES_SUCCESS) {
		snprintf(err, size, "cannot start c-ares: %s", ares_strerror(status));
		free(ch);
		return NULL;
	}
	ch->direct = d;
	ch->since_ms = clock_ms();
	timer_set(&ch->timer, channel_run, ch);
	LIST_INIT(&ch->watches);
	LIST_INSERT_HEAD(&d->channels, ch, link);
	status = ares_set_servers_ports_csv(ch->ares, d->servers);
	if (status != ARES_SUCCESS) {
		snprintf(err, size, "c-ares does not take the DNS servers %s: %s", d->servers, ares_strerror(status));
		channel_free(ch);
		return NULL;
	}
	return ch;
}

/* The channel for one more query, a new one now and then: a source port is not to be learnt for long. */
static struct channel *
channel_current(struct direct *d)
{
	struct channel *old = d->channel, *new;
	char err[256];

	if (old->asked < CHANNEL_QUERIES && clock_ms() - old->since_ms < CHANNEL_MS)
		return old;
	new = channel_new(d, err, sizeof(err));
	if (new == NULL) {
		log_warn("event=dns_channel error=%s", logq(err));
		return old;
	}
	d->channel = new;
	channel_set_timer(old);		/* goes from the loop when it has nothing to wait for */
	return new;
}

/* -- queries -- */

static void
query_free(struct query *query)
{
	dns_free_answer(&query->answer);
	free(query);
}

static void	send_waiting(struct direct *);

static void
deliver_ready(void *arg)
{
	struct direct *d = arg;
	struct query *query;
	struct asker *a;

	while ((query = TAILQ_FIRST(&d->ready)) != NULL) {
		TAILQ_REMOVE(&d->ready, query, link);
		while ((a = TAILQ_FIRST(&query->askers)) != NULL)
			dns_question_finish(&a->q, &query->answer);
		query_free(query);
	}
	send_waiting(d);
}

static enum dns_why
why_of_status(const struct direct *d, int status)
{
	switch (status) {
	case ARES_ETIMEOUT:
		return DNS_WHY_TIMED_OUT;
	case ARES_ECONNREFUSED:		/* also what older versions say when all servers answered with SERVFAIL */
		return d->n_servers == 1 ? DNS_WHY_UNREACHABLE : DNS_WHY_NO_SERVER;
	case ARES_EBADNAME:		/* newer versions have letters, digits, "-", "_", "/" and "*" only */
		return DNS_WHY_LIBRARY;
	default:
		return DNS_WHY_NONSENSE;
	}
}

/* Whether the bytes are the answer is c-ares' judgement by id, source and question; what they say is read here. */
static void
on_reply(void *arg, int status, int timeouts, unsigned char *message, int len)
{
	struct query *query = arg;
	struct direct *d = query->direct;

	(void)timeouts;
	query->channel->waiting--;
	d->on_wire--;
	if (message != NULL && len > 0)
		dns_answer_parse(&query->answer, message, (size_t)len, query->type, query->name);
	else
		dns_answer_fail(&query->answer, query->type, DNS_TEMPORARY, why_of_status(d, status));
	query->answer.secure &= d->trusted;
	HASH_DEL(d->open, query);
	if (status == ARES_EDESTRUCTION) {
		query_free(query);
		return;
	}
	dns_cache_put(d->cache, query->name, &query->answer, clock_ms());
	TAILQ_INSERT_TAIL(&d->ready, query, link);
	timer_start(&d->ready_timer, 0);
}

static uint16_t
random_id(void)
{
	uint16_t id;

	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		log_fatal("getrandom failed");
	return id;
}

static size_t
key_make(char *key, size_t size, enum dns_type type, const char *name)
{
	int len = snprintf(key, size, "%d %s", (int)type, name);

	if (key[len - 1] == '.')
		len--;
	for (int i = 0; i < len; i++)
		if (key[i] >= 'A' && key[i] <= 'Z')
			key[i] |= 0x20;
	return (size_t)len;
}

static struct query *
query_new(struct direct *d, enum dns_type type, const char *name, const char *key, size_t key_len)
{
	struct query *query = alloc_new(1, sizeof(*query));

	query->direct = d;
	query->type = type;
	snprintf(query->name, sizeof(query->name), "%s", name);
	TAILQ_INIT(&query->askers);
	memcpy(query->key, key, key_len);
	HASH_ADD(hh, d->open, key, key_len, query);
	return query;
}

static void
query_send(struct query *query)
{
	struct channel *ch = channel_current(query->direct);
	uint8_t packet[DNS_QUERY_MAX];
	size_t len = dns_query_build(packet, random_id(), query->type, query->name);

	query->channel = ch;
	query->direct->on_wire++;
	ch->asked++;
	ch->waiting++;
	ares_send(ch->ares, packet, (int)len, on_reply, query);
	channel_set_timer(ch);
}

static void
send_waiting(struct direct *d)
{
	struct query *query;

	while (d->burst < BURST && d->on_wire < WIRE_MAX && (query = TAILQ_FIRST(&d->waiting)) != NULL) {
		TAILQ_REMOVE(&d->waiting, query, link);
		if (d->burst++ == 0)
			timer_start(&d->burst_timer, BURST_MS);
		query_send(query);
	}
}

static void
burst_over(void *arg)
{
	struct direct *d = arg;

	d->burst = 0;
	send_waiting(d);
}

/* Nobody asks it any more before its turn has come. */
static void
query_drop(struct query *query)
{
	TAILQ_REMOVE(&query->direct->waiting, query, link);
	HASH_DEL(query->direct->open, query);
	query_free(query);
}

/* -- the face -- */

/*
 * Looked at now and then, and at each question while there is none: it is for a few of the largest answers. What is kept
 * gives way first.
 */
static bool
has_memory(struct direct *d)
{
	bool had = !d->starved;

	if (had && d->asked++ % MEMORY_EVERY != 0)
		return true;
	d->starved = !alloc_has(MEMORY_NEEDED);
	if (d->starved) {
		dns_cache_shrink(d->cache);
		malloc_trim(0);
	}
	if (had == d->starved)
		log_warn(d->starved ? "event=memory-low what=\"questions are put off until the system has memory again\"" :
		    "event=memory-back");
	return !d->starved;
}

static void
direct_ask(struct dns_question *q, const char *name, uint32_t deadline_ms)
{
	struct direct *d = (struct direct *)q->dns;
	struct asker *a = (struct asker *)q;
	enum dns_type type = q->answer.type;
	struct query *query = NULL;
	struct dns_answer answer;
	char key[sizeof(query->key)];
	size_t key_len = key_make(key, sizeof(key), type, name);

	(void)deadline_ms;		/* c-ares has its own, which ends queries that nobody waits for any more */
	if (dns_cache_get(d->cache, type, name, clock_ms(), &answer)) {
		dns_question_answer_later(q, &answer);
		return;
	}
	if (!has_memory(d)) {
		dns_question_fail_later(q, DNS_TEMPORARY, DNS_WHY_NO_MEMORY);
		return;
	}
	HASH_FIND(hh, d->open, key, key_len, query);
	if (query == NULL && HASH_COUNT(d->open) >= QUERIES_MAX) {
		dns_question_fail_later(q, DNS_TEMPORARY, DNS_WHY_TOO_MANY);
		return;
	}
	if (query == NULL) {
		query = query_new(d, type, name, key, key_len);
		TAILQ_INSERT_TAIL(&d->waiting, query, link);
	}
	a->query = query;
	TAILQ_INSERT_TAIL(&query->askers, a, link);
	send_waiting(d);		/* may already put it on the ready list */
}

static void
direct_forget(struct dns_question *q)
{
	struct asker *a = (struct asker *)q;

	if (a->query == NULL)
		return;
	TAILQ_REMOVE(&a->query->askers, a, link);
	if (a->query->channel == NULL && TAILQ_EMPTY(&a->query->askers))
		query_drop(a->query);
}

static void
direct_free(struct dns *dns)
{
	struct direct *d = (struct direct *)dns;
	struct query *query;

	while (!LIST_EMPTY(&d->channels))
		channel_free(LIST_FIRST(&d->channels));
	timer_stop(&d->ready_timer);
	timer_stop(&d->burst_timer);
	while ((query = TAILQ_FIRST(&d->ready)) != NULL) {
		TAILQ_REMOVE(&d->ready, query, link);
		query_free(query);
	}
	dns_cache_free(d->cache);
	ares_library_cleanup();
	free(d->servers);
	free(d);
}

/* -- servers -- */

static int
add_server(struct direct *d, const char *text, char *err, size_t size)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);
	char address[INET6_ADDRSTRLEN], *longer;
	const struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
	const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
	bool is_v4, loopback;
	unsigned port;

	if (d->n_servers == SERVERS_MAX)
		return 0;
	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&ss, &len) != 0) {
		snprintf(err, size, "\"%s\" is not a DNS server's address; expected 192.0.2.1, 192.0.2.1:53 or [::1]:53",
		    text);
		return -1;
	}
	is_v4 = ss.ss_family == AF_INET;
	port = ntohs(is_v4 ? v4->sin_port : v6->sin6_port);
	loopback = is_v4 ? ntohl(v4->sin_addr.s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	d->trusted = loopback && (d->trusted || d->n_servers == 0);
	inet_ntop(ss.ss_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, address, sizeof(address));
	longer = alloc_printf("%s%s%s%s%s:%u", d->servers != NULL ? d->servers : "", d->n_servers > 0 ? "," : "",
	    is_v4 ? "" : "[", address, is_v4 ? "" : "]", port != 0 ? port : 53);
	free(d->servers);
	d->servers = longer;
	d->n_servers++;
	return 0;
}

/* resolv.conf as c-ares reads it; without one that is a server on this machine. */
static int
add_system_servers(struct direct *d, char *err, size_t size)
{
	struct ares_addr_port_node *servers = NULL;
	char address[INET6_ADDRSTRLEN];
	ares_channel channel;
	int status = ares_init(&channel), result = 0;

	if (status == ARES_SUCCESS) {
		status = ares_get_servers_ports(channel, &servers);
		ares_destroy(channel);
	}
	if (status != ARES_SUCCESS) {
		snprintf(err, size, "cannot read which DNS servers to ask: %s", ares_strerror(status));
		return -1;
	}
	for (struct ares_addr_port_node *s = servers; s != NULL && result == 0; s = s->next) {
		inet_ntop(s->family, &s->addr, address, sizeof(address));
		result = add_server(d, address, err, size);
	}
	ares_free_data(servers);
	return result;
}

static const struct dns_face direct_face = {
	.question_size = sizeof(struct asker),
	.ask = direct_ask,
	.forget = direct_forget,
	.free = direct_free,
};

struct dns *
dns_new_direct(struct event_base *base, char *const *servers, char *err, size_t size)
{
	struct direct *d = alloc_new(1, sizeof(*d));
	int result = 0;

	dns_face_init(&d->dns, &direct_face);
	d->base = base;
	d->cache = dns_cache_new(DNS_CACHE_BYTES);
	TAILQ_INIT(&d->waiting);
	TAILQ_INIT(&d->ready);
	LIST_INIT(&d->channels);
	timer_set(&d->ready_timer, deliver_ready, d);
	timer_set(&d->burst_timer, burst_over, d);
	ares_library_init(ARES_LIB_INIT_ALL);
	if (servers == NULL || servers[0] == NULL)
		result = add_system_servers(d, err, size);
	else
		for (; *servers != NULL && result == 0; servers++)
			result = add_server(d, *servers, err, size);
	if (result == 0)
		d->channel = channel_new(d, err, size);
	if (d->channel == NULL) {
		direct_free(&d->dns);
		return NULL;
	}
	return &d->dns;
}
