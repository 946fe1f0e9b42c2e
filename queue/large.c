/*
 * Content too large for a record (large.h, log.h): gathered to chunks, each with a checksum, and written by threads one
 * piece after the other. Decides when such a file is synced, closed and removed. Called by intake through log.h, by
 * append.c for the acceptance, by announce.c for files that a crash left behind.
 */
#include "queue/large.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "queue/disk.h"
#include "queue/log_private.h"

/* A piece on its way to the disk, or with `data` NULL the file's end. */
struct piece {
	struct work		 work;		/* first */
	STAILQ_ENTRY(piece)	 next;
	struct log_file		*file;
	uint8_t			*data;
	size_t			 len;
	uint64_t		 at;
	bool			 last;		/* sync and close */
	log_done_fn		*done;
	void			*arg;
};

struct log_file {
	struct log		*log;
	uint64_t		 id;
	int			 fd;		/* a thread's, while busy */
	bool			 busy;		/* a piece is with a thread */
	bool			 discarded;
	STAILQ_HEAD(, piece)	 pieces;	/* waiting */
	struct piece		*end;		/* the last one, once there is one */
	uint8_t			*chunk;		/* being gathered */
	size_t			 chunk_len;
	uint64_t		 size;
	uint64_t		*sums;
	uint32_t		 n_sums;
	char			 error[LOG_ERROR_MAX];	/* the first one; nothing is written after it */
};

void
large_name(char to[LARGE_NAME_MAX], uint64_t id)
{
	snprintf(to, LARGE_NAME_MAX, "%016" PRIx64, id);
}

struct log_file *
log_file_new(struct log *l, uint64_t id)
{
	struct log_file *f = alloc_new(1, sizeof(*f));

	f->chunk = alloc_raw(RECORD_CHUNK);
	f->log = l;
	f->id = id;
	f->fd = -1;
	STAILQ_INIT(&f->pieces);
	return f;
}

static void
file_free(struct log_file *f)
{
	disk_close(f->fd);
	free(f->sums);
	free(f->chunk);
	free(f);
}

/* In a thread. The file is made with the first piece. */
static int
piece_write(struct piece *p)
{
	struct log_file *f = p->file;
	char name[LARGE_NAME_MAX];

	if (f->fd < 0) {
		large_name(name, f->id);
		f->fd = disk_open(f->log->largefd, name, O_RDWR | O_CREAT | O_EXCL, "large");
		if (f->fd < 0)
			return -1;
	}
	if (p->len > 0 && disk_write(f->fd, p->data, p->len, p->at, "large") != 0)
		return -1;
	if (p->last && (disk_sync(f->fd, "large") != 0 || disk_sync_dir(f->log->largefd, "large") != 0))
		return -1;
	return 0;
}

static void
piece_run(void *w)
{
	struct piece *p = w;

	if (p->file->error[0] == '\0' && piece_write(p) != 0)
		snprintf(p->file->error, sizeof(p->file->error), "%s%s", errno == ENOSPC ? LOG_NO_ROOM : "the disk: ",
		    errno == ENOSPC ? "" : strerror(errno));
}

static void	piece_done(void *);

static void
pieces_go(struct log_file *f)
{
	struct piece *p = STAILQ_FIRST(&f->pieces);

	if (f->busy || p == NULL)
		return;
	STAILQ_REMOVE_HEAD(&f->pieces, next);
	f->busy = true;
	commit_work(f->log->commit, &p->work, piece_run, piece_done);
}

/* A file without acceptance goes when nothing writes to it any more. */
static void
file_abandon(struct log_file *f)
{
	struct log *l = f->log;
	uint64_t id = f->id;
	bool made = f->fd >= 0;

	file_free(f);
	if (made)
		large_remove(l, id);
}

static void
piece_done(void *w)
{
	struct piece *p = w;
	struct log_file *f = p->file;
	bool discarded = f->discarded, last = p->last;
	char error[LOG_ERROR_MAX];

	snprintf(error, sizeof(error), "%s", discarded ? "discarded" : f->error);
	if (p->done)			/* may discard the file: it is busy until after that */
		p->done(p->arg, error[0] != '\0' ? error : NULL);
	f->busy = false;
	if (last && !discarded) {
		file_free(f);		/* discarded by nobody now: it belonged to the acceptance */
	} else if (f->discarded && STAILQ_EMPTY(&f->pieces)) {
		file_abandon(f);
	} else
		pieces_go(f);
	free(p->data);
	free(p);
}

