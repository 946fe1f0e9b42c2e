/*
 * Callbacks, as lookup decides about them (lookup/callbacks.h): answers from what is known, and else has calls made, few and
 * seldom. Decides who is called and how long an answer holds; does not call (delivery does) nor judge (filters/callback.c,
 * main.c for recipients). Called by main.c.
 */
#include "lookup/callbacks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/hash.h"

#define HOUR		3600
#define DAY		(24 * HOUR)
#define WAITING_MAX	500			/* calls that wait for their turn: more is a flood */
#define CALL_MS		(2 * PROBE_MS)		/* its turn and the call itself; then nobody knows */
#define PAUSE_MS	60000			/* between two calls to a sender's domain */
#define DOMAINS_MAX	10000			/* that are remembered for it; a flood of more calls them sooner */
#define KEY_MAX		(ADDRESS_MAX + 2)

/* How long an answer holds, and from when on another one is sought beside it. */
static const struct { int64_t keep_s, refresh_s; } lives[PROBE_RESULTS] = {
	[PROBE_UNKNOWN] = { 2 * HOUR, 2 * HOUR },
	[PROBE_GOOD] = { 31 * DAY, 7 * DAY },
	[PROBE_BAD] = { 3 * DAY, 3 * HOUR },
	[PROBE_ALL] = { 31 * DAY, 7 * DAY },
};

struct callbacks_query {
	TAILQ_ENTRY(callbacks_query) next;
	struct call		*call;		/* NULL: the answer is there, and due */
	struct timer		 due;
	struct callbacks_answer	 answer;
	struct callbacks	*callbacks;
	callbacks_done_fn	*done;
	void			*arg;
};

TAILQ_HEAD(query_list, callbacks_query);

struct call {
	TAILQ_ENTRY(call)	 next;
	struct callbacks	*callbacks;
	char			 key[KEY_MAX];	/* 's' or 'r', and the address */
	uint64_t		 id;
	bool			 asked;		/* a delivery has it; else it waits */
	uint32_t		 instance;	/* which */
	struct timer		 patience;
	struct query_list	 queries;
	UT_hash_handle		 hh;
};

struct domain {
	char			 name[ADDRESS_DOMAIN_MAX + 1];
	int64_t			 called_ms;
	UT_hash_handle		 hh;
};

struct callbacks {
	const struct conf	*conf;
	struct callbacks_ground	 ground;
	struct call		*calls;		/* by key */
	TAILQ_HEAD(, call)	 waiting;
	struct query_list	 due;		/* queries without a call */
	struct domain		*domains;	/* in the order in which they were called */
	uint64_t		 ids;
	struct callbacks_counts	 counts;
};

/* ---- answers ---- */

static void
query_end(struct callbacks_query *q)
{
	if (q->call != NULL)
		TAILQ_REMOVE(&q->call->queries, q, next);
	else
		TAILQ_REMOVE(&q->callbacks->due, q, next);
	timer_stop(&q->due);
}

static void
query_answer(void *arg)
{
	struct callbacks_query *q = arg;

	query_end(q);
	q->done(q->arg, &q->answer);
	free(q);
}

void
callbacks_cancel(struct callbacks_query *q)
{
	if (q == NULL)
		return;
	query_end(q);
	free(q);
}

static void
query_settle(struct callbacks_query *q, enum probe_result result, bool known, bool refused, const char *text)
{
	if (q->call != NULL) {
		TAILQ_REMOVE(&q->call->queries, q, next);
		TAILQ_INSERT_TAIL(&q->callbacks->due, q, next);
		q->call = NULL;
	}
	q->answer.result = result;
	q->answer.known = known;
	q->answer.refused = refused;
	snprintf(q->answer.text, sizeof(q->answer.text), "%s", text);
	timer_start(&q->due, 0);
}

static void
call_free(struct call *c)
{
	struct callbacks *cb = c->callbacks;

	if (c->asked)
		cb->counts.under_way--;
	else {
		TAILQ_REMOVE(&cb->waiting, c, next);
		cb->counts.waiting--;
	}
	timer_stop(&c->patience);
	HASH_DEL(cb->calls, c);
	free(c);
}

static void
call_end(struct call *c, enum probe_result result, const char *text)
{
	struct callbacks_query *q;

	while ((q = TAILQ_FIRST(&c->queries)) != NULL)
		query_settle(q, result, false, false, text);
	call_free(c);
}

/* ---- what is known ---- */

static void
key_of(char to[KEY_MAX], enum call_kind kind, const char *address)
{
	snprintf(to, KEY_MAX, "%c%s", kind == CALL_RECIPIENT ? 'r' : 's', address);
}

