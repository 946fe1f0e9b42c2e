/*
 * Which hosts in which order, and which addresses nobody should be sent to. Pure; called by mx/mx.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mx/dns_answer.h"
#include "mx/mx_order.h"

/* A shuffle is all that it is for (xorshift64*): what matters is that a test can repeat it. */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static bool
seen(const struct mx_host *hosts, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(hosts[i].name, name) == 0)
			return true;
	return false;
}

struct candidate {
	const struct dns_record	*record;
	uint64_t		 lot;		/* between equal preferences */
};

static int
compare(const void *one, const void *other)
{
	const struct candidate *a = one, *b = other;

	if (a->record->preference != b->record->preference)
		return a->record->preference < b->record->preference ? -1 : 1;
	return a->lot < b->lot ? -1 : a->lot > b->lot;
}

size_t
mx_order_hosts(struct mx_host *hosts, size_t most, const struct dns_answer *answer, uint64_t seed)
{
	struct candidate sorted[DNS_RECORDS_MAX];
	uint64_t state = seed != 0 ? seed : 1;
	size_t n = 0;

	for (size_t i = 0; i < answer->n && i < DNS_RECORDS_MAX; i++)
		sorted[i] = (struct candidate){ &answer->records[i], next_random(&state) };
	qsort(sorted, answer->n, sizeof(sorted[0]), compare);
	for (size_t i = 0; i < answer->n && n < most; i++) {
		const struct dns_record *r = sorted[i].record;

		if (r->len > DNS_NAME_MAX || !dns_name_is_host(r->bytes) || seen(hosts, n, r->bytes))
			continue;
		snprintf(hosts[n].name, sizeof(hosts[n].name), "%s", r->bytes);
		hosts[n++].preference = r->preference;
	}
	return n;
}

size_t
mx_order_cut(const struct mx_host *hosts, size_t n, const char *name)
{
	size_t self, left = 0;

	for (self = 0; self < n; self++)
		if (strcasecmp(hosts[self].name, name) == 0)
			break;
	if (self == n)
		return n;
	while (left < n && hosts[left].preference < hosts[self].preference)
		left++;
	return left;
}

/* -- addresses -- */

struct range {
	uint8_t		address[16];
	unsigned	bits;
	enum mx_reach	reach;
};

static bool
in_range(const uint8_t *address, const struct range *r)
{
	unsigned bytes = r->bits / 8, rest = r->bits % 8;

	return memcmp(address, r->address, bytes) == 0 &&
	    (rest == 0 || ((address[bytes] ^ r->address[bytes]) >> (8 - rest)) == 0);
}

/* The ranges of RFC 6890 that lead to this machine, this site or nowhere; those for documentation and benchmarks do no
 * harm and are what test networks use. */
static enum mx_reach
reach_v4(const uint8_t address[4])
{
	static const struct range ranges[] = {
		{ { 0 }, 32, MX_REACH_IMPOSSIBLE },
		{ { 0 }, 8, MX_REACH_PRIVATE },
		{ { 10 }, 8, MX_REACH_PRIVATE },
		{ { 100, 64 }, 10, MX_REACH_PRIVATE },
		{ { 127 }, 8, MX_REACH_PRIVATE },
		{ { 169, 254 }, 16, MX_REACH_PRIVATE },
		{ { 172, 16 }, 12, MX_REACH_PRIVATE },
		{ { 192, 0, 0 }, 24, MX_REACH_PRIVATE },
		{ { 192, 168 }, 16, MX_REACH_PRIVATE },
		{ { 224 }, 3, MX_REACH_IMPOSSIBLE },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (in_range(address, &ranges[i]))
			return ranges[i].reach;
	return MX_REACH_PUBLIC;
}

static enum mx_reach
reach_v6(const uint8_t address[16])
{
	static const struct range ranges[] = {
		{ { 0 }, 128, MX_REACH_IMPOSSIBLE },
		{ { [10] = 0xff, [11] = 0xff }, 96, MX_REACH_IMPOSSIBLE },	/* IPv4 mapped: no address of the wire */
		{ { 0 }, 64, MX_REACH_PRIVATE },	/* ::1, IPv4 compatible … */
		{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, MX_REACH_PRIVATE },	/* RFC 8215 */
		{ { 0xfc }, 7, MX_REACH_PRIVATE },
		{ { 0xfe, 0x80 }, 10, MX_REACH_PRIVATE },
		{ { 0xfe, 0xc0 }, 10, MX_REACH_PRIVATE },
		{ { 0xff }, 8, MX_REACH_IMPOSSIBLE },
	};
	static const struct range nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96, MX_REACH_PUBLIC };
	static const struct range six_to_four = { { 0x20, 0x02 }, 16, MX_REACH_PUBLIC };

	/* These carry an IPv4 address, which is where they lead. */
	if (in_range(address, &nat64))
		return reach_v4(address + 12);
	if (in_range(address, &six_to_four))
		return reach_v4(address + 2);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (in_range(address, &ranges[i]))
			return ranges[i].reach;
	return MX_REACH_PUBLIC;
}

