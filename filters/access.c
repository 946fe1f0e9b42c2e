/*
 * Lists of clients, hosts, senders and recipients: read from the configuration's sections, and asked. Names are compared
 * without case and label by label: "example.net" never means "badexample.net". Pure.
 */
#include "filters/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/conf_table.h"
#include "lib/log.h"

#define AT(field)	offsetof(struct access_list, field)

#define WHO \
	{ "client",	CONF_NETWORKS,	AT(clients),	.value = NULL }, \
	{ "host",	CONF_TEXTS,	AT(hosts),	.value = NULL }, \
	{ "sender",	CONF_TEXTS,	AT(senders),	.value = NULL }, \
	{ "recipient",	CONF_TEXTS,	AT(recipients),	.value = NULL }

static const struct conf_option exempt_options[] = { WHO, { "filters", CONF_TEXTS, AT(filters), .value = "all" } };
static const struct conf_option refuse_options[] = { WHO, { "text", CONF_TEXT, AT(text), .value = "" } };
static const struct conf_option clients_options[] = {
	{ "client",	CONF_NETWORKS,	AT(clients),	.value = NULL },
	{ "domains",	CONF_DOMAINS,	AT(domains),	.value = NULL },
};

struct kind {
	const char	*name;
	const struct conf_option *options;
	size_t		 n_options;
	const char	*right;
};

static const struct kind kinds[] = {
	{ "exempt", exempt_options, 5, "write client, host, sender or recipient, and filters if not all are meant" },
	{ "refuse", refuse_options, 5, "write client, host, sender or recipient, and a text if there is one" },
	{ "client_domains", clients_options, 2, "write client = { 192.0.2.0/24 } and domains = { example.org }" },
};

/* ---- reading ---- */

/* "example.net", ".example.net": in lower case A-labels. 0 or -1. */
static int
canonical_name(char **text)
{
	char domain[ADDRESS_DOMAIN_MAX + 1], *new;
	bool below = (*text)[0] == '.';

	if (address_domain(domain, *text + below, ADDRESS_UTF8) != 0)
		return -1;
	new = alloc_printf("%s%s", below ? "." : "", domain);
	free(*text);
	*text = new;
	return 0;
}

/* "user@example.net", "user@", "example.net", ".example.net", "<>". 0 or -1. */
static int
canonical_address(char **text)
{
	const char *at = strrchr(*text, '@');
	struct address a;

	if (strcmp(*text, "<>") == 0)
		return 0;
	if (at == NULL)
		return canonical_name(text);
	if (at[1] == '\0')
		return at == *text ? -1 : 0;
	if (address_parse(&a, *text, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return -1;
	free(*text);
	*text = alloc_text(a.text);
	return 0;
}

static int
check_names(char **list, int (*canonical)(char **), const char *what, char why[CONF_WHY])
{
	for (; list != NULL && *list != NULL; list++)
		if (canonical(list) != 0) {
			snprintf(why, CONF_WHY, "%s is no %s", logq(*list), what);
			return -1;
		}
	return 0;
}

static int
read_mask(struct access_list *l, const struct registry *registry, char why[CONF_WHY])
{
	const char *near;
	size_t i;

	for (char **f = l->filters; f != NULL && *f != NULL; f++) {
		if (strcmp(*f, "all") == 0) {
			l->mask = UINT64_MAX;
			continue;
		}
		if ((i = registry_find(registry, *f)) == registry->n) {
			near = registry_nearest(registry, *f);
			snprintf(why, CONF_WHY, "there is no filter %s; %s%s%s", logq(*f), near != NULL ? "did you mean " :
			    "minimta-filters(7) has the list", near != NULL ? near : "", near != NULL ? "?" : "");
			return -1;
		}
		l->mask |= UINT64_C(1) << i;
	}
	return 0;
}

static int
check_list(struct access_list *l, const struct kind *kind, const struct registry *registry, char why[CONF_WHY])
{
	l->kinds = (l->clients.n > 0 ? ACCESS_CLIENT : 0) | (l->hosts != NULL ? ACCESS_HOST : 0) |
	    (l->senders != NULL ? ACCESS_SENDER : 0) | (l->recipients != NULL ? ACCESS_RECIPIENT : 0);
	if (check_names(l->hosts, canonical_name, "host name; write mail.example.net, or .example.net for all below it", why) ||
	    check_names(l->senders, canonical_address, "address; write user@example.net, user@, example.net, or .example.net "
	    "for all below it", why) || check_names(l->recipients, canonical_address, "address; write user@example.net, user@, "
	    "example.net, or .example.net for all below it", why))
		return -1;
	if (l->kinds == 0 || (kind->options == clients_options && (l->clients.n == 0 || l->domains == NULL))) {
		snprintf(why, CONF_WHY, "it does not say who is meant; %s", kind->right);
		return -1;
	}
	return read_mask(l, registry, why);
}

static const struct kind *
kind_of(const struct conf_section *s)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, s->kind) == 0)
			return &kinds[i];
	return NULL;
}

