/*
 * The health of DNS lists (filters/dnsbl_watch.h). Whether a lookup leaves a list out is decided by who asks; here is
 * found out whether it should.
 */
#include "filters/dnsbl_watch.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "filters/reverse.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"

#define WATCH_PERIOD_MS	(60 * 60 * 1000)
#define TEST_DEADLINE_MS 10000
#define POINTS_MAX	4

/* RFC 5782, 5: what must be listed and what must not. A list has IPv4 addresses, IPv6 ones (as ::FFFF:7F00:2) or both. */
struct point {
	bool			 listed;	/* it must be; else it must not be */
	const char		*domain;
	struct reverse_address	 address;
};

static const struct point address_points[POINTS_MAX] = {
	{ true, NULL, { .bytes = { 127, 0, 0, 2 }, .len = 4 } },
	{ false, NULL, { .bytes = { 127, 0, 0, 1 }, .len = 4 } },
	{ true, NULL, { .bytes = { [10] = 0xff, 0xff, 127, 0, 0, 2 }, .len = 16 } },
	{ false, NULL, { .bytes = { [10] = 0xff, 0xff, 127, 0, 0, 1 }, .len = 16 } },
};

static const struct point domain_points[] = {
	{ true, "test", { .len = 0 } },
	{ false, "invalid", { .len = 0 } },
};

struct point_ask {
	struct dnsbl_test	*test;
	const struct point	*point;
	struct dns_question	*question;
};

struct dnsbl_test {
	const struct dnsbl_list	*list;
	dnsbl_test_fn		*done;
	void			*arg;
	struct point_ask	 asks[POINTS_MAX];
	size_t			 n, n_waiting;
	bool			 alive, lists_all, silent;
	const char		*refusal;	/* NULL: none */
};

/* -- one test -- */

void
dnsbl_test_cancel(struct dnsbl_test *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		dns_cancel(t->asks[i].question);
	free(t);
}

/* Trouble that was seen counts before an answer that was not. */
static void
conclude(struct dnsbl_test *t)
{
	if (t->refusal != NULL)
		t->done(t->arg, DNSBL_REFUSES, t->refusal);
	else if (t->lists_all)
		t->done(t->arg, DNSBL_LISTS_ALL, "it lists what no list may");
	else if (t->alive)
		t->done(t->arg, DNSBL_HEALTHY, "its test points are right");
	else if (t->silent)
		t->done(t->arg, DNSBL_SILENT, "it does not answer");
	else
		t->done(t->arg, DNSBL_DEAD, "it does not list its test point");
	dnsbl_test_cancel(t);
}

/* Any code of a listing will do: which of them count for mail has nothing to do with this. */
static void
read_codes(struct dnsbl_test *t, const struct point *point, const struct dns_answer *answer)
{
	struct dnsbl_list any = *t->list;
	const char *why;

	any.n_codes = 0;
	for (size_t i = 0; i < answer->n; i++) {
		if (dnsbl_list_meaning(&any, ntohl(answer->records[i].a.s_addr), &why) != DNSBL_COUNTS)
			t->refusal = why;
		else if (point->listed)
			t->alive = true;
		else
			t->lists_all = true;
	}
}

static void
on_point(void *arg, const struct dns_answer *answer)
{
	struct point_ask *a = arg;
	struct dnsbl_test *t = a->test;

	a->question = NULL;
	if (answer->result == DNS_OK)
		read_codes(t, a->point, answer);
	else if (answer->result == DNS_TEMPORARY && a->point->listed)
		t->silent = true;
	if (--t->n_waiting == 0)
		conclude(t);
}

struct dnsbl_test *
dnsbl_test_start(struct dns *dns, const struct dnsbl_list *list, bool domains, dnsbl_test_fn *done, void *arg)
{
	struct dnsbl_test *t = alloc_new(1, sizeof(*t));
	char name[DNS_NAME_MAX + 1];

	t->list = list;
	t->done = done;
	t->arg = arg;
	t->n = domains ? sizeof(domain_points) / sizeof(domain_points[0]) : POINTS_MAX;
	t->n_waiting = t->n;
	for (size_t i = 0; i < t->n; i++) {
		struct point_ask *a = &t->asks[i];

		a->test = t;
		a->point = domains ? &domain_points[i] : &address_points[i];
		if (domains)
			snprintf(name, sizeof(name), "%s.%s", a->point->domain, list->zone);
		else
			reverse_name(name, sizeof(name), &a->point->address, list->zone);	/* always fits: DNSBL_ZONE_MAX */
		a->question = dns_ask(dns, DNS_LIST, name, TEST_DEADLINE_MS, on_point, a);
	}
	return t;
}

const char *
dnsbl_health_name(enum dnsbl_health health)
{
	static const char *const names[] = {
		[DNSBL_HEALTHY] = "healthy",
		[DNSBL_DEAD] = "dead",
		[DNSBL_LISTS_ALL] = "lists-all",
		[DNSBL_REFUSES] = "refuses",
		[DNSBL_SILENT] = "silent",
	};

	return names[health];
}

/* -- the watch -- */

struct watched {
	struct dnsbl_watch	*watch;
	const struct dnsbl_list	*list;
	struct dnsbl_test	*test;
};

struct dnsbl_watch {
	struct dns	*dns;
	struct timer	 timer;
	bool		 domains;
	struct watched	*lists;
	bool		*off;
	size_t		 n;
};

static void
on_test(void *arg, enum dnsbl_health health, const char *why)
{
	struct watched *w = arg;
	bool *off = &w->watch->off[w - w->watch->lists];

	w->test = NULL;
	if (health == DNSBL_SILENT || *off == (health != DNSBL_HEALTHY))
		return;
	*off = health != DNSBL_HEALTHY;
	if (*off)
		log_warn("event=dnsbl-off list=%s health=%s reason=%s", w->list->zone, dnsbl_health_name(health), logq(why));
	else
		log_info("event=dnsbl-on list=%s reason=%s", w->list->zone, logq(why));
}

static void
test_all(void *arg)
{
	struct dnsbl_watch *w = arg;

	for (size_t i = 0; i < w->n; i++)
		if (w->lists[i].test == NULL)
			w->lists[i].test = dnsbl_test_start(w->dns, w->lists[i].list, w->domains, on_test, &w->lists[i]);
	timer_start(&w->timer, WATCH_PERIOD_MS);
}

struct dnsbl_watch *
dnsbl_watch_new(struct dns *dns, const struct dnsbl_list *lists, size_t n, bool domains)
{
	struct dnsbl_watch *w = alloc_new(1, sizeof(*w));

	w->lists = alloc_new(n + 1, sizeof(*w->lists));
	w->off = alloc_new(n + 1, sizeof(*w->off));
	w->dns = dns;
	w->domains = domains;
	w->n = n;
	for (size_t i = 0; i < n; i++) {
		w->lists[i].watch = w;
		w->lists[i].list = &lists[i];
	}
	timer_set(&w->timer, test_all, w);
	test_all(w);
	return w;
}

void
dnsbl_watch_free(struct dnsbl_watch *w)
{
	if (w == NULL)
		return;
	timer_stop(&w->timer);
	for (size_t i = 0; i < w->n; i++)
		dnsbl_test_cancel(w->lists[i].test);
	free(w->lists);
	free(w->off);
	free(w);
}

const bool *
dnsbl_watch_off(const struct dnsbl_watch *w)
{
	return w->off;
}
