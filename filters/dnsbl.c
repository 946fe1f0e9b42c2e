/*
 * Questions to DNS lists (filters/dnsbl.h): one A per list at once, then TXT of those that list it. Nothing that a list
 * does wrong is a listing. Called by the filter of the chain and by minimtactl.
 */
#include "filters/dnsbl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "mx/mx_order.h"

struct ask {				/* one list */
	struct dnsbl_lookup	*lookup;
	const struct dnsbl_list	*list;
	struct dns_question	*question;
	char			*name;		/* to ask for its text, where that is wanted */
};

struct dnsbl_lookup {
	struct dns		*dns;
	struct timer		 timer;		/* for a verdict without a question */
	dnsbl_done_fn		*done;
	void			*arg;
	int64_t			 began_ms, until_ms;
	bool			 want_text;
	size_t			 n, n_waiting;
	struct dnsbl_finding	*findings;	/* as many as lists */
	struct ask		 asks[];
};

static void
lookup_free(struct dnsbl_lookup *l)
{
	timer_stop(&l->timer);
	for (size_t i = 0; i < l->n; i++) {
		dns_cancel(l->asks[i].question);
		free(l->asks[i].name);
	}
	free(l->findings);
	free(l);
}

void
dnsbl_cancel(struct dnsbl_lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}

static void
lookup_done(void *arg)
{
	struct dnsbl_lookup *l = arg;
	struct dnsbl_verdict v = { .findings = l->findings, .n = l->n };

	for (size_t i = 0; i < l->n; i++) {
		v.asked += l->findings[i].state != DNSBL_NOT_ASKED;
		if (l->findings[i].state != DNSBL_LISTED)
			continue;
		v.listed++;
		v.score += l->asks[i].list->weight;
	}
	v.percent = v.asked > 0 ? v.listed * 100 / v.asked : 0;
	l->done(l->arg, &v);
	lookup_free(l);
}

static void
answered(struct dnsbl_lookup *l)
{
	if (--l->n_waiting == 0)
		lookup_done(l);
}

static uint32_t
time_left(const struct dnsbl_lookup *l)
{
	int64_t left = l->until_ms - clock_ms();

	return left > 0 ? (uint32_t)left : 1;
}

/* One error among the codes, and the list is not believed. */
static void
read_codes(struct dnsbl_finding *f, const struct dnsbl_list *list, const struct dns_answer *answer)
{
	const char *why;

	f->state = DNSBL_NOT_LISTED;
	f->why = "";
	f->code = answer->records[0].a;
	for (size_t i = 0; i < answer->n; i++)
		switch (dnsbl_list_meaning(list, ntohl(answer->records[i].a.s_addr), &why)) {
		case DNSBL_COUNTS:
			if (f->state != DNSBL_LISTED)
				f->code = answer->records[i].a;
			f->state = DNSBL_LISTED;
			break;
		case DNSBL_OTHER:
			if (f->state != DNSBL_LISTED)
				f->why = "listed with a code that does not count";
			break;
		default:
			f->code = answer->records[i].a;
			f->state = DNSBL_TROUBLE;
			f->why = why;
			return;
		}
	if (f->state == DNSBL_LISTED)
		f->why = "";
}

static void
on_text(void *arg, const struct dns_answer *answer)
{
	struct ask *a = arg;
	struct dnsbl_lookup *l = a->lookup;

	a->question = NULL;
	if (answer->result == DNS_OK)
		dnsbl_text_clean(l->findings[a - l->asks].text, answer->records[0].bytes, answer->records[0].len);
	answered(l);
}

static void
on_code(void *arg, const struct dns_answer *answer)
{
	struct ask *a = arg;
	struct dnsbl_lookup *l = a->lookup;
	struct dnsbl_finding *f = &l->findings[a - l->asks];

	a->question = NULL;
	f->ms = (uint32_t)(clock_ms() - l->began_ms);
	if (answer->result == DNS_OK) {
		read_codes(f, a->list, answer);
	} else if (answer->result == DNS_TEMPORARY) {
		f->state = DNSBL_NO_ANSWER;
		f->why = answer->why;
	} else {
		f->state = DNSBL_NOT_LISTED;
	}
	if (f->state == DNSBL_LISTED && l->want_text)
		a->question = dns_ask(l->dns, DNS_TXT, a->name, time_left(l), on_text, a);
	else
		answered(l);
}

