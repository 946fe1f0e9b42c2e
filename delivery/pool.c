/*
 * Decides who gets a connection when, and how long one is kept idle. Does not know what is sent over it, nor where a
 * next hop is. Called by agent.c.
 *
 * First come, first served, except that who waits for a next hop at its limit lets others pass.
 */
#include "delivery/pool.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <uthash.h>

#include "delivery/client.h"
#include "lib/clock.h"
#include "lib/log.h"

#define IDLE_MS		5000		/* a kept connection costs the other side a process, often */
#define MESSAGES_MAX	100		/* by one connection: other senders wait for a place, too */

struct pool_idle {
	struct pool		*pool;
	struct pool_hop		*hop;
	struct client		*client;
	struct timer		 timer;
	TAILQ_ENTRY(pool_idle)	 entry;
};

struct pool_hop {
	char		*name;
	unsigned	 used, idle, waiting;	/* freed when all are zero */
	UT_hash_handle	 hh;
};

struct pool {
	struct event_base	*base;
	struct event		*turn;
	struct pool_hop		*hops;
	TAILQ_HEAD(idle_list, pool_idle) idle;		/* oldest first */
	TAILQ_HEAD(ticket_list, pool_ticket) waiting;	/* oldest first */
	uint32_t		 most, most_per_hop;
	unsigned		 used, n_idle, n_waiting;
	bool			 closed;
};

static void	on_turn(evutil_socket_t, short, void *);

struct pool *
pool_new(struct event_base *base, uint32_t most, uint32_t most_per_hop)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->turn = event_new(base, -1, 0, on_turn, p)) == NULL)
		log_fatal("event=memory where=pool");
	p->base = base;
	p->most = most > 0 ? most : 1;
	p->most_per_hop = most_per_hop > 0 ? most_per_hop : 1;
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
	if ((h = calloc(1, sizeof(*h))) == NULL || (h->name = strdup(name)) == NULL)
		log_fatal("event=memory where=pool");
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

/* ---- kept connections ---- */

/* Takes a connection out of the list; the hop stays at least until hop_release(). */
static struct client *
idle_take(struct pool *p, struct pool_idle *i)
{
	struct client *c = i->client;

	TAILQ_REMOVE(&p->idle, i, entry);
	p->n_idle--;
	i->hop->idle--;
	timer_stop(&i->timer);
	client_set_lost(c, NULL, NULL);
	free(i);
	return c;
}

static void
idle_end(struct pool_idle *i)
{
	struct pool *p = i->pool;
	struct pool_hop *h = i->hop;

	client_quit(idle_take(p, i));
	hop_release(p, h);
	event_active(p->turn, 0, 0);
}

static void
on_idle_over(void *arg)
{
	idle_end(arg);
}

static void
idle_keep(struct pool *p, struct pool_hop *h, struct client *c)
{
	struct pool_idle *i = calloc(1, sizeof(*i));

	if (i == NULL)
		log_fatal("event=memory where=pool");
	i->pool = p;
	i->hop = h;
	i->client = c;
	timer_set(&i->timer, on_idle_over, i);
	timer_start(&i->timer, IDLE_MS);
	client_set_lost(c, on_idle_over, i);
	TAILQ_INSERT_TAIL(&p->idle, i, entry);
	h->idle++;
	p->n_idle++;
}

static struct pool_idle *
idle_find(struct pool *p, const struct pool_hop *h)
{
	struct pool_idle *i;

	if (h->idle == 0)
		return NULL;
	TAILQ_FOREACH_REVERSE(i, &p->idle, idle_list, entry)
		if (i->hop == h)
			break;
	return i;
}

/* ---- who waits ---- */

/* A place for one more connection to this hop; at the total limit an idle one of another hop makes room. */
static bool
place_for(struct pool *p, const struct pool_hop *h)
{
	if (h->used + h->idle >= p->most_per_hop)
		return false;
	if (p->used + p->n_idle < p->most)
		return true;
	if (TAILQ_EMPTY(&p->idle))
		return false;
	idle_end(TAILQ_FIRST(&p->idle));
	return true;
}

static bool
ticket_serve(struct pool *p, struct pool_ticket *t)
{
	struct pool_hop *h = t->hop;
	struct pool_idle *i = idle_find(p, h);
	struct client *c = NULL;

	if (i != NULL)
		c = idle_take(p, i);
	else if (!place_for(p, h))
		return false;
	TAILQ_REMOVE(&p->waiting, t, entry);
	p->n_waiting--;
	h->waiting--;
	h->used++;
	p->used++;
	t->holds = true;
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

void
pool_ask(struct pool *p, struct pool_ticket *t, const char *hop, void (*run)(void *, struct client *), void *arg)
{
	t->hop = hop_get(p, hop);
	t->holds = false;
	t->run = run;
	t->arg = arg;
	t->hop->waiting++;
	p->n_waiting++;
	TAILQ_INSERT_TAIL(&p->waiting, t, entry);
	event_active(p->turn, 0, 0);
}

void
pool_leave(struct pool *p, struct pool_ticket *t, struct client *c)
{
	struct pool_hop *h = t->hop;

	if (h == NULL)
		return;
	if (t->holds) {
		h->used--;
		p->used--;
	} else {
		TAILQ_REMOVE(&p->waiting, t, entry);
		h->waiting--;
		p->n_waiting--;
	}
	t->hop = NULL;
	if (c != NULL && !p->closed && client_count(c) < MESSAGES_MAX)
		idle_keep(p, h, c);
	else if (c != NULL)
		client_quit(c);
	hop_release(p, h);
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
