/*
 * The writer (writer.h). It decides what goes into a batch, when a new segment begins, and what a failure means for
 * whom. A sync that failed is never repeated: the kernel may have dropped the pages and would say yes. Instead the next
 * segment's header says up to where the last one is to be believed, and what must be known is written again there.
 */
#include "queue/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/alloc.h"
#include "queue/disk.h"

#define BATCH_MOST	(4U << 20)	/* bytes in one batch: bounds how long others wait for it */
#define ZEROS		(128U << 10)	/* written ahead of small batches */
#define FAILED_MOST	3U		/* failures in a row, then the writer waits to be kicked */

void
writer_name(char to[WRITER_NAME_MAX], uint32_t number, const char *suffix)
{
	snprintf(to, WRITER_NAME_MAX, "%08x.%s", number, suffix);
}

void
writer_init(struct writer *w, int dirfd, uint64_t segment_size, uint32_t first, uint32_t prior)
{
	*w = (struct writer){ .dirfd = dirfd, .fd = -1, .segment_size = segment_size };
	w->header.number = first - 1;
	w->header.prior = prior;
	w->good = SEGMENT_UNKNOWN;
	STAILQ_INIT(&w->unsure);
}

void
writer_free(struct writer *w)
{
	disk_close(w->fd);
	free(w->batch);
}

static void
trouble(struct writer *w, const char *what)
{
	char text[200];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	w->on_trouble(w->arg, text);
}

/* Zeros from fallocate: a spare that already has its size, from the last run, holds nothing but perhaps a header. */
static int
spare_make(struct writer *w)
{
	int fd = disk_open(w->dirfd, WRITER_SPARE, O_RDWR | O_CREAT, "spare");
	int saved;

	if (fd < 0)
		return -1;
	if (disk_allocate(fd, w->segment_size, "spare") != 0 || disk_sync(fd, "spare") != 0 ||
	    disk_sync_dir(w->dirfd, "spare") != 0) {
		saved = errno;
		disk_close(fd);
		disk_unlink(w->dirfd, WRITER_SPARE, "spare");	/* never half of one: it would hold others' room */
		errno = saved;
		return -1;
	}
	disk_close(fd);
	return 0;
}

void
writer_spare(struct writer *w)
{
	if (w->spare)
		return;
	w->spare = spare_make(w) == 0;
	if (!w->spare)
		trouble(w, "no room for a spare segment");
	w->on_room(w->arg, w->spare, w->stalled);
}

/* Both copies of the header, durable before the segment has its name. */
static int
header_write(struct writer *w, int fd, const struct segment_header *h)
{
	uint8_t block[SEGMENT_BLOCK];

	segment_header_write(block, h);
	if (disk_write(fd, block, sizeof(block), 0, "header") != 0 ||
	    disk_write(fd, block, sizeof(block), w->segment_size - SEGMENT_BLOCK, "header") != 0)
		return -1;
	return disk_sync(fd, "header");
}

static int
segment_begin(struct writer *w, struct segment_header *h)
{
	char name[WRITER_NAME_MAX];
	int fd = disk_open(w->dirfd, WRITER_SPARE, O_RDWR, "segment");

	if (fd < 0)
		return -1;
	writer_name(name, h->number, "seg");
	if (getrandom(h->key, sizeof(h->key), 0) != sizeof(h->key) || header_write(w, fd, h) != 0 ||
	    disk_rename(w->dirfd, WRITER_SPARE, name, "segment") != 0 || disk_sync_dir(w->dirfd, "segment") != 0) {
		disk_close(fd);
		return -1;
	}
	return fd;
}

/*
 * Should this fail, a file with a header may have got the number already; the next attempt says the same in its own
 * header and replaces it.
 */
int
writer_rotate(struct writer *w)
{
	struct segment_header h = {
		.number = w->header.number + 1, .size = w->segment_size, .good = w->good, .refused = w->refused,
		.prior = w->at > 0 ? w->header.number : w->header.prior,
	};
	int fd = -1;

	writer_spare(w);
	if (w->spare) {
		w->spare = false;
		if ((fd = segment_begin(w, &h)) < 0)
			trouble(w, "a new segment could not be begun");
	}
	if (fd < 0) {
		w->stalled = true;
		w->on_room(w->arg, w->spare, true);
		return -1;
	}
	disk_close(w->fd);
	w->fd = fd;
	w->header = h;
	w->at = w->good = w->zeroed = SEGMENT_BLOCK;
	w->refused = w->stalled = false;
	w->on_segment(w->arg, &h);
	writer_fail(w, &w->unsure, true, "the log could not be written");
	writer_spare(w);
	w->on_room(w->arg, w->spare, false);
	return 0;
}

