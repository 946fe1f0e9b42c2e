/*
 * What SPF asks of DNS about hosts: the addresses of several side by side, and the client's own names, for ptr and %{p}
 * (RFC 7208, 5.5 and 7.3). Called by filters/spf.c; nothing here decides a result.
 */
#include <string.h>
#include <strings.h>

#include "filters/spf_state.h"

enum dns_type
spf_address_type(const struct spf *s)
{
	return s->macros.family == AF_INET ? DNS_A : DNS_AAAA;
}

bool
spf_same_network(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(a, b, bytes) == 0 && (rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0);
}

/* Whether the client is one of the addresses, or in the same network as one. */
bool
spf_answer_has_client(const struct spf *s, const struct dns_answer *answer, unsigned prefix4, unsigned prefix6)
{
	bool four = s->macros.family == AF_INET;

	for (size_t i = 0; answer->result == DNS_OK && i < answer->n; i++) {
		const struct dns_record *r = &answer->records[i];
		const void *address = four ? (const void *)&r->a : (const void *)&r->aaaa;

		if (spf_same_network(address, s->macros.address, four ? prefix4 : prefix6))
			return true;
	}
	return false;
}

void
spf_hosts_cancel(struct host_list *hosts)
{
	for (size_t i = 0; i < hosts->n; i++) {
		dns_cancel(hosts->list[i].question);
		hosts->list[i].question = NULL;
	}
	hosts->pending = 0;
}

void
spf_hosts_ask(struct spf *s, struct host_list *hosts, dns_done_fn *done)
{
	hosts->pending = (unsigned)hosts->n;
	hosts->temporary = false;
	for (size_t i = 0; i < hosts->n; i++) {
		struct host *h = &hosts->list[i];

		h->spf = s;
		h->is_client = false;
		h->question = dns_ask(s->dns, spf_address_type(s), h->name, QUESTION_MS, done, h);
	}
}

void
spf_hosts_take(struct host_list *hosts, const struct dns_answer *answer)
{
	hosts->n = 0;
	for (size_t i = 0; i < answer->n && hosts->n < HOSTS_MAX; i++) {
		struct host *h = &hosts->list[hosts->n];

		if (answer->records[i].len == 0 || answer->records[i].len >= sizeof(h->name))
			continue;		/* the root: no host */
		memcpy(h->name, answer->records[i].bytes, answer->records[i].len);
		h->name[answer->records[i].len] = '\0';
		hosts->n++;
	}
}

/* ---- names of the client (RFC 7208, 5.5) ---- */

static void
names_done(struct spf *s)
{
	s->names_known = true;
	s->after_names(s);
}

static void
on_name_address(void *arg, const struct dns_answer *answer)
{
	struct host *h = arg;
	struct spf *s = h->spf;

	h->question = NULL;
	h->is_client = spf_answer_has_client(s, answer, 32, 128);
	if (--s->names.pending == 0)
		names_done(s);
}

/* No answer is no name (5.5); of too many the first ten count (4.6.4). */
static void
on_names(void *arg, const struct dns_answer *answer)
{
	struct spf *s = arg;

	s->question = NULL;
	if (!s->decided && spf_top(s)->term.kind == SPF_PTR && spf_too_many_voids(s, answer))
		return;
	if (answer->result == DNS_OK)
		spf_hosts_take(&s->names, answer);
	if (s->names.n > 0)
		spf_hosts_ask(s, &s->names, on_name_address);
	else
		names_done(s);
}

/* Goes on with after() once the names are known, at once if they are. */
void
spf_with_names(struct spf *s, void (*after)(struct spf *))
{
	static const char reverse[] = "%{ir}.%{v}.arpa";
	char name[SPF_NAME_MAX + 1];

	s->after_names = after;
	if (s->names_known) {
		after(s);
		return;
	}
	spf_macros_domain(name, (struct spf_slice){ reverse, sizeof(reverse) - 1 }, &s->macros);
	spf_ask(s, DNS_PTR, name, on_names);
}

bool
spf_is_below(const char *name, const char *domain, bool or_same)
{
	size_t n = strlen(name), d = strlen(domain);

	if (n == d)
		return or_same && strcasecmp(name, domain) == 0;
	return n > d && name[n - d - 1] == '.' && strcasecmp(name + n - d, domain) == 0;
}

/* %{p}: the domain itself, else a name below it, else any (7.3). */
static const char *
validated_name(struct spf *s, const char *domain)
{
	const char *below = NULL, *any = NULL;

	for (size_t i = 0; i < s->names.n; i++) {
		const struct host *h = &s->names.list[i];

		if (!h->is_client)
			continue;
		if (strcasecmp(h->name, domain) == 0)
			return h->name;
		if (below == NULL && spf_is_below(h->name, domain, false))
			below = h->name;
		if (any == NULL)
			any = h->name;
	}
	return below != NULL ? below : any != NULL ? any : "unknown";
}

const struct spf_macros *
spf_macros_of(struct spf *s)
{
	s->macros.domain = spf_top(s)->domain;
	s->macros.validated = validated_name(s, spf_top(s)->domain);
	return &s->macros;
}
