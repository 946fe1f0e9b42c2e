/*
 * The thread behind lookup's memory (lookup/state_store.h). Decides who runs what and in which order; what is done with
 * the files is state_file.c's business. Shared between the two is this struct alone, under one mutex. The thread logs
 * nothing itself: its words travel in the list of news.
 */
#include "lookup/state_store.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lookup/state_file.h"

#define NEWS_AT_ONCE	4096U		/* records taken in one turn of the loop: a few milliseconds */
#define NEWS_WAITING	65536U		/* then reading waits until the loop has taken some */
#define LIVES		20U
#define SYNC_S		60		/* what a power cut may take with it */
#define GATHER_MS	100		/* what is told goes to the thread in company: one wake-up for many */
#define GATHER_MANY	1024U
#define LOCK_WAIT_S	1		/* between looks whether another lookup has let go of the folder */

enum deed { DEED_HEADER, DEED_RECORD, DEED_LOADED, DEED_FAILED, DEED_SAID, DEED_WRITTEN, DEED_STOPPED,
	DEED_BEGIN, DEED_PUT, DEED_DROP, DEED_FENCE, DEED_RESUME };

struct item {				/* something told, or news */
	STAILQ_ENTRY(item)	 link;
	enum deed		 deed;
	bool			 clean;		/* LOADED */
	struct store_header	 header;
	uint64_t		 key;
	size_t			 len;
	char			 bytes[];	/* a record's, or words and a NUL */
};

STAILQ_HEAD(item_list, item);

struct state_store {
	struct store_events	 events;
	void			*arg;
	struct state_files	*files;		/* the thread's, once it runs */
	struct event		*wakeup;
	struct timer		 gather;
	struct timer		 patience;	/* state_store_stop() */
	bool			 started, stop_asked, is_stopped, joined;
	unsigned		 lives;		/* so many threads may still end over a broken file */
	bool			 loaded;	/* the thread's, like what it does at present: */
	struct item_list	 doing;
	struct item		*at;		/* the first of that, taken off */
	int			 fd;		/* eventfd */

	pthread_t		 thread;
	pthread_mutex_t		 mutex;		/* guards all below */
	pthread_cond_t		 told;		/* or taken */
	struct item_list	 tasks, news;
	size_t			 n_tasks, n_news;
	bool			 quit;
};

static struct item *
item_new(enum deed deed, const void *bytes, size_t len)
{
	struct item *i = alloc_new(1, sizeof(*i) + len);

	i->deed = deed;
	i->len = len;
	if (len > 0)
		memcpy(i->bytes, bytes, len);
	return i;
}

/* ---- the thread's side ---- */

static void
report(struct state_store *s, struct item *i)
{
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&s->mutex);
	first = STAILQ_EMPTY(&s->news);
	STAILQ_INSERT_TAIL(&s->news, i, link);
	s->n_news++;
	while (s->n_news > NEWS_WAITING && !s->quit)
		pthread_cond_wait(&s->told, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
	if (first && write(s->fd, &one, sizeof(one)) < 0)
		return;			/* it is full: the loop will look anyway */
}

static void
report_words(void *arg, bool failed, const char *words)
{
	report(arg, item_new(failed ? DEED_FAILED : DEED_SAID, words, strlen(words) + 1));
}

static void
report_header(void *arg, const struct store_header *h)
{
	struct item *i = item_new(DEED_HEADER, NULL, 0);

	i->header = *h;
	report(arg, i);
}

static void
report_record(void *arg, const struct store_record *r)
{
	struct item *i = item_new(DEED_RECORD, r->bytes, r->len);

	i->header.table = r->table;
	i->header.generation = r->generation;
	i->key = r->key;
	report(arg, i);
}

/* gdbm cannot go on, and would end the process: only its thread ends, and another one begins. */
static void
give_up(void *arg)
{
	report(arg, item_new(DEED_STOPPED, NULL, 0));
	pthread_exit(NULL);
}

static void
perform(struct state_store *s, const struct item *i)
{
	struct store_record r = { i->header.table, i->header.generation, i->key, i->bytes, i->len };

	switch (i->deed) {
	case DEED_BEGIN:
		state_file_begin(s->files, &i->header);
		break;
	case DEED_PUT:
		state_file_put(s->files, &r);
		break;
	case DEED_DROP:
		state_file_drop(s->files, i->header.table, i->header.generation);
		break;
	case DEED_FENCE:
		if (state_file_anew(s->files))
			report(s, item_new(DEED_WRITTEN, NULL, 0));
		break;
	case DEED_RESUME:
		state_file_resume(s->files);
		break;
	default:
		break;
	}
}