/* Its line in *line_r. */
static int
read_list(struct access_list *l, const struct kind *kind, const struct conf_section *s, const struct registry *registry,
    int *line_r, char why[CONF_WHY])
{
	const struct conf_option *o;
	char inner[CONF_WHY];

	conf_table_defaults(l, kind->options, kind->n_options);
	for (size_t i = 0; i < s->n; i++) {
		*line_r = s->entries[i].line;
		o = conf_table_find(kind->options, kind->n_options, s->entries[i].name);
		if (o == NULL) {
			snprintf(why, CONF_WHY, "no such option: %s; %s", logq(s->entries[i].name), kind->right);
			return -1;
		}
		if (conf_table_set(l, o, s->entries[i].values, s->entries[i].n, inner) != 0) {
			snprintf(why, CONF_WHY, "%s: %.450s", o->name, inner);
			return -1;
		}
	}
	*line_r = s->line;
	return check_list(l, kind, registry, why);
}

static struct access_list *
add(struct access *a, const struct kind *kind, const char *title)
{
	struct access_list **list = kind->options == exempt_options ? &a->exempt :
	    kind->options == refuse_options ? &a->refuse : &a->clients;
	size_t *n = list == &a->exempt ? &a->n_exempt : list == &a->refuse ? &a->n_refuse : &a->n_clients;
	struct access_list *new = alloc_resize(*list, *n + 1, sizeof(*new));

	*list = new;
	new += (*n)++;
	*new = (struct access_list){ .title = alloc_text(title) };
	return new;
}

int
access_read(struct access *a, const struct conf *conf, const struct registry *registry, char *err, size_t size)
{
	const struct kind *kind;
	struct access_list *l;
	char why[CONF_WHY];
	int line;

	*a = (struct access){ .by_host = false };
	for (size_t i = 0; i < conf->n_sections; i++) {
		const struct conf_section *s = &conf->sections[i];

		if ((kind = kind_of(s)) == NULL)
			continue;
		l = add(a, kind, s->title);
		if (read_list(l, kind, s, registry, &line, why) != 0) {
			snprintf(err, size, "%s:%d: %s %s: %s", conf->name, line, s->kind, logq(s->title), why);
			return -1;
		}
		a->by_host = a->by_host || l->hosts != NULL;
	}
	return 0;
}

static void
free_lists(struct access_list *lists, size_t n, const struct conf_option *options, size_t n_options)
{
	for (size_t i = 0; i < n; i++) {
		conf_table_free(&lists[i], options, n_options);
		free(lists[i].title);
	}
	free(lists);
}

void
access_free(struct access *a)
{
	free_lists(a->exempt, a->n_exempt, exempt_options, 5);
	free_lists(a->refuse, a->n_refuse, refuse_options, 5);
	free_lists(a->clients, a->n_clients, clients_options, 2);
	*a = (struct access){ .by_host = false };
}

/* ---- asking ---- */

