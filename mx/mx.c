/*
 * From a domain to the addresses to try (mx/mx.h): the MX question, then A and AAAA of all hosts side by side, then
 * what is left of them after loop test and filters. Order and filters themselves are in mx/mx_order.c.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "mx/dns_answer.h"
#include "mx/mx_order.h"

struct side {				/* the A or the AAAA records of a host */
	struct mx_lookup	*lookup;
	struct dns_question	*question;	/* NULL: answered */
	enum dns_type		 type;
	enum dns_result		 result;
	const char		*why;
	bool			 secure;
	uint32_t		 ttl;
	uint8_t			 address[MX_ADDRESSES_MAX][sizeof(struct in6_addr)];
	size_t			 n;
};

struct host {
	struct mx_host		 mx;
	struct side		 sides[2];	/* AAAA, A: in this order they are tried in turn */
};

struct mx_lookup {
	struct dns		*dns;
	struct dns_question	*mx_question;
	struct timer		 timer;		/* for a result without a question */
	mx_done_fn		*done;
	void			*arg;
	int64_t			 until_ms;
	char			 name[DNS_NAME_MAX + 1];
	char			 hostname[DNS_NAME_MAX + 1];
	struct sockaddr_storage	*own;
	size_t			 n_own;
	uint16_t		 port;
	int			 family;
	bool			 other_family;	/* there were addresses, and not of this one */
	bool			 allow_private, only_address;
	uint64_t		 seed;
	bool			 implicit;	/* the one host is the name itself */
	struct host		 hosts[MX_HOSTS_MAX];
	size_t			 n_hosts, n_waiting;
	struct mx_list		 list;		/* the result */
};

/* -- the end -- */

static void
lookup_free(struct mx_lookup *l)
{
	timer_stop(&l->timer);
	dns_cancel(l->mx_question);
	for (size_t i = 0; i < l->n_hosts; i++)
		for (size_t s = 0; s < 2; s++)
			dns_cancel(l->hosts[i].sides[s].question);
	free(l->own);
	free(l);
}

void
mx_cancel(struct mx_lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}

static void
lookup_done(void *arg)
{
	struct mx_lookup *l = arg;

	l->done(l->arg, &l->list);
	lookup_free(l);
}

static void __attribute__((format(printf, 3, 4)))
set_result(struct mx_lookup *l, enum mx_result result, const char *fmt, ...)
{
	va_list ap;

	l->list.result = result;
	va_start(ap, fmt);
	vsnprintf(l->list.why, sizeof(l->list.why), fmt, ap);
	va_end(ap);
}

/* -- from hosts to addresses -- */

/* Drops the hosts that are not better than one whose address is ours. Returns whether there was one. */
static bool
cut_at_own_address(struct mx_lookup *l)
{
	struct mx_address a;

	for (size_t i = 0; i < l->n_hosts; i++) {
		const struct host *h = &l->hosts[i];

		for (size_t s = 0; s < 2; s++)
			for (size_t k = 0; k < h->sides[s].n; k++) {
				mx_address_set(&a, h->sides[s].type == DNS_A ? AF_INET : AF_INET6,
				    h->sides[s].address[k], l->port);
				if (!mx_address_is_own(&a, l->own, l->n_own))
					continue;
				while (l->n_hosts > 0 && l->hosts[l->n_hosts - 1].mx.preference >= h->mx.preference)
					l->n_hosts--;
				return true;
			}
	}
	return false;
}

static bool
may_reach(const struct mx_lookup *l, const struct mx_address *a)
{
	enum mx_reach reach = mx_reach((const struct sockaddr *)&a->address);

	return reach == MX_REACH_PUBLIC || (reach == MX_REACH_PRIVATE && l->allow_private);
}

/* Leaves the addresses that may be connected to, begun at a random one; the first refused goes into *refused. */
static void
filter_side(struct mx_lookup *l, struct side *side, uint64_t turn, struct mx_address *refused)
{
	int family = side->type == DNS_A ? AF_INET : AF_INET6;
	uint8_t kept[MX_ADDRESSES_MAX][sizeof(struct in6_addr)];
	struct mx_address a;
	size_t n = 0;

	for (size_t k = 0; k < side->n; k++) {
		const uint8_t *address = side->address[(k + turn) % side->n];

		mx_address_set(&a, family, address, l->port);
		if (l->family != AF_UNSPEC && family != l->family)
			l->other_family = true;
		else if (may_reach(l, &a))
			memcpy(kept[n++], address, sizeof(kept[0]));
		else if (refused->length == 0)
			*refused = a;
	}
	memcpy(side->address, kept, n * sizeof(kept[0]));
	side->n = n;
}

static void
add_address(struct mx_lookup *l, const struct host *h, const struct side *side, size_t k)
{
	struct mx_address *a = &l->list.list[l->list.n++];

	mx_address_set(a, side->type == DNS_A ? AF_INET : AF_INET6, side->address[k], l->port);
	snprintf(a->host, sizeof(a->host), "%s", h->mx.name);
	a->preference = h->mx.preference;
	l->list.secure &= side->secure;
	if (side->ttl < l->list.ttl)
		l->list.ttl = side->ttl;
}

