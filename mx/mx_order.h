/*
 * The pure half of mx/mx.h: which hosts in which order, which addresses may be connected to.
 */
#ifndef MX_MX_ORDER_H
#define MX_MX_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "mx/mx.h"

struct mx_host {
	char		name[DNS_NAME_MAX + 1];
	uint16_t	preference;
};

/* The hosts of an MX answer, sorted by preference, equal ones shuffled; names said twice count once. Returns how many
 * were written to hosts, at most `most`: the best ones. */
size_t	 mx_order_hosts(struct mx_host *hosts, size_t most, const struct dns_answer *, uint64_t seed);
/* RFC 5321, 5.1: without `name` and all that are not better than it. Returns how many are left. */
size_t	 mx_order_cut(const struct mx_host *hosts, size_t n, const char *name);

enum mx_reach {
	MX_REACH_PUBLIC,
	MX_REACH_PRIVATE,		/* of this machine or site: only if the administrator says so */
	MX_REACH_IMPOSSIBLE,		/* unspecified, multicast, broadcast: nobody's address */
};
enum mx_reach mx_reach(const struct sockaddr *);

/* "192.0.2.1", "2001:db8::1", "[192.0.2.1]", "[IPv6:2001:db8::1]". 0 or -1. */
int	 mx_literal_parse(struct mx_address *, const char *, uint16_t port);
void	 mx_address_set(struct mx_address *, int family, const void *bytes, uint16_t port);
/* Whether it is one of ours: same port, and same address or ours is the wildcard and it is loopback. */
bool	 mx_address_is_own(const struct mx_address *, const struct sockaddr_storage *own, size_t n_own);

/* Shares `most` places among n hosts: takes from the one with the most until all fit. */
void	 mx_order_share(size_t *counts, size_t n, size_t most);

#endif
