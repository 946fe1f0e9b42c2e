/*
 * What lookup keeps for others (lookup/state.h): answers from the tables in memory; decides who waits for what is on disk to be
 * read, and how it starts and ends. What is written where is state_copy.c's business.
 */
#include "lookup/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "lookup/state_copy.h"
#include "lookup/state_show.h"

#define RESULTS_WASTE	(4U * CACHE_ENTRIES)	/* records in its file, some of them expired: then a new one */
#define HOLD_MS		3000		/* questions wait so long for what is on disk to be read */
#define HELD_MAX	10000U
#define TICK_MS		60000		/* expiry; and another try after a failure */
#define STOP_MS		2000

struct held {				/* a question that came too early */
	STAILQ_ENTRY(held)	 link;
	struct memory_question	 question;
	char			 key[MEMORY_KEY_MAX], other[MEMORY_OTHER_MAX];
	uint64_t		 id;
	void			(*done)(void *, uint64_t, const struct memory_answer *);
	void			*arg;
};

static const char *const table_names[TABLES] = { "waiting", "passed", "networks", "clients", "people", "rates", "results" };

static void
on_tick(void *arg)
{
	struct state *s = arg;

	timer_start(&s->tick, TICK_MS);
	if (s->phase == PHASE_READING || s->phase == PHASE_LATE)
		return;
	memory_core_expire(s->core, clock_wall());
	state_cache_expire(s->cache, clock_wall());
	if (s->phase == PHASE_FAILED || (s->phase == PHASE_BEHIND && state_store_backlog(s->store) == 0) ||
	    (s->phase == PHASE_KEPT && s->results_written > RESULTS_WASTE))
		state_copy_begin_anew(s);
}

/* ---- questions ---- */

static void
answer(struct state *s, const struct memory_question *q, uint64_t id,
    void (*done)(void *, uint64_t, const struct memory_answer *), void *arg)
{
	struct memory_answer a;

	s->questions++;
	memory_core_ask(s->core, q, clock_wall(), &a);
	if (done != NULL)
		done(arg, id, &a);
}

static void
answer_held(struct state *s)
{
	struct held *h;

	while ((h = STAILQ_FIRST(&s->held)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->held, link);
		s->n_held--;
		h->question.key = h->key;
		h->question.other = h->other;
		answer(s, &h->question, h->id, h->done, h->arg);
		free(h);
	}
}

static void
hold(struct state *s, const struct memory_question *q, uint64_t id,
    void (*done)(void *, uint64_t, const struct memory_answer *), void *arg)
{
	static const struct memory_answer failed = { .failed = true };
	struct held *h;

	if (s->n_held >= HELD_MAX) {
		if (done != NULL)
			done(arg, id, &failed);
		return;
	}
	h = alloc_new(1, sizeof(*h));
	h->question = *q;
	snprintf(h->key, sizeof(h->key), "%s", q->key);
	snprintf(h->other, sizeof(h->other), "%s", q->other);
	h->id = id;
	h->done = done;
	h->arg = arg;
	STAILQ_INSERT_TAIL(&s->held, h, link);
	s->n_held++;
}

void
state_ask(struct state *s, const struct memory_question *q, uint64_t id,
    void (*done)(void *, uint64_t, const struct memory_answer *), void *arg)
{
	if (s->phase == PHASE_READING)
		hold(s, q, id, done, arg);
	else
		answer(s, q, id, done, arg);
}

void
state_cancel(struct state *s, const void *arg)
{
	struct held *h;

	STAILQ_FOREACH(h, &s->held, link)
		if (h->arg == arg)
			h->done = NULL;
}

static void
on_hold_over(void *arg)
{
	struct state *s = arg;

	log_warn("event=memory-late what=\"reading what was remembered takes long; until then clients are strangers\"");
	s->phase = PHASE_LATE;
	answer_held(s);
}

bool
state_get(struct state *s, const char *kind, const char *key, char *value)
{
	return state_cache_get(s->cache, kind, key, clock_wall(), value, STATE_VALUE_MAX);
}

void
state_put(struct state *s, const char *kind, const char *key, const char *value, time_t expires)
{
	char record[CACHE_BYTES_MAX];
	uint64_t number;
	size_t len = state_cache_put(s->cache, kind, key, value, expires, record, &number);

	if (len > 0)
		state_copy_result(s, number, record, len);
}

/* ---- reading ---- */

static void
on_record(void *arg, const struct store_record *r)
{
	struct state *s = arg;
	struct memory_entry e = { .key = r->key };

	s->loaded++;
	if (r->table == RESULTS) {
		state_cache_load(s->cache, r->bytes, r->len, clock_wall());
		s->results_written++;
		return;
	}
	if (r->len != sizeof(e.v))
		return;
	memcpy(e.v, r->bytes, sizeof(e.v));
	memory_table_load(memory_core_table(s->core, r->table), &e, clock_wall());
}

static void
on_loaded(void *arg, bool clean)
{
	struct state *s = arg;
	bool on_time = s->phase == PHASE_READING;

	timer_stop(&s->hold);
	log_info("event=memory-read entries=%llu ms=%lld%s", (unsigned long long)s->loaded, (long long)(clock_ms() - s->started_ms),
	    clean ? "" : " what=\"it was not left in order, and is written anew\"");
	if (s->phase == PHASE_STOPPED)
		return;
	memory_core_expire(s->core, clock_wall());
	s->phase = PHASE_KEPT;
	if (!clean || !on_time || !state_copy_fits(s))
		state_copy_begin_anew(s);
	answer_held(s);
}

