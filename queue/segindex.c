/*
 * Index files (segindex.h). Decides their format and whether one can be believed; recover.c decides when one is used,
 * log.c when one is made.
 */
#include "queue/segindex.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/pack.h"
#include "queue/disk.h"
#include "queue/writer.h"

#define INDEX_FORMAT	1
#define INDEX_TEXT	512U
#define INDEX_MOST	(UINT64_C(1) << 30)
#define INDEX_MAGIC	"minimta-index "

struct builder {
	struct pack	 bytes;		/* INDEX_TEXT for the header, then entries */
	bool		 damaged;
};

static int
source_read(void *arg, void *to, size_t len, uint64_t offset)
{
	return disk_read(*(int *)arg, to, len, offset);
}

static uint64_t
source_next_data(void *arg, uint64_t at)
{
	return disk_next_data(*(int *)arg, at);
}

int
segindex_source(struct segment_source *s, int *fd, int dirfd, uint32_t number)
{
	char name[WRITER_NAME_MAX];

	writer_name(name, number, "seg");
	*fd = disk_open(dirfd, name, O_RDONLY, "segment");
	if (*fd < 0)
		return -1;
	if (disk_size(*fd, &s->size) != 0) {
		disk_close(*fd);
		return -1;
	}
	s->read = source_read;
	s->next_data = source_next_data;
	s->arg = fd;
	return 0;
}

static void
on_record(void *arg, enum record_kind kind, uint64_t offset, const uint8_t *record, size_t len, size_t line)
{
	size_t brief = record_brief(record + line, len - line);
	struct builder *b = arg;

	pack_u8(&b->bytes, (uint8_t)kind);
	pack_u32(&b->bytes, (uint32_t)offset);
	pack_u32(&b->bytes, (uint32_t)len);
	pack_u32(&b->bytes, (uint32_t)brief);
	pack_raw(&b->bytes, record + line, brief);
}

static void
on_damage(void *arg, uint64_t from, uint64_t to, bool torn)
{
	struct builder *b = arg;

	(void)from;
	(void)to;
	b->damaged |= !torn;
}

static uint64_t
index_sum(const struct segment_header *h, const uint8_t *data, size_t len)
{
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, h->key, sizeof(h->key));
	XXH3_64bits_update(&state, data, len);
	return XXH3_64bits_digest(&state);
}

/* Under another name until it is synced, then with its own. */
static int
index_store(int dirfd, uint32_t number, const struct pack *bytes)
{
	char name[WRITER_NAME_MAX], new[WRITER_NAME_MAX];
	int fd, result = -1;

	writer_name(name, number, "idx");
	writer_name(new, number, "new");
	if ((fd = disk_open(dirfd, new, O_WRONLY | O_CREAT | O_TRUNC, "index")) < 0)
		return -1;
	if (disk_write(fd, bytes->data, bytes->len, 0, "index") == 0 && disk_sync(fd, "index") == 0)
		result = 0;
	disk_close(fd);
	if (result == 0)
		result = disk_rename(dirfd, new, name, "index");
	if (result != 0)
		disk_unlink(dirfd, new, "index");
	return result;
}

int
segindex_write(int dirfd, const struct segment_header *h, uint64_t limit, uint64_t known)
{
	static const struct segment_events events = { on_record, on_damage };
	static const uint8_t no_text[INDEX_TEXT];
	struct builder b = { .damaged = false };
	struct segment_source source;
	const uint8_t *entries;
	int fd, result = 1;
	size_t len;

	if (segindex_source(&source, &fd, dirfd, h->number) != 0)
		return -1;
	pack_init_most(&b.bytes, INDEX_MOST);
	pack_raw(&b.bytes, no_text, sizeof(no_text));
	segment_scan(h, &source, limit, known, &events, &b);
	disk_close(fd);
	if (!b.damaged) {
		entries = b.bytes.data + INDEX_TEXT;
		len = b.bytes.len - INDEX_TEXT;
		snprintf((char *)b.bytes.data, INDEX_TEXT, INDEX_MAGIC "%d\nsegment %" PRIu32 "\nbytes %zu\nsum %016" PRIx64 "\n",
		    INDEX_FORMAT, h->number, len, index_sum(h, entries, len));
		result = b.bytes.over ? -1 : index_store(dirfd, h->number, &b.bytes);
	}
	pack_free(&b.bytes);
	return result;
}

static int
entries_walk(const uint8_t *data, size_t len, segindex_fn *fn, void *arg)
{
	uint32_t offset, length, brief;
	struct unpack u;
	uint8_t kind;

	unpack_init(&u, data, len);
	while (!unpack_end(&u)) {
		kind = unpack_u8(&u);
		offset = unpack_u32(&u);
		length = unpack_u32(&u);
		brief = unpack_u32(&u);
		if (!unpack_ok(&u) || brief > (size_t)(u.end - u.p) || kind >= RECORD_KINDS)
			return -1;
		if (fn)
			fn(arg, kind, offset, length, u.p, brief);
		u.p += brief;
	}
	return 0;
}

/* The whole file, its checksum found right; NULL otherwise. */
static uint8_t *
index_read(int fd, const struct segment_header *h, uint64_t *size)
{
	uint8_t *data = NULL;
	uint64_t found;
	size_t bytes;
	uint32_t number;
	int format;

	if (disk_size(fd, size) != 0 || *size < INDEX_TEXT || *size > INDEX_MOST || (data = malloc(*size)) == NULL)
		return NULL;
	if (disk_read(fd, data, (size_t)*size, 0) == 0) {
		data[INDEX_TEXT - 1] = '\0';
		if (sscanf((char *)data, INDEX_MAGIC "%d\nsegment %" SCNu32 "\nbytes %zu\nsum %" SCNx64 "\n", &format,
		    &number, &bytes, &found) == 4 && format == INDEX_FORMAT && number == h->number &&
		    bytes == *size - INDEX_TEXT && found == index_sum(h, data + INDEX_TEXT, bytes))
			return data;
	}
	free(data);
	return NULL;
}

int
segindex_load(int dirfd, const struct segment_header *h, segindex_fn *fn, void *arg)
{
	char name[WRITER_NAME_MAX];
	uint8_t *data;
	uint64_t size;
	int fd, result;

	writer_name(name, h->number, "idx");
	if ((fd = disk_open(dirfd, name, O_RDONLY, "index")) < 0)
		return -1;
	data = index_read(fd, h, &size);
	disk_close(fd);
	if (data == NULL)
		return -1;
	/* All of it is looked at before anything is believed. */
	result = entries_walk(data + INDEX_TEXT, (size_t)size - INDEX_TEXT, NULL, NULL);
	if (result == 0 && fn)
		entries_walk(data + INDEX_TEXT, (size_t)size - INDEX_TEXT, fn, arg);
	free(data);
	return result;
}