/* Waits for work, so many seconds at most. False: it is time to end, and nothing is left. */
static bool
take(struct state_store *s, int wait_s)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_s;
	pthread_mutex_lock(&s->mutex);
	if (STAILQ_EMPTY(&s->tasks) && !s->quit)
		pthread_cond_timedwait(&s->told, &s->mutex, &until);
	STAILQ_CONCAT(&s->doing, &s->tasks);
	go_on = !s->quit || !STAILQ_EMPTY(&s->doing);
	pthread_mutex_unlock(&s->mutex);
	return go_on;
}

static bool
is_asked_to_quit(struct state_store *s)
{
	bool quit;

	pthread_mutex_lock(&s->mutex);
	quit = s->quit;
	pthread_mutex_unlock(&s->mutex);
	return quit;
}

/* Another lookup, which this one replaces, may still hold the folder. */
static bool
get_lock(struct state_store *s)
{
	bool said = false;

	while (!state_file_lock(s->files)) {
		if (!said)
			report_words(s, false, "event=memory-waits what=\"another process still writes it\"");
		said = true;
		pthread_mutex_lock(&s->mutex);
		if (!s->quit) {
			struct timespec until;

			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += LOCK_WAIT_S;
			pthread_cond_timedwait(&s->told, &s->mutex, &until);
		}
		pthread_mutex_unlock(&s->mutex);
		if (is_asked_to_quit(s))
			return false;
	}
	return true;
}

/* What is left of a thread that ended over something is taken up behind that. */
static void
work(struct state_store *s)
{
	while (take(s, SYNC_S)) {
		free(s->at);
		while ((s->at = STAILQ_FIRST(&s->doing)) != NULL) {
			STAILQ_REMOVE_HEAD(&s->doing, link);
			pthread_mutex_lock(&s->mutex);
			s->n_tasks--;
			pthread_mutex_unlock(&s->mutex);
			perform(s, s->at);
			free(s->at);
		}
		state_file_sync(s->files, SYNC_S);
	}
}

static void
load(struct state_store *s)
{
	bool clean = state_file_load(s->files) && s->lives == LIVES;
	struct item *loaded = item_new(DEED_LOADED, NULL, 0);

	loaded->clean = clean;
	s->loaded = true;
	report(s, loaded);
}

static void *
run(void *arg)
{
	struct state_store *s = arg;

	if (get_lock(s)) {
		if (!s->loaded)
			load(s);
		work(s);
		state_file_close(s->files);
	}
	report(s, item_new(DEED_STOPPED, NULL, 0));
	return NULL;
}

/* ---- the loop's side ---- */

/* The end was asked for; or the thread has stumbled over a file, and the next one goes round it. */
static void
say_stopped(struct state_store *s)
{
	if (s->is_stopped)
		return;
	s->joined = pthread_join(s->thread, NULL) == 0;
	if (!s->stop_asked && s->lives-- > 1) {
		s->joined = false;
		state_file_take_over(s->files);
		state_store_start(s);
		return;
	}
	s->is_stopped = true;
	timer_stop(&s->patience);
	s->events.stopped(s->arg);
}

static void
hear(struct state_store *s, const struct item *i)
{
	struct store_record r = { i->header.table, i->header.generation, i->key, i->bytes, i->len };

	switch (i->deed) {
	case DEED_HEADER:
		s->events.header(s->arg, &i->header);
		break;
	case DEED_RECORD:
		s->events.record(s->arg, &r);
		break;
	case DEED_LOADED:
		s->events.loaded(s->arg, i->clean);
		break;
	case DEED_WRITTEN:
		s->events.written(s->arg);
		break;
	case DEED_FAILED:
		s->events.failed(s->arg, i->bytes);
		break;
	case DEED_SAID:
		log_warn("%s", i->bytes);
		break;
	case DEED_STOPPED:
		say_stopped(s);
		break;
	default:
		break;
	}
}

