/*
 * What lookup keeps for others (lookup/state.h): binds the tables in memory to their copy on disk. Decides when the copy is to
 * be made anew: after an end in disorder, after a failure, and when the thread could not follow. Then every generation gets a
 * new number and is written from memory piece by piece, and its old files go once the new ones are written.
 */
#include "lookup/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/memory_core.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "lookup/state_cache.h"
#include "lookup/state_show.h"
#include "lookup/state_store.h"

#define TABLES		(MEMORY_TABLES + 1U)
#define RESULTS		((unsigned)MEMORY_TABLES)	/* the last of them: what state_put() took */
#define RESULTS_PERIOD	(30U * 86400)
#define RESULTS_WASTE	(4U * CACHE_ENTRIES)	/* records in its file, some of them expired: then a new one */
#define HOLD_MS		3000		/* questions wait so long for what is on disk to be read */
#define HELD_MAX	10000U
#define BACKLOG_MAX	200000U		/* told to the thread and not written: then no more is told, until all is written anew */
#define BACKLOG_SOME	10000U
#define SLICE		4000U		/* entries of one step of writing anew */
#define STEP_MS		20
#define TICK_MS		60000		/* expiry; and another try after a failure */
#define STOP_MS		2000
#define FILES_MAX	8U		/* of one table: more than two after crashes only */

enum phase {
	PHASE_READING,			/* questions wait */
	PHASE_LATE,			/* reading takes long: memory answers without what is on disk */
	PHASE_KEPT,			/* what changes is written */
	PHASE_ANEW,			/* and all else is being written from the beginning */
	PHASE_BEHIND,			/* the thread did not follow: nothing is told to it now */
	PHASE_FAILED,			/* it cannot write now */
	PHASE_ALONE,			/* there are no files */
	PHASE_STOPPED,
};

struct file_list {			/* of one table */
	uint32_t	numbers[FILES_MAX];
	unsigned	n;
};

struct held {				/* a question that came too early */
	STAILQ_ENTRY(held)	 link;
	struct memory_question	 question;
	char			 key[MEMORY_KEY_MAX], other[MEMORY_OTHER_MAX];
	uint64_t		 id;
	void			(*done)(void *, uint64_t, const struct memory_answer *);
	void			*arg;
};

struct state {
	struct memory_events	 events;
	struct memory_core	*core;
	struct state_cache	*cache;
	struct state_store	*store;		/* NULL: none */
	struct state_store	*lost;		/* the one that there was */
	enum phase		 phase;
	struct timer		 hold, tick, step;
	STAILQ_HEAD(, held)	 held;
	unsigned		 n_held;
	int64_t			 started_ms;
	uint64_t		 loaded, questions, failures;

	struct file_list	 files[TABLES];	/* begun, and written to */
	struct file_list	 stale[TABLES];	/* that go when all is written anew */
	uint32_t		 periods[TABLES];	/* as the files say */
	uint32_t		 results_file;
	size_t			 results_written;
	struct {
		unsigned	table, which, layout;
		size_t		at;
	}			 walk;
	bool			 has_failed;	/* and it was said */

	void			(*stopped)(void *);
	void			*stopped_arg;
	struct timer		 stop_now;
};

static const char *const table_names[TABLES] = { "waiting", "passed", "networks", "clients", "people", "rates", "results" };

/* ---- which files there are ---- */

/* FILES_MAX: it is not there. */
static unsigned
list_place(const struct file_list *l, uint32_t number)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->numbers[i] == number)
			return i;
	return FILES_MAX;
}

static bool
list_has(const struct file_list *l, uint32_t number)
{
	return list_place(l, number) < FILES_MAX;
}

static void
list_add(struct file_list *l, uint32_t number)
{
	if (l->n < FILES_MAX && !list_has(l, number))
		l->numbers[l->n++] = number;
}

static void
list_remove(struct file_list *l, uint32_t number)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->numbers[i] == number)
			l->numbers[i--] = l->numbers[--l->n];
}

static bool
is_written(const struct state *s)
{
	return s->phase == PHASE_KEPT || s->phase == PHASE_ANEW;
}

/* The generation of a table that has this number, as a header says it. */
static struct store_header
header_of(const struct state *s, unsigned table, uint32_t number)
{
	struct store_header h = { .table = table, .generation = number, .since = clock_wall(), .period_s = RESULTS_PERIOD };

	if (table == RESULTS)
		return h;
	h.period_s = memory_table_period(memory_core_table(s->core, table));
	for (unsigned which = MEMORY_YOUNG; which <= MEMORY_OLD; which++) {
		struct memory_generation_facts g = memory_table_generation(memory_core_table(s->core, table), which);

		if (g.number == number && g.since != 0)
			h.since = g.since;
	}
	return h;
}

/* Its file is there, and says the period that holds. */
static void
ensure_file(struct state *s, unsigned table, uint32_t number)
{
	struct store_header h = header_of(s, table, number);

	if (list_has(&s->files[table], number) && s->periods[table] == h.period_s)
		return;
	s->periods[table] = h.period_s;
	list_add(&s->files[table], number);
	store_begin(s->store, &h);
}

