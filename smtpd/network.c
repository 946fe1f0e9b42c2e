/*
 * Counts and paces by network. Decides whether one more connection, message or recipient keeps within a pace, and what
 * is forgotten when there are too many networks: those that only knocked before those that brought mail. What follows
 * from it is decided by crowd.c and commands.c.
 *
 * A pace is one time stamp, as in the generic cell rate algorithm: each event moves it on by its share of a minute, and
 * an event is too early when that would lead more than a minute ahead of now. So nothing needs to be counted down, and
 * a network whose stamps lie in the past can be forgotten without any difference.
 */
#include "smtpd/network.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_US	(60 * INT64_C(1000000))
#define KNOWN_MS	(24 * 60 * 60 * INT64_C(1000))
#define FORGET_AT_ONCE	8		/* looked at each time one leaves: expiry keeps up, and no call is long */

static void
key_of(uint8_t key[NETWORK_KEY], const struct sockaddr *address)
{
	const struct sockaddr_in *four = (const void *)address;
	const struct sockaddr_in6 *six = (const void *)address;

	memset(key, 0, NETWORK_KEY);
	if (address->sa_family == AF_INET) {
		key[0] = 4;
		memcpy(key + 1, &four->sin_addr, 3);
	} else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		key[0] = 4;
		memcpy(key + 1, six->sin6_addr.s6_addr + 12, 3);
	} else if (address->sa_family == AF_INET6) {
		key[0] = 6;
		memcpy(key + 1, six->sin6_addr.s6_addr, 8);
	}
}

void
networks_init(struct networks *all, size_t most, struct tallies *tallies)
{
	*all = (struct networks){ .most = most, .tallies = tallies };
	TAILQ_INIT(&all->strangers);
	TAILQ_INIT(&all->known);
}

void
networks_free(struct networks *all)
{
	struct network *n, *next;

	HASH_ITER(hh, all->by_key, n, next) {
		HASH_DEL(all->by_key, n);
		free(n);
	}
	networks_init(all, all->most, all->tallies);
}

/* ---- what the others know ---- */

_Static_assert(NETWORK_KNOWN + 1 == TALLY_STAMPS, "a stamp for each pace, and one more");

static void
tell(const struct network *n, int64_t now_ms)
{
	struct tally t = { .connections = n->connections };

	if (n->of->tallies == NULL)
		return;
	memcpy(t.stamp_us, n->stamp_us, sizeof(t.stamp_us));
	tallies_tell(n->of->tallies, n->key, &t, now_ms * 1000);
}

/*
 * How far a pace is used up, or how long it is known, wherever that was. The latest stamp of all that can be is the
 * network's, so one clock governs it.
 */
static int64_t
stamp_anywhere(const struct network *n, unsigned stamp, int64_t most_us)
{
	struct tally others = { 0 };

	if (n->of->tallies != NULL && n->of->tallies->n_others > 0)
		tallies_ask(n->of->tallies, n->key, most_us, &others);
	return others.stamp_us[stamp] > n->stamp_us[stamp] ? others.stamp_us[stamp] : n->stamp_us[stamp];
}

/* From before it was forgotten here, or from a predecessor, who is not believed that a pace is used up for longer than can be. */
static void
recall(struct network *n, int64_t now_us)
{
	struct tally own = { 0 };

	if (n->of->tallies != NULL)
		tallies_recall(n->of->tallies, n->key, &own);
	for (int i = 0; i < TALLY_STAMPS; i++)
		if (i == NETWORK_KNOWN || own.stamp_us[i] <= now_us + MINUTE_US)
			n->stamp_us[i] = own.stamp_us[i];
}

void
networks_inherit(struct networks *all, const struct tally_page *gone, int64_t now_ms)
{
	tallies_inherit(all->tallies, gone, now_ms * 1000, (now_ms + KNOWN_MS) * 1000);
}

