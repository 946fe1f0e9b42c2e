/*
 * delivery/pool.c: how many connections an address has: a few at first, more with success, fewer after failures, and never more
 * than it may.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/client.h"
#include "delivery/pool.h"
#include "lib/clock.h"
#include "mx/mx.h"
#include "tests/unit/run.h"

#define JOBS	40
#define MOST	20

struct job {
	struct pool_ticket	 ticket;
	struct client		*client;
	bool			 has;		/* a place, and a connection to the address */
};

static struct event_base *base;
static struct pool *pool;
static struct sockaddr_storage address;
static struct job jobs[JOBS];

static void
on_place(void *arg, struct client *kept)
{
	struct job *j = arg;
	struct client *c = kept;

	if (kept != NULL) {
		j->client = kept;
		j->has = true;
		return;
	}
	switch (pool_use_host(pool, &j->ticket, &address, 0, MOST, &c)) {
	case POOL_USE_FULL:
		pool_ask_host(pool, &j->ticket, &address, 0);
		break;
	case POOL_USE_KEPT:
	case POOL_USE_NEW:
		j->client = c;
		j->has = true;
		break;
	}
}

static void
turn(void)
{
	for (int i = 0; i < 2 * JOBS; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static unsigned
connected(void)
{
	unsigned n = 0;

	for (int i = 0; i < JOBS; i++)
		n += jobs[i].has;
	return n;
}

static void
setup(void)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&address;

	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	pool = pool_new(base, 1000);
	memset(&address, 0, sizeof(address));
	in->sin_family = AF_INET;
	in->sin_port = htons(25);
	inet_pton(AF_INET, "192.0.2.1", &in->sin_addr);
	memset(jobs, 0, sizeof(jobs));
	for (int i = 0; i < JOBS; i++)		/* of many domains: only the address has a limit */
		pool_ask(pool, &jobs[i].ticket, i % 2 ? "mx:a.example" : "mx:b.example", 100, on_place, &jobs[i]);
	turn();
}

static void
teardown(void)
{
	for (int i = 0; i < JOBS; i++)
		pool_leave(pool, &jobs[i].ticket, NULL);
	pool_free(pool);
	clock_init(NULL);
	event_base_free(base);
}

/* One of those connected ends: well, with a client that could be used again, or badly. */
static void
end_one(bool good)
{
	struct mx_address to = { .address = address, .length = sizeof(struct sockaddr_in) };

	for (int i = 0; i < JOBS; i++) {
		if (!jobs[i].has)
			continue;
		jobs[i].has = false;
		if (!good)
			pool_host_failed(&jobs[i].ticket);
		client_free(jobs[i].client);
		pool_leave(pool, &jobs[i].ticket, good ? client_new(base, &to, "us.example") : NULL);
		jobs[i].client = NULL;
		break;
	}
	turn();
}

START_TEST(success_raises_it)
{
	ck_assert_uint_eq(connected(), 5);
	for (unsigned n = 6; n <= 12; n++) {
		end_one(true);
		ck_assert_uint_ge(connected(), n - 1);
		ck_assert_uint_le(connected(), n);
	}
}
END_TEST

START_TEST(failure_lowers_it)
{
	end_one(false);				/* 5 to 2: nobody comes until there are fewer */
	ck_assert_uint_eq(connected(), 4);
	end_one(false);
	ck_assert_uint_eq(connected(), 3);
	for (int i = 0; i < 3; i++)
		end_one(false);
	ck_assert_uint_eq(connected(), 1);	/* one always tries */
	end_one(true);
	end_one(true);
	ck_assert_uint_ge(connected(), 2);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("pool");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, success_raises_it);
	tcase_add_test(t, failure_lowers_it);
	return run_case("pool", t);
}
