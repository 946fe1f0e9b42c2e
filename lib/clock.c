/*
 * Time and timers (lib/clock.h): a heap of timers over one libevent timeout, all of it shifted by offsets that only
 * tests set. The loop's own clock is never asked, so that a shift reaches every wait in the process.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <stdio.h>

#include "lib/alloc.h"
#include "lib/clock.h"

/* One process has one clock: the exception to "no globals", like the log's level. */
static struct {
	int64_t		 offset_ms, wall_ms;
	struct event	*event;
	struct timer	**heap;		/* heap[0] is due first */
	uint32_t	 n, room;
	uint32_t	 turn;		/* of run_due */
	bool		 running;	/* inside run_due */
	bool		 held;
	int64_t		 held_us[2];	/* real time when that began: monotonic, wall */
} clk;

static void	run_due(evutil_socket_t, short, void *);

void
clock_init(struct event_base *base)
{
	if (clk.event != NULL)
		event_free(clk.event);
	clk.event = base ? alloc_must(event_new(base, -1, 0, run_due, NULL)) : NULL;
}

/* Real time, or the moment at which it was stopped. */
static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	if (clk.held)
		return clk.held_us[id == CLOCK_REALTIME];
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_us(void)
{
	return read_us(CLOCK_MONOTONIC) + clk.offset_ms * 1000;
}

int64_t
clock_ms(void)
{
	return clock_us() / 1000;
}

int64_t
clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000 + clk.offset_ms + clk.wall_ms;
}

time_t
clock_wall(void)
{
	return (time_t)(clock_wall_ms() / 1000);
}

char *
clock_rfc5322(char *to, size_t size, time_t when)
{
	/* English names whatever the locale: no strftime. */
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;
	long zone;

	localtime_r(&when, &tm);
	zone = tm.tm_gmtoff / 60;
	snprintf(to, size, "%.3s, %d %.3s %d %02d:%02d:%02d %c%02ld%02ld", &days[3 * tm.tm_wday], tm.tm_mday,
	    &months[3 * tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+',
	    labs(zone) / 60, labs(zone) % 60);
	return to;
}

static void
place(struct timer *t, uint32_t at)
{
	clk.heap[at] = t;
	t->slot = at + 1;
}

/* Moves the timer at `at` to where it belongs. */
static void
sift(uint32_t at)
{
	struct timer *t = clk.heap[at];
	uint32_t child;

	for (; at > 0 && clk.heap[(at - 1) / 2]->due_ms > t->due_ms; at = (at - 1) / 2)
		place(clk.heap[(at - 1) / 2], at);
	for (; (child = 2 * at + 1) < clk.n; at = child) {
		if (child + 1 < clk.n && clk.heap[child + 1]->due_ms < clk.heap[child]->due_ms)
			child++;
		if (clk.heap[child]->due_ms >= t->due_ms)
			break;
		place(clk.heap[child], at);
	}
	place(t, at);
}

/* Sets the loop's timeout to the first timer. */
static void
arm(void)
{
	int64_t wait;
	struct timeval tv;

	if (clk.event == NULL || clk.running)
		return;
	if (clk.n == 0) {
		event_del(clk.event);
		return;
	}
	wait = clk.heap[0]->due_ms - clock_ms();
	if (wait > 0 && clk.held) {
		event_del(clk.event);
		return;
	}
	if (wait < 0)
		wait = 0;
	tv = (struct timeval){ .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };
	event_add(clk.event, &tv);
}

static void
remove_timer(struct timer *t)
{
	uint32_t at = t->slot - 1;

	t->slot = 0;
	if (at != --clk.n) {
		place(clk.heap[clk.n], at);
		sift(at);
	}
}

/* Runs what is due now; what those start for "now" waits for the next turn, so that no timer can keep the loop. */
static void
run_due(evutil_socket_t fd, short what, void *arg)
{
	int64_t now = clock_ms();
	struct timer *t;

	(void)fd;
	(void)what;
	(void)arg;
	clk.running = true;
	clk.turn++;
	while (clk.n > 0 && clk.heap[0]->due_ms <= now && clk.heap[0]->turn != clk.turn) {
		t = clk.heap[0];
		remove_timer(t);
		t->run(t->arg);
	}
	clk.running = false;
	arm();
}

void
clock_shift(int64_t offset_ms)
{
	clk.offset_ms = offset_ms;
	arm();
}

void
clock_shift_wall(int64_t offset_ms)
{
	clk.wall_ms = offset_ms;
}

void
clock_hold(bool held)
{
	clk.held = false;
	clk.held_us[0] = read_us(CLOCK_MONOTONIC);
	clk.held_us[1] = read_us(CLOCK_REALTIME);
	clk.held = held;
	arm();
}

void
timer_set(struct timer *t, void (*run)(void *), void *arg)
{
	*t = (struct timer){ .run = run, .arg = arg };
}

void
timer_start(struct timer *t, int64_t after_ms)
{
	t->due_ms = clock_ms() + (after_ms > 0 ? after_ms : 0);
	t->turn = clk.turn;
	if (t->slot == 0) {
		if (clk.n == clk.room) {
			clk.room = clk.room ? 2 * clk.room : 64;
			clk.heap = alloc_resize(clk.heap, clk.room, sizeof(*clk.heap));
		}
		place(t, clk.n++);
	}
	sift(t->slot - 1);
	if (t->slot == 1)
		arm();
}

void
timer_stop(struct timer *t)
{
	if (t->slot != 0)
		remove_timer(t);
}

bool
timer_running(const struct timer *t)
{
	return t->slot != 0;
}
