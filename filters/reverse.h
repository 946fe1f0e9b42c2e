/*
 * An address as DNS names turn it round: octets or nibbles from the last to the first, then a zone. For PTR questions
 * (RFC 1035, 3.5; RFC 3596, 2.5) and lists (RFC 5782, 2.1 and 2.4). Pure.
 */
#ifndef FILTERS_REVERSE_H
#define FILTERS_REVERSE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define REVERSE_IPV4_ZONE	"in-addr.arpa"
#define REVERSE_IPV6_ZONE	"ip6.arpa"

struct reverse_address {		/* what of an address names are made of */
	uint8_t	bytes[16];
	size_t	len;			/* 4, 16; 0: neither IPv4 nor IPv6 */
};

/* IPv4 mapped into IPv6 is taken as IPv4. */
struct reverse_address reverse_address_of(const struct sockaddr *);
/* "192.0.2.1", "2001:db8::1", also in brackets; 0 or -1. */
int	reverse_address_parse(struct reverse_address *, const char *);
/* 0, or -1 when it does not fit or there is no address. */
int	reverse_name(char *to, size_t size, const struct reverse_address *, const char *zone);

#endif
