/*
 * What is right alone and wrong together in a configuration. Called by conf.c when every option has its value; says
 * which option is at fault, so that its line can be named. Pure.
 */
#include <stdarg.h>
#include <string.h>

#include "lib/address.h"
#include "lib/conf_option.h"
#include "lib/log.h"

#define WARNINGS_MAX	3		/* a recipient's record counts no more (LOG_WARNED) */

static const struct conf_option *fault(char why[CONF_WHY], const char *option, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static const struct conf_option *
fault(char why[CONF_WHY], const char *option, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, CONF_WHY, fmt, ap);
	va_end(ap);
	return conf_option_find(option);
}

static const struct conf_option *
check_times(const struct conf *c, char why[CONF_WHY])
{
	char a[32], b[32];
	int64_t ms[CONF_DURATIONS_MAX];

	if (conf_durations(c->delay_warnings, ms, CONF_DURATIONS_MAX) > WARNINGS_MAX)
		return fault(why, "delay_warnings", "%s are more than %d; write up to %d, as in \"4h, 1d\"", logq(c->delay_warnings),
		    WARNINGS_MAX, WARNINGS_MAX);
	if (c->retry_most_ms < c->retry_first_ms)
		return fault(why, "retry_most", "retry_most (%s) is shorter than retry_first (%s); make it as long or longer",
		    conf_duration_text(a, c->retry_most_ms), conf_duration_text(b, c->retry_first_ms));
	if (c->expire_ms < c->retry_first_ms)
		return fault(why, "expire", "expire (%s) is shorter than retry_first (%s); nothing would be tried again",
		    conf_duration_text(a, c->expire_ms), conf_duration_text(b, c->retry_first_ms));
	return NULL;
}

static const struct conf_option *
check_sizes(const struct conf *c, char why[CONF_WHY])
{
	char a[32], b[32];

	if (c->header_size > c->message_size)
		return fault(why, "header_size", "header_size (%s) is greater than message_size (%s); make it smaller",
		    conf_size_text(a, c->header_size), conf_size_text(b, c->message_size));
	return NULL;
}

