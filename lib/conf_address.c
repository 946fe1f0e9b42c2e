/*
 * Addresses with ports, networks and hosts as they stand in the configuration. Pure, but for the parsing of numeric addresses by
 * getaddrinfo (which asks nobody). Called by conf_value.c, and conf_address() by whoever has an address of that form.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/conf_option.h"
#include "lib/log.h"

static int
resolve_numeric(struct conf_listen *l, const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	memset(l, 0, sizeof(*l));
	memcpy(&l->address, found->ai_addr, found->ai_addrlen);
	l->length = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

/* Splits "host:port" and "[host]:port" at the port. Its text in *port_r ("" when there is none). 0 or -1. */
static int
split_port(const char *text, char *host, size_t size, bool *bracket_r, const char **port_r)
{
	const char *end;

	*bracket_r = text[0] == '[';
	if (*bracket_r) {
		end = strchr(++text, ']');
		if (end == NULL || (end[1] != ':' && end[1] != '\0'))
			return -1;
		*port_r = end[1] == ':' ? end + 2 : "";
		if (end[1] == ':' && end[2] == '\0')
			return -1;
	} else {
		end = strrchr(text, ':');
		/* Several colons are an IPv6 address that lacks its brackets, or has no port. */
		if (end != NULL && strchr(text, ':') != end)
			end = NULL;
		*port_r = end != NULL ? end + 1 : "";
		if (end != NULL && end[1] == '\0')
			return -1;
		if (end == NULL)
			end = text + strlen(text);
	}
	if (end == text || (size_t)(end - text) >= size)
		return -1;
	snprintf(host, size, "%.*s", (int)(end - text), text);
	return 0;
}

static int
port_number(const char *text, unsigned least, unsigned *r)
{
	uint64_t n;

	if (conf_digits(&text, &n) != 0 || *text != '\0' || n < least || n > 65535)
		return -1;
	*r = (unsigned)n;
	return 0;
}

int
conf_address(struct conf_listen *l, const char *text, int port, char why[CONF_WHY])
{
	static const char right[] = "write an address and a port, as in 127.0.0.1:25 or [::1]:25";
	char host[128], number[16], name[64];
	const char *after;
	unsigned n = (unsigned)port;
	bool bracket;

	if (split_port(text, host, sizeof(host), &bracket, &after) != 0)
		return conf_wrong(why, "%s is not an address; %s", logq(text), right);
	if (*after == '\0' && port < 0)
		return conf_wrong(why, "%s has no port; %s", logq(text), right);
	if (*after != '\0' && port_number(after, 0, &n) != 0)
		return conf_wrong(why, "%s has an impossible port; a port is a number from 0 to 65535", logq(text));
	snprintf(number, sizeof(number), "%u", n);
	if (resolve_numeric(l, host, number) != 0)
		return conf_wrong(why, "%s is not a numeric address; %s", logq(text), right);
	if (bracket != (l->address.ss_family == AF_INET6) && *after != '\0')
		return conf_wrong(why, "%s has %s brackets; %s", logq(text), bracket ? "wrong" : "no", right);
	if (getnameinfo((struct sockaddr *)&l->address, l->length, name, sizeof(name), NULL, 0, NI_NUMERICHOST) != 0)
		return conf_wrong(why, "%s is not a numeric address; %s", logq(text), right);
	snprintf(l->name, sizeof(l->name), strchr(name, ':') != NULL ? "[%s]:%u" : "%s:%u", name, n);
	return 0;
}

/* An IPv4 network written as v4-mapped IPv6 is the IPv4 network. */
static void
unmap(struct conf_network *n)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (n->family == AF_INET6 && n->prefix >= 96 && memcmp(n->address, mapped, sizeof(mapped)) == 0) {
		n->family = AF_INET;
		n->prefix -= 96;
		memmove(n->address, n->address + 12, 4);
		memset(n->address + 4, 0, 12);
	}
}

static bool
bits_beyond_prefix(const struct conf_network *n)
{
	for (unsigned bit = n->prefix; bit < (n->family == AF_INET ? 32U : 128U); bit++)
		if ((n->address[bit / 8] & (0x80U >> bit % 8)) != 0)
			return true;
	return false;
}

int
conf_network(struct conf_network *n, const char *text, char why[CONF_WHY])
{
	static const char right[] = "write it as 192.0.2.0/24 or 2001:db8::/32";
	const char *slash = strchrnul(text, '/'), *p = slash + 1;
	struct conf_listen l;
	uint64_t prefix;
	char host[64];
	unsigned bits;

	memset(n, 0, sizeof(*n));
	if ((size_t)(slash - text) >= sizeof(host) || strchr(text, '%') != NULL)
		return conf_wrong(why, "%s is not a network; %s", logq(text), right);
	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	/* getaddrinfo takes 10.1 for 10.0.0.1, which hardly anybody means who writes it. */
	if (resolve_numeric(&l, host, "0") != 0 || (strchr(host, ':') == NULL && strspn(host, "0123456789.") != strlen(host)))
		return conf_wrong(why, "%s is not a network; %s", logq(text), right);
	n->family = l.address.ss_family;
	bits = n->family == AF_INET ? 32 : 128;
	if (n->family == AF_INET)
		memcpy(n->address, &((struct sockaddr_in *)(void *)&l.address)->sin_addr, 4);
	else
		memcpy(n->address, &((struct sockaddr_in6 *)(void *)&l.address)->sin6_addr, 16);
	prefix = bits;
	if (*slash == '/' && (conf_digits(&p, &prefix) != 0 || *p != '\0' || prefix > bits))
		return conf_wrong(why, "%s has an impossible prefix length; it is a number from 1 to %u", logq(text), bits);
	n->prefix = (unsigned)prefix;
	if (bits_beyond_prefix(n))
		return conf_wrong(why, "%s has bits set beyond its prefix; clear them, or write /%u for the one address",
		    logq(text), bits);
	unmap(n);
	if (n->prefix == 0)
		return conf_wrong(why, "%s lets everybody send mail through this server; name your own networks", logq(text));
	return 0;
}

int
conf_host(char name[ADDRESS_DOMAIN_MAX + 1], unsigned *port_r, const char *text, char why[CONF_WHY])
{
	static const char right[] = "write a name or an address, and a port if it is not smtp_port, as in smtp.example.org:587";
	char host[ADDRESS_DOMAIN_MAX + 1];
	struct conf_listen l;
	const char *after;
	bool bracket;

	*port_r = 0;
	if (split_port(text, host, sizeof(host), &bracket, &after) != 0)
		return conf_wrong(why, "%s is not a host; %s", logq(text), right);
	if (*after != '\0' && port_number(after, 1, port_r) != 0)
		return conf_wrong(why, "%s has an impossible port; a port is a number from 1 to 65535", logq(text));
	if (resolve_numeric(&l, host, "0") == 0)
		snprintf(name, ADDRESS_DOMAIN_MAX + 1, "%s", host);
	else if (bracket || address_domain(name, host, ADDRESS_UTF8) != 0)
		return conf_wrong(why, "%s is not a host; %s", logq(text), right);
	return 0;
}
