/*
 * The copy of lookup's memory on disk (lookup/state_copy.h). To write all anew every generation gets a new number and is told
 * to the thread piece by piece, while what changes is told as ever; its old files go once the new ones are written.
 */
#include "lookup/state_copy.h"

#include "lib/log.h"

#define RESULTS_PERIOD	(30U * 86400)
#define BACKLOG_MAX	200000U		/* told to the thread and not written: then no more is told, until all is written anew */
#define BACKLOG_SOME	10000U
#define SLICE		4000U		/* entries of one step of writing anew */
#define STEP_MS		20

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
	state_store_begin(s->store, &h);
}

/* Whether the thread follows; else nothing is told to it until it has done what it knows of. */
static bool
may_tell(struct state *s)
{
	if (!is_written(s))
		return false;
	if (state_store_backlog(s->store) < BACKLOG_MAX)
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
	state_store_put(s->store, &r);
}

void
state_copy_on_put(void *arg, unsigned table, uint32_t number, const struct memory_entry *e)
{
	struct state *s = arg;

	if (may_tell(s))
		tell_entry(s, table, number, e);
}

void
state_copy_on_dropped(void *arg, unsigned table, uint32_t number)
{
	struct state *s = arg;

	list_remove(&s->files[table], number);
	if (s->store != NULL && s->phase != PHASE_STOPPED)
		state_store_drop(s->store, table, number);
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

	state_store_put(s->store, &(struct store_record){ RESULTS, s->results_file, number, record, len });
	s->results_written++;
}

void
state_copy_result(struct state *s, uint64_t number, const void *record, size_t len)
{
	if (!may_tell(s))
		return;
	ensure_file(s, RESULTS, s->results_file);
	put_result(s, number, record, len);
}

static void
write_results(struct state *s)
{
	s->results_written = 0;
	ensure_file(s, RESULTS, s->results_file);
	state_cache_walk(s->cache, put_result, s);
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
void
state_copy_on_written(void *arg)
{
	struct state *s = arg;

	if (s->phase != PHASE_ANEW)
		return;
	for (unsigned t = 0; t < TABLES; t++) {
		for (unsigned i = 0; i < s->stale[t].n; i++)
			state_store_drop(s->store, t, s->stale[t].numbers[i]);
		s->stale[t].n = 0;
	}
	s->phase = PHASE_KEPT;
	if (s->has_failed)
		log_info("event=memory-written what=\"what is remembered is on disk again\"");
	s->has_failed = false;
}

void
state_copy_on_step(void *arg)
{
	struct state *s = arg;

	for (unsigned n = 0; n < 2 * MEMORY_TABLES && s->walk.table < MEMORY_TABLES; n++)
		if (state_store_backlog(s->store) < BACKLOG_SOME)
			walk_on(s);
	if (s->walk.table < MEMORY_TABLES) {
		timer_start(&s->step, STEP_MS);
		return;
	}
	write_results(s);
	state_store_fence(s->store);
}

/* A new number for each generation that has anything; what there was becomes stale. */
void
state_copy_begin_anew(struct state *s)
{
	state_store_resume(s->store);
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

void
state_copy_on_failed(void *arg, const char *why)
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
			state_store_drop(s->store, t, s->files[t].numbers[i]);
		s->files[t].n = 0;
	}
}

/* ---- reading ---- */

void
state_copy_on_header(void *arg, const struct store_header *h)
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

/* What is on disk can be written on only where each file is the one of its generation. */
bool
state_copy_fits(struct state *s)
{
	for (unsigned t = 0; t < MEMORY_TABLES; t++) {
		struct memory_generation_facts old = memory_table_generation(memory_core_table(s->core, t), MEMORY_OLD);

		if (s->files[t].n > 2 || (s->files[t].n < 2 && old.number != 0))
			return false;
	}
	return s->files[RESULTS].n <= 1;
}
