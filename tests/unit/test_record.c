/* Records to bytes and back, and bytes that are no record. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/record.h"
#include "queue/segment.h"
#include "tests/unit/run.h"

/* A record with something in every field. */
static struct blob *
sample(enum record_kind kind, bool in_file)
{
	static struct envelope_rcpt rcpts[] = { { .address = (char *)"a@example.org" }, { .address = (char *)"\"b c\"@x", .local = true } };
	static struct log_outcome outcomes[] = {
		{ .index = 1, .state = LOG_OPEN, .attempts = 3, .next_try = -5, .text = "code=450 \"later\"" },
		{ .index = 0, .state = LOG_REMOVED, .text = "" },
	};
	static uint32_t settles[] = { 0, 7 };
	static uint64_t sums[] = { 1, UINT64_MAX };
	bool base = kind == RECORD_ACCEPT || kind == RECORD_COPY;
	struct record r = { .kind = kind, .id = 42 };

	if (base) {
		r.arrived = 1700000000;
		r.sender = (struct envelope_sender){ .address = (char *)"s@example.net", .client = (char *)"192.0.2.1",
		    .session = (char *)"7K2QF", .session_id = 9, .size = 5, .flags = ENVELOPE_8BIT };
		r.head = (char *)"Received: x\r\n";
		r.in_file = in_file;
		r.size = in_file ? RECORD_CHUNK + 1 : 5;
		r.n_sums = in_file ? 2 : 0;
		r.sums = sums;
		r.content = in_file ? NULL : (const uint8_t *)"hello";
		r.content_len = in_file ? 0 : 5;
	}
	if (kind != RECORD_END) {
		r.added = rcpts;
		r.n_added = 2;
		r.outcomes = outcomes;
		r.n_outcomes = 2;
	}
	if (kind == RECORD_ACCEPT) {
		r.parent = 41;
		r.parent_rcpts = settles;
		r.n_parent = 2;
		r.parent_text = (char *)"failed";
	}
	return record_encode(&r);
}

static int
decode(struct record *r, const struct blob *b, bool brief)
{
	struct segment_frame f;
	size_t len;

	ck_assert_int_eq(segment_frame(&f, b->data, b->len), 0);
	ck_assert_uint_eq(f.line + f.payload, b->len);
	len = brief ? record_brief(b->data + f.line, f.payload) : f.payload;
	return record_decode(r, f.kind, b->data + f.line, len, brief);
}

START_TEST(test_round_trip)
{
	for (unsigned kind = RECORD_ACCEPT; kind < RECORD_KINDS; kind++)
		for (int in_file = 0; in_file < 2; in_file++) {
			struct blob *b = sample(kind, in_file);
			struct record r;

			ck_assert_int_eq(decode(&r, b, false), 0);
			ck_assert_uint_eq(r.kind, kind);
			ck_assert_uint_eq(r.id, 42);
			if (kind == RECORD_ACCEPT || kind == RECORD_COPY) {
				ck_assert_int_eq(r.arrived, 1700000000);
				ck_assert_str_eq(r.sender.address, "s@example.net");
				ck_assert_uint_eq(r.sender.flags, ENVELOPE_8BIT);
				ck_assert_str_eq(r.head, "Received: x\r\n");
				ck_assert_uint_eq(r.content_len, in_file ? 0 : 5);
				ck_assert_mem_eq(r.content, "hello", r.content_len);
				ck_assert_uint_eq(r.n_sums, in_file ? 2 : 0);
			}
			if (kind != RECORD_END) {
				ck_assert_uint_eq(r.n_added, 2);
				ck_assert_str_eq(r.added[1].address, "\"b c\"@x");
				ck_assert(r.added[1].local);
				ck_assert_uint_eq(r.n_outcomes, 2);
				ck_assert_uint_eq(r.outcomes[0].attempts, 3);
				ck_assert_int_eq(r.outcomes[0].next_try, -5);
				ck_assert_str_eq(r.outcomes[0].text, "code=450 \"later\"");
				ck_assert_uint_eq(r.outcomes[1].state, LOG_REMOVED);
			}
			ck_assert_uint_eq(r.n_parent, kind == RECORD_ACCEPT ? 2 : 0);
			record_free(&r);
			blob_unref(b);
		}
}
END_TEST

