/*
 * Who is called back, and when: with a table for what is kept and a list for the calls that are made, on a clock of its own.
 */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/conf.h"
#include "lookup/callbacks.h"
#include "tests/unit/run.h"

#define KEPT_MAX	20
#define HOUR		(3600 * 1000LL)
#define DAY		(24 * HOUR)

struct run {
	struct event_base	*base;
	struct conf		*conf;
	struct callbacks	*cb;
	struct { char key[100]; struct callbacks_known known; } kept[KEPT_MAX];
	unsigned		 n_kept;
	char			 called[4000];		/* "s anna@example.org;" for each */
	unsigned		 n_called;
	uint64_t		 last_id;
	bool			 nobody;
	uint32_t		 instance;
	unsigned		 answers;
	struct callbacks_answer	 answer;
};

static int64_t offset;

static int
on_get(void *arg, const char *key, struct callbacks_known *k)
{
	struct run *r = arg;

	for (unsigned i = 0; i < r->n_kept; i++)
		if (strcmp(r->kept[i].key, key) == 0) {
			*k = r->kept[i].known;
			return 0;
		}
	return -1;
}

static void
on_put(void *arg, const char *key, const struct callbacks_known *k, time_t expiry)
{
	struct run *r = arg;
	unsigned i = 0;

	ck_assert_int_ge(expiry, clock_wall());
	while (i < r->n_kept && strcmp(r->kept[i].key, key) != 0)
		i++;
	if (i == r->n_kept) {
		ck_assert_uint_lt(i, KEPT_MAX);
		r->n_kept++;
	}
	snprintf(r->kept[i].key, sizeof(r->kept[i].key), "%s", key);
	r->kept[i].known = *k;
}

static int
on_call(void *arg, uint64_t id, enum call_kind kind, const char *address, uint32_t *instance_r)
{
	struct run *r = arg;
	size_t len = strlen(r->called);

	if (r->nobody)
		return -1;
	snprintf(r->called + len, sizeof(r->called) - len, "%c %s;", kind == CALL_RECIPIENT ? 'r' : 's', address);
	r->n_called++;
	r->last_id = id;
	*instance_r = r->instance;
	return 0;
}

static void
on_answer(void *arg, const struct callbacks_answer *a)
{
	struct run *r = arg;

	r->answers++;
	r->answer = *a;
}

static void
begin(struct run *r, const char *text)
{
	char err[200];
	struct callbacks_ground ground = { on_get, on_put, on_call, r };

	*r = (struct run){ .base = event_base_new(), .instance = 1 };
	clock_init(r->base);
	clock_hold(true);
	r->conf = conf_parse_text(text, strlen(text), "test", err, sizeof(err));
	ck_assert_msg(r->conf != NULL, "%s", err);
	r->cb = callbacks_new(r->conf, &ground);
}

static void
end(struct run *r)
{
	callbacks_free(r->cb);
	conf_free(r->conf);
	clock_init(NULL);
	event_base_free(r->base);
}

static void
turn(struct run *r)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(r->base, EVLOOP_NONBLOCK);
}

static void
pass(struct run *r, int64_t ms)
{
	clock_shift(offset += ms);
	turn(r);
}

static void
ask(struct run *r, enum call_kind kind, const char *address)
{
	unsigned before = r->answers;

	callbacks_ask(r->cb, kind, address, on_answer, r);
	ck_assert_uint_eq(r->answers, before);		/* never from inside */
	turn(r);
}

static void
reply(struct run *r, enum probe_result result)
{
	struct probe_answer a = { .result = result, .code = 250, .host = "mx.test [192.0.2.1]:25", .text = "RCPT: said so" };

	callbacks_on_call(r->cb, r->last_id, r->instance, &a);
	turn(r);
}

