/*
 * Addresses turned round for DNS (filters/reverse.h). Called by iprev and dnsbl; what is asked with the names, and
 * whether an address may be asked about at all, is decided there.
 */
#include "filters/reverse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static struct reverse_address
from_ipv6(const struct in6_addr *in6)
{
	struct reverse_address a = { .len = 16 };

	if (IN6_IS_ADDR_V4MAPPED(in6)) {
		a.len = 4;
		memcpy(a.bytes, in6->s6_addr + 12, 4);
	} else {
		memcpy(a.bytes, in6->s6_addr, 16);
	}
	return a;
}

struct reverse_address
reverse_address_of(const struct sockaddr *sa)
{
	struct reverse_address a = { .len = 0 };
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	if (sa->sa_family == AF_INET) {
		memcpy(&sin, sa, sizeof(sin));
		a.len = 4;
		memcpy(a.bytes, &sin.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&sin6, sa, sizeof(sin6));
		a = from_ipv6(&sin6.sin6_addr);
	}
	return a;
}

int
reverse_address_parse(struct reverse_address *a, const char *text)
{
	char bare[INET6_ADDRSTRLEN + 2];
	struct in6_addr in6;
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(bare))
		return -1;
	memcpy(bare, text, len);
	bare[len] = '\0';
	*a = (struct reverse_address){ .len = 4 };
	if (inet_pton(AF_INET, bare, a->bytes) == 1)
		return 0;
	if (inet_pton(AF_INET6, bare, &in6) != 1)
		return -1;
	*a = from_ipv6(&in6);
	return 0;
}

int
reverse_name(char *to, size_t size, const struct reverse_address *a, const char *zone)
{
	char labels[16 * 4 + 1];
	size_t len = 0;
	int n;

	if (a->len == 0)
		return -1;
	for (size_t i = a->len; i-- > 0; )
		len += (size_t)(a->len == 4 ? snprintf(labels + len, sizeof(labels) - len, "%u.", a->bytes[i]) :
		    snprintf(labels + len, sizeof(labels) - len, "%x.%x.", a->bytes[i] & 0xfu, a->bytes[i] >> 4));
	n = snprintf(to, size, "%s%s", labels, zone);
	return n >= 0 && (size_t)n < size ? 0 : -1;
}