/* -- what may be asked -- */

static bool
is_public(const struct reverse_address *address)
{
	struct mx_address a;

	if (address->len == 0)
		return false;
	mx_address_set(&a, address->len == 4 ? AF_INET : AF_INET6, address->bytes, 25);
	return mx_reach((const struct sockaddr *)&a.address) == MX_REACH_PUBLIC;
}

/* NULL: it may be asked about. */
static const char *
why_not(const struct dnsbl_question *q)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (q->address == NULL)
		return q->domain != NULL && address_domain(domain, q->domain, ADDRESS_UTF8) == 0 && domain[0] != '[' &&
		    domain[0] != '\0' ? NULL : "not a domain";
	if (!is_public(q->address))
		return "not a public address";
	for (size_t i = 0; i < q->n_own; i++)
		if (q->own[i].len == q->address->len && memcmp(q->own[i].bytes, q->address->bytes, q->address->len) == 0)
			return "one of our own addresses";
	return NULL;
}

static int
make_name(char to[DNS_NAME_MAX + 1], const struct dnsbl_question *q, const struct dnsbl_list *list)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	int n;

	if (q->address != NULL)
		return reverse_name(to, DNS_NAME_MAX + 1, q->address, list->zone);
	if (address_domain(domain, q->domain, ADDRESS_UTF8) == -1)
		return -1;
	n = snprintf(to, DNS_NAME_MAX + 1, "%s.%s", domain, list->zone);
	return n >= 0 && n <= DNS_NAME_MAX ? 0 : -1;
}

static void
ask_list(struct dnsbl_lookup *l, const struct dnsbl_question *q, size_t i, const char *why)
{
	struct ask *a = &l->asks[i];
	char name[DNS_NAME_MAX + 1];

	a->lookup = l;
	a->list = &q->lists[i];
	l->findings[i] = (struct dnsbl_finding){ .state = DNSBL_NOT_ASKED, .why = why != NULL ? why : "" };
	if (why == NULL && q->off != NULL && q->off[i])
		l->findings[i].why = "the list does not work";
	else if (why == NULL && make_name(name, q, a->list) == -1)
		l->findings[i].why = "too long a name to ask for";
	else if (why == NULL) {
		a->name = l->want_text ? alloc_text(name) : NULL;
		l->n_waiting++;
		a->question = dns_ask(l->dns, DNS_LIST, name, time_left(l), on_code, a);
	}
}

struct dnsbl_lookup *
dnsbl_start(struct dns *dns, const struct dnsbl_question *q, dnsbl_done_fn *done, void *arg)
{
	size_t n = q->n < DNSBL_LISTS_MAX ? q->n : DNSBL_LISTS_MAX;
	struct dnsbl_lookup *l = alloc_new(1, sizeof(*l) + n * sizeof(l->asks[0]));

	l->findings = alloc_new(n, sizeof(*l->findings));
	l->dns = dns;
	l->done = done;
	l->arg = arg;
	l->want_text = q->want_text;
	l->began_ms = clock_ms();
	l->until_ms = l->began_ms + (q->deadline_ms != 0 ? q->deadline_ms : DNSBL_DEADLINE_MS);
	timer_set(&l->timer, lookup_done, l);
	l->n = n;
	for (size_t i = 0; i < l->n; i++)
		ask_list(l, q, i, why_not(q));
	if (l->n_waiting == 0)
		timer_start(&l->timer, 0);
	return l;
}

const char *
dnsbl_state_name(enum dnsbl_state state)
{
	static const char *const names[] = {
		[DNSBL_NOT_ASKED] = "not-asked",
		[DNSBL_NO_ANSWER] = "no-answer",
		[DNSBL_NOT_LISTED] = "not-listed",
		[DNSBL_LISTED] = "listed",
		[DNSBL_TROUBLE] = "trouble",
	};

	return names[state];
}
