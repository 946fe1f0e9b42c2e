/*
 * Headers, checksums and the scan of a segment under every kind of damage: each bit of a small one, each length, blocks
 * that are zero, doubled, swapped or left from an older segment, garbage, and content that looks like records.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "queue/segment.h"
#include "tests/unit/run.h"

#define SIZE	(10U * SEGMENT_BLOCK)
#define RECORDS	8

struct image {
	struct segment_header	 header;
	uint8_t			*data;
	size_t			 size;
	uint64_t		 at[RECORDS], end[RECORDS];	/* of the records with the ids 1 to RECORDS */
	uint64_t		 batch[RECORDS];		/* where each one's batch begins */
	uint64_t		 used;
	bool			 seen[RECORDS + 1];
	unsigned		 n_seen, n_torn, n_damage;
	uint64_t		 damage_from, damage_to;
};

static void
image_batch(struct image *m, const unsigned *ids, unsigned n, const char *content)
{
	uint64_t start = m->used, at = start + SEGMENT_BATCH_SIZE;
	struct envelope_rcpt rcpt = { .address = (char *)"a@b" };

	for (unsigned i = 0; i < n; i++) {
		struct record r = { .kind = RECORD_ACCEPT, .id = ids[i], .added = &rcpt, .n_added = 1, .size = strlen(content),
		    .content = (const uint8_t *)content, .content_len = strlen(content) };
		struct blob *b = record_encode(&r);

		segment_seal(&m->header, at, b->data, b->len);
		memcpy(m->data + at, b->data, b->len);
		m->at[ids[i] - 1] = at;
		m->end[ids[i] - 1] = at + b->len;
		m->batch[ids[i] - 1] = start;
		at = segment_align(at + b->len, SEGMENT_ALIGN);
		blob_unref(b);
	}
	segment_batch(m->data + start, start, at - start);
	segment_seal(&m->header, start, m->data + start, segment_batch_len(m->data + start));
	m->used = segment_align(at, SEGMENT_BLOCK);
}

/* Five batches, of one to three records; the third one is longer than a block. */
static struct image *
image_new(uint32_t number, uint8_t key)
{
	static char content[6000] = "content";
	struct image *m = calloc(1, sizeof(*m));

	memset(content, 'c', sizeof(content) - 1);
	memset(m->header.key, key, sizeof(m->header.key));
	m->header.number = number;
	m->header.size = SIZE;
	m->header.good = SEGMENT_UNKNOWN;
	m->size = SIZE;
	m->data = calloc(1, SIZE);
	segment_header_write(m->data, &m->header);
	segment_header_write(m->data + SIZE - SEGMENT_BLOCK, &m->header);
	m->used = SEGMENT_BLOCK;
	image_batch(m, (unsigned[]){ 1 }, 1, "one");
	image_batch(m, (unsigned[]){ 2, 3 }, 2, "two");
	image_batch(m, (unsigned[]){ 4, 5 }, 2, content);
	image_batch(m, (unsigned[]){ 6, 7 }, 2, "@0123456789abcdef 00000004 accept id=9\n");
	image_batch(m, (unsigned[]){ 8 }, 1, "last");
	return m;
}

static void
image_free(struct image *m)
{
	free(m->data);
	free(m);
}

static int
image_read(void *arg, void *to, size_t len, uint64_t offset)
{
	struct image *m = arg;

	if (offset > m->size || len > m->size - offset)
		return -1;
	memcpy(to, m->data + offset, len);
	return 0;
}

static void
on_record(void *arg, enum record_kind kind, uint64_t offset, const uint8_t *record, size_t len, size_t line)
{
	struct image *m = arg;
	struct record r;

	ck_assert_int_eq(kind, RECORD_ACCEPT);
	ck_assert_int_eq(record_decode(&r, kind, record + line, len - line, false), 0);
	ck_assert_uint_ge(r.id, 1);
	ck_assert_uint_le(r.id, RECORDS);
	ck_assert_uint_eq(offset, m->at[r.id - 1]);
	ck_assert(!m->seen[r.id]);
	m->seen[r.id] = true;
	m->n_seen++;
	record_free(&r);
}

static void
on_damage(void *arg, uint64_t from, uint64_t to, bool torn)
{
	struct image *m = arg;

	ck_assert_uint_lt(from, to);
	m->damage_from = from;
	m->damage_to = to;
	if (torn)
		m->n_torn++;
	else
		m->n_damage++;
}

static uint64_t
image_scan(struct image *m, uint64_t limit, uint64_t known)
{
	static const struct segment_events events = { on_record, on_damage };
	struct segment_source source = { .read = image_read, .arg = m, .size = m->size };

	memset(m->seen, 0, sizeof(m->seen));
	m->n_seen = m->n_torn = m->n_damage = 0;
	return segment_scan(&m->header, &source, limit, known, &events, m);
}

