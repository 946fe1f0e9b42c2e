/*
 * Who may have a connection: limits in all and per next hop, connections kept for further mail, and the queue of those
 * who wait for one.
 */
#ifndef DELIVERY_POOL_H
#define DELIVERY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct client;
struct event_base;
struct pool;
struct pool_hop;

/* The right to one connection: waiting for it, or holding it. Lives inside who asks; zeroed memory is neither. */
struct pool_ticket {
	struct pool_hop		*hop;
	bool			 holds;
	void			(*run)(void *arg, struct client *);
	void			*arg;
	TAILQ_ENTRY(pool_ticket) entry;
};

struct pool	*pool_new(struct event_base *, uint32_t most, uint32_t most_per_hop);
void		 pool_free(struct pool *);

/*
 * Asks for a connection to a next hop. Leads to one run(), from the loop: with a kept client, which then belongs to the
 * holder, or with NULL, to make one. Or to pool_leave().
 */
void		 pool_ask(struct pool *, struct pool_ticket *, const char *hop, void (*run)(void *arg, struct client *),
		    void *arg);
/* Gives the right back, or stops waiting for it; a client is kept for others, NULL: it is gone. */
void		 pool_leave(struct pool *, struct pool_ticket *, struct client *);
/* Says QUIT to all that are idle; later ones are not kept either. */
void		 pool_close(struct pool *);

void		 pool_counts(const struct pool *, unsigned *used_r, unsigned *idle_r, unsigned *waiting_r);

#endif