/* Whether the thread follows; else nothing is told to it until it has done what it knows of. */
static bool
may_tell(struct state *s)
{
	if (!is_written(s))
		return false;
	if (store_backlog(s->store) < BACKLOG_MAX)
		return true;
	log_warn("event=memory-behind what=\"the disk does not follow; all that is remembered will be written again when it does\"");
	s->phase = PHASE_BEHIND;
	timer_stop(&s->step);
	return false;
}

static void
tell_entry(struct state *s, unsigned table, uint32_t number, const struct memory_entry *e)
{
	struct store_record r = { table, number, e->key, e->v, sizeof(e->v) };

	ensure_file(s, table, number);
	store_put(s->store, &r);
}

static void
on_put(void *arg, unsigned table, uint32_t number, const struct memory_entry *e)
{
	struct state *s = arg;

	if (may_tell(s))
		tell_entry(s, table, number, e);
}

static void
on_dropped(void *arg, unsigned table, uint32_t number)
{
	struct state *s = arg;

	list_remove(&s->files[table], number);
	if (s->store != NULL && s->phase != PHASE_STOPPED)
		store_drop(s->store, table, number);
}

/* ---- writing all anew ---- */

static void
begin_walk(struct state *s)
{
	s->walk.at = 0;
	if (s->walk.table < MEMORY_TABLES)
		s->walk.layout = memory_table_generation(memory_core_table(s->core, s->walk.table), s->walk.which).layout;
}

static void
put_result(void *arg, uint64_t number, const void *record, size_t len)
{
	struct state *s = arg;

	store_put(s->store, &(struct store_record){ RESULTS, s->results_file, number, record, len });
	s->results_written++;
}

static void
write_results(struct state *s)
{
	s->results_written = 0;
	ensure_file(s, RESULTS, s->results_file);
	cache_walk(s->cache, put_result, s);
}

/* A part of one generation; the next one when that is at its end. */
static void
walk_on(struct state *s)
{
	struct memory_table *t = memory_core_table(s->core, s->walk.table);
	struct memory_generation_facts g = memory_table_generation(t, s->walk.which);
	struct memory_entry e;

	if (g.layout != s->walk.layout)
		begin_walk(s);
	for (unsigned n = 0; n < SLICE && g.number != 0; n++) {
		if (!memory_table_walk(t, s->walk.which, &s->walk.at, &e))
			break;
		tell_entry(s, s->walk.table, g.number, &e);
		if (n + 1 == SLICE)
			return;
	}
	s->walk.which = s->walk.which == MEMORY_YOUNG ? MEMORY_OLD : MEMORY_YOUNG;
	s->walk.table += s->walk.which == MEMORY_YOUNG;
	begin_walk(s);
}

/* All is in new files: the old ones can go. */
static void
on_written(void *arg)
{
	struct state *s = arg;

	if (s->phase != PHASE_ANEW)
		return;
	for (unsigned t = 0; t < TABLES; t++) {
		for (unsigned i = 0; i < s->stale[t].n; i++)
			store_drop(s->store, t, s->stale[t].numbers[i]);
		s->stale[t].n = 0;
	}
	s->phase = PHASE_KEPT;
	if (s->has_failed)
		log_info("event=memory-written what=\"what is remembered is on disk again\"");
	s->has_failed = false;
}

static void
on_step(void *arg)
{
	struct state *s = arg;

	for (unsigned n = 0; n < 2 * MEMORY_TABLES && s->walk.table < MEMORY_TABLES && store_backlog(s->store) < BACKLOG_SOME; n++)
		walk_on(s);
	if (s->walk.table < MEMORY_TABLES) {
		timer_start(&s->step, STEP_MS);
		return;
	}
	write_results(s);
	store_fence(s->store);
}

/* A new number for each generation that has anything; what there was becomes stale. */
static void
begin_anew(struct state *s)
{
	store_resume(s->store);
	for (unsigned t = 0; t < TABLES; t++) {
		for (unsigned i = 0; i < s->files[t].n; i++)
			list_add(&s->stale[t], s->files[t].numbers[i]);
		s->files[t].n = 0;
	}
	for (unsigned t = 0; t < MEMORY_TABLES; t++) {
		struct memory_table *table = memory_core_table(s->core, t);

		if (memory_table_generation(table, MEMORY_OLD).number != 0)
			memory_table_renumber(table, MEMORY_OLD);
		memory_table_renumber(table, MEMORY_YOUNG);
	}
	s->results_file++;
	s->phase = PHASE_ANEW;
	s->walk.table = 0;
	s->walk.which = MEMORY_YOUNG;
	begin_walk(s);
	timer_start(&s->step, 0);
}