static struct piece *
piece_add(struct log_file *f, bool last, log_done_fn *done, void *arg)
{
	struct piece *p = alloc_new(1, sizeof(*p));

	p->file = f;
	p->last = last;
	p->done = done;
	p->arg = arg;
	p->len = f->chunk_len;
	p->at = f->size - f->chunk_len;
	if (p->len > 0) {
		p->data = f->chunk;
		f->chunk = NULL;
		f->chunk_len = 0;
		f->sums = alloc_resize(f->sums, f->n_sums + 1U, sizeof(*f->sums));
		f->sums[f->n_sums++] = XXH3_64bits(p->data, p->len);
	}
	STAILQ_INSERT_TAIL(&f->pieces, p, next);
	return p;
}

void
log_file_write(struct log_file *f, const void *data, size_t len, log_done_fn *done, void *arg)
{
	const uint8_t *from = data;
	bool added = false;
	size_t n;

	while (len > 0) {
		if (f->chunk == NULL)
			f->chunk = alloc_raw(RECORD_CHUNK);
		n = RECORD_CHUNK - f->chunk_len < len ? RECORD_CHUNK - f->chunk_len : len;
		memcpy(f->chunk + f->chunk_len, from, n);
		f->chunk_len += n;
		f->size += n;
		from += n;
		len -= n;
		if (f->chunk_len == RECORD_CHUNK) {
			piece_add(f, false, len == 0 ? done : NULL, arg);
			added = len == 0;
		}
	}
	if (!added)			/* it is in the chunk being gathered: bounded, so as good as written */
		log_later(f->log, done, arg, f->busy || f->error[0] == '\0' ? NULL : f->error);
	pieces_go(f);
}

void
log_file_discard(struct log_file *f)
{
	struct piece *p;

	if (f == NULL)
		return;
	f->discarded = true;
	while ((p = STAILQ_FIRST(&f->pieces)) != NULL) {
		STAILQ_REMOVE_HEAD(&f->pieces, next);
		log_later(f->log, p->done, p->arg, "discarded");
		free(p->data);
		free(p);
	}
	if (!f->busy)
		file_abandon(f);
}

void
large_finish(struct log_file *f, struct log_file_end *r)
{
	f->end = piece_add(f, true, NULL, NULL);
	*r = (struct log_file_end){ .size = f->size, .sums = f->sums, .n_sums = f->n_sums };
}

void
large_sync(struct log_file *f, log_done_fn *done, void *arg)
{
	f->end->done = done;
	f->end->arg = arg;
	pieces_go(f);
}

void
large_remove(struct log *l, uint64_t id)
{
	char name[LARGE_NAME_MAX];

	large_name(name, id);
	log_unlink(l, l->largefd, name, "large");
}

/* Orphans. */

struct sweep {
	struct work	 work;		/* first */
	struct log	*log;
	uint64_t	*ids;
	size_t		 n;
	uint64_t	 below;		/* ids made since the start are not looked at */
};

static void
on_large_name(void *arg, const char *name)
{
	struct sweep *s = arg;
	uint64_t id;
	int end = 0;

	if (sscanf(name, "%16" SCNx64 "%n", &id, &end) != 1 || end != 16 || name[16] != '\0' || id >= s->below)
		return;
	s->ids = alloc_resize(s->ids, s->n + 1, sizeof(*s->ids));
	s->ids[s->n++] = id;
}

static void
sweep_run(void *w)
{
	struct sweep *s = w;

	disk_each(s->log->largefd, on_large_name, s);
}

static void
sweep_done(void *w)
{
	struct sweep *s = w;

	for (size_t i = 0; i < s->n; i++)
		if (index_find(&s->log->index, s->ids[i]) == NULL)
			large_remove(s->log, s->ids[i]);
	free(s->ids);
	free(s);
}

void
large_sweep(struct log *l, uint64_t below)
{
	struct sweep *s = alloc_new(1, sizeof(*s));

	s->log = l;
	s->below = below;
	commit_work(l->commit, &s->work, sweep_run, sweep_done);
}
