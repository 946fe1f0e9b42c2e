/*
 * A callback against a scripted server in the same loop: whatever the server does at whatever step, there is one answer,
 * in time, and it is the right one.
 */
#include <check.h>
#include <signal.h>

#include "lib/clock.h"
#include "lib/route.h"
#include "mx/dns.h"
#include "mx/probe.h"
#include "tests/unit/fake_server.h"
#include "tests/unit/run.h"

#define ROWS(a)	(int)(sizeof(a) / sizeof((a)[0]))

struct run {
	struct event_base	*base;
	struct dns		*dns;
	unsigned		 done;
	struct probe_answer	 answer;
};

static int64_t offset;

static void
on_done(void *arg, const struct probe_answer *a)
{
	struct run *r = arg;

	r->done++;
	r->answer = *a;
}

static void
begin(struct run *r)
{
	signal(SIGPIPE, SIG_IGN);
	*r = (struct run){ .base = event_base_new() };
	clock_init(r->base);
	clock_hold(true);
	r->dns = dns_new_client(r->base);	/* nobody is asked: the hosts are addresses */
}

static void
end(struct run *r)
{
	dns_free(r->dns);
	clock_init(NULL);
	event_base_free(r->base);
}

static struct probe *
ask(struct run *r, const struct fake *one, const struct fake *other)
{
	struct route route = { .is_relay = true, .n = other != NULL ? 2 : 1 };
	struct mx_options options = { .hostname = "us.example", .allow_private = true };
	struct address a;

	for (size_t i = 0; i < route.n; i++) {
		snprintf(route.hosts[i].name, sizeof(route.hosts[i].name), "127.0.0.1");
		route.hosts[i].port = ntohs((i == 0 ? one : other)->address.sin_port);
	}
	ck_assert_int_eq(address_parse(&a, "anna@example.org", 0, NULL), ADDRESS_OK);
	return probe_start(r->base, r->dns, &a, &route, &options, on_done, r);
}