/* Address families in turn, so that a family that leads nowhere from here costs every other attempt at most. */
static void
add_host(struct mx_lookup *l, const struct host *h, size_t most)
{
	for (size_t k = 0; k < MX_ADDRESSES_MAX; k++)
		for (size_t s = 0; s < 2; s++)
			if (k < h->sides[s].n && most > 0) {
				add_address(l, h, &h->sides[s], k);
				most--;
			}
}

/* Why no address is left: what may change comes first, then what the domain's owner should know. */
static void
explain_none(struct mx_lookup *l, bool looped, const struct mx_address *refused)
{
	char address[INET6_ADDRSTRLEN] = "";
	const struct side *failed = NULL;

	for (size_t i = 0; i < l->n_hosts && failed == NULL; i++)
		for (size_t s = 0; s < 2 && failed == NULL; s++)
			if (l->hosts[i].sides[s].result == DNS_TEMPORARY) {
				failed = &l->hosts[i].sides[s];
				set_result(l, MX_TEMPORARY, "cannot look up the address of %s now: %s",
				    l->hosts[i].mx.name, failed->why);
			}
	if (failed != NULL)
		return;
	if (looped) {
		set_result(l, MX_LOOP, "mail for %s leads back to this server, which does not take mail for it", l->name);
	} else if (refused->length != 0) {
		inet_ntop(refused->address.ss_family, refused->address.ss_family == AF_INET ?
		    (const void *)&((const struct sockaddr_in *)&refused->address)->sin_addr :
		    &((const struct sockaddr_in6 *)&refused->address)->sin6_addr, address, sizeof(address));
		set_result(l, MX_REFUSED, "%s leads to %s only, where mail is not sent to", l->name, address);
	} else if (l->other_family) {
		/* Not the domain's fault, and an option is quickly changed. */
		set_result(l, MX_TEMPORARY, "%s has no %s address, and the option inet wants no other", l->name,
		    l->family == AF_INET ? "IPv4" : "IPv6");
	} else if (l->implicit) {
		set_result(l, MX_NO_HOST, "%s has no address%s", l->name, l->only_address ? "" : " and no MX record");
	} else {
		set_result(l, MX_NO_HOST, "none of the mail hosts of %s has an address (%s: %s)", l->name,
		    l->hosts[0].mx.name, l->hosts[0].sides[1].why);
	}
}

static void
collect(struct mx_lookup *l)
{
	struct mx_address refused = { .length = 0 };
	size_t counts[MX_HOSTS_MAX];
	bool looped = cut_at_own_address(l);

	for (size_t i = 0; i < l->n_hosts; i++) {
		struct host *h = &l->hosts[i];

		filter_side(l, &h->sides[0], l->seed >> 8, &refused);
		filter_side(l, &h->sides[1], l->seed >> 8, &refused);
		counts[i] = h->sides[0].n + h->sides[1].n;
	}
	mx_order_share(counts, l->n_hosts, MX_ADDRESSES_MAX);
	for (size_t i = 0; i < l->n_hosts; i++)
		add_host(l, &l->hosts[i], counts[i]);
	if (l->list.n > 0)
		set_result(l, MX_OK, "%s", "");
	else
		explain_none(l, looped, &refused);
	lookup_done(l);
}

/* -- questions -- */

static uint32_t
time_left(const struct mx_lookup *l)
{
	int64_t left = l->until_ms - clock_ms();

	return left > 0 ? (uint32_t)left : 1;
}

static void
on_address(void *arg, const struct dns_answer *answer)
{
	struct side *side = arg;
	struct mx_lookup *l = side->lookup;

	side->question = NULL;
	side->result = answer->result;
	side->why = answer->why;
	side->secure = answer->secure;
	side->ttl = answer->ttl;
	for (size_t i = 0; i < answer->n && side->n < MX_ADDRESSES_MAX; i++) {
		const struct dns_record *r = &answer->records[i];

		if (side->type == DNS_A)
			memcpy(side->address[side->n++], &r->a, sizeof(r->a));
		else
			memcpy(side->address[side->n++], &r->aaaa, sizeof(r->aaaa));
	}
	if (--l->n_waiting == 0)
		collect(l);
}

static void
ask_addresses(struct mx_lookup *l)
{
	static const enum dns_type types[2] = { DNS_AAAA, DNS_A };

	for (size_t i = 0; i < l->n_hosts; i++)
		for (size_t s = 0; s < 2; s++) {
			struct side *side = &l->hosts[i].sides[s];

			side->lookup = l;
			side->type = types[s];
			side->question = dns_ask(l->dns, types[s], l->hosts[i].mx.name, time_left(l), on_address, side);
			l->n_waiting++;
		}
}

static void
ask_implicit(struct mx_lookup *l)
{
	l->implicit = true;
	l->n_hosts = 1;
	snprintf(l->hosts[0].mx.name, sizeof(l->hosts[0].mx.name), "%s", l->name);
	ask_addresses(l);
}

