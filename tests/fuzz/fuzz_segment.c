/*
 * Scans of arbitrary bytes as a segment. The fuzzer cannot guess checksums, so the input also says where a good record or
 * batch is written over its bytes: "R<offset/16: 2 bytes>", "B<offset/4096: 1 byte>" and the bytes of the segment itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/segment.h"

#define SIZE	(8U * SEGMENT_BLOCK)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct image {
	uint8_t		bytes[SIZE];
	size_t		size;
	uint64_t	last;
};

static int
image_read(void *arg, void *to, size_t len, uint64_t offset)
{
	struct image *m = arg;

	if (offset > m->size || len > m->size - offset)
		return -1;
	memcpy(to, m->bytes + offset, len);
	return 0;
}

static void
on_record(void *arg, enum record_kind kind, uint64_t offset, const uint8_t *record, size_t len, size_t line)
{
	struct image *m = arg;
	struct record r;

	if (offset <= m->last || offset + len > m->size || line > len)
		abort();
	m->last = offset;
	if (record_decode(&r, kind, record + line, len - line, false) == 0)
		record_free(&r);
}

static void
on_damage(void *arg, uint64_t from, uint64_t to, bool torn)
{
	(void)arg;
	(void)torn;
	if (from >= to)
		abort();
}

static void
put_record(struct image *m, const struct segment_header *h, uint64_t at)
{
	struct record r = { .kind = RECORD_END, .id = at };
	struct blob *b = record_encode(&r);

	if (at + b->len <= SIZE) {
		segment_seal(h, at, b->data, b->len);
		memcpy(m->bytes + at, b->data, b->len);
	}
	blob_unref(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct segment_events events = { on_record, on_damage };
	struct segment_header h = { .number = 3, .size = SIZE, .good = SEGMENT_UNKNOWN }, found;
	struct image *m = calloc(1, sizeof(*m));
	struct segment_source source = { .read = image_read, .arg = m };
	const uint8_t *end = data + len, *orders = data;
	unsigned format;
	uint64_t at;

	while (end - data >= 3 && (*data == 'R' || *data == 'B'))
		data += 3;
	m->size = (size_t)(end - data) < SIZE ? (size_t)(end - data) : SIZE;
	memcpy(m->bytes, data, m->size);
	for (; orders < data; orders += 3) {
		at = (uint64_t)(orders[1] | orders[2] << 8);
		if (*orders == 'R')
			put_record(m, &h, at * SEGMENT_ALIGN % SIZE);
		else {
			at = at % 8 * SEGMENT_BLOCK;
			segment_batch(m->bytes + at, orders[2] & 1 ? at : UINT64_MAX, (uint64_t)orders[2] << 56 | orders[1]);
			segment_seal(&h, at, m->bytes + at, segment_batch_len(m->bytes + at));
		}
		m->size = SIZE;
	}
	source.size = m->size;
	segment_header_read(&found, m->bytes, m->size, &format);
	segment_scan(&h, &source, SEGMENT_UNKNOWN, 0, &events, m);
	m->last = 0;
	segment_scan(&h, &source, SIZE / 2, SIZE, &events, m);
	free(m);
	return 0;
}
