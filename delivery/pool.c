/*
 * Decides who gets a connection when, and how long one is kept idle. Does not know what is sent over it, nor where a
 * next hop is. Called by agent.c.
 *
 * First come, first served, except that who waits for a next hop at its limit lets others pass.
 */
#include "delivery/pool.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "delivery/client.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/hash.h"

#define IDLE_MS		5000		/* a kept connection costs the other side a process, often */
#define HOST_START	5		/* connections to an address of which nothing is known */
#define MESSAGES_MAX	100		/* by one connection: other senders wait for a place, too */

struct pool_idle {
	struct pool		*pool;
	struct pool_hop		*hop;
	struct pool_host	*host;
	struct client		*client;
	struct timer		 timer;
	TAILQ_ENTRY(pool_idle)	 entry;
};

struct pool_hop {
	char		*name;
	uint32_t	 most;
	unsigned	 used, idle, waiting;	/* freed when all are zero */
	UT_hash_handle	 hh;
};

struct host_key {			/* zeroed before it is filled in */
	struct in6_addr	 address;
	in_port_t	 port;
	sa_family_t	 family;
	uint32_t	 way;
};

struct pool_host {
	struct host_key	 key;
	uint32_t	 most, limit;		/* as configured; as experience has it */
	unsigned	 used, idle, waiting;	/* as of a hop */
	UT_hash_handle	 hh;
};

struct pool {
	struct event_base	*base;
	struct event		*turn;
	struct pool_hop		*hops;
	struct pool_host	*hosts;
	TAILQ_HEAD(idle_list, pool_idle) idle;		/* oldest first */
	TAILQ_HEAD(ticket_list, pool_ticket) waiting;	/* oldest first */
	uint32_t		 most;
	unsigned		 used, n_idle, n_waiting;
	bool			 closed;
};

static void	on_turn(evutil_socket_t, short, void *);

struct pool *
pool_new(struct event_base *base, uint32_t most)
{
	struct pool *p = alloc_new(1, sizeof(*p));

	p->turn = alloc_must(event_new(base, -1, 0, on_turn, p));
	p->base = base;
	p->most = most > 0 ? most : 1;
	TAILQ_INIT(&p->idle);
	TAILQ_INIT(&p->waiting);
	return p;
}

static struct pool_hop *
hop_get(struct pool *p, const char *name)
{
	struct pool_hop *h;

	HASH_FIND_STR(p->hops, name, h);
	if (h != NULL)
		return h;
	h = alloc_new(1, sizeof(*h));
	h->name = alloc_text(name);
	HASH_ADD_KEYPTR(hh, p->hops, h->name, strlen(h->name), h);
	return h;
}

static void
hop_release(struct pool *p, struct pool_hop *h)
{
	if (h->used + h->idle + h->waiting > 0)
		return;
	HASH_DEL(p->hops, h);
	free(h->name);
	free(h);
}

static struct host_key
host_key(const struct sockaddr_storage *address, uint32_t way)
{
	struct host_key k;

	memset(&k, 0, sizeof(k));
	k.family = address->ss_family;
	k.way = way;
	if (address->ss_family == AF_INET6) {
		k.address = ((const struct sockaddr_in6 *)address)->sin6_addr;
		k.port = ((const struct sockaddr_in6 *)address)->sin6_port;
	} else {
		memcpy(&k.address, &((const struct sockaddr_in *)address)->sin_addr, sizeof(struct in_addr));
		k.port = ((const struct sockaddr_in *)address)->sin_port;
	}
	return k;
}

static struct pool_host *
host_get(struct pool *p, const struct sockaddr_storage *address, uint32_t way)
{
	struct host_key key = host_key(address, way);
	struct pool_host *h;

	HASH_FIND(hh, p->hosts, &key, sizeof(key), h);
	if (h != NULL)
		return h;
	h = alloc_new(1, sizeof(*h));
	memcpy(&h->key, &key, sizeof(key));
	h->most = 1;
	h->limit = HOST_START;
	HASH_ADD(hh, p->hosts, key, sizeof(h->key), h);
	return h;
}

/* How many connections it may have: more with each mail that it took, half as many after each failure. */
static uint32_t
host_limit(const struct pool_host *h)
{
	return h->limit < h->most ? h->limit : h->most;
}