/* Of the whole domain, for who takes all addresses is not asked about one. */
static void
domain_key(char to[KEY_MAX], const char *key)
{
	snprintf(to, KEY_MAX, "%c%s", key[0], strrchr(key, '@'));
}

/* What is known and holds still. */
static bool
recall(struct callbacks *cb, const char *key, struct callbacks_known *k)
{
	int64_t now = clock_wall();

	return cb->ground.get(cb->ground.arg, key, k) == 0 && k->result < PROBE_RESULTS && k->found <= now &&
	    now - k->found < lives[k->result].keep_s;
}

static bool
is_known(struct callbacks *cb, const char *key, struct callbacks_known *k)
{
	char domain[KEY_MAX];

	domain_key(domain, key);
	return recall(cb, key, k) || (recall(cb, domain, k) && k->result == PROBE_ALL);
}

static void
keep(struct callbacks *cb, const char *key, const struct callbacks_known *k)
{
	cb->ground.put(cb->ground.arg, key, k, (time_t)(k->found + lives[k->result].keep_s));
}

/* A call that found nothing does not take away what was known, but puts off the next one. */
static void
remember(struct callbacks *cb, const char *key, enum probe_result result)
{
	struct callbacks_known k = { .result = result, .found = clock_wall(), .tried = clock_wall() }, old;
	char domain[KEY_MAX];

	domain_key(domain, key);
	if (result == PROBE_ALL) {
		keep(cb, domain, &k);
		return;
	}
	if (result == PROBE_UNKNOWN && is_known(cb, key, &old)) {
		old.tried = k.tried;
		keep(cb, old.result == PROBE_ALL ? domain : key, &old);
		return;
	}
	if (result != PROBE_UNKNOWN && recall(cb, domain, &old)) {
		old = k;
		old.result = PROBE_UNKNOWN;	/* it has become choosy */
		keep(cb, domain, &old);
	}
	keep(cb, key, &k);
}

/* ---- calls ---- */

