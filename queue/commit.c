/*
 * The threads (commit.h). Decides only who runs what and in which order results come back; what is written, and what
 * becomes of failures, is writer.c's business. Shared between threads is this file's struct alone, under one mutex.
 */
#include "queue/commit.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "queue/writer.h"

#define READERS_DEFAULT	2U
#define READERS_MOST	16U
#define COMPANY_MS	20	/* what can wait goes by itself after this: a crash meanwhile repeats a delivery */

struct commit {
	struct writer		 writer;	/* the writer thread's, once it runs */
	struct commit_events	 events;
	void			*arg;
	bool			 stepwise, opened;
	struct event		*wakeup;
	int			 fd;		/* eventfd */

	/* The loop's own: what was appended in this turn of it, and what waits for company. The writer is woken once for
	 * all of it; else the first record of many would go out alone. */
	struct work_list	 gathered;
	struct event		*turn, *soon;	/* ends of a turn: hands over; delivers what needed no thread */
	struct timer		 company;

	pthread_mutex_t		 mutex;		/* guards all below */
	pthread_cond_t		 to_write, to_work, idle;
	struct work_list	 appends, works, finished;
	bool			 kicked, rotate, quit;
	bool			 writing;	/* the writer has taken something */
	unsigned		 working;	/* readers that have */
	bool			 stalled;	/* as the writer said last */
	struct commit_counts	 counts;

	pthread_t		 threads[READERS_MOST + 1];
	unsigned		 n_threads;
};

/* The writer's news travel in the same list as results, so that a segment is known before records in it. */
struct news {
	struct work		 work;
	struct commit		*commit;
	enum { NEWS_NONE, NEWS_SEGMENT, NEWS_ROOM, NEWS_TROUBLE } what;
	struct segment_header	 header;
	bool			 spare, stalled;
	char			 text[200];
};

static void
finish(struct commit *c, struct work *w)
{
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&c->mutex);
	first = STAILQ_EMPTY(&c->finished);
	STAILQ_INSERT_TAIL(&c->finished, w, link);
	pthread_mutex_unlock(&c->mutex);
	if (first && write(c->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_fatal("event=bug what=\"eventfd: %s\"", strerror(errno));
}

static void
on_append_done(void *arg, struct append *a)
{
	finish(arg, &a->work);
}

static void
news_done(void *w)
{
	struct news *n = w;
	struct commit *c = n->commit;

	switch (c->opened ? n->what : NEWS_NONE) {
	case NEWS_NONE:			/* the log could not be opened: the caller is told that alone */
		break;
	case NEWS_SEGMENT:
		c->events.on_segment(c->arg, &n->header);
		break;
	case NEWS_ROOM:
		c->events.on_room(c->arg, n->spare, n->stalled);
		break;
	case NEWS_TROUBLE:
		c->events.on_trouble(c->arg, n->text);
		break;
	}
	free(n);
}

static void
news_send(struct commit *c, struct news what)
{
	struct news *n = alloc_raw(sizeof(*n));

	*n = what;
	n->work.done = news_done;
	n->commit = c;
	finish(c, &n->work);
}

static void
on_writer_segment(void *arg, const struct segment_header *h)
{
	news_send(arg, (struct news){ .what = NEWS_SEGMENT, .header = *h });
}

static void
on_writer_room(void *arg, bool spare, bool stalled)
{
	news_send(arg, (struct news){ .what = NEWS_ROOM, .spare = spare, .stalled = stalled });
}

static void
on_writer_trouble(void *arg, const char *what)
{
	struct news n = { .what = NEWS_TROUBLE };

	snprintf(n.text, sizeof(n.text), "%s", what);
	news_send(arg, n);
}

/* One turn of the writer: takes all there is. The mutex is held on entry and on return. */
static void
write_once(struct commit *c)
{
	struct work_list list = STAILQ_HEAD_INITIALIZER(list);
	bool kicked = c->kicked, rotate = c->rotate;

	STAILQ_CONCAT(&list, &c->appends);
	c->kicked = c->rotate = false;
	c->writing = true;
	pthread_mutex_unlock(&c->mutex);
	if (kicked) {
		c->writer.stalled = false;
		c->writer.failed = 0;
		if (!rotate || writer_rotate(&c->writer) == 0)
			writer_spare(&c->writer);
	}
	writer_run(&c->writer, &list);
	pthread_mutex_lock(&c->mutex);
	STAILQ_CONCAT(&list, &c->appends);		/* what is left stays before what came meanwhile */
	STAILQ_CONCAT(&c->appends, &list);
	c->writing = false;
	c->stalled = c->writer.stalled;
	c->counts = c->writer.counts;
	pthread_cond_broadcast(&c->idle);
}

/* Whether the writer has anything to do; one that is stalled only refuses. */
static bool
write_wanted(const struct commit *c)
{
	const struct work *w;

	if (c->kicked)
		return true;
	if (!c->stalled)
		return !STAILQ_EMPTY(&c->appends);
	STAILQ_FOREACH(w, &c->appends, link)
		if (((const struct append *)(const void *)w)->can_fail)
			return true;
	return false;
}

static void *
writer_thread(void *arg)
{
	struct commit *c = arg;

	pthread_mutex_lock(&c->mutex);
	for (;;) {
		while (!write_wanted(c) && !c->quit)
			pthread_cond_wait(&c->to_write, &c->mutex);
		if (!write_wanted(c))
			break;
		write_once(c);
	}
	pthread_mutex_unlock(&c->mutex);
	return NULL;
}

/* The mutex is held on entry and on return. */
static void
work_once(struct commit *c)
{
	struct work *w = STAILQ_FIRST(&c->works);

	STAILQ_REMOVE_HEAD(&c->works, link);
	c->working++;
	pthread_mutex_unlock(&c->mutex);
	w->run(w);
	finish(c, w);
	pthread_mutex_lock(&c->mutex);
	c->working--;
	pthread_cond_broadcast(&c->idle);
}

static void *
reader_thread(void *arg)
{
	struct commit *c = arg;

	pthread_mutex_lock(&c->mutex);
	for (;;) {
		while (STAILQ_EMPTY(&c->works) && !c->quit)
			pthread_cond_wait(&c->to_work, &c->mutex);
		if (STAILQ_EMPTY(&c->works))
			break;
		work_once(c);
	}
	pthread_mutex_unlock(&c->mutex);
	return NULL;
}

/* Runs what has finished; a `done` may append and finish more, which waits for the next turn. */
static bool
deliver(struct commit *c)
{
	struct work_list list = STAILQ_HEAD_INITIALIZER(list);
	struct work *w;
	bool any;

	pthread_mutex_lock(&c->mutex);
	STAILQ_CONCAT(&list, &c->finished);
	pthread_mutex_unlock(&c->mutex);
	any = !STAILQ_EMPTY(&list);
	while ((w = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, link);
		w->done(w);
	}
	return any;
}

static void
on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	deliver(arg);
}