/* Asked once, known from then on, for its time; asked again beside that when it is old. */
START_TEST(lives)
{
	static const struct { enum probe_result result; int64_t known, refreshed, gone; } rows[] = {
		{ PROBE_GOOD, 6 * DAY, 8 * DAY, 32 * DAY },
		{ PROBE_BAD, 2 * HOUR, 4 * HOUR, 3 * DAY + HOUR },
		{ PROBE_UNKNOWN, HOUR, 0, 3 * HOUR },
	};
	struct run r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&r, "");
		ask(&r, CALL_SENDER, "anna@example.org");
		ck_assert_str_eq(r.called, "s anna@example.org;");
		ck_assert_uint_eq(r.answers, 0);
		reply(&r, rows[i].result);
		ck_assert_uint_eq(r.answers, 1);
		ck_assert_int_eq(r.answer.result, rows[i].result);
		ck_assert(!r.answer.known && !r.answer.refused);
		ck_assert_str_eq(r.answer.text, "mx.test [192.0.2.1]:25 RCPT: said so");
		pass(&r, rows[i].known);
		ask(&r, CALL_SENDER, "anna@example.org");
		ck_assert_uint_eq(r.answers, 2);
		ck_assert(r.answer.known);
		ck_assert_int_eq(r.answer.result, rows[i].result);
		ck_assert_uint_eq(r.n_called, 1);
		if (rows[i].refreshed > 0) {
			pass(&r, rows[i].refreshed - rows[i].known);
			ask(&r, CALL_SENDER, "anna@example.org");
			ck_assert_uint_eq(r.answers, 3);
			ck_assert(r.answer.known);
			ck_assert_uint_eq(r.n_called, 2);
			/* Nothing new comes of it: what is known stays, and the next attempt waits as long. */
			reply(&r, PROBE_UNKNOWN);
			pass(&r, 5 * 60 * 1000);
			ask(&r, CALL_SENDER, "anna@example.org");
			ck_assert_int_eq(r.answer.result, rows[i].result);
			ck_assert_uint_eq(r.n_called, 2);
			pass(&r, rows[i].gone - rows[i].refreshed);
		} else
			pass(&r, rows[i].gone - rows[i].known);
		r.answers = r.n_called = 0;
		ask(&r, CALL_SENDER, "anna@example.org");
		ck_assert_uint_eq(r.answers, 0);
		ck_assert_uint_eq(r.n_called, 1);
		reply(&r, PROBE_GOOD);
		end(&r);
	}
}
END_TEST

START_TEST(takes_all)
{
	struct run r;

	begin(&r, "");
	ask(&r, CALL_SENDER, "anna@example.org");
	reply(&r, PROBE_ALL);
	ask(&r, CALL_SENDER, "bob@example.org");
	ck_assert_uint_eq(r.n_called, 1);
	ck_assert_int_eq(r.answer.result, PROBE_ALL);
	ck_assert(r.answer.known);
	/* Known of the domain as one of senders, not of recipients. */
	ask(&r, CALL_RECIPIENT, "bob@example.org");
	ck_assert_str_eq(r.called, "s anna@example.org;r bob@example.org;");
	reply(&r, PROBE_BAD);
	/* Asked again after a week, it is choosy: then others are asked about, too. */
	pass(&r, 8 * DAY);
	ask(&r, CALL_SENDER, "bob@example.org");
	ck_assert_int_eq(r.answer.result, PROBE_ALL);
	ck_assert_uint_eq(r.n_called, 3);
	reply(&r, PROBE_BAD);
	pass(&r, 2 * HOUR);
	ask(&r, CALL_SENDER, "bob@example.org");
	ck_assert_int_eq(r.answer.result, PROBE_BAD);
	ask(&r, CALL_SENDER, "carl@example.org");
	ck_assert_uint_eq(r.n_called, 4);
	reply(&r, PROBE_GOOD);
	end(&r);
}
END_TEST

/* Two who ask about one address have one call; a second address of the domain has none for a minute. */
START_TEST(once_a_minute)
{
	struct run r;

	begin(&r, "");
	ask(&r, CALL_SENDER, "anna@example.org");
	ask(&r, CALL_SENDER, "anna@example.org");
	ck_assert_uint_eq(r.n_called, 1);
	ask(&r, CALL_SENDER, "bob@example.org");
	ck_assert_uint_eq(r.answers, 1);
	ck_assert_int_eq(r.answer.result, PROBE_UNKNOWN);
	ck_assert(r.answer.refused);
	ck_assert_uint_eq(r.n_called, 1);
	ask(&r, CALL_SENDER, "bob@example.net");
	ck_assert_uint_eq(r.n_called, 2);
	reply(&r, PROBE_GOOD);
	ck_assert_uint_eq(r.answers, 2);
	pass(&r, 59 * 1000);
	ask(&r, CALL_SENDER, "carl@example.org");
	ck_assert(r.answer.refused);
	pass(&r, 2 * 1000);
	ask(&r, CALL_SENDER, "carl@example.org");
	ck_assert_uint_eq(r.n_called, 3);
	/* Recipients behind us are not so protected from us. */
	ask(&r, CALL_RECIPIENT, "x@example.com");
	ask(&r, CALL_RECIPIENT, "y@example.com");
	ck_assert_uint_eq(r.n_called, 5);
	end(&r);
}
END_TEST