/* A stalled server: time goes on once it stands still. */
static void
wait(struct run *r, const struct fake *f)
{
	unsigned passed = 0;

	while (r->done == 0) {
		if (f->stalls > 0 && passed++ == 0)
			clock_shift(offset += PROBE_MS - 1);
		else if (f->stalls > 0) {
			ck_assert_uint_lt(passed++, 1000);
			clock_shift(++offset);
		}
		event_base_loop(r->base, f->stalls > 0 ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
	}
}

static char long_line[5000];

static const struct row {
	struct fake_rule	 rules[4];
	enum probe_result	 result;
	const char		*text;		/* is in it */
	unsigned		 sessions;
} rows[] = {
	{ { { "RCPT", 1, FAKE_SAY, "550 5.1.1 no\r\n" } }, PROBE_GOOD, "RCPT: 250", 1 },
	{ { { "RCPT", 0, FAKE_SAY, "550 5.1.1 no\r\n" } }, PROBE_BAD, "RCPT: 550 5.1.1 no", 1 },
	{ { { NULL, 0, FAKE_SAY, NULL } }, PROBE_ALL, "nobody", 1 },
	{ { { "greeting", 0, FAKE_STALL, NULL } }, PROBE_UNKNOWN, "timed out, waiting for greeting", 1 },
	{ { { "EHLO", 0, FAKE_STALL, NULL } }, PROBE_UNKNOWN, "timed out, waiting for EHLO", 1 },
	{ { { "MAIL", 0, FAKE_STALL, NULL } }, PROBE_UNKNOWN, "timed out, waiting for MAIL", 1 },
	{ { { "RCPT", 1, FAKE_STALL, NULL } }, PROBE_UNKNOWN, "timed out, waiting for RCPT of nobody", 1 },
	{ { { "RCPT", 1, FAKE_SAY, "550 no\r\n" }, { "RCPT", 2, FAKE_STALL, NULL } }, PROBE_UNKNOWN, "timed out, waiting for RCPT", 1 },
	{ { { "EHLO", 0, FAKE_CLOSE, NULL } }, PROBE_UNKNOWN, "closed", 1 },
	{ { { "MAIL", 0, FAKE_SAY_CLOSE, "250 ok" } }, PROBE_UNKNOWN, "closed", 1 },
	{ { { "RCPT", 0, FAKE_SAY_CLOSE, "550 5.1.1 no\r\n" } }, PROBE_UNKNOWN, "connection lost", 1 },
	{ { { "MAIL", 0, FAKE_SAY, "250 ok\r\n550 and more\r\n" } }, PROBE_UNKNOWN, "spoke before", 1 },
	{ { { "MAIL", 0, FAKE_SAY, "hello\r\n" } }, PROBE_UNKNOWN, "breaks the protocol", 1 },
	{ { { "RCPT", 0, FAKE_SAY, long_line } }, PROBE_UNKNOWN, "breaks the protocol", 1 },
	{ { { "MAIL", 0, FAKE_SAY, "250-ok\r\n550 no\r\n" } }, PROBE_UNKNOWN, "breaks the protocol", 1 },
};

START_TEST(servers)
{
	const struct row *row = &rows[_i];
	struct fake *f;
	struct run r;

	begin(&r);
	memset(long_line, '5', sizeof(long_line) - 1);
	f = fake_new(r.base, FAKE_PLAIN, row->rules);
	ask(&r, f, NULL);
	ck_assert_uint_eq(r.done, 0);
	wait(&r, f);
	ck_assert_uint_eq(r.done, 1);
	ck_assert_msg(r.answer.result == row->result, "%s %s", probe_result_name(r.answer.result), r.answer.text);
	ck_assert_msg(strstr(r.answer.text, row->text) != NULL, "%s", r.answer.text);
	ck_assert_uint_eq(f->sessions, row->sessions);
	ck_assert_ptr_null(strstr(f->log, "DATA"));
	ck_assert_ptr_nonnull(strstr(r.answer.host, "[127.0.0.1]:"));
	fake_free(f);
	end(&r);
}
END_TEST

/* Who says nothing about mail is passed over; who does is believed, and nobody else is asked. */
START_TEST(next_host)
{
	static const struct fake_rule busy[] = { { "greeting", 0, FAKE_SAY, "421 busy\r\n" }, { 0 } };
	static const struct fake_rule gone[] = { { "greeting", 0, FAKE_CLOSE, NULL }, { 0 } };
	static const struct fake_rule later[] = { { "RCPT", 0, FAKE_SAY, "450 later\r\n" }, { 0 } };
	static const struct fake_rule good[] = { { "RCPT", 1, FAKE_SAY, "550 no\r\n" }, { 0 } };
	const struct fake_rule *firsts[] = { busy, gone, NULL, later };
	struct fake *one, *other;
	struct run r;

	begin(&r);
	for (int i = 0; i < ROWS(firsts); i++) {
		r.done = 0;
		one = fake_new(r.base, FAKE_PLAIN, firsts[i]);
		other = fake_new(r.base, FAKE_PLAIN, good);
		if (i == 2)
			fake_shut(one);
		ask(&r, one, other);
		wait(&r, one);
		ck_assert_int_eq(r.answer.result, i == 3 ? PROBE_UNKNOWN : PROBE_GOOD);
		ck_assert_uint_eq(other->sessions, i == 3 ? 0 : 1);
		fake_free(one);
		fake_free(other);
	}
	end(&r);
}
END_TEST

/* At whatever turn of the loop: there is no answer then. */
START_TEST(cancelled)
{
	struct fake *f;
	struct run r;

	begin(&r);
	f = fake_new(r.base, FAKE_PLAIN, NULL);
	probe_cancel(ask(&r, f, NULL));
	for (int i = 0; i < 20; i++) {
		struct probe *p = ask(&r, f, NULL);

		for (int turn = 0; turn < i && r.done == 0; turn++)
			event_base_loop(r.base, EVLOOP_NONBLOCK);
		if (r.done == 0)
			probe_cancel(p);
		r.done = 0;
	}
	for (int turn = 0; turn < 20; turn++)
		event_base_loop(r.base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(r.done, 0);
	probe_cancel(NULL);
	fake_free(f);
	end(&r);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("probe");

	tcase_add_loop_test(t, servers, 0, ROWS(rows));
	tcase_add_test(t, next_host);
	tcase_add_test(t, cancelled);
	return run_case("probe", t);
}