uint64_t
network_connections(const struct network *n)
{
	struct tally others = { 0 };

	if (n->of->tallies != NULL && n->of->tallies->n_others > 0)
		tallies_ask(n->of->tallies, n->key, 0, &others);
	return (uint64_t)n->connections + others.connections;
}

/* ---- coming and going ---- */

/* Off the list of those without a connection. */
static void
unlist(struct networks *all, struct network *n)
{
	if (n->stamp_us[NETWORK_KNOWN] > 0) {
		TAILQ_REMOVE(&all->known, n, next);
		all->n_known--;
	} else {
		TAILQ_REMOVE(&all->strangers, n, next);
		all->n_strangers--;
	}
}

static void
forget(struct networks *all, struct network *n)
{
	unlist(all, n);
	HASH_DEL(all->by_key, n);
	free(n);
}

/* Nothing of it matters any more. */
static bool
is_past(const struct network *n, int64_t now_ms)
{
	for (int i = 0; i < TALLY_STAMPS; i++)
		if (n->stamp_us[i] > now_ms * 1000)
			return false;
	return true;
}

static void
expire(struct networks *all, int64_t now_ms)
{
	struct network *n;

	for (int i = 0; i < FORGET_AT_ONCE; i++) {
		if ((n = TAILQ_FIRST(&all->strangers)) != NULL && (all->n_strangers > all->most || is_past(n, now_ms)))
			forget(all, n);
		if ((n = TAILQ_FIRST(&all->known)) != NULL && (all->n_known > all->most || is_past(n, now_ms)))
			forget(all, n);
	}
}

struct network *
network_enter(struct networks *all, const struct sockaddr *address, int64_t now_ms)
{
	uint8_t key[NETWORK_KEY];
	struct network *n;

	expire(all, now_ms);
	key_of(key, address);
	HASH_FIND(hh, all->by_key, key, sizeof(key), n);
	if (n != NULL && n->connections == 0)
		unlist(all, n);
	if (n == NULL) {
		if ((n = calloc(1, sizeof(*n))) == NULL)
			return NULL;
		n->of = all;
		memcpy(n->key, key, sizeof(key));
		recall(n, now_ms * 1000);
		HASH_ADD(hh, all->by_key, key, sizeof(n->key), n);
	}
	if (!network_known(n, now_ms))
		n->stamp_us[NETWORK_KNOWN] = stamp_anywhere(n, NETWORK_KNOWN, (now_ms + KNOWN_MS) * 1000);
	n->connections++;
	tell(n, now_ms);
	return n;
}

void
network_leave(struct networks *all, struct network *n, int64_t now_ms)
{
	n->connections--;
	tell(n, now_ms);
	if (n->connections > 0)
		return;
	if (n->stamp_us[NETWORK_KNOWN] > 0) {
		TAILQ_INSERT_TAIL(&all->known, n, next);
		all->n_known++;
	} else {
		TAILQ_INSERT_TAIL(&all->strangers, n, next);
		all->n_strangers++;
	}
	expire(all, now_ms);
}

/* ---- paces ---- */

bool
network_take(struct network *n, enum network_rate rate, uint32_t per_minute, int64_t now_ms)
{
	int64_t now_us = now_ms * 1000, due;

	if (per_minute == 0)
		return true;
	due = stamp_anywhere(n, rate, now_us + MINUTE_US);
	due = (due > now_us ? due : now_us) + MINUTE_US / per_minute;
	if (due > now_us + MINUTE_US)
		return false;
	n->stamp_us[rate] = due;
	tell(n, now_ms);
	return true;
}

void
network_vouch(struct network *n, int64_t now_ms)
{
	n->stamp_us[NETWORK_KNOWN] = (now_ms + KNOWN_MS) * 1000;
	tell(n, now_ms);
}

bool
network_known(const struct network *n, int64_t now_ms)
{
	return n->stamp_us[NETWORK_KNOWN] > now_ms * 1000;
}