/* What may never be called. */
START_TEST(never)
{
	static const char *const addresses[] = { "", "postmaster", "anna@our.example", "anna@mail.our.example", "anna@[192.0.2.1]",
	    "anna@[IPv6:2001:db8::1]", "no address", "a@b@c" };
	struct run r;

	begin(&r, "hostname = mail.our.example\ndomains = { our.example }\n");
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		for (int kind = CALL_SENDER; kind <= CALL_RECIPIENT; kind++) {
			r.answers = 0;
			ask(&r, (enum call_kind)kind, addresses[i]);
			ck_assert_uint_eq(r.answers, 1);
			ck_assert_int_eq(r.answer.result, PROBE_UNKNOWN);
			ck_assert(r.answer.refused);
		}
	ck_assert_uint_eq(r.n_called, 0);
	ck_assert_uint_eq(r.n_kept, 0);
	end(&r);
}
END_TEST

/* A flood: so many at a time, so many in line, and the rest is told at once; all end. */
START_TEST(flood)
{
	struct callbacks_counts n;
	char address[60];
	struct run r;

	begin(&r, "callbacks = 3\n");
	for (int i = 0; i < 2000; i++) {
		snprintf(address, sizeof(address), "anna@d%d.example", i);
		callbacks_ask(r.cb, CALL_SENDER, address, on_answer, &r);
	}
	turn(&r);
	ck_assert_uint_eq(r.n_called, 3);
	callbacks_counts(r.cb, &n);
	ck_assert_uint_eq(n.under_way, 3);
	ck_assert_uint_eq(n.waiting, 500);
	ck_assert_uint_eq(r.answers, 2000 - 503);
	ck_assert(!callbacks_are_idle(r.cb));
	reply(&r, PROBE_GOOD);
	ck_assert_uint_eq(r.n_called, 4);
	/* Nothing more comes from delivery. */
	pass(&r, 2 * PROBE_MS + 1);
	for (int i = 0; i < 100 && r.answers < 2000; i++)
		pass(&r, 1);
	ck_assert_uint_eq(r.answers, 2000);
	ck_assert_int_eq(r.answer.result, PROBE_UNKNOWN);
	ck_assert(callbacks_are_idle(r.cb));
	end(&r);
}
END_TEST

START_TEST(delivery_dies)
{
	struct run r;

	begin(&r, "");
	r.nobody = true;
	ask(&r, CALL_SENDER, "anna@example.org");
	ck_assert_uint_eq(r.answers, 0);
	r.nobody = false;
	callbacks_delivery_up(r.cb);
	ck_assert_uint_eq(r.n_called, 1);
	r.instance = 2;
	ask(&r, CALL_SENDER, "anna@example.net");
	callbacks_delivery_down(r.cb, 1);
	turn(&r);
	ck_assert_uint_eq(r.answers, 1);
	ck_assert_int_eq(r.answer.result, PROBE_UNKNOWN);
	ck_assert_uint_eq(r.n_kept, 0);
	reply(&r, PROBE_BAD);
	ck_assert_uint_eq(r.answers, 2);
	ck_assert_int_eq(r.answer.result, PROBE_BAD);
	reply(&r, PROBE_GOOD);		/* late */
	ck_assert_uint_eq(r.answers, 2);
	ck_assert(callbacks_are_idle(r.cb));
	end(&r);
}
END_TEST

START_TEST(cancelled)
{
	struct callbacks_query *q;
	struct run r;

	begin(&r, "");
	q = callbacks_ask(r.cb, CALL_SENDER, "anna@example.org", on_answer, &r);
	callbacks_cancel(q);
	callbacks_cancel(callbacks_ask(r.cb, CALL_SENDER, "", on_answer, &r));
	callbacks_cancel(NULL);
	reply(&r, PROBE_BAD);
	ck_assert_uint_eq(r.answers, 0);
	ask(&r, CALL_SENDER, "anna@example.org");
	ck_assert_int_eq(r.answer.result, PROBE_BAD);
	ck_assert(r.answer.known);
	end(&r);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("callbacks");

	tcase_add_test(t, lives);
	tcase_add_test(t, takes_all);
	tcase_add_test(t, once_a_minute);
	tcase_add_test(t, never);
	tcase_add_test(t, flood);
	tcase_add_test(t, delivery_dies);
	tcase_add_test(t, cancelled);
	return run_case("callbacks", t);
}
