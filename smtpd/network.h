/*
 * What is remembered of clients by network (IPv4 /24, IPv6 /64: what one attacker easily has): how many connections it
 * has now, how fast it comes, and whether mail has been taken from it before. Bounded, whatever the addresses. With other
 * processes of smtpd beside this one (tally.h) limits hold for all of them together. Pure: the time comes in as an argument.
 * Private to smtpd/.
 */
#ifndef SMTPD_NETWORK_H
#define SMTPD_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "lib/hash.h"
#include "smtpd/tally.h"

#define NETWORK_KEY	TALLY_KEY	/* family, and 3 or 8 bytes of the address */

enum network_rate {
	NETWORK_CONNECTIONS,
	NETWORK_MESSAGES,
	NETWORK_RECIPIENTS,
	NETWORK_RATES,
	NETWORK_KNOWN = NETWORK_RATES,			/* among the stamps: until when it is known */
};

struct network {
	UT_hash_handle		 hh;
	TAILQ_ENTRY(network)	 next;			/* only while it has no connection */
	struct networks		*of;
	uint8_t			 key[NETWORK_KEY];
	unsigned		 connections;		/* to this process */
	/* When all that came would have come at the permitted pace; how long it is known, for mail that was taken, 0 not yet. */
	int64_t			 stamp_us[TALLY_STAMPS];
};

TAILQ_HEAD(network_list, network);

struct networks {
	struct network		*by_key;
	struct network_list	 strangers, known;	/* without a connection, longest ago first */
	size_t			 n_strangers, n_known, most;
	struct tallies		*tallies;		/* NULL: this process is alone */
};

/*
 * `most` bounds each kind of those without a connection; those with one are as many as there are connections. The tallies
 * are borrowed; NULL where no other process counts.
 */
void	networks_init(struct networks *, size_t most, struct tallies *);
void	networks_free(struct networks *);

/* A process that counted with this one has ended: what its page says of paces and of who is known holds here. */
void	networks_inherit(struct networks *, const struct tally_page *, int64_t now_ms);

/* A connection from there; the network stays until network_leave(). NULL: no memory. */
struct network *network_enter(struct networks *, const struct sockaddr *, int64_t now_ms);
void	network_leave(struct networks *, struct network *, int64_t now_ms);
/* Its connections to all processes of smtpd. */
uint64_t network_connections(const struct network *);

/*
 * One more of that, if the pace allows: per_minute at once, and then as many a minute. 0 per minute: no limit. What is
 * not allowed is not counted.
 */
bool	network_take(struct network *, enum network_rate, uint32_t per_minute, int64_t now_ms);
/* Mail was taken from it: for a day its clients are no strangers. */
void	network_vouch(struct network *, int64_t now_ms);
bool	network_known(const struct network *, int64_t now_ms);

#endif
