/*
 * Reverse names looked up (filters/iprev.h). The result does not depend on which answer came first: the names are looked
 * at in an order of their own once all have been answered, or the deadline has.
 */
#include "filters/iprev.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/clock.h"

struct host {
	struct iprev_lookup	*lookup;
	struct dns_question	*question;	/* NULL: answered */
	char			 name[DNS_NAME_MAX + 1];
	bool			 matches, failed;
};

struct iprev_lookup {
	struct dns		*dns;
	struct dns_question	*pointers;
	struct timer		 timer;		/* for a verdict without a question */
	iprev_done_fn		*done;
	void			*arg;
	int64_t			 until_ms;
	struct reverse_address	 address;
	char			 helo[DNS_NAME_MAX + 1];
	struct host		*hosts;		/* of the PTR answer */
	size_t			 n_hosts, n_waiting;
	struct iprev_verdict	 verdict;
};

static void
lookup_free(struct iprev_lookup *l)
{
	timer_stop(&l->timer);
	dns_cancel(l->pointers);
	for (size_t i = 0; i < l->n_hosts; i++)
		dns_cancel(l->hosts[i].question);
	free(l->hosts);
	free(l);
}

void
iprev_cancel(struct iprev_lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}

static void
lookup_done(void *arg)
{
	struct iprev_lookup *l = arg;

	l->done(l->arg, &l->verdict);
	lookup_free(l);
}

static void __attribute__((format(printf, 3, 4)))
set_result(struct iprev_lookup *l, enum iprev_result result, const char *fmt, ...)
{
	va_list ap;

	l->verdict.result = result;
	va_start(ap, fmt);
	vsnprintf(l->verdict.why, sizeof(l->verdict.why), fmt, ap);
	va_end(ap);
}

static void
set_name(struct iprev_lookup *l, const char *name)
{
	snprintf(l->verdict.name, sizeof(l->verdict.name), "%s", name);
	l->verdict.look = iprev_name_look(name, &l->address);
}

static void
collect(struct iprev_lookup *l)
{
	const struct host *match = NULL, *failed = NULL;

	for (size_t i = 0; i < l->n_hosts; i++) {
		const struct host *h = &l->hosts[i];

		if (h->failed && failed == NULL)
			failed = h;
		if (!h->matches)
			continue;
		l->verdict.helo |= strcasecmp(h->name, l->helo) == 0;
		if (match == NULL)
			match = h;
	}
	set_name(l, match != NULL ? match->name : l->hosts[0].name);
	if (match != NULL)
		set_result(l, IPREV_PASS, "%s leads back to the address", match->name);
	else if (failed != NULL)
		set_result(l, IPREV_TEMPERROR, "the address of %s cannot be looked up now", failed->name);
	else
		set_result(l, IPREV_FAIL, "%s does not lead back to the address", l->verdict.name);
	lookup_done(l);
}

static void
on_address(void *arg, const struct dns_answer *answer)
{
	struct host *h = arg;
	struct iprev_lookup *l = h->lookup;

	h->question = NULL;
	h->failed = answer->result == DNS_TEMPORARY;
	for (size_t i = 0; i < answer->n; i++) {
		const struct dns_record *r = &answer->records[i];
		const void *bytes = answer->type == DNS_A ? (const void *)&r->a : (const void *)&r->aaaa;

		h->matches |= memcmp(bytes, l->address.bytes, l->address.len) == 0;
	}
	if (--l->n_waiting == 0)
		collect(l);
}

/* DNS turns the names of an answer round as it likes; ours is always the same order. */
static int
compare_hosts(const void *a, const void *b)
{
	return strcasecmp(((const struct host *)a)->name, ((const struct host *)b)->name);
}

static void
take_names(struct iprev_lookup *l, const struct dns_answer *answer)
{
	size_t room = answer->n < IPREV_NAMES_MAX ? answer->n : IPREV_NAMES_MAX;

	l->hosts = alloc_new(room, sizeof(*l->hosts));
	for (size_t i = 0; i < answer->n; i++) {
		if (answer->records[i].len == 0 || answer->records[i].len > DNS_NAME_MAX)
			continue;
		l->verdict.names++;
		if (l->n_hosts == IPREV_NAMES_MAX) {
			l->verdict.cut = true;
			continue;
		}
		memcpy(l->hosts[l->n_hosts].name, answer->records[i].bytes, answer->records[i].len);
		l->n_hosts++;
	}
	l->verdict.cut |= answer->cut;
	qsort(l->hosts, l->n_hosts, sizeof(l->hosts[0]), compare_hosts);
}

static void
ask_addresses(struct iprev_lookup *l)
{
	int64_t left = l->until_ms - clock_ms();

	l->n_waiting = l->n_hosts;
	for (size_t i = 0; i < l->n_hosts; i++) {
		struct host *h = &l->hosts[i];

		h->lookup = l;
		h->question = dns_ask(l->dns, l->address.len == 4 ? DNS_A : DNS_AAAA, h->name,
		    left > 0 ? (uint32_t)left : 1, on_address, h);
	}
}

static void
on_pointers(void *arg, const struct dns_answer *answer)
{
	struct iprev_lookup *l = arg;

	l->pointers = NULL;
	if (answer->result == DNS_OK)
		take_names(l, answer);
	if (l->n_hosts > 0) {
		ask_addresses(l);
		return;
	}
	if (answer->result == DNS_TEMPORARY)
		set_result(l, IPREV_TEMPERROR, "the reverse name cannot be looked up now: %s", answer->why);
	else if (answer->result == DNS_INVALID)
		set_result(l, IPREV_PERMERROR, "the reverse name is not one that a host can have");
	else
		set_result(l, IPREV_PERMERROR, "the address has no reverse name");
	lookup_done(l);
}

struct iprev_lookup *
iprev_start(struct dns *dns, const struct reverse_address *address, const char *helo, uint32_t deadline_ms,
    iprev_done_fn *done, void *arg)
{
	struct iprev_lookup *l = alloc_new(1, sizeof(*l));
	char name[DNS_NAME_MAX + 1];

	if (deadline_ms == 0)
		deadline_ms = IPREV_DEADLINE_MS;
	l->dns = dns;
	l->done = done;
	l->arg = arg;
	l->until_ms = clock_ms() + deadline_ms;
	l->address = *address;
	snprintf(l->helo, sizeof(l->helo), "%s", helo != NULL ? helo : "");
	timer_set(&l->timer, lookup_done, l);
	if (reverse_name(name, sizeof(name), address, address->len == 4 ? REVERSE_IPV4_ZONE : REVERSE_IPV6_ZONE) == -1) {
		set_result(l, IPREV_PERMERROR, "there is no address that could have a name");
		timer_start(&l->timer, 0);
		return l;
	}
	l->pointers = dns_ask(dns, DNS_PTR, name, deadline_ms, on_pointers, l);
	return l;
}

const char *
iprev_result_name(enum iprev_result result)
{
	static const char *const names[] = {
		[IPREV_PASS] = "pass",
		[IPREV_FAIL] = "fail",
		[IPREV_TEMPERROR] = "temperror",
		[IPREV_PERMERROR] = "permerror",
	};

	return names[result];
}