/* One directory for two purposes: each would meet the other's files. */
static const struct conf_option *
check_places(const struct conf *c, char why[CONF_WHY])
{
	const struct { const char *option, *path; } places[] = {
		{ "spool", c->spool }, { "state", c->state }, { "empty_directory", c->empty }, { "control", c->control },
		{ "virtual_directory", c->virtual_directory }, { "aliases", c->aliases },
	};
	const size_t n = sizeof(places) / sizeof(places[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (places[i].path[0] != '\0' && strcmp(places[i].path, places[j].path) == 0)
				return fault(why, places[i].option, "%s and %s are the same place; give each its own",
				    places[j].option, places[i].option);
	return NULL;
}

static bool
same_hosts(const struct conf_destination *a, const struct conf_destination *b)
{
	if (a->n_hosts != b->n_hosts || a->mx != b->mx)
		return false;
	for (size_t i = 0; i < a->n_hosts; i++)
		if (strcmp(a->hosts[i].name, b->hosts[i].name) != 0 || a->hosts[i].port != b->hosts[i].port)
			return false;
	return a->n_hosts > 0;
}

/* There is no encryption on the way out yet: who logs in all the same has to say that he knows. */
static const struct conf_option *
check_login(const struct conf *c, const struct conf_destination *d, char why[CONF_WHY])
{
	const char *kind = conf_destination_kind(d);

	if (d->login[0] != '\0' && c->credentials[0] == '\0')
		return fault(why, "credentials", "%s %s has a login, and no file of credentials is named; write credentials = "
		    "/etc/minimta/credentials", kind, d->domain);
	if (d->login[0] != '\0' && !d->login_without_tls)
		return fault(why, "credentials", "%s %s has a login, and its connections are not encrypted; write "
		    "login_without_tls = yes inside if the password may be readable on the way", kind, d->domain);
	return NULL;
}

/* A next hop of its own, whoever else goes to the same hosts. */
static bool
is_apart(const struct conf *c, const struct conf_destination *d)
{
	return d->by_sender || conf_destination_is_own(c, d);
}

/* A domain that is ours is never sent on. Relays to the same hosts are one next hop, which has one set of limits. */
static const struct conf_option *
check_destinations(const struct conf *c, char why[CONF_WHY])
{
	const struct conf_destination *a, *b;

	for (size_t i = 0; i < c->n_destinations; i++) {
		a = &c->destinations[i];
		if (check_login(c, a, why) != NULL)
			return conf_option_find("credentials");
		if (conf_is_local(c, a->domain))
			return fault(why, "domains", "%s is ours (domains, hostname) and has a %s; take it out of one of them",
			    a->domain, a->n_hosts > 0 ? "relay" : "destination");
		for (size_t j = 0; j < i; j++) {
			b = &c->destinations[j];
			if (!is_apart(c, a) && !is_apart(c, b) && same_hosts(a, b) && (a->inet != b->inet || a->connections != b->connections))
				return fault(why, "inet", "relay %s and relay %s name the same hosts with different inet or "
				    "connections; give them the same", b->domain, a->domain);
		}
	}
	return NULL;
}

/* What comes back here, or ends here, is for domains of ours. */
static const struct conf_option *
check_own(const struct conf *c, char why[CONF_WHY])
{
	for (size_t i = 0; c->lmtp_domains[i] != NULL; i++)
		if (!conf_is_local(c, c->lmtp_domains[i]))
			return fault(why, "lmtp_domains", "%s is not ours (domains, hostname); name some that are", c->lmtp_domains[i]);
	if (!conf_is_local(c, c->srs_domain))
		return fault(why, "srs_domain", "%s is not ours (domains, hostname); name one that is", c->srs_domain);
	return NULL;
}

/* Who relays for a domain is not its home. */
static const struct conf_option *
check_relayed(const struct conf *c, char why[CONF_WHY])
{
	for (size_t i = 0; c->relay_domains[i] != NULL; i++)
		if (conf_is_local(c, c->relay_domains[i]))
			return fault(why, "relay_domains", "%s is ours (domains, hostname) and in relay_domains; take it out of one of them",
			    c->relay_domains[i]);
	return NULL;
}

static bool
is_canonical_from(const char *from)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct address a;

	if (from[0] == '@')
		return address_domain(domain, from + 1, 0) == 0;
	return address_parse(&a, from, ADDRESS_BARE, NULL) == ADDRESS_OK;
}

static bool
is_canonical_to(const char *to, bool whole_domain)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct address a;

	if (to[0] == '@')
		return whole_domain && address_domain(domain, to + 1, 0) == 0;
	return address_parse(&a, to, 0, NULL) == ADDRESS_OK;
}

static const struct conf_option *
check_canonical(const struct conf *c, char why[CONF_WHY])
{
	char from[ADDRESS_MAX];
	const char *sign;

	for (size_t i = 0; c->canonical[i] != NULL; i++) {
		sign = strrchr(c->canonical[i], '=');
		if (sign != NULL && (size_t)snprintf(from, sizeof(from), "%.*s", (int)(sign - c->canonical[i]), c->canonical[i]) <
		    sizeof(from) && is_canonical_from(from) && is_canonical_to(sign + 1, from[0] == '@'))
			continue;
		return fault(why, "canonical", "%s says nothing about senders; write \"root=anna@example.org\", "
		    "\"bob@host.example.org=bob@example.org\" or \"@host.example.org=@example.org\"", logq(c->canonical[i]));
	}
	return NULL;
}

const struct conf_option *
conf_check(const struct conf *c, char why[CONF_WHY])
{
	const struct conf_option *o;

	if ((o = check_times(c, why)) == NULL && (o = check_sizes(c, why)) == NULL &&
	    (o = check_places(c, why)) == NULL)
		o = check_destinations(c, why);
	if (o == NULL)
		o = check_relayed(c, why);
	if (o == NULL)
		o = check_canonical(c, why);
	return o == NULL ? check_own(c, why) : o;
}