static void
on_failed(void *arg, const char *why)
{
	struct state *s = arg;
	bool partial = s->phase == PHASE_ANEW;

	s->failures++;
	if (!s->has_failed)
		log_error("event=memory-not-written what=%s effect=\"it is kept in memory, and written when that is possible again\"",
		    logq(why));
	s->has_failed = true;
	if (s->phase == PHASE_STOPPED)
		return;
	s->phase = PHASE_FAILED;
	timer_stop(&s->step);
	/* What was begun anew is no use; what was there before stays until the next try has come to its end. */
	for (unsigned t = 0; t < TABLES && partial; t++) {
		for (unsigned i = 0; i < s->files[t].n; i++)
			store_drop(s->store, t, s->files[t].numbers[i]);
		s->files[t].n = 0;
	}
}

static void
on_tick(void *arg)
{
	struct state *s = arg;

	timer_start(&s->tick, TICK_MS);
	if (s->phase == PHASE_READING || s->phase == PHASE_LATE)
		return;
	memory_core_expire(s->core, clock_wall());
	cache_expire(s->cache, clock_wall());
	if (s->phase == PHASE_FAILED || (s->phase == PHASE_BEHIND && store_backlog(s->store) == 0) ||
	    (s->phase == PHASE_KEPT && s->results_written > RESULTS_WASTE))
		begin_anew(s);
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
	if ((h = calloc(1, sizeof(*h))) == NULL)
		log_fatal("event=out-of-memory");
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
	return cache_get(s->cache, kind, key, clock_wall(), value, STATE_VALUE_MAX);
}

void
state_put(struct state *s, const char *kind, const char *key, const char *value, time_t expires)
{
	char record[CACHE_BYTES_MAX];
	uint64_t number;
	size_t len = cache_put(s->cache, kind, key, value, expires, record, &number);

	if (len == 0 || !may_tell(s))
		return;
	ensure_file(s, RESULTS, s->results_file);
	put_result(s, number, record, len);
}

/* ---- reading ---- */

static void
on_header(void *arg, const struct store_header *h)
{
	struct state *s = arg;
	unsigned which;

	list_add(&s->files[h->table], h->generation);
	which = list_place(&s->files[h->table], h->generation);
	if (h->table == RESULTS) {
		s->results_file = h->generation > s->results_file ? h->generation : s->results_file;
		s->periods[RESULTS] = RESULTS_PERIOD;
		return;
	}
	memory_table_keep(memory_core_table(s->core, h->table), h->period_s);
	if (which == 0)
		s->periods[h->table] = memory_table_period(memory_core_table(s->core, h->table));
	if (which <= MEMORY_OLD)
		memory_table_continue(memory_core_table(s->core, h->table), which, h->generation, h->since);
}

static void
on_record(void *arg, const struct store_record *r)
{
	struct state *s = arg;
	struct memory_entry e = { .key = r->key };

	s->loaded++;
	if (r->table == RESULTS) {
		cache_load(s->cache, r->bytes, r->len, clock_wall());
		s->results_written++;
		return;
	}
	if (r->len != sizeof(e.v))
		return;
	memcpy(e.v, r->bytes, sizeof(e.v));
	memory_table_load(memory_core_table(s->core, r->table), &e, clock_wall());
}

/* What is on disk can be written on only where each file is the one of its generation. */
static bool
files_fit(struct state *s)
{
	for (unsigned t = 0; t < MEMORY_TABLES; t++) {
		struct memory_generation_facts old = memory_table_generation(memory_core_table(s->core, t), MEMORY_OLD);

		if (s->files[t].n > 2 || (s->files[t].n < 2 && old.number != 0))
			return false;
	}
	return s->files[RESULTS].n <= 1;
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
	if (!clean || !on_time || !files_fit(s))
		begin_anew(s);
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
	static const struct store_events from_store = { on_header, on_record, on_loaded, on_written, on_failed,
	    on_thread_stopped };
	struct state *s = calloc(1, sizeof(*s));
	char folder[4096], err[4200] = "the path is too long";
	int dir = -1;

	if (s == NULL)
		log_fatal("event=out-of-memory");
	s->events = (struct memory_events){ on_put, on_dropped, s };
	s->core = memory_core_new(&s->events);
	s->cache = cache_new();
	s->results_file = 1;
	STAILQ_INIT(&s->held);
	timer_set(&s->hold, on_hold_over, s);
	timer_set(&s->tick, on_tick, s);
	timer_set(&s->step, on_step, s);
	timer_set(&s->stop_now, on_stop_now, s);
	if ((size_t)snprintf(folder, sizeof(folder), "%s/memory", conf->state) < sizeof(folder))
		dir = open_folder(folder, err, sizeof(err));
	if (dir >= 0)
		s->store = store_new(base, dir, folder, table_names, TABLES, &from_store, s);
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
	store_start(s->store);
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
		store_stop(s->store, STOP_MS);
}

void
state_free(struct state *s)
{
	if (s == NULL)
		return;
	timer_stop(&s->stop_now);
	store_free(s->store);
	store_free(s->lost);
	memory_core_free(s->core);
	cache_free(s->cache);
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
		    cache_count(s->cache), bytes, s->store != NULL ? store_backlog(s->store) : 0, (unsigned long long)s->failures);
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
