/*
 * Where a recipient's mail goes next: decided at every attempt, from the configuration of that moment. Pure.
 */
#ifndef LIB_ROUTE_H
#define LIB_ROUTE_H

#include "lib/conf.h"

#define ROUTE_HOP_MAX	600

/*
 * The name of the next hop for an address; the scheduler groups by it, delivery parses it:
 * "mx:DOMAIN" or "relay:HOST:PORT" (an IPv6 host in brackets). Returns to. The domain is in A-labels or a literal.
 */
char	*route_hop(char to[ROUTE_HOP_MAX], const struct conf *, const char *domain);
/* Takes it apart. 0, or -1 for what route_hop never makes. host: ADDRESS_DOMAIN_MAX + 1 bytes, without the brackets of
 * an IPv6 relay; the MX form has port 0 (conf->smtp_port applies). */
int	 route_parse(const char *hop, char *host, int *is_relay_r, unsigned *port_r);

#endif
