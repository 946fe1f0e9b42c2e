/*
 * Who may have a connection: limits in all, per next hop and per address, connections kept for further mail, and the queue
 * of those who wait for one.
 */
#ifndef DELIVERY_POOL_H
#define DELIVERY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct client;
struct event_base;
struct pool;
struct pool_hop;
struct pool_host;

/* The right to one connection: waiting for it, or holding it. Lives inside who asks; zeroed memory is neither. */
struct pool_ticket {
	struct pool_hop		*hop;
	struct pool_host	*host;		/* where the connection leads, or is waited for; NULL: not known yet */
	bool			 holds;
	void			(*run)(void *arg, struct client *);
	void			*arg;
	TAILQ_ENTRY(pool_ticket) entry;
};

enum pool_use {
	POOL_USE_NEW,		/* there is room for one more connection */
	POOL_USE_KEPT,		/* an idle one is there, perhaps of another next hop; it is the holder's now */
	POOL_USE_FULL,		/* neither */
};

struct pool	*pool_new(struct event_base *, uint32_t most);
void		 pool_free(struct pool *);

/*
 * Asks for a connection to a next hop, which may have `most`. Leads to one run(), from the loop: with a kept client, which
 * then belongs to the holder, or with NULL, to make one after pool_use_host(). Or to pool_leave().
 */
void		 pool_ask(struct pool *, struct pool_ticket *, const char *hop, uint32_t most,
		    void (*run)(void *arg, struct client *), void *arg);
/*
 * The holder is going to connect to this address, and to no other any more; `most` is how many connections it may have. What is
 * connected, or logged in, in different ways has different numbers in `way`, and is counted and kept apart. An address of which
 * nothing is known begins with a few, and has one more for each mail that it took.
 */
enum pool_use	 pool_use_host(struct pool *, struct pool_ticket *, const struct sockaddr_storage *, uint32_t way, uint32_t most,
		    struct client **kept_r);
/* Where that was full: gives the right back, and asks again, for the time when there is room. run() as before. */
void		 pool_ask_host(struct pool *, struct pool_ticket *, const struct sockaddr_storage *, uint32_t way);
/* The connection failed, or the server wants no more: it has half as many from now on. */
void		 pool_host_failed(struct pool_ticket *);
/* Gives the right back, or stops waiting for it; a client is kept for others, NULL: it is gone. */
void		 pool_leave(struct pool *, struct pool_ticket *, struct client *);
/* Says QUIT to all that are idle; from now on one is kept only where somebody waits for it. */
void		 pool_close(struct pool *);

void		 pool_counts(const struct pool *, unsigned *used_r, unsigned *idle_r, unsigned *waiting_r);

#endif