START_TEST(test_whole)
{
	struct image *m = image_new(7, 1);

	ck_assert_uint_eq(image_scan(m, SEGMENT_UNKNOWN, 0), m->end[7]);
	ck_assert_uint_eq(m->n_seen, RECORDS);
	ck_assert_uint_eq(m->n_torn + m->n_damage, 0);
	/* Refused above the fourth batch: what is there is not believed. */
	image_scan(m, m->batch[5], m->batch[5]);
	ck_assert_uint_eq(m->n_seen, 5);
	ck_assert_uint_eq(m->n_torn + m->n_damage, 0);
	image_free(m);
}
END_TEST

/* A record whose bytes are untouched is found, one that is touched is not, and damage is called by its name. */
static void
expect(struct image *m, uint64_t from, uint64_t to, bool must_tell)
{
	for (unsigned id = 1; id <= RECORDS; id++) {
		bool touched = from < m->end[id - 1] && to > m->at[id - 1];

		ck_assert_msg(m->seen[id] == !touched, "record %u, damage from %lu to %lu: %s", id, (unsigned long)from,
		    (unsigned long)to, m->seen[id] ? "found" : "not found");
		if (touched)
			ck_assert_uint_gt(m->n_torn + m->n_damage, 0);
		/* Below a batch that was written after it, it had been acknowledged. */
		if (touched && m->batch[id - 1] < m->batch[7] && to <= m->batch[7])
			ck_assert_uint_gt(m->n_damage, 0);
		if (touched && from >= m->batch[7])
			ck_assert_uint_eq(m->n_damage, 0);
	}
	if (must_tell)
		ck_assert_uint_gt(m->n_torn + m->n_damage, 0);
}

START_TEST(test_every_bit)
{
	struct image *m = image_new(7, 1);

	for (uint64_t at = SEGMENT_BLOCK; at < m->used; at++) {
		if (m->data[at] == 0 && at % 61 != 0)		/* mostly padding */
			continue;
		uint8_t was = m->data[at];

		m->data[at] ^= (uint8_t)(1U << (at % 8));
		image_scan(m, SEGMENT_UNKNOWN, 0);
		expect(m, at, at + 1, false);
		m->data[at] = was;
	}
	image_free(m);
}
END_TEST

START_TEST(test_every_length)
{
	struct image *m = image_new(7, 1);

	for (size_t size = 0; size < m->used; size += size < SEGMENT_BLOCK ? 512 : 7) {
		m->size = size;
		image_scan(m, SEGMENT_UNKNOWN, 0);
		for (unsigned id = 1; id <= RECORDS; id++)
			ck_assert_msg(m->seen[id] == (m->end[id - 1] <= size), "record %u, cut at %zu", id, size);
		ck_assert_uint_gt(m->n_torn + m->n_damage, 0);
	}
	image_free(m);
}
END_TEST

/* One block after the other: zeros, garbage, its neighbour's bytes, an older segment's. */
START_TEST(test_blocks)
{
	struct image *m = image_new(7, 1), *old = image_new(6, 2), *same = image_new(7, 2);

	for (uint64_t at = SEGMENT_BLOCK; at < m->used; at += 512) {
		uint8_t was[512];

		memcpy(was, m->data + at, sizeof(was));
		for (int what = 0; what < 5; what++) {
			for (unsigned i = 0; i < sizeof(was); i++)
				m->data[at + i] = what == 0 ? 0 : what == 1 ? (uint8_t)(i * 7 + at) : what == 2 ?
				    m->data[at - 512 + i] : what == 3 ? old->data[at + i] : same->data[at + i];
			image_scan(m, SEGMENT_UNKNOWN, 0);
			if (memcmp(was, m->data + at, sizeof(was)) != 0) {
				uint64_t from = at, to = at + sizeof(was);

				while (m->data[from] == was[from - at])		/* what differs counts */
					from++;
				while (m->data[to - 1] == was[to - 1 - at])
					to--;
				if (to - from < 600)
					for (unsigned id = 1; id <= RECORDS; id++)
						if (m->end[id - 1] <= from || m->at[id - 1] >= to)
							ck_assert_msg(m->seen[id], "record %u lost, block %lu, damage %d", id,
							    (unsigned long)at, what);
			}
			memcpy(m->data + at, was, sizeof(was));
		}
	}
	image_free(m);
	image_free(old);
	image_free(same);
}
END_TEST

/* A whole older segment under a new header: nothing of it passes for the new one's. */
START_TEST(test_stale)
{
	struct image *m = image_new(7, 1), *old = image_new(6, 1);

	memcpy(m->data + SEGMENT_BLOCK, old->data + SEGMENT_BLOCK, SIZE - 2 * SEGMENT_BLOCK);
	image_scan(m, SEGMENT_UNKNOWN, 0);
	ck_assert_uint_eq(m->n_seen, 0);
	ck_assert_uint_eq(m->n_torn, 1);
	/* The same number with another key. */
	memset(m->header.key, 9, sizeof(m->header.key));
	m->header.number = 6;
	image_scan(m, SEGMENT_UNKNOWN, 0);
	ck_assert_uint_eq(m->n_seen, 0);
	image_free(m);
	image_free(old);
}
END_TEST