/* The line can be read, whatever strangers wrote. */
START_TEST(test_line)
{
	struct envelope_rcpt rcpt = { .address = (char *)"a@b" };
	struct record r = { .kind = RECORD_ACCEPT, .id = 1 << 25 | 7, .n_added = 1, .added = &rcpt, .size = 0 };
	struct blob *b;
	char line[RECORD_LINE_MAX];

	r.sender.address = (char *)"x\n@0000 \x1b[31m\"@example.org";
	b = record_encode(&r);
	snprintf(line, sizeof(line), "%.*s", (int)(strcspn((char *)b->data, "\n") + 1), (char *)b->data);
	ck_assert_ptr_nonnull(strstr(line, " accept id=100007 arrived=0 from=<"));
	ck_assert_ptr_nonnull(strstr(line, " rcpts=1 size=0\n"));
	ck_assert_ptr_null(strchr(line, 0x1b));
	blob_unref(b);
}
END_TEST

START_TEST(test_brief)
{
	struct blob *b = sample(RECORD_ACCEPT, false);
	struct record r;

	ck_assert_int_eq(decode(&r, b, true), 0);
	ck_assert_uint_eq(r.size, 5);
	ck_assert_uint_eq(r.content_len, 0);
	record_free(&r);
	blob_unref(b);
}
END_TEST

/* A long text is cut, a huge record is not made. */
START_TEST(test_limits)
{
	char *text = malloc(RECORD_TEXT_MAX + 100);
	struct log_outcome o = { .text = text };
	struct record r = { .kind = RECORD_OUTCOME, .id = 1, .n_outcomes = 1, .outcomes = &o };
	struct blob *b;

	memset(text, 'x', RECORD_TEXT_MAX + 99);
	text[RECORD_TEXT_MAX + 99] = '\0';
	b = record_encode(&r);
	ck_assert_int_eq(decode(&r, b, false), 0);
	ck_assert_uint_eq(strlen(r.outcomes[0].text), RECORD_TEXT_MAX);
	record_free(&r);
	blob_unref(b);
	r = (struct record){ .kind = RECORD_OUTCOME, .id = 1, .n_outcomes = RECORD_PAYLOAD_MAX / 2048 + 1 };
	r.outcomes = calloc(r.n_outcomes, sizeof(o));
	for (uint32_t i = 0; i < r.n_outcomes; i++)
		r.outcomes[i].text = text;
	ck_assert_ptr_null(record_encode(&r));
	free(r.outcomes);
	free(text);
}
END_TEST

/* Cut anywhere it is no record; with any byte changed it is one or none, and never a reason to fall. */
START_TEST(test_damage)
{
	for (unsigned kind = RECORD_ACCEPT; kind < RECORD_KINDS; kind++) {
		struct blob *b = sample(kind, false);
		struct segment_frame f;
		struct record r;

		ck_assert_int_eq(segment_frame(&f, b->data, b->len), 0);
		for (size_t len = 0; len < f.payload; len++)
			if (record_decode(&r, kind, b->data + f.line, len, false) == 0) {
				ck_assert_uint_gt(kind, RECORD_COPY);
				record_free(&r);
			}
		for (size_t at = f.line; at < b->len; at++)
			for (unsigned bit = 0; bit < 8; bit++) {
				b->data[at] ^= (uint8_t)(1U << bit);
				if (record_decode(&r, kind, b->data + f.line, f.payload, false) == 0)
					record_free(&r);
				b->data[at] ^= (uint8_t)(1U << bit);
			}
		blob_unref(b);
	}
}
END_TEST

START_TEST(test_kinds)
{
	for (unsigned kind = 0; kind < RECORD_KINDS; kind++) {
		const char *name = record_kind_name(kind);

		ck_assert_uint_eq(record_kind_find(name, strlen(name)), kind);
		ck_assert_uint_eq(record_kind_find(name, strlen(name) - 1), RECORD_KINDS);
	}
	ck_assert_str_eq(record_kind_name(RECORD_KINDS), "?");
	ck_assert_uint_eq(record_kind_find("", 0), RECORD_KINDS);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("record");

	tcase_add_test(t, test_round_trip);
	tcase_add_test(t, test_line);
	tcase_add_test(t, test_brief);
	tcase_add_test(t, test_limits);
	tcase_add_test(t, test_damage);
	tcase_add_test(t, test_kinds);
	return run_case("record", t);
}
