/*
 * `queue --check`: reads a stopped spool and says what a start would find in it, without changing anything. Every segment
 * is read in full, whether or not it has an index file, and every large file is held against its checksums. Called by queue's main.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ids.h"
#include "queue/bar.h"
#include "queue/disk.h"
#include "queue/large.h"
#include "queue/log_private.h"
#include "queue/segindex.h"

#define SHARES	1000		/* of a segment: how far it is read */

struct check {
	FILE		*out;
	struct recover	 recover;
	int		 largefd;
	bool		 damaged;
	struct bar	 bar;
	size_t		 at;			/* the segment that is being read */
	uint8_t		 chunk[RECORD_CHUNK];
};

static void
on_record(void *arg, const struct segment *s, const struct record *r, uint64_t offset)
{
	struct check *c = arg;
	const struct index *index = &c->recover.index;

	while (c->at + 1 < index->n_segments && index->segments[c->at] != s)
		c->at++;
	bar_at(&c->bar, c->at * SHARES + offset * SHARES / (s->header.size + 1));
	fprintf(c->out, "segment=%08" PRIx32 " offset=%" PRIu64 " record=%s message=%s", s->header.number, offset,
	    record_kind_name(r->kind), id_text(r->id));
	if (r->parent != 0)
		fprintf(c->out, " parent=%s", id_text(r->parent));
	fputc('\n', c->out);
}

static void
show_segments(struct check *c)
{
	const struct segment *s;

	for (size_t i = 0; i < c->recover.index.n_segments; i++) {
		s = c->recover.index.segments[i];
		fprintf(c->out, "segment=%08" PRIx32 " size=%" PRIu64 " live_records=%" PRIu32 " live_bytes=%" PRIu64 " index=%s%s\n",
		    s->header.number, s->header.size, s->live, s->live_bytes,
		    segindex_load(c->recover.dirfd, &s->header, NULL, NULL) == 0 ? "yes" : "no",
		    s->refused ? " refused=yes" : "");
	}
	for (size_t i = 0; i < c->recover.n_damage; i++) {
		const struct recover_damage *d = &c->recover.damage[i];

		fprintf(c->out, "segment=%08" PRIx32 " from=%" PRIu64 " to=%" PRIu64 " found=%s\n", d->segment, d->from, d->to,
		    d->torn ? "torn" : d->to == 0 ? "no-header" : "damage");
		c->damaged |= !d->torn;
	}
}

/* One large file against the checksums of the record that names it. */
static const char *
large_state(struct check *c, const struct record *r)
{
	const char *state = "good";
	char name[LARGE_NAME_MAX];
	uint64_t size = 0;
	size_t n;
	int fd;

	large_name(name, r->id);
	if ((fd = disk_open(c->largefd, name, O_RDONLY, "large")) < 0)
		return "missing";
	if (disk_size(fd, &size) != 0 || size != r->size)
		state = "wrong-size";
	for (uint32_t i = 0; i < r->n_sums && state[0] == 'g'; i++) {
		n = size - (uint64_t)i * RECORD_CHUNK < RECORD_CHUNK ? (size_t)(size - (uint64_t)i * RECORD_CHUNK) : RECORD_CHUNK;
		if (disk_read(fd, c->chunk, n, (uint64_t)i * RECORD_CHUNK) != 0 || XXH3_64bits(c->chunk, n) != r->sums[i])
			state = "damaged";
	}
	disk_close(fd);
	return state;
}

/* The base of a message read again: its large file is checked against it. */
static void
show_large(struct check *c, const struct message *m)
{
	const struct segment *s = index_segment(&c->recover.index, m->base.segment);
	struct segment_source source;
	struct segment_frame f;
	struct record r;
	const char *state = "unreadable";
	uint8_t *bytes = malloc(m->base.length);
	int fd;

	if (bytes && s && segindex_source(&source, &fd, c->recover.dirfd, m->base.segment) == 0) {
		if (disk_read(fd, bytes, m->base.length, m->base.offset) == 0 &&
		    segment_frame(&f, bytes, m->base.length) == 0 &&
		    record_decode(&r, f.kind, bytes + f.line, m->base.length - f.line, false) == 0) {
			state = large_state(c, &r);
			record_free(&r);
		}
		disk_close(fd);
	}
	free(bytes);
	fprintf(c->out, "message=%s large=%s\n", id_text(m->id), state);
	c->damaged |= strcmp(state, "good") != 0;
}

static void
show_messages(struct check *c)
{
	struct message *m;
	uint64_t n = 0;
	uint32_t at = 0;

	bar_begin(&c->bar, "large files", c->recover.index.n_messages);
	while ((m = index_next(&c->recover.index, &at)) != NULL) {
		bar_at(&c->bar, n++);
		fprintf(c->out, "message=%s arrived=%" PRId64 " size=%" PRIu64 " recipients=%" PRIu32 " open=%" PRIu32 "%s\n",
		    id_text(m->id), (int64_t)m->arrived, (uint64_t)m->size, (uint32_t)m->n_rcpts, (uint32_t)m->n_open,
		    m->n_open == 0 ? " end=lost" : "");
		if (m->in_file)
			show_large(c, m);
	}
	bar_end(&c->bar);
}

static void
on_large(void *arg, const char *name)
{
	struct check *c = arg;
	uint64_t id;

	if (sscanf(name, "%16" SCNx64, &id) != 1 || index_find(&c->recover.index, id) == NULL)
		fprintf(c->out, "file=" LOG_LARGE "/%s found=no-acceptance\n", name);
}

static int
check_run(struct check *c)
{
	char err[LOG_ERROR_MAX];

	if (recover_list(&c->recover, err, sizeof(err)) != 0) {
		fprintf(c->out, "error=\"%s\"\n", err);
		return 2;
	}
	c->recover.asidefd = -1;
	c->recover.all = true;
	c->recover.on_record = on_record;
	c->recover.arg = c;
	bar_begin(&c->bar, "segments", c->recover.index.n_segments * SHARES);
	recover_run(&c->recover);
	bar_end(&c->bar);
	show_segments(c);
	show_messages(c);
	disk_each(c->largefd, on_large, c);
	fprintf(c->out, "segments=%zu records=%" PRIu64 " messages=%zu damage=%s\n", c->recover.index.n_segments,
	    c->recover.records, c->recover.index.n_messages, c->damaged ? "yes" : "no");
	return c->damaged ? 1 : 0;
}

int
log_check(int dirfd, void *out_FILE)
{
	struct check c = { .out = out_FILE };
	int lockfd = disk_open(dirfd, LOG_LOCK, O_RDWR, "lock");
	int result = 2;

	c.recover.dirfd = disk_open(dirfd, LOG_DIR, O_RDONLY | O_DIRECTORY, "dir");
	c.largefd = disk_open(dirfd, LOG_LARGE, O_RDONLY | O_DIRECTORY, "dir");
	if (lockfd < 0 || c.recover.dirfd < 0 || c.largefd < 0)
		fprintf(c.out, "error=\"this is no spool: %s\"\n", strerror(errno));
	else if (disk_lock(lockfd) != 0)
		fprintf(c.out, "error=\"the spool is in use: stop minimta first\"\n");
	else
		result = check_run(&c);
	recover_free(&c.recover);
	disk_close(c.recover.dirfd);
	disk_close(c.largefd);
	disk_close(lockfd);
	return result;
}