static void
host_release(struct pool *p, struct pool_host *h)
{
	if (h == NULL || h->used + h->idle + h->waiting > 0)
		return;
	HASH_DEL(p->hosts, h);
	free(h);
}

/* ---- kept connections ---- */

/* Takes a connection out of the list; hop and host stay at least until they are released. */
static struct client *
idle_take(struct pool *p, struct pool_idle *i)
{
	struct client *c = i->client;

	TAILQ_REMOVE(&p->idle, i, entry);
	p->n_idle--;
	i->hop->idle--;
	i->host->idle--;
	timer_stop(&i->timer);
	client_set_lost(c, NULL, NULL);
	free(i);
	return c;
}

static void
idle_end(struct pool_idle *i)
{
	struct pool *p = i->pool;
	struct pool_hop *hop = i->hop;
	struct pool_host *host = i->host;

	client_quit(idle_take(p, i));
	hop_release(p, hop);
	host_release(p, host);
	event_active(p->turn, 0, 0);
}

static void
on_idle_over(void *arg)
{
	idle_end(arg);
}

static void
idle_keep(struct pool *p, struct pool_hop *hop, struct pool_host *host, struct client *c)
{
	struct pool_idle *i = alloc_new(1, sizeof(*i));

	i->pool = p;
	i->hop = hop;
	i->host = host;
	i->client = c;
	timer_set(&i->timer, on_idle_over, i);
	timer_start(&i->timer, IDLE_MS);
	client_set_lost(c, on_idle_over, i);
	TAILQ_INSERT_TAIL(&p->idle, i, entry);
	hop->idle++;
	host->idle++;
	p->n_idle++;
}

/* One that leads to this hop, or, where that is NULL, to this host. */
static struct pool_idle *
idle_find(struct pool *p, const struct pool_hop *hop, const struct pool_host *host)
{
	struct pool_idle *i;

	if ((hop != NULL ? hop->idle : host->idle) == 0)
		return NULL;
	TAILQ_FOREACH_REVERSE(i, &p->idle, idle_list, entry)
		if (hop != NULL ? i->hop == hop : i->host == host)
			break;
	return i;
}

/* ---- who waits ---- */

/* A place for one more connection to this hop; at the total limit an idle one of another hop makes room. */
static bool
place_for(struct pool *p, const struct pool_ticket *t)
{
	struct pool_idle *i;

	if (t->hop->used >= t->hop->most || (t->host != NULL && t->host->used >= host_limit(t->host)))
		return false;
	if (t->hop->used + t->hop->idle >= t->hop->most && (i = idle_find(p, t->hop, NULL)) != NULL)
		idle_end(i);		/* who waits for a host has no use for it */
	if (p->used + p->n_idle < p->most)
		return true;
	if (TAILQ_EMPTY(&p->idle))
		return false;
	idle_end(TAILQ_FIRST(&p->idle));
	return true;
}

/* From waiting to holding. */
static void
ticket_take_place(struct pool *p, struct pool_ticket *t)
{
	TAILQ_REMOVE(&p->waiting, t, entry);
	p->n_waiting--;
	t->hop->waiting--;
	t->hop->used++;
	p->used++;
	t->holds = true;
	if (t->host != NULL) {
		t->host->waiting--;
		t->host->used++;
	}
}

/* The right becomes one to this kept connection. */
static struct client *
ticket_take_idle(struct pool *p, struct pool_ticket *t, struct pool_idle *i)
{
	struct pool_hop *hop = i->hop;
	struct client *c;

	if (t->host == NULL)
		(t->host = i->host)->used++;
	c = idle_take(p, i);
	if (hop != t->hop)
		hop_release(p, hop);
	return c;
}

/* Who waits for a host takes what leads there; who does not know yet, what leads to his hop. */
static bool
ticket_serve(struct pool *p, struct pool_ticket *t)
{
	struct pool_idle *i = idle_find(p, t->host == NULL ? t->hop : NULL, t->host);
	struct client *c = NULL;

	if (i == NULL ? !place_for(p, t) : i->hop != t->hop && t->hop->used >= t->hop->most)
		return false;
	ticket_take_place(p, t);
	if (i != NULL)
		c = ticket_take_idle(p, t, i);
	t->run(t->arg, c);
	return true;
}