/* To the writer, in the order in which it came. */
static void
hand_over(struct commit *c)
{
	timer_stop(&c->company);
	if (STAILQ_EMPTY(&c->gathered))
		return;
	pthread_mutex_lock(&c->mutex);
	STAILQ_CONCAT(&c->appends, &c->gathered);
	pthread_mutex_unlock(&c->mutex);
	pthread_cond_signal(&c->to_write);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hand_over(arg);
}

static void
on_company(void *arg)
{
	hand_over(arg);
}

static void
on_wakeup(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_fatal("event=bug what=\"eventfd: %s\"", strerror(errno));
	deliver(arg);
}

/* Signals are the loop's business. */
static void
threads_start(struct commit *c, unsigned readers)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i <= readers; i++) {
		if (pthread_create(&c->threads[i], NULL, i == 0 ? writer_thread : reader_thread, c) != 0)
			log_fatal("event=start error=\"a thread could not be started\"");
		c->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct commit *
commit_new(struct event_base *base, int dirfd, const struct commit_options *o, const struct commit_events *events,
    void *arg, char *err, size_t size)
{
	struct commit *c = alloc_new(1, sizeof(*c));
	unsigned readers = o->readers > 0 ? o->readers : READERS_DEFAULT;

	if ((c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		log_fatal("event=start error=\"%s\"", strerror(errno));
	c->events = *events;
	c->arg = arg;
	c->stepwise = o->stepwise;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->to_write, NULL);
	pthread_cond_init(&c->to_work, NULL);
	pthread_cond_init(&c->idle, NULL);
	STAILQ_INIT(&c->appends);
	STAILQ_INIT(&c->works);
	STAILQ_INIT(&c->finished);
	STAILQ_INIT(&c->gathered);
	c->turn = event_new(base, -1, 0, on_turn, c);
	c->soon = event_new(base, -1, 0, on_soon, c);
	timer_set(&c->company, on_company, c);
	c->wakeup = event_new(base, c->fd, EV_READ | EV_PERSIST, on_wakeup, c);
	event_add(c->wakeup, NULL);
	writer_init(&c->writer, dirfd, o->segment_size, o->first, o->prior);
	c->writer.on_done = on_append_done;
	c->writer.on_segment = on_writer_segment;
	c->writer.on_room = on_writer_room;
	c->writer.on_trouble = on_writer_trouble;
	c->writer.arg = c;
	if (writer_rotate(&c->writer) != 0) {
		snprintf(err, size, "a first segment could not be made: %s", strerror(errno));
		c->stepwise = true;
		commit_free(c);
		return NULL;
	}
	c->opened = true;
	if (!o->stepwise)
		threads_start(c, readers < READERS_MOST ? readers : READERS_MOST);
	return c;
}

/* Whether nothing is under way; what a stalled writer holds back does not count. */
static bool
is_idle(struct commit *c)
{
	return !write_wanted(c) && !c->writing && STAILQ_EMPTY(&c->works) && c->working == 0 &&
	    STAILQ_EMPTY(&c->finished);
}

static void
drain(struct commit *c)
{
	for (;;) {
		deliver(c);
		hand_over(c);
		if (c->stepwise) {
			if (!commit_step(c, true) && !commit_step(c, false) && STAILQ_EMPTY(&c->finished))
				return;
			continue;
		}
		pthread_mutex_lock(&c->mutex);
		if (is_idle(c)) {
			pthread_mutex_unlock(&c->mutex);
			return;
		}
		if (STAILQ_EMPTY(&c->finished))
			pthread_cond_wait(&c->idle, &c->mutex);
		pthread_mutex_unlock(&c->mutex);
	}
}

void
commit_free(struct commit *c)
{
	drain(c);
	if (!STAILQ_EMPTY(&c->appends)) {		/* stalled: one more try */
		commit_kick(c, false);
		drain(c);
	}
	pthread_mutex_lock(&c->mutex);
	c->quit = true;
	pthread_cond_broadcast(&c->to_write);
	pthread_cond_broadcast(&c->to_work);
	pthread_mutex_unlock(&c->mutex);
	for (unsigned i = 0; i < c->n_threads; i++)
		pthread_join(c->threads[i], NULL);
	c->n_threads = 0;
	c->stepwise = true;
	do {
		writer_fail(&c->writer, &c->appends, true, "the log could not be written before the end");
		while (commit_step(c, false))
			;
	} while (deliver(c));
	writer_free(&c->writer);
	event_free(c->wakeup);
	event_free(c->turn);
	event_free(c->soon);
	close(c->fd);
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->to_write);
	pthread_cond_destroy(&c->to_work);
	pthread_cond_destroy(&c->idle);
	free(c);
}

void
commit_append(struct commit *c, struct append *a)
{
	STAILQ_INSERT_TAIL(&c->gathered, &a->work, link);
	if (c->stepwise)
		hand_over(c);
	else if (!a->can_wait)
		event_active(c->turn, 0, 0);
	else if (!timer_running(&c->company))
		timer_start(&c->company, COMPANY_MS);
}

void
commit_work(struct commit *c, struct work *w, void (*run)(void *), void (*done)(void *))
{
	w->run = run;
	w->done = done;
	pthread_mutex_lock(&c->mutex);
	STAILQ_INSERT_TAIL(&c->works, w, link);
	pthread_mutex_unlock(&c->mutex);
	pthread_cond_signal(&c->to_work);
}

void
commit_now(struct commit *c, struct work *w, void (*run)(void *), void (*done)(void *))
{
	if (run)
		run(w);
	w->done = done;
	pthread_mutex_lock(&c->mutex);
	STAILQ_INSERT_TAIL(&c->finished, w, link);
	pthread_mutex_unlock(&c->mutex);
	event_active(c->soon, 0, 0);
}

void
commit_kick(struct commit *c, bool rotate)
{
	hand_over(c);
	pthread_mutex_lock(&c->mutex);
	c->kicked = true;
	c->rotate |= rotate;
	pthread_mutex_unlock(&c->mutex);
	pthread_cond_signal(&c->to_write);
}

struct commit_counts
commit_counts(struct commit *c)
{
	struct commit_counts counts;

	pthread_mutex_lock(&c->mutex);
	counts = c->counts;
	pthread_mutex_unlock(&c->mutex);
	return counts;
}

bool
commit_step(struct commit *c, bool writer)
{
	bool any;

	pthread_mutex_lock(&c->mutex);
	any = writer ? write_wanted(c) : !STAILQ_EMPTY(&c->works);
	if (any && writer)
		write_once(c);
	else if (any)
		work_once(c);
	pthread_mutex_unlock(&c->mutex);
	return any;
}
