/*
 * The scan of a start (recover.h). Decides which bytes are believed: every record whose checksum is right, in the order
 * of segments and offsets, up to where the next segment's header says that this one was refused. What cannot be believed is
 * reported, and copied aside if it had been durable; whatever stands behind it is still read. So is a record of which
 * earlier starts have died (mark.h).
 */
#include "queue/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/killpoint.h"
#include "queue/disk.h"
#include "queue/segindex.h"

struct names {
	uint32_t	*numbers;
	size_t		 n;
};

static void
on_name(void *arg, const char *name)
{
	struct names *names = arg;
	uint32_t number;
	int end = 0;

	if (sscanf(name, "%8" SCNx32 ".seg%n", &number, &end) != 1 || end != 12 || name[12] != '\0' || number == 0)
		return;
	names->numbers = alloc_resize(names->numbers, names->n + 1, sizeof(*names->numbers));
	names->numbers[names->n++] = number;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
damage_add(struct recover *r, uint32_t number, uint64_t from, uint64_t to, bool torn)
{
	r->damage = alloc_resize(r->damage, r->n_damage + 1, sizeof(*r->damage));
	r->damage[r->n_damage++] = (struct recover_damage){ .segment = number, .from = from, .to = to, .torn = torn };
}

/* The header from the first block, or its copy in the last. */
static enum segment_result
header_find(int dirfd, uint32_t number, struct segment_header *h, unsigned *format)
{
	enum segment_result result = SEGMENT_DAMAGED;
	struct segment_source source;
	uint8_t block[SEGMENT_BLOCK];
	uint64_t at[2] = { 0, 0 };
	int fd;

	if (segindex_source(&source, &fd, dirfd, number) != 0)
		return SEGMENT_DAMAGED;
	if (source.size >= SEGMENT_LEAST)
		at[1] = source.size - SEGMENT_BLOCK;
	for (int i = 0; i < 2 && result == SEGMENT_DAMAGED; i++) {
		if (source.size < SEGMENT_BLOCK || source.read(source.arg, block, sizeof(block), at[i]) != 0)
			continue;
		result = segment_header_read(h, block, sizeof(block), format);
		if (result == SEGMENT_OK && h->number != number)
			result = SEGMENT_DAMAGED;
	}
	disk_close(fd);
	return result;
}

/* What each header says of the segment before it. */
static void
limits_set(struct recover *r)
{
	const struct segment_header *h;
	struct segment *prior;

	for (size_t i = 0; i < r->index.n_segments; i++) {
		h = &r->index.segments[i]->header;
		prior = index_segment(&r->index, h->prior);
		if (prior == NULL || h->good == SEGMENT_UNKNOWN)
			continue;
		prior->known = h->good;
		prior->limit = h->good;
		prior->refused |= h->refused;
	}
}

int
recover_list(struct recover *r, char *err, size_t size)
{
	struct names names = { 0 };
	struct segment_header h;
	unsigned format;
	int result = 0;

	index_init(&r->index);
	if (disk_each(r->dirfd, on_name, &names) != 0) {
		snprintf(err, size, "the log cannot be read: %s", strerror(errno));
		return -1;
	}
	if (names.n > 0)
		qsort(names.numbers, names.n, sizeof(*names.numbers), by_number);
	for (size_t i = 0; i < names.n && result == 0; i++) {
		r->newest = names.numbers[i];
		switch (header_find(r->dirfd, names.numbers[i], &h, &format)) {
		case SEGMENT_OK:
			index_segment_add(&r->index, &h);
			break;
		case SEGMENT_DAMAGED:
			damage_add(r, names.numbers[i], 0, 0, false);
			break;
		case SEGMENT_NEWER:
			snprintf(err, size, "segment %08" PRIx32 " of the log has format %u, and this minimta knows none newer "
			    "than %d", names.numbers[i], format, SEGMENT_FORMAT);
			result = -1;
			break;
		}
	}
	free(names.numbers);
	limits_set(r);
	return result;
}

/* Applies a change whose record is durable, both halves at once. */
static void
apply_change(struct recover *r, struct message *m, const struct record *rec, struct place at)
{
	struct change c;

	index_change(m, rec, &c);
	index_placed(&r->index, &c, at, 1);
}

static void
apply_parent(struct recover *r, const struct record *rec, struct place at)
{
	struct message *parent = rec->parent != 0 ? index_find(&r->index, rec->parent) : NULL;

	if (parent)
		apply_change(r, parent, rec, at);
}

static void
apply(struct recover *r, const struct record *rec, struct place at)
{
	struct message *m = index_find(&r->index, rec->id);
	struct change c;

	r->records++;
	if (rec->kind == RECORD_ACCEPT) {
		if (m == NULL && (m = index_add(&r->index, rec)) != NULL) {
			index_placed_base(&r->index, m, at);
			apply_parent(r, rec, at);
		}
	} else if (m == NULL && rec->kind == RECORD_COPY) {
		index_placed_base(&r->index, index_add(&r->index, rec), at);
	} else if (m == NULL) {
		r->unknown++;
	} else if (rec->kind == RECORD_END) {
		index_end(&r->index, m, &c);
		index_placed(&r->index, &c, at, 1);
	} else {
		apply_change(r, m, rec, at);
	}
}

/* What the scan of one segment carries along. */
struct reading {
	struct recover	*r;
	struct segment	*s;
	int		 fd;
};

static void
read_record(struct reading *reading, enum record_kind kind, struct place at, const uint8_t *payload, size_t len)
{
	struct recover *r = reading->r;
	struct record rec;

	if (record_decode(&rec, kind, payload, len, reading->fd < 0) != 0) {
		damage_add(r, at.segment, at.offset, (uint64_t)at.offset + at.length, false);
		return;
	}
	KILLPOINT_READ("scan", rec.kind == RECORD_ACCEPT ? rec.id : 0);
	if (r->on_record)
		r->on_record(r->arg, reading->s, &rec, at.offset);
	apply(r, &rec, at);
	record_free(&rec);
}

/* Damaged bytes that had been durable may be worth a person's look. Once; a failure to keep them costs nothing. */
static void
set_aside(struct reading *reading, uint64_t from, uint64_t to)
{
	uint8_t block[SEGMENT_BLOCK];
	char name[64];
	size_t n;
	int fd;

	snprintf(name, sizeof(name), "%08" PRIx32 "-%08" PRIx64, reading->s->header.number, from);
	fd = disk_open(reading->r->asidefd, name, O_WRONLY | O_CREAT | O_EXCL, "damaged");
	if (fd < 0)
		return;
	for (uint64_t at = from; at < to; at += n) {
		n = to - at < sizeof(block) ? (size_t)(to - at) : sizeof(block);
		if (disk_read(reading->fd, block, n, at) == 0 && disk_write(fd, block, n, at - from, "damaged") != 0)
			break;
	}
	disk_close(fd);
}

/* Queue has died of it too often. Like damage: a copy for a person, and a segment that is emptied of what is alive in it. */
static void
leave_out(struct reading *reading, struct place at)
{
	struct reading with_file = *reading;
	struct segment_source source;

	damage_add(reading->r, at.segment, at.offset, (uint64_t)at.offset + at.length, false);
	reading->r->damage[reading->r->n_damage - 1].deadly = true;
	reading->s->damaged = true;
	if (reading->r->asidefd < 0)
		return;
	if (reading->fd >= 0)
		set_aside(reading, at.offset, (uint64_t)at.offset + at.length);
	else if (segindex_source(&source, &with_file.fd, reading->r->dirfd, at.segment) == 0) {
		set_aside(&with_file, at.offset, (uint64_t)at.offset + at.length);
		disk_close(with_file.fd);
	}
}

static void
on_payload(void *arg, enum record_kind kind, uint64_t offset, uint32_t length, const uint8_t *payload, size_t len)
{
	struct reading *reading = arg;
	struct place at = { reading->s->header.number, (uint32_t)offset, length };
	struct mark_place mark = { MARK_RECORD, at.segment, offset };

	if (!mark_begin(reading->r->mark, mark)) {
		leave_out(reading, at);
		return;
	}
	read_record(reading, kind, at, payload, len);
	mark_end(reading->r->mark, mark);
}

static void
on_record(void *arg, enum record_kind kind, uint64_t offset, const uint8_t *record, size_t len, size_t line)
{
	on_payload(arg, kind, offset, (uint32_t)len, record + line, len - line);
}

static void
on_damage(void *arg, uint64_t from, uint64_t to, bool torn)
{
	struct reading *reading = arg;

	damage_add(reading->r, reading->s->header.number, from, to, torn);
	if (torn)
		return;
	reading->s->damaged = true;
	if (reading->r->asidefd >= 0)
		set_aside(reading, from, to);
}

/*
 * A record may be in the page cache and not on the disk (the process died, not the machine): what we are about to act on
 * must not be forgotten later, so it is synced first. And if that process died of a sync that failed, the kernel may hold
 * as clean what never reached the disk: so it is read from there.
 */
static void
segment_read(struct recover *r, struct segment *s)
{
	static const struct segment_events events = { on_record, on_damage };
	struct reading reading = { r, s, -1 };
	struct segment_source source;
	int fd;

	if (segindex_source(&source, &fd, r->dirfd, s->header.number) != 0) {
		damage_add(r, s->header.number, 0, 0, false);
		return;
	}
	if (r->asidefd >= 0) {
		if (disk_sync(fd, "start") != 0) {
			damage_add(r, s->header.number, 0, 0, false);
			r->damage[r->n_damage - 1].unsynced = true;
		}
		disk_forget(fd);
	}
	reading.fd = fd;
	segment_scan(&s->header, &source, s->limit, s->known, &events, &reading);
	disk_close(fd);
}

void
recover_run(struct recover *r)
{
	struct reading reading = { .r = r, .fd = -1 };

	r->indexed = alloc_new(r->index.n_segments + 1, sizeof(*r->indexed));
	for (size_t i = 0; i < r->index.n_segments; i++) {
		reading.s = r->index.segments[i];
		r->indexed[i] = !r->all && segindex_load(r->dirfd, &reading.s->header, on_payload, &reading) == 0;
		if (!r->indexed[i])
			segment_read(r, reading.s);
	}
}

void
recover_free(struct recover *r)
{
	index_free(&r->index);
	free(r->damage);
	free(r->indexed);
}
