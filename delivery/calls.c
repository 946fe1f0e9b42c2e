/*
 * Callbacks for lookup (delivery/calls.h): takes a question, finds the hosts that it is for, has mx/probe.c ask them, and
 * answers. A domain of ours is never called. Called by main.c.
 */
#include "delivery/calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/messages.h"
#include "lib/pack.h"
#include "lib/route.h"
#include "mx/probe.h"

#define CALLS_MAX	1000		/* lookup keeps to less */

struct call_key {
	struct ipc	*ipc;
	uint64_t	 id;
};

struct call {
	struct call_key	 key;
	struct calls	*calls;
	struct probe	*probe;
	char		 address[ADDRESS_MAX];
	int64_t		 began_ms;
	UT_hash_handle	 hh;
};

struct calls {
	struct event_base	*base;
	const struct conf	*conf;
	struct dns		*dns;
	const struct sockaddr_storage *own;
	size_t			 n_own;
	struct call		*all;
	bool			 stopping;
};

static void
answer(struct ipc *ipc, uint64_t id, const struct probe_answer *a)
{
	struct pack p;

	pack_init(&p);
	pack_u8(&p, (uint8_t)a->result);
	pack_u16(&p, a->code);
	pack_str(&p, a->host);
	pack_str(&p, a->text);
	ipc_send_pack(ipc, MSG_CALL, id, &p, -1);
	pack_free(&p);
}

static void
answer_unknown(struct ipc *ipc, uint64_t id, const char *why)
{
	struct probe_answer a = { .result = PROBE_UNKNOWN };

	snprintf(a.text, sizeof(a.text), "%s", why);
	answer(ipc, id, &a);
}

static void
call_free(struct call *c)
{
	HASH_DEL(c->calls->all, c);
	probe_cancel(c->probe);
	free(c);
}

static void
on_probe(void *arg, const struct probe_answer *a)
{
	struct call *c = arg;

	c->probe = NULL;
	log_info("event=callback address=%s result=%s host=%s code=%u ms=%lld text=%s", logq(c->address),
	    probe_result_name(a->result), logq(a->host), (unsigned)a->code, (long long)(clock_ms() - c->began_ms), logq(a->text));
	answer(c->key.ipc, c->key.id, a);
	call_free(c);
}

/* A recipient is asked for where its mail goes; a sender where the world would send a bounce. 0, or -1. */
static int
find_route(struct route *r, const struct conf *conf, enum call_kind kind, const struct address *a)
{
	char hop[ROUTE_HOP_MAX];

	if (kind == CALL_RECIPIENT)
		route_hop(hop, conf, "", a->domain);
	else
		snprintf(hop, sizeof(hop), "mx:%s", a->domain);
	return route_parse(r, conf, hop);
}

static void
call_start(struct calls *calls, struct ipc *ipc, uint64_t id, const struct address *a, const struct route *route)
{
	static const int families[] = { [CONF_INET_ANY] = AF_UNSPEC, [CONF_INET_IPV4] = AF_INET, [CONF_INET_IPV6] = AF_INET6 };
	const struct conf *conf = calls->conf;
	struct mx_options o = {
		.hostname = conf->hostname,
		.own = calls->own,
		.n_own = calls->n_own,
		.family = families[conf->inet],
		.allow_private = route->is_relay || conf->private_mx,
	};
	struct call *c = alloc_new(1, sizeof(*c));

	c->key.ipc = ipc;
	c->key.id = id;
	c->calls = calls;
	c->began_ms = clock_ms();
	snprintf(c->address, sizeof(c->address), "%s", a->text);
	HASH_ADD(hh, calls->all, key, sizeof(c->key), c);
	c->probe = probe_start(calls->base, calls->dns, a, route, &o, on_probe, c);
}

int
calls_on_ask(struct calls *calls, struct ipc *ipc, struct ipc_message *m)
{
	struct call_key key = { ipc, m->id };
	char text[ADDRESS_MAX];
	struct address a;
	struct unpack u;
	struct route route;
	struct call *c;
	unsigned kind;

	unpack_init(&u, m->data, m->len);
	kind = unpack_u8(&u);
	unpack_str_to(&u, text, sizeof(text));
	if (!unpack_end(&u) || kind > CALL_RECIPIENT || address_parse(&a, text, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return ipc_fail(ipc, "CALL_ASK without an address");
	HASH_FIND(hh, calls->all, &key, sizeof(key), c);
	if (c != NULL)
		return ipc_fail(ipc, "call %llu asked for twice", (unsigned long long)m->id);
	if (calls->stopping)
		answer_unknown(ipc, m->id, "shutting down");
	else if (a.literal || conf_is_local(calls->conf, a.domain))
		answer_unknown(ipc, m->id, "such a domain is not called");
	else if (HASH_COUNT(calls->all) >= CALLS_MAX || find_route(&route, calls->conf, kind, &a) != 0)
		answer_unknown(ipc, m->id, "too many callbacks are under way");
	else
		call_start(calls, ipc, m->id, &a, &route);
	return 0;
}

void
calls_lookup_down(struct calls *calls, struct ipc *ipc)
{
	struct call *c, *next;

	HASH_ITER(hh, calls->all, c, next)
		if (c->key.ipc == ipc)
			call_free(c);
}

void
calls_stop(struct calls *calls)
{
	struct call *c, *next;

	calls->stopping = true;
	HASH_ITER(hh, calls->all, c, next) {
		answer_unknown(c->key.ipc, c->key.id, "shutting down");
		call_free(c);
	}
}

bool
calls_are_idle(const struct calls *calls)
{
	return calls->all == NULL;
}

unsigned
calls_count(const struct calls *calls)
{
	return HASH_COUNT(calls->all);
}

struct calls *
calls_new(struct event_base *base, const struct conf *conf, struct dns *dns, const struct sockaddr_storage *own, size_t n_own)
{
	struct calls *calls = alloc_new(1, sizeof(*calls));

	calls->base = base;
	calls->conf = conf;
	calls->dns = dns;
	calls->own = own;
	calls->n_own = n_own;
	return calls;
}