/* The hosts of an MX answer. Returns whether there is one to ask about; otherwise the result is set. */
static bool
take_hosts(struct mx_lookup *l, const struct dns_answer *answer)
{
	struct mx_host sorted[DNS_RECORDS_MAX];
	size_t n, left;

	if (answer->n == 1 && answer->records[0].len == 0) {
		set_result(l, MX_NULL, "%s says that it takes no mail (null MX)", l->name);
		return false;
	}
	n = mx_order_hosts(sorted, DNS_RECORDS_MAX, answer, l->seed);
	if (n == 0) {
		set_result(l, MX_NO_HOST, "the MX records of %s name no host", l->name);
		return false;
	}
	left = mx_order_cut(sorted, n, l->hostname);
	if (left == 0) {
		set_result(l, MX_LOOP, "this server is the best mail host of %s, but does not take mail for it", l->name);
		return false;
	}
	for (l->n_hosts = 0; l->n_hosts < left && l->n_hosts < MX_HOSTS_MAX; l->n_hosts++)
		l->hosts[l->n_hosts].mx = sorted[l->n_hosts];
	return true;
}

static void
on_mx(void *arg, const struct dns_answer *answer)
{
	struct mx_lookup *l = arg;

	l->mx_question = NULL;
	l->list.secure = answer->secure;
	l->list.ttl = answer->ttl;
	switch (answer->result) {
	case DNS_OK:
		if (take_hosts(l, answer)) {
			ask_addresses(l);
			return;
		}
		break;
	case DNS_NODATA:
		ask_implicit(l);
		return;
	case DNS_NXDOMAIN:
		set_result(l, MX_NO_DOMAIN, "the domain %s does not exist", l->name);
		break;
	case DNS_TEMPORARY:
		set_result(l, MX_TEMPORARY, "cannot look up the mail hosts of %s now: %s", l->name, answer->why);
		break;
	case DNS_INVALID:
		set_result(l, MX_NO_HOST, "the mail hosts of %s have impossible names", l->name);
		break;
	}
	lookup_done(l);
}

/* -- the start -- */

static void
take_literal(struct mx_lookup *l, const struct mx_address *a)
{
	if (mx_address_is_own(a, l->own, l->n_own)) {
		set_result(l, MX_LOOP, "%s is this server, which does not take mail for it", a->host);
	} else if (l->family != AF_UNSPEC && a->address.ss_family != l->family) {
		set_result(l, MX_TEMPORARY, "%s is no %s address, and the option inet wants no other", a->host,
		    l->family == AF_INET ? "IPv4" : "IPv6");
	} else if (!may_reach(l, a)) {
		set_result(l, MX_REFUSED, "%s is an address where mail is not sent to", a->host);
	} else {
		set_result(l, MX_OK, "%s", "");
		l->list.list[l->list.n++] = *a;
		l->list.secure = false;
	}
	timer_start(&l->timer, 0);
}

static struct mx_lookup *
lookup_new(struct dns *dns, const struct mx_options *o, uint32_t deadline_ms, mx_done_fn *done, void *arg)
{
	struct mx_lookup *l = alloc_new(1, sizeof(*l));

	l->own = alloc_new(o->n_own + 1, sizeof(*l->own));
	l->dns = dns;
	l->done = done;
	l->arg = arg;
	l->until_ms = clock_ms() + (deadline_ms != 0 ? deadline_ms : DNS_DEADLINE_MS);
	snprintf(l->hostname, sizeof(l->hostname), "%s", o->hostname != NULL ? o->hostname : "");
	if (o->n_own > 0)
		memcpy(l->own, o->own, o->n_own * sizeof(*l->own));
	l->n_own = o->n_own;
	l->port = o->port;
	l->family = o->family;
	l->allow_private = o->allow_private || o->only_address;	/* a fixed host the administrator has named */
	l->only_address = o->only_address;
	l->seed = o->seed;
	l->list.ttl = UINT32_MAX;
	l->list.secure = true;
	timer_set(&l->timer, lookup_done, l);
	return l;
}

struct mx_lookup *
mx_start(struct dns *dns, const char *name, const struct mx_options *options, uint32_t deadline_ms, mx_done_fn *done,
    void *arg)
{
	struct mx_lookup *l = lookup_new(dns, options, deadline_ms, done, arg);
	struct mx_address literal = { .length = 0 };
	size_t len = strlen(name);

	if ((name[0] == '[' || options->only_address) && mx_literal_parse(&literal, name, l->port) == 0) {
		take_literal(l, &literal);
		return l;
	}
	if (!dns_name_is_host(name)) {
		set_result(l, MX_NO_DOMAIN, "what stands for the domain is not the name of one");
		timer_start(&l->timer, 0);
		return l;
	}
	if (l->seed == 0 && getrandom(&l->seed, sizeof(l->seed), 0) != (ssize_t)sizeof(l->seed))
		log_fatal("getrandom failed");
	snprintf(l->name, sizeof(l->name), "%.*s", (int)(len - (name[len - 1] == '.')), name);
	if (options->only_address)
		ask_implicit(l);
	else
		l->mx_question = dns_ask(dns, DNS_MX, l->name, time_left(l), on_mx, l);
	return l;
}