static struct append *
as_append(struct work *work)
{
	return (struct append *)(void *)work;
}

static uint64_t
append_size(const struct append *a)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < a->n; i++)
		size += segment_align(a->records[i]->len, SEGMENT_ALIGN);
	return size;
}

void
writer_fail(struct writer *w, struct work_list *list, bool all, const char *error)
{
	struct work_list kept = STAILQ_HEAD_INITIALIZER(kept);
	struct work *work;
	struct append *a;

	while ((work = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		a = as_append(work);
		if (!all && !a->can_fail) {
			STAILQ_INSERT_TAIL(&kept, work, link);
			continue;
		}
		a->error = error;
		w->on_done(w->arg, a);
	}
	STAILQ_CONCAT(list, &kept);
}

static uint8_t *
batch_room(struct writer *w, uint64_t size)
{
	if (size > w->batch_room) {
		free(w->batch);
		w->batch_room = (size_t)segment_align(size, 1U << 16);
		w->batch = alloc_raw(w->batch_room);
	}
	return w->batch;
}

/* Moves from list to batch what fits, in order; returns the batch's length without padding. */
static uint64_t
batch_choose(struct writer *w, struct work_list *list, struct work_list *batch)
{
	uint64_t room = w->segment_size - SEGMENT_BLOCK - w->at, used = SEGMENT_BATCH_SIZE, size;
	struct work *work;
	struct append *a;

	while ((work = STAILQ_FIRST(list)) != NULL) {
		a = as_append(work);
		size = append_size(a);
		if (size > w->segment_size - 2 * SEGMENT_BLOCK - SEGMENT_BATCH_SIZE) {
			STAILQ_REMOVE_HEAD(list, link);
			a->error = "larger than a segment of the log";
			w->on_done(w->arg, a);
			continue;
		}
		if (a->can_fail && !w->spare) {
			STAILQ_REMOVE_HEAD(list, link);
			a->error = LOG_NO_ROOM;
			w->on_done(w->arg, a);
			continue;
		}
		if (used + size > room || (used > SEGMENT_BATCH_SIZE && used + size > BATCH_MOST))
			break;
		STAILQ_REMOVE_HEAD(list, link);
		STAILQ_INSERT_TAIL(batch, work, link);
		used += size;
	}
	return used;
}

/* The kinds of record in a batch, for the kill points: "accept+outcome". */
static const char *
batch_kinds(struct work_list *batch, char *to, size_t size)
{
#ifdef TEST_KILL
	unsigned seen = 0;
	struct work *work;
	struct append *a;
	size_t n = 0;

	STAILQ_FOREACH(work, batch, link) {
		a = as_append(work);
		for (unsigned i = 0; i < a->n; i++)
			seen |= 1U << a->records[i]->kind;
	}
	to[0] = '\0';
	for (unsigned k = 0; k < RECORD_KINDS; k++)
		if (seen & 1U << k)
			n += (size_t)snprintf(to + n, size - n, "%s%s", n > 0 ? "+" : "", record_kind_name(k));
	return to;
#else
	(void)batch;
	(void)to;
	(void)size;
	return "batch";
#endif
}

static void
batch_lay_out(struct writer *w, struct work_list *batch, uint64_t used)
{
	uint8_t *to = batch_room(w, segment_align(used, SEGMENT_BLOCK) + SEGMENT_ALIGN);
	uint64_t at = SEGMENT_BATCH_SIZE;
	struct work *work;
	struct append *a;
	struct blob *b;

	memset(to, 0, SEGMENT_BATCH_SIZE);
	segment_batch(to, w->at, used);
	segment_seal(&w->header, w->at, to, segment_batch_len(to));
	STAILQ_FOREACH(work, batch, link) {
		a = as_append(work);
		for (unsigned i = 0; i < a->n; i++) {
			b = a->records[i];
			segment_seal(&w->header, w->at + at, b->data, b->len);
			memcpy(to + at, b->data, b->len);
			a->at[i] = (struct place){ w->header.number, (uint32_t)(w->at + at), (uint32_t)b->len };
			memset(to + at + b->len, 0, SEGMENT_ALIGN);
			at = segment_align(at + b->len, SEGMENT_ALIGN);
		}
	}
	memset(to + at, 0, (size_t)(segment_align(used, SEGMENT_BLOCK) - at));
}

static void
batch_done(struct writer *w, struct work_list *batch)
{
	struct work *work;

	while ((work = STAILQ_FIRST(batch)) != NULL) {
		STAILQ_REMOVE_HEAD(batch, link);
		as_append(work)->error = NULL;
		w->counts.records++;
		w->on_done(w->arg, as_append(work));
	}
}

/*
 * What must be known goes back to the front of the list; who can be told is told when the next segment's header says that
 * nothing of this counts, or when there is no next segment. Nothing more is written here.
 */
static void
batch_failed(struct writer *w, struct work_list *batch, struct work_list *list)
{
	struct work_list again = STAILQ_HEAD_INITIALIZER(again);
	struct work *work;

	trouble(w, "the log could not be written");
	while ((work = STAILQ_FIRST(batch)) != NULL) {
		STAILQ_REMOVE_HEAD(batch, link);
		if (as_append(work)->can_fail)
			STAILQ_INSERT_TAIL(&w->unsure, work, link);
		else
			STAILQ_INSERT_TAIL(&again, work, link);
	}
	STAILQ_CONCAT(&again, list);
	STAILQ_CONCAT(list, &again);
	disk_close(w->fd);
	w->fd = -1;
	w->good = w->at;
	w->refused = true;
	w->failed++;
}

/*
 * Room that was only allocated costs each sync a second write, that of the inode which learns that it is used now: twice
 * the time. Zeros ahead of many small batches pay that once for all of them; a large batch pays less than they cost.
 */
static int
zeros_ahead(struct writer *w, uint64_t length)
{
	static const uint8_t zeros[ZEROS];
	uint64_t from = w->at + length, end = w->segment_size - SEGMENT_BLOCK;

	if (from <= w->zeroed || length > ZEROS / 4 || from >= end)
		return 0;
	w->zeroed = from + ZEROS < end ? from + ZEROS : end;
	return disk_write(w->fd, zeros, (size_t)(w->zeroed - from), from, "zeros");
}

static int
batch_write(struct writer *w, struct work_list *batch, struct work_list *list, uint64_t used)
{
	uint64_t length = segment_align(used, SEGMENT_BLOCK);
	const char *kinds;
	char text[100];

	kinds = batch_kinds(batch, text, sizeof(text));
	batch_lay_out(w, batch, used);
#ifdef BROKEN_early		/* a build that must be caught by the tests */
	batch_done(w, batch);
	nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);	/* a slow disk: time to be killed in */
#endif
	if (disk_write(w->fd, w->batch, (size_t)length, w->at, kinds) != 0 || zeros_ahead(w, length) != 0 ||
	    disk_sync(w->fd, kinds) != 0) {
		batch_failed(w, batch, list);
		return -1;
	}
	w->at += length;
	w->good = w->at;
	w->failed = 0;
	w->counts.batches++;
	w->counts.bytes += length;
	batch_done(w, batch);
	return 0;
}

void
writer_run(struct writer *w, struct work_list *list)
{
	struct work_list batch = STAILQ_HEAD_INITIALIZER(batch);
	uint64_t used;

	for (;;) {
		if (w->failed >= FAILED_MOST && !w->stalled) {
			w->stalled = true;
			w->on_room(w->arg, w->spare, true);
		}
		if (w->stalled || (w->fd < 0 && writer_rotate(w) != 0)) {
			writer_fail(w, &w->unsure, true, "the log could not be written, and what it holds is not known");
			writer_fail(w, list, false, "the log cannot be written at present");
			return;
		}
		if (STAILQ_EMPTY(list))
			return;
		used = batch_choose(w, list, &batch);
		if (!STAILQ_EMPTY(&batch))
			batch_write(w, &batch, list, used);
		else if (!STAILQ_EMPTY(list) && writer_rotate(w) != 0)	/* full */
			disk_close(w->fd), w->fd = -1;
	}
}