static bool
in_network(const struct conf_network *n, const struct reverse_address *a)
{
	unsigned whole = n->prefix / 8, rest = n->prefix % 8;

	if (a->len != (n->family == AF_INET ? 4U : 16U) || memcmp(n->address, a->bytes, whole) != 0)
		return false;
	return rest == 0 || ((n->address[whole] ^ a->bytes[whole]) & (uint8_t)(0xff00U >> rest)) == 0;
}

static bool
client_matches(const struct conf_networks *networks, const struct reverse_address *a)
{
	for (size_t i = 0; i < networks->n; i++)
		if (in_network(&networks->list[i], a))
			return true;
	return false;
}

/* Whether name is below domain, label by label. */
static bool
is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n > d && name[n - d - 1] == '.' && strcasecmp(name + n - d, domain) == 0;
}

static bool
host_matches(char *const *list, const struct facts *f)
{
	const char *name = f->reverse.name;

	if ((f->known & FACT_REVERSE) == 0 || f->reverse.result != IPREV_PASS)
		return false;
	for (; *list != NULL; list++)
		if (is_below(name, *list + ((*list)[0] == '.')) || strcasecmp(name, *list) == 0)
			return true;
	return false;
}

static bool
address_matches(char *const *list, const char *address)
{
	const char *at = strrchr(address, '@'), *domain = at != NULL ? at + 1 : "";

	for (; *list != NULL; list++) {
		const char *entry = *list, *entry_at = strrchr(entry, '@');
		bool local = entry_at != NULL && at != NULL && entry_at - entry == at - address &&
		    strncasecmp(entry, address, (size_t)(at - address)) == 0;

		if (address[0] == '\0' ? strcmp(entry, "<>") == 0 :
		    entry_at != NULL ? local && (entry_at[1] == '\0' || strcasecmp(entry_at + 1, domain) == 0) :
		    entry[0] == '.' ? is_below(domain, entry + 1) : strcasecmp(entry, domain) == 0)
			return true;
	}
	return false;
}

static bool
matches(const struct access_list *l, const struct facts *f)
{
	return ((l->kinds & ACCESS_CLIENT) == 0 || client_matches(&l->clients, &f->address)) &&
	    ((l->kinds & ACCESS_HOST) == 0 || host_matches(l->hosts, f)) &&
	    ((l->kinds & ACCESS_SENDER) == 0 || (f->sender != NULL && address_matches(l->senders, f->sender))) &&
	    ((l->kinds & ACCESS_RECIPIENT) == 0 || (f->recipient != NULL && address_matches(l->recipients, f->recipient)));
}

uint64_t
access_exempt(const struct access *a, const struct facts *f, unsigned known)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < a->n_exempt; i++)
		if ((a->exempt[i].kinds & ~known) == 0 && matches(&a->exempt[i], f))
			mask |= a->exempt[i].mask;
	return mask;
}

const struct access_list *
access_refused(const struct access *a, const struct facts *f)
{
	for (size_t i = 0; i < a->n_refuse; i++)
		if (matches(&a->refuse[i], f))
			return &a->refuse[i];
	return NULL;
}

bool
access_may_send(const struct access *a, const struct facts *f, const struct access_list **list_r)
{
	const char *domain = f->sender != NULL ? facts_domain(f->sender) : "";

	*list_r = NULL;
	for (size_t i = 0; i < a->n_clients; i++) {
		if (!client_matches(&a->clients[i].clients, &f->address))
			continue;
		*list_r = &a->clients[i];
		for (char **d = a->clients[i].domains; *d != NULL; d++)
			if (strcasecmp(*d, domain) == 0)
				return true;
	}
	return *list_r == NULL || domain[0] == '\0';
}

bool
access_is_duty(const char *recipient)
{
	size_t len = strcspn(recipient, "@");

	return (len == 10 && strncasecmp(recipient, "postmaster", len) == 0) ||
	    (len == 5 && strncasecmp(recipient, "abuse", len) == 0);
}
