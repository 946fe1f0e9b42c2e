/*
 * The next hop's name for a domain, and back. Decides between MX and a configured relay; does not look anything up.
 * Called by queue (to group recipients) and delivery (to know where to go).
 */
#include "lib/route.h"

#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "lib/log.h"

char *
route_hop(char to[ROUTE_HOP_MAX], const struct conf *conf, const char *domain)
{
	const struct conf_relay *relay = conf_relay_for(conf, domain);
	bool v6;
	int n;

	if (relay == NULL) {
		n = snprintf(to, ROUTE_HOP_MAX, "mx:%s", domain);
	} else {
		v6 = strchr(relay->host, ':') != NULL;
		n = snprintf(to, ROUTE_HOP_MAX, "relay:%s%s%s:%u", v6 ? "[" : "", relay->host, v6 ? "]" : "",
		    (unsigned)relay->port);
	}
	if (n < 0 || n >= ROUTE_HOP_MAX)
		log_fatal("event=hop-too-long domain=%s", logq(domain));
	return to;
}

static int
copy_host(char *host, const char *from, size_t len)
{
	if (len == 0 || len > ADDRESS_DOMAIN_MAX)
		return -1;
	memcpy(host, from, len);
	host[len] = '\0';
	return 0;
}

/* 1 to 65535, digits only, to the end of the string. */
static int
parse_port(const char *text, unsigned *port_r)
{
	unsigned port = 0;

	if (*text == '\0' || *text == '0')
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		port = port * 10 + (unsigned)(*text - '0');
		if (port > 65535)
			return -1;
	}
	*port_r = port;
	return 0;
}

static int
parse_relay(const char *text, char *host, unsigned *port_r)
{
	const char *colon, *close;

	if (text[0] == '[') {
		close = strchr(text, ']');
		if (close == NULL || close[1] != ':' || copy_host(host, text + 1, (size_t)(close - text - 1)) == -1)
			return -1;
		return parse_port(close + 2, port_r);
	}
	colon = strchr(text, ':');
	if (colon == NULL || copy_host(host, text, (size_t)(colon - text)) == -1)
		return -1;
	return parse_port(colon + 1, port_r);
}

int
route_parse(const char *hop, char *host, int *is_relay_r, unsigned *port_r)
{
	if (strncmp(hop, "mx:", 3) == 0) {
		*is_relay_r = 0;
		*port_r = 0;
		return copy_host(host, hop + 3, strlen(hop + 3));
	}
	if (strncmp(hop, "relay:", 6) == 0) {
		*is_relay_r = 1;
		return parse_relay(hop + 6, host, port_r);
	}
	return -1;
}
