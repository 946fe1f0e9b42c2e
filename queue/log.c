/*
 * The log's face (log.h): opens and closes it, makes ids, takes the writer's news of segments, shows what is there.
 * What is appended is decided in append.c; bytes, batches, reading, room and reclaiming beside it. Called by queue's main.
 */
#include "queue/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "queue/disk.h"
#include "queue/log_private.h"
#include "queue/segindex.h"
#include "queue/writer.h"

#define CACHE_MOST	(32U << 20)
#define TICK_MS		5000

void
log_trouble(struct log *l, const char *fmt, ...)
{
	char text[LOG_ERROR_MAX * 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->told++;
	if (l->events.on_trouble)
		l->events.on_trouble(l->arg, text);
}

/* Small pieces of work. */

struct later {
	struct work	 work;
	log_done_fn	*done;
	void		*arg;
	char		 error[LOG_ERROR_MAX];
};

static void
later_done(void *w)
{
	struct later *later = w;

	later->done(later->arg, later->error[0] != '\0' ? later->error : NULL);
	free(later);
}

void
log_later(struct log *l, log_done_fn *done, void *arg, const char *error)
{
	struct later *later;

	if (done == NULL)
		return;
	later = alloc_new(1, sizeof(*later));
	later->done = done;
	later->arg = arg;
	snprintf(later->error, sizeof(later->error), "%s", error ? error : "");
	commit_now(l->commit, &later->work, NULL, later_done);
}

struct removal {
	struct work	 work;
	int		 dirfd;
	const char	*kind;
	char		 name[32];
};

static void
removal_run(void *w)
{
	struct removal *r = w;

	disk_unlink(r->dirfd, r->name, r->kind);
}

void
log_unlink(struct log *l, int dirfd, const char *name, const char *kind)
{
	struct removal *r = alloc_new(1, sizeof(*r));

	r->dirfd = dirfd;
	r->kind = kind;
	snprintf(r->name, sizeof(r->name), "%s", name);
	commit_work(l->commit, &r->work, removal_run, free);
}

/* Ids: the number of the newest segment, which no later start uses again, and a counter. */
uint64_t
log_new_id(struct log *l)
{
	if (++l->given >= UINT64_C(1) << LOG_ID_BITS)
		log_fatal("event=bug what=\"ids are used up: the log could not begin a new segment\"");
	if (l->given == UINT64_C(1) << (LOG_ID_BITS - 1))
		commit_kick(l->commit, true);
	return (uint64_t)l->run << LOG_ID_BITS | l->given;
}

/* The writer's news. */

struct indexing {
	struct work		 work;
	struct log		*log;
	struct segment_header	 header;
	uint64_t		 limit, known;
	int			 result;
};

static void
indexing_run(void *w)
{
	struct indexing *i = w;

	i->result = segindex_write(i->log->segfd, &i->header, i->limit, i->known);
}

static void
indexing_done(void *w)
{
	struct indexing *i = w;
	struct segment *s = index_segment(&i->log->index, i->header.number);

	if (s) {
		s->pins--;
		if (i->result == 1 && !s->refused && !s->damaged) {
			s->damaged = true;
			log_trouble(i->log, "segment %08" PRIx32 " of the log is damaged: it will be emptied", s->header.number);
		}
	}
	reclaim_poke(i->log);
	free(i);
}

static void
segment_index(struct log *l, struct segment *s)
{
	struct indexing *i = alloc_new(1, sizeof(*i));

	i->log = l;
	i->header = s->header;
	i->limit = s->limit;
	i->known = s->known;
	s->pins++;
	commit_work(l->commit, &i->work, indexing_run, indexing_done);
}

static void
on_segment(void *arg, const struct segment_header *h)
{
	struct log *l = arg;
	struct segment *prior = index_segment(&l->index, h->prior), *s = index_segment_add(&l->index, h);

	s->open = true;
	if (h->number != l->run)		/* the first one's ids may have been given out already */
		l->given = 0;
	l->run = h->number;
	l->space.used = 0;
	if (prior == NULL || !prior->open)
		return;
	prior->open = false;
	prior->refused = h->refused;
	prior->limit = prior->known = h->good;
	if (h->refused)
		log_trouble(l, "segment %08" PRIx32 " of the log is given up at %" PRIu64 ", going on in %08" PRIx32,
		    prior->header.number, h->good, h->number);
	if (!l->closing)
		segment_index(l, prior);
	reclaim_poke(l);
}

static void
on_room(void *arg, bool spare, bool stalled)
{
	space_room(arg, spare, stalled);
}

static void
on_commit_trouble(void *arg, const char *what)
{
	log_trouble(arg, "%s", what);
}

/* The start. */

struct starting {
	struct work	 work;
	struct log	*log;
	struct recover	 recover;
};

static void
starting_run(void *w)
{
	struct starting *st = w;

	recover_run(&st->recover);
}

static void
starting_done(void *w)
{
	struct starting *st = w;
	struct log *l = st->log;

	for (size_t i = 0; i < st->recover.index.n_segments && !l->closing; i++)
		if (!st->recover.indexed[i] && !st->recover.index.segments[i]->damaged)
			segment_index(l, st->recover.index.segments[i]);
	announce_start(l, &st->recover);
	recover_free(&st->recover);
	free(st);
}

static void
on_tick(void *arg)
{
	struct log *l = arg;

	timer_start(&l->tick, TICK_MS);
	space_tick(l);
	reclaim_tick(l);
}

static int
folder_open(struct log *l, const char *name)
{
	int fd = -1;

	if (disk_make_dir(l->dirfd, name) == 0)
		fd = disk_open(l->dirfd, name, O_RDONLY | O_DIRECTORY, "dir");
	return fd;
}

static int
spool_open(struct log *l, char *err, size_t size)
{
	l->lockfd = disk_open(l->dirfd, LOG_LOCK, O_RDWR | O_CREAT, "lock");
	if (l->lockfd < 0) {
		snprintf(err, size, "the spool cannot be used: %s", strerror(errno));
		return -1;
	}
	if (disk_lock(l->lockfd) != 0) {
		snprintf(err, size, errno == EWOULDBLOCK ? "the spool is in use by another minimta" :
		    "the spool cannot be locked");
		return -1;
	}
	l->segfd = folder_open(l, LOG_DIR);
	l->largefd = folder_open(l, LOG_LARGE);
	l->asidefd = folder_open(l, LOG_ASIDE);
	if (l->segfd < 0 || l->largefd < 0 || l->asidefd < 0 || disk_sync_dir(l->dirfd, "dir") != 0) {
		snprintf(err, size, "the spool cannot be used: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static void
log_free(struct log *l)
{
	cache_free(&l->cache);
	index_free(&l->index);
	announce_free(l);
	disk_close(l->segfd);
	disk_close(l->largefd);
	disk_close(l->asidefd);
	disk_close(l->lockfd);
	free(l);
}

static int
commit_open(struct log *l, struct starting *st, char *err, size_t size)
{
	static const struct commit_events events = { on_segment, on_room, on_commit_trouble };
	struct commit_options o = {
		.segment_size = l->options.segment_size, .readers = l->options.readers, .stepwise = l->options.stepwise,
		.first = st->recover.newest + 1, .prior = st->recover.newest,
	};

	l->run = o.first;
	l->first_id = (uint64_t)o.first << LOG_ID_BITS;
	l->commit = commit_new(l->base, l->segfd, &o, &events, l, err, size);
	return l->commit ? 0 : -1;
}

struct log *
log_open(struct event_base *base, int dirfd, const struct log_options *options, const struct log_events *events, void *arg,
    char *err, size_t size)
{
	struct log *l = alloc_new(1, sizeof(*l));
	struct starting *st = alloc_new(1, sizeof(*st));

	*l = (struct log){ .base = base, .dirfd = dirfd, .segfd = -1, .largefd = -1, .asidefd = -1, .lockfd = -1,
	    .options = *options, .events = *events, .arg = arg };
	TAILQ_INIT(&l->waiting);
	index_init(&l->index);
	cache_init(&l->cache, CACHE_MOST);
	l->options.segment_size = segment_align(options->segment_size, SEGMENT_BLOCK);
	l->record_max = l->options.segment_size - 3 * SEGMENT_BLOCK;
	if (options->segment_size < SEGMENT_LEAST || options->segment_size > SEGMENT_MOST) {
		snprintf(err, size, "a segment must have 32 KiB to 2 GiB");
		goto fail;
	}
	if (spool_open(l, err, size) != 0)
		goto fail;
	st->recover.dirfd = l->segfd;
	st->recover.asidefd = l->asidefd;
	if (recover_list(&st->recover, err, size) != 0 || commit_open(l, st, err, size) != 0)
		goto fail;
	space_init(l);
	flight_open(l);
	l->mark = st->recover.mark = mark_open(l->dirfd);
	reclaim_init(l);
	st->log = l;
	commit_work(l->commit, &st->work, starting_run, starting_done);
	timer_set(&l->tick, on_tick, l);
	timer_start(&l->tick, TICK_MS);
	return l;
fail:
	recover_free(&st->recover);
	free(st);
	log_free(l);
	return NULL;
}

void
log_close(struct log *l)
{
	if (l == NULL)
		return;
	l->closing = true;
	timer_stop(&l->tick);
	reclaim_stop(l);
	commit_free(l->commit);
	flight_close(l);
	mark_close(l->mark);
	log_free(l);
}

bool
log_step(struct log *l, bool writer)
{
	return commit_step(l->commit, writer);
}

/* Looking. */

static void
message_show(const struct message *m, struct log_message *r)
{
	*r = (struct log_message){ .id = m->id, .arrived = m->arrived, .size = m->size, .flags = m->flags,
	    .n_rcpts = m->n_rcpts, .n_open = m->n_open };
}

bool
log_find(struct log *l, uint64_t id, struct log_message *r)
{
	struct message *m = index_find(&l->index, id);

	if (m == NULL || !m->announced)
		return false;
	message_show(m, r);
	return true;
}

bool
log_is_open(struct log *l, uint64_t id, uint32_t index, enum log_state *state_r)
{
	struct message *m = index_find(&l->index, id);
	const struct index_rcpt *p = m == NULL || !m->announced ? NULL : index_rcpt(m, index);

	if (p != NULL)
		*state_r = (enum log_state)p->state;
	return p != NULL;
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t *
log_ids(const struct index *ix, size_t *n_r)
{
	uint64_t *ids = alloc_new(ix->n_messages, sizeof(*ids));
	struct message *m;
	uint32_t at = 0;

	*n_r = 0;
	while ((m = index_next(ix, &at)) != NULL)
		ids[(*n_r)++] = m->id;
	qsort(ids, *n_r, sizeof(*ids), by_id);
	return ids;
}

void
log_each(struct log *l, bool (*fn)(void *, const struct log_message *), void *arg)
{
	struct log_message shown;
	size_t n;
	uint64_t *ids = log_ids(&l->index, &n);

	for (size_t i = 0; i < n; i++)
		if (log_find(l, ids[i], &shown) && !fn(arg, &shown))
			break;
	free(ids);
}

char *
log_status(struct log *l, char *to, size_t size)
{
	struct commit_counts counts = commit_counts(l->commit);

	snprintf(to, size, "messages=%zu segments=%zu log_bytes=%" PRIu64 " free_bytes=%" PRIu64 " reserved=%" PRIu64
	    " batches=%" PRIu64 " records=%" PRIu64 " moved=%" PRIu64 " freed=%" PRIu64 " troubles=%" PRIu64 " room=%s scanned=%s",
	    l->index.n_messages, l->index.n_segments, (uint64_t)l->index.n_segments * l->options.segment_size, l->space.bytes,
	    l->space.reserved, counts.batches, counts.records, l->reclaim.moved, l->reclaim.freed, l->told,
	    log_room(l) ? "yes" : "no", l->scanned ? "yes" : "no");
	return to;
}