/*
 * run() may ask and leave, so that no place in the list can be kept across it; but it cannot serve others, and what it
 * frees makes a further turn. So: the walk starts again after each, and ends where nobody could be served.
 */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	struct pool_ticket *t;

	(void)fd;
	(void)what;
again:
	if (p->used >= p->most)
		return;
	TAILQ_FOREACH(t, &p->waiting, entry)
		if (ticket_serve(p, t))
			goto again;
}

static void
ticket_wait(struct pool *p, struct pool_ticket *t)
{
	t->holds = false;
	t->hop->waiting++;
	if (t->host != NULL)
		t->host->waiting++;
	p->n_waiting++;
	TAILQ_INSERT_TAIL(&p->waiting, t, entry);
	event_active(p->turn, 0, 0);
}

void
pool_ask(struct pool *p, struct pool_ticket *t, const char *hop, uint32_t most, void (*run)(void *, struct client *),
    void *arg)
{
	t->hop = hop_get(p, hop);
	t->hop->most = most > 0 ? most : 1;
	t->host = NULL;
	t->run = run;
	t->arg = arg;
	ticket_wait(p, t);
}

static void
ticket_leave_host(struct pool *p, struct pool_ticket *t)
{
	if (t->host == NULL)
		return;
	t->host->used--;
	host_release(p, t->host);
	t->host = NULL;
	event_active(p->turn, 0, 0);
}

enum pool_use
pool_use_host(struct pool *p, struct pool_ticket *t, const struct sockaddr_storage *address, uint32_t way, uint32_t most,
    struct client **kept_r)
{
	struct pool_host *h = host_get(p, address, way);
	struct pool_idle *i;

	h->most = most > 0 ? most : 1;
	if (t->host == h)
		return POOL_USE_NEW;		/* what it led to until now is closed */
	ticket_leave_host(p, t);
	if ((i = idle_find(p, NULL, h)) != NULL) {
		*kept_r = ticket_take_idle(p, t, i);
		return POOL_USE_KEPT;
	}
	if (h->used >= host_limit(h))
		return POOL_USE_FULL;
	t->host = h;
	h->used++;
	return POOL_USE_NEW;
}

void
pool_ask_host(struct pool *p, struct pool_ticket *t, const struct sockaddr_storage *address, uint32_t way)
{
	ticket_leave_host(p, t);
	t->hop->used--;
	p->used--;
	t->host = host_get(p, address, way);
	ticket_wait(p, t);
}

void
pool_host_failed(struct pool_ticket *t)
{
	if (t->host != NULL)
		t->host->limit = host_limit(t->host) > 1 ? host_limit(t->host) / 2 : 1;
}

void
pool_leave(struct pool *p, struct pool_ticket *t, struct client *c)
{
	struct pool_hop *hop = t->hop;
	struct pool_host *host = t->host;

	if (hop == NULL)
		return;
	if (t->holds) {
		hop->used--;
		p->used--;
		if (host != NULL)
			host->used--;
	} else {
		TAILQ_REMOVE(&p->waiting, t, entry);
		p->n_waiting--;
		hop->waiting--;
		if (host != NULL)
			host->waiting--;
	}
	t->hop = NULL;
	t->host = NULL;
	if (c != NULL && host != NULL && host->limit < host->most)
		host->limit++;
	if (c != NULL && client_may_go_on(c) && client_count(c) < MESSAGES_MAX && (!p->closed || hop->waiting > 0))
		idle_keep(p, hop, host, c);
	else if (c != NULL)
		client_quit(c);
	hop_release(p, hop);
	host_release(p, host);
	event_active(p->turn, 0, 0);
}

void
pool_close(struct pool *p)
{
	p->closed = true;
	while (!TAILQ_EMPTY(&p->idle))
		idle_end(TAILQ_FIRST(&p->idle));
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pool_close(p);
	event_free(p->turn);
	free(p);
}

void
pool_counts(const struct pool *p, unsigned *used_r, unsigned *idle_r, unsigned *waiting_r)
{
	*used_r = p->used;
	*idle_r = p->n_idle;
	*waiting_r = p->n_waiting;
}
