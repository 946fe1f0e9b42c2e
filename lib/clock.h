/*
 * What time it is, and timers: the only source of both, so that a test can set them.
 *
 * Monotonic milliseconds are for waiting, wall-clock seconds for header fields, and for what must be known after a
 * restart. Both are shifted by clock_shift(), which master passes on from a test harness (MSG_CLOCK); due timers then fire
 * in order. A machine's wall clock can also be set while it runs, forward and back: clock_shift_wall() does that.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct event_base;

/* Once per process, before any timer; NULL (tests, tools): no timers, time only. */
void	clock_init(struct event_base *);
int64_t	clock_ms(void);			/* monotonic milliseconds */
int64_t	clock_us(void);			/* monotonic microseconds, for measuring */
int64_t	clock_wall_ms(void);		/* milliseconds since the epoch */
time_t	clock_wall(void);		/* seconds since the epoch */
/* Sets the offset of both clocks to real time and runs the timers that have become due (from the loop). */
void	clock_shift(int64_t offset_ms);
/* Sets a further offset of the wall clock alone. */
void	clock_shift_wall(int64_t offset_ms);
/* For unit tests: from now on both clocks stand still and only shifts move them, and no timer becomes due but by one.
 * false: they go on with real time. */
void	clock_hold(bool);
/* RFC 5322, 3.3: "Sat, 21 Nov 2026 19:11:34 +0000", local zone; at least 32 bytes. Returns `to`. */
char	*clock_rfc5322(char *to, size_t size, time_t);

/* A timer lives inside the struct that it belongs to. Zeroed memory is a stopped timer. */
struct timer {
	void	(*run)(void *);
	void	*arg;
	int64_t	 due_ms;
	uint32_t slot;		/* 1-based place in the heap; 0: not running */
	uint32_t turn;		/* in which it was started */
};

void	timer_set(struct timer *, void (*run)(void *), void *arg);
void	timer_start(struct timer *, int64_t after_ms);	/* again: moves it */
void	timer_stop(struct timer *);			/* must be called before its memory goes */
bool	timer_running(const struct timer *);

#endif