/* The last batch: torn, unless somebody knows that it was durable. */
START_TEST(test_tail)
{
	struct image *m = image_new(7, 1);

	m->data[m->at[7] + 40] ^= 1;
	image_scan(m, SEGMENT_UNKNOWN, 0);
	ck_assert_uint_eq(m->n_torn, 1);
	ck_assert_uint_eq(m->n_damage, 0);
	ck_assert_uint_ge(m->damage_to, m->end[7] - SEGMENT_ALIGN);
	image_scan(m, SEGMENT_UNKNOWN, m->used);
	ck_assert_uint_eq(m->n_torn, 0);
	ck_assert_uint_eq(m->n_damage, 1);
	/* The whole batch lost: only who knows that it was there can tell. */
	memset(m->data + m->batch[7], 0, m->used - m->batch[7]);
	image_scan(m, SEGMENT_UNKNOWN, 0);
	ck_assert_uint_eq(m->n_torn + m->n_damage, 0);
	image_scan(m, SEGMENT_UNKNOWN, m->used);
	ck_assert_uint_eq(m->n_damage, 1);
	image_free(m);
}
END_TEST

/* Blocks that cannot be read are damage, and what is around them is found. */
static int
bad_read(void *arg, void *to, size_t len, uint64_t offset)
{
	struct image *m = arg;
	uint64_t bad = m->batch[1];

	if (offset < bad + SEGMENT_BLOCK && offset + len > bad)
		return -1;
	return image_read(arg, to, len, offset);
}

START_TEST(test_unreadable)
{
	static const struct segment_events events = { on_record, on_damage };
	struct image *m = image_new(7, 1);
	struct segment_source source = { .read = bad_read, .arg = m, .size = m->size };

	segment_scan(&m->header, &source, SEGMENT_UNKNOWN, 0, &events, m);
	ck_assert_uint_eq(m->n_seen, 6);
	ck_assert(!m->seen[2] && !m->seen[3]);
	ck_assert_uint_eq(m->n_damage, 1);
	image_free(m);
}
END_TEST

START_TEST(test_header)
{
	struct segment_header h = { .number = 12, .size = SIZE, .prior = 11, .good = 8192, .refused = true }, r;
	uint8_t block[SEGMENT_BLOCK];
	unsigned format;

	memset(h.key, 0xa5, sizeof(h.key));
	segment_header_write(block, &h);
	ck_assert_int_eq(segment_header_read(&r, block, sizeof(block), &format), SEGMENT_OK);
	ck_assert_uint_eq(r.number, 12);
	ck_assert_uint_eq(r.prior, 11);
	ck_assert_uint_eq(r.good, 8192);
	ck_assert(r.refused);
	ck_assert_mem_eq(r.key, h.key, sizeof(h.key));
	for (size_t at = 0; at < strlen((char *)block) - 1; at++) {
		block[at] ^= 1;
		ck_assert_int_ne(segment_header_read(&r, block, sizeof(block), &format), SEGMENT_OK);
		block[at] ^= 1;
	}
	for (size_t len = 0; len < strlen((char *)block) - 1; len++)
		ck_assert_int_eq(segment_header_read(&r, block, len, &format), SEGMENT_DAMAGED);
}
END_TEST

START_TEST(test_frame)
{
	static const struct { const char *text; bool good; } table[] = {
		{ "@0123456789abcdef 00000010 accept id=1\n", true },
		{ "@0123456789abcdef 00000010 end\n", true },
		{ "@0123456789ABCDEF 00000010 end\n", false },
		{ "@0123456789abcdef 0000001g end\n", false },
		{ "@0123456789abcdef 00000010 ended\n", false },
		{ "@0123456789abcdef 00000010  end\n", false },
		{ "@0123456789abcdef 00000010 end", false },
		{ "@0123456789abcdef ffffffff end\n", false },
		{ "0123456789abcdef 00000010 end\n", false },
		{ "@\n", false },
		{ "", false },
	};
	struct segment_frame f;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		ck_assert_msg((segment_frame(&f, (const uint8_t *)table[i].text, strlen(table[i].text)) == 0) == table[i].good, "%s",
		    table[i].text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("segment");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_whole);
	tcase_add_test(t, test_every_bit);
	tcase_add_test(t, test_every_length);
	tcase_add_test(t, test_blocks);
	tcase_add_test(t, test_stale);
	tcase_add_test(t, test_tail);
	tcase_add_test(t, test_unreadable);
	tcase_add_test(t, test_header);
	tcase_add_test(t, test_frame);
	return run_case("segment", t);
}