/* Whether this domain may be called now; then it counts as called. */
static bool
claim_domain(struct callbacks *cb, const char *name)
{
	struct domain *d;
	int64_t now = clock_ms();

	HASH_FIND_STR(cb->domains, name, d);
	if (d != NULL && now - d->called_ms < PAUSE_MS)
		return false;
	if (d == NULL && HASH_COUNT(cb->domains) >= DOMAINS_MAX)
		d = cb->domains;
	if (d != NULL)
		HASH_DEL(cb->domains, d);
	else
		d = alloc_new(1, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->called_ms = now;
	HASH_ADD_STR(cb->domains, name, d);
	return true;
}

static void
pump(struct callbacks *cb)
{
	struct call *c;

	while (cb->counts.under_way < cb->conf->callbacks && (c = TAILQ_FIRST(&cb->waiting)) != NULL) {
		if (cb->ground.call(cb->ground.arg, c->id, c->key[0] == 'r' ? CALL_RECIPIENT : CALL_SENDER, c->key + 1,
		    &c->instance) != 0)
			return;
		TAILQ_REMOVE(&cb->waiting, c, next);
		cb->counts.waiting--;
		c->asked = true;
		cb->counts.under_way++;
		cb->counts.called++;
	}
}

static void
on_patience(void *arg)
{
	struct call *c = arg;
	struct callbacks *cb = c->callbacks;

	call_end(c, PROBE_UNKNOWN, "the callback has not come to an end in time");
	pump(cb);
}

static struct call *
call_new(struct callbacks *cb, const char *key)
{
	struct call *c = alloc_new(1, sizeof(*c));

	c->callbacks = cb;
	c->id = ++cb->ids;
	snprintf(c->key, sizeof(c->key), "%s", key);
	TAILQ_INIT(&c->queries);
	HASH_ADD_STR(cb->calls, key, c);
	TAILQ_INSERT_TAIL(&cb->waiting, c, next);
	cb->counts.waiting++;
	timer_set(&c->patience, on_patience, c);
	timer_start(&c->patience, CALL_MS);
	return c;
}

/* One under way for this address, or a new one; NULL with why. */
static struct call *
call_for(struct callbacks *cb, const char *key, const struct address *a, const char **why_r)
{
	struct call *c;

	HASH_FIND_STR(cb->calls, key, c);
	if (c != NULL)
		return c;
	if (cb->counts.waiting >= WAITING_MAX)
		*why_r = "too many callbacks wait for their turn";
	else if (key[0] == 's' && !claim_domain(cb, a->domain))
		*why_r = "this domain was called less than a minute ago";
	else
		return call_new(cb, key);
	return NULL;
}

/* ---- questions ---- */

static void
answer_known(struct callbacks_query *q, const char *key, const struct address *a, const struct callbacks_known *k)
{
	struct callbacks *cb = q->callbacks;
	const char *why;
	char text[128];

	cb->counts.known++;
	snprintf(text, sizeof(text), "known since a callback %" PRId64 " minutes ago", (clock_wall() - k->found) / 60);
	query_settle(q, k->result, true, false, text);
	if (clock_wall() - k->tried >= lives[k->result].refresh_s)
		call_for(cb, key, a, &why);
}

static bool
may_be_called(const struct callbacks *cb, const struct address *a)
{
	return a->domain[0] != '\0' && !a->literal && !conf_is_local(cb->conf, a->domain);
}

static void
decide(struct callbacks_query *q, enum call_kind kind, const char *address)
{
	struct callbacks *cb = q->callbacks;
	struct callbacks_known known;
	const char *why = "such an address is not called back";
	char key[KEY_MAX];
	struct address a;

	if (address_parse(&a, address, ADDRESS_UTF8, NULL) != ADDRESS_OK || !may_be_called(cb, &a)) {
		query_settle(q, PROBE_UNKNOWN, false, true, why);
		return;
	}
	key_of(key, kind, a.text);
	if (is_known(cb, key, &known)) {
		answer_known(q, key, &a, &known);
	} else if ((q->call = call_for(cb, key, &a, &why)) != NULL) {
		TAILQ_REMOVE(&cb->due, q, next);
		TAILQ_INSERT_TAIL(&q->call->queries, q, next);
	} else {
		query_settle(q, PROBE_UNKNOWN, false, true, why);
	}
}

struct callbacks_query *
callbacks_ask(struct callbacks *cb, enum call_kind kind, const char *address, callbacks_done_fn *done, void *arg)
{
	struct callbacks_query *q = alloc_new(1, sizeof(*q));

	q->callbacks = cb;
	q->done = done;
	q->arg = arg;
	timer_set(&q->due, query_answer, q);
	TAILQ_INSERT_TAIL(&cb->due, q, next);
	cb->counts.asked++;
	decide(q, kind, address);
	pump(cb);
	return q;
}

void
callbacks_on_call(struct callbacks *cb, uint64_t id, uint32_t instance, const struct probe_answer *a)
{
	uint64_t *counters[PROBE_RESULTS] = { [PROBE_UNKNOWN] = &cb->counts.unknown, [PROBE_GOOD] = &cb->counts.good,
	    [PROBE_BAD] = &cb->counts.bad, [PROBE_ALL] = &cb->counts.all };
	char text[sizeof(((struct callbacks_answer *)0)->text)];
	struct call *c, *next;

	HASH_ITER(hh, cb->calls, c, next)
		if (c->id == id && c->asked && c->instance == instance)
			break;
	if (c == NULL)
		return;
	++*counters[a->result];
	remember(cb, c->key, a->result);
	snprintf(text, sizeof(text), "%s%s%s", a->host, a->host[0] != '\0' ? " " : "", a->text);
	call_end(c, a->result, text);
	pump(cb);
}

void
callbacks_delivery_down(struct callbacks *cb, uint32_t instance)
{
	struct call *c, *next;

	HASH_ITER(hh, cb->calls, c, next)
		if (c->asked && c->instance == instance)
			call_end(c, PROBE_UNKNOWN, "the process that made the callback has ended");
	pump(cb);
}

void
callbacks_delivery_up(struct callbacks *cb)
{
	pump(cb);
}

bool
callbacks_are_idle(const struct callbacks *cb)
{
	return cb->calls == NULL && TAILQ_EMPTY(&cb->due);
}

void
callbacks_counts(const struct callbacks *cb, struct callbacks_counts *to)
{
	*to = cb->counts;
}

/* ---- start and end ---- */

struct callbacks *
callbacks_new(const struct conf *conf, const struct callbacks_ground *ground)
{
	struct callbacks *cb = alloc_new(1, sizeof(*cb));

	cb->conf = conf;
	cb->ground = *ground;
	TAILQ_INIT(&cb->waiting);
	TAILQ_INIT(&cb->due);
	return cb;
}

void
callbacks_set_conf(struct callbacks *cb, const struct conf *conf)
{
	cb->conf = conf;
	pump(cb);
}

void
callbacks_free(struct callbacks *cb)
{
	struct domain *d, *next_domain;
	struct call *c, *next;

	HASH_ITER(hh, cb->calls, c, next)
		call_end(c, PROBE_UNKNOWN, "");
	while (!TAILQ_EMPTY(&cb->due))
		callbacks_cancel(TAILQ_FIRST(&cb->due));
	HASH_ITER(hh, cb->domains, d, next_domain) {
		HASH_DEL(cb->domains, d);
		free(d);
	}
	free(cb);
}