enum mx_reach
mx_reach(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return reach_v4((const uint8_t *)&((const struct sockaddr_in *)sa)->sin_addr);
	if (sa->sa_family == AF_INET6)
		return reach_v6(((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr);
	return MX_REACH_IMPOSSIBLE;
}

void
mx_address_set(struct mx_address *to, int family, const void *bytes, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&to->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to->address;

	memset(&to->address, 0, sizeof(to->address));
	to->address.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&v4->sin_addr, bytes, sizeof(v4->sin_addr));
		v4->sin_port = htons(port);
		to->length = sizeof(*v4);
	} else {
		memcpy(&v6->sin6_addr, bytes, sizeof(v6->sin6_addr));
		v6->sin6_port = htons(port);
		to->length = sizeof(*v6);
	}
}

int
mx_literal_parse(struct mx_address *to, const char *text, uint16_t port)
{
	size_t len = strlen(text);
	bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']', tagged;
	char inside[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	int family;

	if (brackets) {
		text++;
		len -= 2;
	}
	tagged = brackets && len >= 5 && strncasecmp(text, "IPv6:", 5) == 0;
	if (tagged) {
		text += 5;
		len -= 5;
	}
	if (len >= sizeof(inside))
		return -1;
	memcpy(inside, text, len);
	inside[len] = '\0';
	family = tagged || strchr(inside, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, inside, bytes) != 1)
		return -1;
	mx_address_set(to, family, bytes, port);
	snprintf(to->host, sizeof(to->host), "[%s%s]", family == AF_INET6 ? "IPv6:" : "", inside);
	to->preference = 0;
	return 0;
}

static bool
same_v4(const struct sockaddr_in *a, const struct sockaddr_in *own)
{
	uint32_t address = ntohl(a->sin_addr.s_addr), ours = ntohl(own->sin_addr.s_addr);

	return a->sin_port == own->sin_port && (address == ours || (ours == INADDR_ANY && address >> 24 == 127));
}

static bool
same_v6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *own)
{
	return a->sin6_port == own->sin6_port && (IN6_ARE_ADDR_EQUAL(&a->sin6_addr, &own->sin6_addr) ||
	    (IN6_IS_ADDR_UNSPECIFIED(&own->sin6_addr) && IN6_IS_ADDR_LOOPBACK(&a->sin6_addr)));
}

bool
mx_address_is_own(const struct mx_address *a, const struct sockaddr_storage *own, size_t n_own)
{
	for (size_t i = 0; i < n_own; i++) {
		const void *one = &a->address, *other = &own[i];

		if (a->address.ss_family != own[i].ss_family)
			continue;
		if (own[i].ss_family == AF_INET ? same_v4(one, other) : same_v6(one, other))
			return true;
	}
	return false;
}

void
mx_order_share(size_t *counts, size_t n, size_t most)
{
	size_t total = 0, largest;

	for (size_t i = 0; i < n; i++)
		total += counts[i];
	for (; total > most; total--) {
		largest = 0;
		for (size_t i = 1; i < n; i++)
			if (counts[i] >= counts[largest])
				largest = i;
		counts[largest]--;
	}
}
