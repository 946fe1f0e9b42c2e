/* lib/clock.c: timers fire in order, a shift makes them due, and none can hold the loop. */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "tests/unit/run.h"

static char order[64];

struct named {
	struct timer	timer;
	char		name;
	struct named	*stops;
};

static void
note(void *arg)
{
	struct named *n = arg;
	size_t len = strlen(order);

	order[len] = n->name;
	order[len + 1] = '\0';
	if (n->stops != NULL)
		timer_stop(&n->stops->timer);
}

static struct event_base *base;

static void
setup(void)
{
	order[0] = '\0';
	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	clock_shift(0);
}

static void
teardown(void)
{
	clock_init(NULL);
	event_base_free(base);
}

/* A shift of hours: all that lies in them fires, in the order of their times, in one turn. */
START_TEST(in_order)
{
	struct named n[26] = { 0 };
	static const int64_t hours[] = { 7, 3, 9, 1, 5 };

	for (int i = 0; i < 5; i++) {
		n[i].name = (char)('0' + hours[i]);
		timer_set(&n[i].timer, note, &n[i]);
		timer_start(&n[i].timer, hours[i] * 3600000);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(order, "");
	clock_shift(6 * 3600000);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(order, "135");
	ck_assert(timer_running(&n[0].timer) && !timer_running(&n[1].timer));
	clock_shift(10 * 3600000);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(order, "13579");
}
END_TEST

/* Setting the wall clock alone changes no wait. */
START_TEST(the_wall_clock_alone)
{
	struct named n = { .name = '1' };
	int64_t wall = clock_wall(), ms = clock_ms();

	timer_set(&n.timer, note, &n);
	timer_start(&n.timer, 3600000);
	clock_shift_wall(INT64_C(365) * 86400 * 1000);
	ck_assert_int_eq(clock_wall(), wall + INT64_C(365) * 86400);
	ck_assert_int_eq(clock_ms(), ms);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(order, "");
	clock_shift_wall(INT64_C(-365) * 86400 * 1000);
	ck_assert_int_eq(clock_wall(), wall - INT64_C(365) * 86400);
	clock_shift(3600000);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(order, "1");
	ck_assert_int_eq(clock_wall(), wall - INT64_C(365) * 86400 + 3600);
	clock_shift_wall(0);
}
END_TEST

/* A timer that another one stops in the same turn does not fire; one that is moved fires at its new time only. */
START_TEST(stopped_and_moved)
{
	struct named a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

	a.stops = &b;
	timer_set(&a.timer, note, &a);
	timer_set(&b.timer, note, &b);
	timer_set(&c.timer, note, &c);
	timer_start(&a.timer, 1000);
	timer_start(&b.timer, 2000);
	timer_start(&c.timer, 1500);
	timer_start(&c.timer, 5000);
	clock_shift(3000);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(order, "a");
	clock_shift(6000);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(order, "ac");
	timer_stop(&b.timer);
}
END_TEST

static unsigned rounds, n_late;

static void
again(void *arg)
{
	struct timer *t = arg;

	rounds++;
	timer_start(t, 0);
	n_late += t->due_ms > clock_ms();
}

START_TEST(zero_does_not_spin)
{
	struct timer t;

	rounds = 0;
	timer_set(&t, again, &t);
	timer_start(&t, 0);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(rounds, 1);
	timer_stop(&t);
}
END_TEST

/* But each goes in the very next turn: a chain of them costs no time. */
START_TEST(zero_is_now)
{
	struct timer t;

	rounds = n_late = 0;
	timer_set(&t, again, &t);
	timer_start(&t, 0);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(rounds, 20);
	ck_assert_uint_eq(n_late, 0);
	timer_stop(&t);
}
END_TEST

/* Random starts, moves and stops against a plain array. */
START_TEST(heap_against_array)
{
	struct named n[200] = { 0 };
	int64_t due[200];
	int64_t now = 0;

	srandom(1);
	for (int i = 0; i < 200; i++) {
		timer_set(&n[i].timer, note, &n[i]);
		n[i].name = 'x';
		due[i] = -1;
	}
	for (int step = 0; step < 3000; step++) {
		int i = (int)(random() % 200);

		if (random() % 3 == 0) {
			timer_stop(&n[i].timer);
			due[i] = -1;
		} else {
			due[i] = now + 1000000 + random() % 100000000;
			timer_start(&n[i].timer, due[i] - now);
		}
		if (step % 50 == 0) {
			now += 3000000;
			order[0] = '\0';
			clock_shift(now);
			/* Few are due at a time, so that `order` holds them. */
			event_base_loop(base, EVLOOP_NONBLOCK);
		}
		for (int k = 0; k < 200; k++) {
			if (due[k] >= 0 && due[k] <= now)
				due[k] = -1;
			ck_assert_int_eq(timer_running(&n[k].timer), due[k] >= 0);
		}
	}
	for (int i = 0; i < 200; i++)
		timer_stop(&n[i].timer);
}
END_TEST

static void
let_pass_us(int64_t us)
{
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - began.tv_sec) * 1000000 + (now.tv_nsec - began.tv_nsec) / 1000 < us);
}

/* Held, no time passes and nothing becomes due but by shifts; then the clock goes on, and so does what waits. */
START_TEST(held)
{
	struct named a = { .name = 'a' }, b = { .name = 'b' }, now = { .name = '0' };
	int64_t us = clock_us(), wall_ms = clock_wall_ms();

	timer_set(&a.timer, note, &a);
	timer_set(&b.timer, note, &b);
	timer_set(&now.timer, note, &now);
	timer_start(&a.timer, 2);
	timer_start(&b.timer, 4);
	timer_start(&now.timer, 0);
	let_pass_us(5000);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(order, "0");
	ck_assert_int_eq(clock_us(), us);
	ck_assert_int_eq(clock_wall_ms(), wall_ms);
	clock_shift(1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(order, "0");
	clock_shift(2);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(order, "0a");
	ck_assert_int_eq(clock_us(), us + 2000);
	ck_assert_int_eq(clock_wall_ms(), wall_ms + 2);
	clock_hold(false);
	ck_assert_int_ge(clock_us(), us + 5000);
	timer_start(&a.timer, 1);
	while (timer_running(&a.timer) || timer_running(&b.timer))
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(order, "0aba");
}
END_TEST

START_TEST(dates)
{
	char to[32];

	setenv("TZ", "Asia/Kolkata", 1);
	tzset();
	ck_assert_str_eq(clock_rfc5322(to, sizeof(to), 0), "Thu, 1 Jan 1970 05:30:00 +0530");
	setenv("TZ", "UTC3:30", 1);
	tzset();
	ck_assert_str_eq(clock_rfc5322(to, sizeof(to), 86400), "Thu, 1 Jan 1970 20:30:00 -0330");
	unsetenv("TZ");
	tzset();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("clock");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, in_order);
	tcase_add_test(t, the_wall_clock_alone);
	tcase_add_test(t, stopped_and_moved);
	tcase_add_test(t, zero_does_not_spin);
	tcase_add_test(t, zero_is_now);
	tcase_add_test(t, heap_against_array);
	tcase_add_test(t, held);
	tcase_add_test(t, dates);
	return run_case("clock", t);
}
