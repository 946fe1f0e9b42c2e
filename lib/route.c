/*
 * The next hop's name for a domain, and back. Decides between MX and configured relays; does not look anything up.
 * Called by queue (to group recipients) and delivery (to know where to go).
 */
#include "lib/route.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"

#define WORD_MX		"mx:"
#define WORD_RELAY	"relay:"
#define WORD_RELAY_MX	"relay-mx:"
#define WORD_LMTP	"lmtp:"

char *
route_hop_of(char to[ROUTE_HOP_MAX], const struct conf *conf, const struct conf_destination *d)
{
	size_t len = (size_t)snprintf(to, ROUTE_HOP_MAX, "%s", d->mx ? WORD_RELAY_MX : WORD_RELAY);

	for (size_t i = 0; i < d->n_hosts && len < ROUTE_HOP_MAX; i++) {
		const struct conf_host *h = &d->hosts[i];
		bool v6 = strchr(h->name, ':') != NULL;

		len += (size_t)snprintf(to + len, ROUTE_HOP_MAX - len, "%s%s%s%s:%u", i > 0 ? "," : "", v6 ? "[" : "", h->name,
		    v6 ? "]" : "", (unsigned)h->port);
	}
	if (len < ROUTE_HOP_MAX && (d->by_sender || conf_destination_is_own(conf, d)))
		len += (size_t)snprintf(to + len, ROUTE_HOP_MAX - len, "/%s=%s", d->by_sender ? "from" : "to", d->domain);
	if (len >= ROUTE_HOP_MAX)
		log_fatal("event=hop-too-long domain=%s", logq(d->domain));
	return to;
}

char *
route_hop(char to[ROUTE_HOP_MAX], const struct conf *conf, const char *sender, const char *domain)
{
	const struct conf_destination *d = conf_route_for(conf, sender, domain);

	if (d != NULL && d->n_hosts > 0)
		return route_hop_of(to, conf, d);
	if (snprintf(to, ROUTE_HOP_MAX, WORD_MX "%s", domain) >= ROUTE_HOP_MAX)
		log_fatal("event=hop-too-long domain=%s", logq(domain));
	return to;
}

char *
route_hop_lmtp(char to[ROUTE_HOP_MAX], const struct conf *conf)
{
	snprintf(to, ROUTE_HOP_MAX, WORD_LMTP "%s", conf->lmtp);
	return to;
}

static int
copy_name(char *to, const char *from, size_t len)
{
	if (len == 0 || len > ADDRESS_DOMAIN_MAX)
		return -1;
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

/* 1 to 65535, digits only, to the next comma or slash or the end, where *text is left. */
static int
parse_port(const char **text, uint16_t *port_r)
{
	unsigned port = 0;

	if (**text < '1' || **text > '9')
		return -1;
	for (; **text >= '0' && **text <= '9'; (*text)++)
		if ((port = port * 10 + (unsigned)(**text - '0')) > 65535)
			return -1;
	*port_r = (uint16_t)port;
	return **text == '\0' || **text == ',' || **text == '/' ? 0 : -1;
}

static int
parse_host(struct route_host *h, const char **text)
{
	bool bracket = **text == '[';
	const char *from = *text + bracket, *end = strchr(from, bracket ? ']' : ':');

	if (end == NULL || copy_name(h->name, from, (size_t)(end - from)) != 0 || end[bracket] != ':')
		return -1;
	*text = end + bracket + 1;
	return parse_port(text, &h->port);
}

static int
parse_relay(struct route *r, const char *text)
{
	do {
		if (r->n == CONF_HOSTS_MAX || parse_host(&r->hosts[r->n++], &text) != 0)
			return -1;
	} while (*text++ == ',');
	/* What a section says must not be left out because it is gone. */
	return text[-1] == '\0' || r->section != NULL ? 0 : -1;
}

static int
parse_lmtp(struct route *r, const struct conf *conf, const char *where)
{
	r->lmtp = true;
	if (strcmp(where, conf->lmtp) != 0)
		return -1;
	if (where[0] != '/')
		return parse_relay(r, where);
	r->socket = conf->lmtp;
	return 0;
}

int
route_parse(struct route *r, const struct conf *conf, const char *hop)
{
	memset(r, 0, sizeof(*r));
	r->section = route_destination(conf, hop);
	if (strncmp(hop, WORD_MX, strlen(WORD_MX)) == 0) {
		hop += strlen(WORD_MX);
		r->mx = true;
		r->n = 1;
		r->hosts[0].port = conf->smtp_port;
		return copy_name(r->hosts[0].name, hop, strlen(hop));
	}
	r->is_relay = true;
	if (strncmp(hop, WORD_LMTP, strlen(WORD_LMTP)) == 0)
		return parse_lmtp(r, conf, hop + strlen(WORD_LMTP));
	r->mx = strncmp(hop, WORD_RELAY_MX, strlen(WORD_RELAY_MX)) == 0;
	if (r->mx)
		return parse_relay(r, hop + strlen(WORD_RELAY_MX));
	return strncmp(hop, WORD_RELAY, strlen(WORD_RELAY)) == 0 ? parse_relay(r, hop + strlen(WORD_RELAY)) : -1;
}

const struct conf_destination *
route_destination(const struct conf *conf, const char *hop)
{
	const struct conf_destination *d;
	char name[ROUTE_HOP_MAX];

	if (strncmp(hop, WORD_MX, strlen(WORD_MX)) == 0) {
		d = conf_destination_for(conf, hop + strlen(WORD_MX));
		return d != NULL && d->n_hosts == 0 ? d : NULL;
	}
	for (size_t i = 0; i < conf->n_destinations; i++) {
		d = &conf->destinations[i];
		if (d->n_hosts > 0 && strcmp(route_hop_of(name, conf, d), hop) == 0)
			return d;
	}
	return NULL;
}

uint32_t
route_connections(const struct conf *conf, const char *hop)
{
	const struct conf_destination *d = route_destination(conf, hop);

	return d != NULL ? d->connections : conf->destination_connections;
}

static bool
same_section(const struct conf *a, const struct conf_destination *one, const struct conf *b, const struct conf_destination *other)
{
	char hop[ROUTE_HOP_MAX], other_hop[ROUTE_HOP_MAX];

	if (strcmp(one->domain, other->domain) != 0 || (one->n_hosts > 0) != (other->n_hosts > 0))
		return false;
	if (one->n_hosts > 0 && strcmp(route_hop_of(hop, a, one), route_hop_of(other_hop, b, other)) != 0)
		return false;
	return strcmp(one->login, other->login) == 0 && strcmp(one->source_ipv4, other->source_ipv4) == 0 &&
	    strcmp(one->source_ipv6, other->source_ipv6) == 0 && strcmp(one->helo, other->helo) == 0;
}

bool
route_same(const struct conf *a, const struct conf *b)
{
	if (a->n_destinations != b->n_destinations || strcmp(a->lmtp, b->lmtp) != 0)
		return false;
	for (size_t i = 0; i < a->n_destinations; i++)
		if (!same_section(a, &a->destinations[i], b, &b->destinations[i]))
			return false;
	return true;
}