/* ---- start and end ---- */

static void
on_stop_now(void *arg)
{
	struct state *s = arg;

	if (s->stopped != NULL)
		s->stopped(s->stopped_arg);
	s->stopped = NULL;
}

/* Also when the thread could not go on by itself. */
static void
on_thread_stopped(void *arg)
{
	struct state *s = arg;

	if (s->phase == PHASE_STOPPED) {
		on_stop_now(s);
		return;
	}
	timer_stop(&s->step);
	timer_stop(&s->hold);
	s->lost = s->store;		/* which calls us */
	s->store = NULL;
	s->phase = PHASE_ALONE;
	answer_held(s);
}

/* Its own user's, who is not yet who runs: a folder that belongs to another is left alone. */
static int
open_folder(const char *path, char *err, size_t size)
{
	const struct passwd *pw = geteuid() == 0 ? getpwnam(sandbox_user(PROC_LOOKUP)) : NULL;
	struct stat st;
	int fd;

	if ((mkdir(path, 0700) != 0 && errno != EEXIST) ||
	    (fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
		snprintf(err, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && (pw == NULL || st.st_uid == pw->pw_uid ||
	    (st.st_uid == 0 && fchown(fd, pw->pw_uid, pw->pw_gid) == 0)))
		return fd;
	snprintf(err, size, "%s does not belong to %s", path, pw != NULL ? pw->pw_name : "us");
	close(fd);
	return -1;
}

struct state *
state_new(struct event_base *base, const struct conf *conf)
{
	static const struct store_events from_store = { .header = state_copy_on_header, .record = on_record, .loaded = on_loaded,
	    .written = state_copy_on_written, .failed = state_copy_on_failed, .stopped = on_thread_stopped };
	struct state *s = alloc_new(1, sizeof(*s));
	char folder[4096], err[4200] = "the path is too long";
	int dir = -1;

	s->events = (struct memory_events){ state_copy_on_put, state_copy_on_dropped, s };
	s->core = memory_core_new(&s->events);
	s->cache = state_cache_new();
	s->results_file = 1;
	STAILQ_INIT(&s->held);
	timer_set(&s->hold, on_hold_over, s);
	timer_set(&s->tick, on_tick, s);
	timer_set(&s->step, state_copy_on_step, s);
	timer_set(&s->stop_now, on_stop_now, s);
	if ((size_t)snprintf(folder, sizeof(folder), "%s/memory", conf->state) < sizeof(folder))
		dir = open_folder(folder, err, sizeof(err));
	if (dir >= 0)
		s->store = state_store_new(base, dir, folder, table_names, TABLES, &from_store, s);
	else
		log_error("event=memory-not-kept what=%s effect=\"what filters remember is gone when lookup ends\"", logq(err));
	s->phase = s->store != NULL ? PHASE_READING : PHASE_ALONE;
	return s;
}

void
state_start(struct state *s)
{
	s->started_ms = clock_ms();
	timer_start(&s->tick, TICK_MS);
	if (s->store == NULL)
		return;
	timer_start(&s->hold, HOLD_MS);
	state_store_start(s->store);
}

void
state_stop(struct state *s, void (*done)(void *), void *arg)
{
	bool again = s->phase == PHASE_STOPPED;

	s->stopped = done;
	s->stopped_arg = arg;
	timer_stop(&s->step);
	timer_stop(&s->hold);
	timer_stop(&s->tick);
	s->phase = PHASE_STOPPED;
	answer_held(s);
	if (s->store == NULL || again)
		timer_start(&s->stop_now, 0);
	else
		state_store_stop(s->store, STOP_MS);
}

void
state_free(struct state *s)
{
	if (s == NULL)
		return;
	timer_stop(&s->stop_now);
	state_store_free(s->store);
	state_store_free(s->lost);
	memory_core_free(s->core);
	state_cache_free(s->cache);
	free(s);
}

/* ---- for people ---- */

static const char *
phase_name(enum phase phase)
{
	static const char *const names[] = { "reading", "late", "kept", "rewriting", "behind", "not-written", "not-kept", "stopped" };

	return names[phase];
}

void
state_status(const struct state *s, char *to, size_t size)
{
	size_t bytes = 0;
	int n = snprintf(to, size, "memory=%s memory_questions=%llu", phase_name(s->phase), (unsigned long long)s->questions);

	for (unsigned t = 0; t < MEMORY_TABLES && n >= 0 && (size_t)n < size; t++) {
		bytes += memory_table_bytes(memory_core_table(s->core, t));
		n += snprintf(to + n, size - (size_t)n, " %s=%zu", table_names[t], memory_table_count(memory_core_table(s->core, t)));
	}
	if (n >= 0 && (size_t)n < size)
		snprintf(to + n, size - (size_t)n, " results=%zu memory_bytes=%zu memory_backlog=%zu memory_failures=%llu",
		    state_cache_count(s->cache), bytes, s->store != NULL ? state_store_backlog(s->store) : 0, (unsigned long long)s->failures);
}

void
state_command(struct state *s, const char *line, bool privileged, FILE *out)
{
	if (!privileged)
		fprintf(out, "denied: what is remembered of mail is for root and for the user that started minimta\n");
	else if (s->phase == PHASE_READING)
		fprintf(out, "later: what was remembered is still being read; try again in a moment\n");
	else
		state_show(s->core, line, clock_wall(), out);
}
