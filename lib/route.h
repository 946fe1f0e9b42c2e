/*
 * Where a recipient's mail goes next: decided at every attempt, from the configuration of that moment. Pure.
 */
#ifndef LIB_ROUTE_H
#define LIB_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"
#include "lib/conf.h"

#define ROUTE_HOP_MAX	2800		/* CONF_HOSTS_MAX names with their ports, an address, and words */

struct route_host {
	char		name[ADDRESS_DOMAIN_MAX + 1];	/* without the brackets of an IPv6 address */
	uint16_t	port;
};

struct route {
	bool		is_relay;	/* the administrator named the hosts */
	bool		lmtp;		/* they speak LMTP */
	const char	*socket;	/* of LMTP: its path, the conf's; then there are no hosts; or NULL */
	bool		mx;		/* of which the MX records are to be asked for */
	struct route_host hosts[CONF_HOSTS_MAX];	/* in the order to try them; of a domain the one, with smtp_port */
	size_t		n;
	const struct conf_destination *section;	/* that speaks of it, or NULL: what holds for all */
};

/*
 * The name of the next hop for mail from a sender ("" null) to a domain (in A-labels or a literal); the scheduler groups by it,
 * delivery parses it: "mx:DOMAIN", or "relay:HOST:PORT,HOST:PORT" (an IPv6 host in brackets), or "relay-mx:…" where MX records
 * of the hosts count. Behind these "/to=DOMAIN" or "/from=SENDER" where the section is not to be mixed up with others for the
 * same hosts. Returns to.
 */
char	*route_hop(char to[ROUTE_HOP_MAX], const struct conf *, const char *sender, const char *domain);
/* The same for local mailboxes that are reached by LMTP: "lmtp:HOST:PORT", "lmtp:/path". Returns to. */
char	*route_hop_lmtp(char to[ROUTE_HOP_MAX], const struct conf *);
/* The same of a section with hosts. */
char	*route_hop_of(char to[ROUTE_HOP_MAX], const struct conf *, const struct conf_destination *);
/* Takes it apart. 0, or -1 for what route_hop never makes with this configuration. */
int	 route_parse(struct route *, const struct conf *, const char *hop);
/* The section of the configuration that speaks of this next hop, or NULL: what holds for all. */
const struct conf_destination *route_destination(const struct conf *, const char *hop);
/* How many connections it may have at once. */
uint32_t route_connections(const struct conf *, const char *hop);
/* Whether every domain's mail goes the same way by both. */
bool	 route_same(const struct conf *, const struct conf *);

#endif
