/*
 * Decides which addresses are tried last because their family leads nowhere, or because the next hop does not like us by
 * IPv6 (no PTR record: RFC 7372 has 5.7.25 for it). Nothing is left out: experience may be wrong. Called by agent_course.c.
 */
#include "delivery/reach.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "mx/mx.h"

#define MINUTES		(60 * 1000)
#define NO_ROUTE_MS	(5 * MINUTES)
#define SILENT_MS	(15 * MINUTES)
#define SILENT_TIMES	3		/* in a row, without one that connects: it is not the servers */
#define REFUSED_MS	(24 * 60 * MINUTES)

struct family {
	unsigned	silent;
	int64_t		until_ms;	/* last in order */
};

struct refusal {			/* oldest first in the table */
	char		*hop;
	int64_t		 until_ms;
	UT_hash_handle	 hh;
};

struct reach {
	struct family	 v4, v6;
	struct refusal	*refusals;
};

struct reach *
reach_new(void)
{
	struct reach *r = alloc_new(1, sizeof(*r));

	return r;
}

static void
forget(struct reach *r, struct refusal *f)
{
	HASH_DEL(r->refusals, f);
	free(f->hop);
	free(f);
}

void
reach_free(struct reach *r)
{
	if (r == NULL)
		return;
	while (r->refusals != NULL)
		forget(r, r->refusals);
	free(r);
}

static void
put_last(struct family *f, int family, int64_t until_ms, int error)
{
	f->until_ms = until_ms;
	f->silent = 0;
	log_info("event=no-way family=%s reason=%s", family == AF_INET6 ? "ipv6" : "ipv4", logq(strerror(error)));
}

void
reach_tried(struct reach *r, int family, int error, int64_t now_ms)
{
	struct family *f = family == AF_INET6 ? &r->v6 : &r->v4;

	switch (error) {
	case ENETUNREACH:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		if (now_ms >= f->until_ms)
			put_last(f, family, now_ms + NO_ROUTE_MS, error);
		break;
	case ETIMEDOUT:
	case EHOSTUNREACH:
		if (now_ms >= f->until_ms && ++f->silent >= SILENT_TIMES)
			put_last(f, family, now_ms + SILENT_MS, error);
		break;
	case 0:
	case ECONNREFUSED:		/* even a refusal is an answer */
		f->silent = 0;
		f->until_ms = 0;
		break;
	default:			/* no descriptors, say: speaks of us */
		break;
	}
}

void
reach_refused_ipv6(struct reach *r, const char *hop, int64_t now_ms)
{
	struct refusal *f;

	HASH_FIND_STR(r->refusals, hop, f);
	if (f != NULL)
		forget(r, f);
	if (HASH_COUNT(r->refusals) >= REACH_HOPS_MAX)
		forget(r, r->refusals);
	f = alloc_new(1, sizeof(*f));
	f->hop = alloc_text(hop);
	f->until_ms = now_ms + REFUSED_MS;
	HASH_ADD_KEYPTR(hh, r->refusals, f->hop, strlen(f->hop), f);
	log_info("event=ipv4-first hop=%s reason=\"it refuses our mail by IPv6\"", logq(hop));
}

static bool
dislikes_ipv6(struct reach *r, const char *hop, int64_t now_ms)
{
	struct refusal *f;

	HASH_FIND_STR(r->refusals, hop, f);
	if (f != NULL && now_ms >= f->until_ms) {
		forget(r, f);
		f = NULL;
	}
	return f != NULL;
}

void
reach_order(struct reach *r, const char *hop, struct mx_address *list, size_t n, int64_t now_ms)
{
	bool last6 = now_ms < r->v6.until_ms || dislikes_ipv6(r, hop, now_ms), last4 = now_ms < r->v4.until_ms;
	struct mx_address late[MX_ADDRESSES_MAX];
	size_t first = 0, n_late = 0;

	if (last4 == last6 || n > MX_ADDRESSES_MAX)
		return;
	for (size_t i = 0; i < n; i++)
		if (list[i].address.ss_family == (last6 ? AF_INET6 : AF_INET))
			late[n_late++] = list[i];
		else if (first++ != i)
			list[first - 1] = list[i];
	memcpy(list + first, late, n_late * sizeof(*late));
}