/* A part of what there is, so that other things come in between. */
static unsigned
take_news(struct state_store *s, struct item_list *list, bool *more_r)
{
	unsigned n = 0;
	struct item *i;

	STAILQ_INIT(list);
	pthread_mutex_lock(&s->mutex);
	while (n < NEWS_AT_ONCE && (i = STAILQ_FIRST(&s->news)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->news, link);
		STAILQ_INSERT_TAIL(list, i, link);
		n++;
	}
	s->n_news -= n;
	*more_r = !STAILQ_EMPTY(&s->news);
	pthread_cond_broadcast(&s->told);
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static void
on_wakeup(evutil_socket_t fd, short what, void *arg)
{
	struct state_store *s = arg;
	struct item_list list;
	struct item *i;
	uint64_t count;
	bool more;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	take_news(s, &list, &more);
	while ((i = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, link);
		hear(s, i);
		free(i);
	}
	count = 1;
	if (more && write(fd, &count, sizeof(count)) < 0)
		log_error("event=bug what=\"eventfd: %s\"", strerror(errno));
}

static void
on_patience_over(void *arg)
{
	struct state_store *s = arg;

	log_warn("event=memory-not-written what=\"the disk takes too long; what was remembered last is lost\"");
	s->is_stopped = true;
	s->events.stopped(s->arg);
}

static void
on_gathered(void *arg)
{
	struct state_store *s = arg;

	pthread_cond_broadcast(&s->told);
}

struct state_store *
state_store_new(struct event_base *base, int dir, const char *folder, const char *const *names, unsigned n_names,
    const struct store_events *events, void *arg)
{
	struct state_store *s = alloc_new(1, sizeof(*s));
	pthread_condattr_t monotonic;
	struct files_events said = { report_words, report_header, report_record, give_up };

	s->files = state_file_new(dir, folder, names, n_names, &said, s);
	s->events = *events;
	s->arg = arg;
	s->lives = LIVES;
	STAILQ_INIT(&s->doing);
	STAILQ_INIT(&s->tasks);
	STAILQ_INIT(&s->news);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->told, &monotonic);
	pthread_condattr_destroy(&monotonic);
	timer_set(&s->patience, on_patience_over, s);
	timer_set(&s->gather, on_gathered, s);
	s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->wakeup = s->fd >= 0 ? event_new(base, s->fd, EV_READ | EV_PERSIST, on_wakeup, s) : NULL;
	if (s->wakeup == NULL)
		log_fatal("event=start-failed what=\"eventfd: %s\"", strerror(errno));
	event_add(s->wakeup, NULL);
	return s;
}

void
state_store_start(struct state_store *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&s->thread, NULL, run, s) != 0)
		log_fatal("event=start-failed what=\"thread: %s\"", strerror(errno));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->started = true;
}

static void
tell(struct state_store *s, struct item *i)
{
	bool many;

	pthread_mutex_lock(&s->mutex);
	STAILQ_INSERT_TAIL(&s->tasks, i, link);
	many = ++s->n_tasks == GATHER_MANY;
	pthread_mutex_unlock(&s->mutex);
	if (many)
		pthread_cond_broadcast(&s->told);
	else if (!timer_running(&s->gather))
		timer_start(&s->gather, GATHER_MS);
}

void
state_store_begin(struct state_store *s, const struct store_header *h)
{
	struct item *i = item_new(DEED_BEGIN, NULL, 0);

	i->header = *h;
	tell(s, i);
}

void
state_store_put(struct state_store *s, const struct store_record *r)
{
	struct item *i = item_new(DEED_PUT, r->bytes, r->len);

	i->header.table = r->table;
	i->header.generation = r->generation;
	i->key = r->key;
	tell(s, i);
}

void
state_store_drop(struct state_store *s, unsigned table, uint32_t generation)
{
	struct item *i = item_new(DEED_DROP, NULL, 0);

	i->header.table = table;
	i->header.generation = generation;
	tell(s, i);
}

void
state_store_fence(struct state_store *s)
{
	tell(s, item_new(DEED_FENCE, NULL, 0));
}

void
state_store_resume(struct state_store *s)
{
	tell(s, item_new(DEED_RESUME, NULL, 0));
}

size_t
state_store_backlog(struct state_store *s)
{
	size_t n;

	pthread_mutex_lock(&s->mutex);
	n = s->n_tasks;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

void
state_store_stop(struct state_store *s, uint32_t most_ms)
{
	if (s->stop_asked)
		return;
	s->stop_asked = true;
	pthread_mutex_lock(&s->mutex);
	s->quit = true;
	pthread_cond_broadcast(&s->told);
	pthread_mutex_unlock(&s->mutex);
	timer_start(&s->patience, s->started ? most_ms : 0);
}

static void
free_list(struct item_list *list)
{
	struct item *i;

	while ((i = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		free(i);
	}
}

void
state_store_free(struct state_store *s)
{
	if (s == NULL || (s->started && !s->joined))
		return;
	timer_stop(&s->gather);
	timer_stop(&s->patience);
	event_free(s->wakeup);
	close(s->fd);
	free_list(&s->tasks);
	free_list(&s->doing);
	free_list(&s->news);
	free(s->at);
	state_file_free(s->files);
	pthread_mutex_destroy(&s->mutex);
	pthread_cond_destroy(&s->told);
	free(s);
}
