/*
 * lib/token.c, lib/ids.c, lib/envelope.c and lib/job.c: small things that cross a boundary and must not change on the way.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/envelope.h"
#include "lib/ids.h"
#include "lib/job.h"
#include "lib/token.h"
#include "tests/unit/run.h"

#define NOW	1800000000

static const uint8_t key[32] = { 1, 2, 3 }, other_key[32] = { 1, 2, 4 };

START_TEST(test_token_is_bound)
{
	uint8_t token[TOKEN_SIZE];

	token_make(token, key, TOKEN_LOCAL, 7, "a@x.example", NOW);
	ck_assert(token_check(token, sizeof(token), key, TOKEN_LOCAL, 7, "a@x.example", NOW));
	ck_assert(token_check(token, sizeof(token), key, TOKEN_LOCAL, 7, "a@x.example", NOW + TOKEN_LIFE_S));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_LOCAL, 7, "a@x.example", NOW + TOKEN_LIFE_S + 1));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_LOCAL, 7, "a@x.example", NOW - 3600));
	ck_assert(!token_check(token, sizeof(token), other_key, TOKEN_LOCAL, 7, "a@x.example", NOW));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_RELAY, 7, "a@x.example", NOW));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_LOCAL, 8, "a@x.example", NOW));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_LOCAL, 7, "b@x.example", NOW));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_LOCAL, 7, "", NOW));
	ck_assert(!token_check(token, sizeof(token) - 1, key, TOKEN_LOCAL, 7, "a@x.example", NOW));
	ck_assert(!token_check(NULL, 0, key, TOKEN_LOCAL, 7, "a@x.example", NOW));
}
END_TEST

/* Any changed bit, in the time as well as in the code, makes it worthless; extreme times do not overflow. */
START_TEST(test_token_bits)
{
	uint8_t token[TOKEN_SIZE];

	token_make(token, key, TOKEN_TRUSTED, 7, "", NOW);
	for (int bit = 0; bit < 8 * TOKEN_SIZE; bit++) {
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!token_check(token, sizeof(token), key, TOKEN_TRUSTED, 7, "", NOW));
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	memset(token, 0xff, sizeof(token));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_TRUSTED, 7, "", INT64_MAX));
	memset(token, 0x80, sizeof(token));
	ck_assert(!token_check(token, sizeof(token), key, TOKEN_TRUSTED, 7, "", INT64_MIN));
}
END_TEST

START_TEST(test_ids)
{
	static const struct { const char *text; uint64_t id; int rc; } rows[] = {
		{ "0", 0, 0 }, { "Z", 31, 0 }, { "10", 32, 0 }, { "1O", 32, 0 }, { "i0", 32, 0 }, { "l0", 32, 0 }, { "abc", 10604, 0 },
		{ "FZZZZZZZZZZZZ", UINT64_MAX, 0 }, { "G000000000000", 0, -1 }, { "00000000000000Z", 31, 0 }, { "", 0, -1 },
		{ "U", 0, -1 }, { "A-B", 0, -1 }, { " 1", 0, -1 },
	};
	uint64_t id;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(id_parse(rows[i].text, &id) == rows[i].rc, "%s", rows[i].text);
		if (rows[i].rc == 0)
			ck_assert_uint_eq(id, rows[i].id);
	}
	ck_assert_str_eq(id_text(UINT64_MAX), "FZZZZZZZZZZZZ");
	ck_assert_str_eq(id_text(0), "0");
	for (int i = 0; i < 1000; i++) {
		uint64_t random = id_random();

		ck_assert(random != 0 && random >> 40 == 0);
		ck_assert(id_parse(id_text(random), &id) == 0 && id == random);
	}
}
END_TEST

START_TEST(test_envelope)
{
	struct envelope_sender s = { .address = (char[]){ "a@x" }, .client = (char[]){ "192.0.2.1" }, .session = (char[]){ "7K" },
		.session_id = 9, .size = UINT64_MAX, .flags = ENVELOPE_8BIT | ENVELOPE_DOTS }, t;
	struct envelope_rcpt r = { .address = (char[]){ "b@y" }, .local = true }, q;
	struct unpack u;
	struct pack p;

	pack_init(&p);
	envelope_pack_sender(&p, &s);
	envelope_pack_rcpt(&p, &r);
	for (size_t len = 0; len < p.len; len++) {
		unpack_init(&u, p.data, len);
		if (envelope_unpack_sender(&u, &t) == 0) {
			ck_assert_int_eq(envelope_unpack_rcpt(&u, &q), -1);
			envelope_free_sender(&t);
		}
	}
	unpack_init(&u, p.data, p.len);
	ck_assert(envelope_unpack_sender(&u, &t) == 0 && envelope_unpack_rcpt(&u, &q) == 0 && unpack_end(&u));
	ck_assert_str_eq(t.address, "a@x");
	ck_assert(t.session_id == 9 && t.size == UINT64_MAX && t.flags == s.flags && q.local);
	ck_assert_str_eq(q.address, "b@y");
	envelope_free_sender(&t);
	envelope_free_rcpt(&q);
	s.address = (char[]){ "a\r\nX: y" };
	p.len = 0;
	envelope_pack_sender(&p, &s);
	unpack_init(&u, p.data, p.len);
	ck_assert_int_eq(envelope_unpack_sender(&u, &t), -1);
	pack_free(&p);
}
END_TEST

/* What of a recipient is meant comes along, and nothing that no part is. */
START_TEST(test_parts)
{
	struct envelope_rcpt r = { .address = (char[]){ "b@y" }, .local = true, .final = true, .part = ENVELOPE_FORWARD_FILE,
	    .part_id = UINT64_MAX }, q;
	struct unpack u;
	struct pack p;

	pack_init(&p);
	for (unsigned part = 0; part < 256; part++) {
		p.len = 0;
		r.part = (uint8_t)part;
		r.forwarded = part % 2 == 1;
		envelope_pack_rcpt(&p, &r);
		for (size_t len = 0; len < p.len; len++) {
			unpack_init(&u, p.data, len);
			ck_assert_int_eq(envelope_unpack_rcpt(&u, &q), -1);
		}
		unpack_init(&u, p.data, p.len);
		ck_assert_int_eq(envelope_unpack_rcpt(&u, &q), part <= ENVELOPE_FORWARD_FILE ? 0 : -1);
		if (part > ENVELOPE_FORWARD_FILE)
			continue;
		ck_assert(q.part == part && q.part_id == (part > 0 ? UINT64_MAX : 0) && q.forwarded == r.forwarded && q.final);
		envelope_free_rcpt(&q);
	}
	pack_free(&p);
}
END_TEST

START_TEST(test_job_targets)
{
	struct envelope_rcpt targets[2] = { { .address = (char[]){ "b@y" } },
	    { .address = (char[]){ "a@x" }, .local = true, .final = true, .part = ENVELOPE_MAILBOX } };
	struct job_result r = { .index = 4, .outcome = JOB_EXPANDED, .enhanced = (char[]){ "2.0.0" }, .host = (char[]){ "" },
	    .text = (char[]){ "" }, .targets = targets, .n_targets = 2 }, s;
	struct unpack u;
	struct pack p;

	pack_init(&p);
	job_pack_result(&p, &r);
	for (size_t len = 0; len < p.len; len++) {
		unpack_init(&u, p.data, len);
		ck_assert_int_eq(job_unpack_result(&u, &s), -1);
	}
	unpack_init(&u, p.data, p.len);
	ck_assert_int_eq(job_unpack_result(&u, &s), 0);
	ck_assert(s.n_targets == 2 && s.targets[1].part == ENVELOPE_MAILBOX);
	ck_assert_str_eq(s.targets[0].address, "b@y");
	job_free_result(&s);
	/* None is no expansion. */
	p.len = 0;
	r.n_targets = 0;
	job_pack_result(&p, &r);
	unpack_init(&u, p.data, p.len);
	ck_assert_int_eq(job_unpack_result(&u, &s), -1);
	pack_free(&p);
}
END_TEST

START_TEST(test_job)
{
	struct job_begin b = { .message = (char[]){ "M1" }, .hop = (char[]){ "local" }, .sender = (char[]){ "" },
	    .head = (char[]){ "Received: x\r\n" }, .flags = 3, .size = 1 << 20, .arrived = -5 }, c;
	struct job_result r = { .index = 4, .outcome = JOB_FAILED, .code = 550, .enhanced = (char[]){ "5.1.1" }, .host = (char[]){ "h" },
	    .text = (char[]){ "a\nb" }, .host_trouble = true }, s;
	struct unpack u;
	struct pack p;

	pack_init(&p);
	job_pack_begin(&p, &b);
	for (size_t len = 0; len < p.len; len++) {
		unpack_init(&u, p.data, len);
		ck_assert_int_eq(job_unpack_begin(&u, &c), -1);
	}
	unpack_init(&u, p.data, p.len);
	ck_assert_int_eq(job_unpack_begin(&u, &c), 0);
	ck_assert(c.size == 1 << 20 && c.arrived == -5 && c.flags == 3);
	ck_assert_str_eq(c.head, "Received: x\r\n");
	job_free_begin(&c);
	p.len = 0;
	job_pack_result(&p, &r);
	for (size_t len = 0; len < p.len; len++) {
		unpack_init(&u, p.data, len);
		ck_assert_int_eq(job_unpack_result(&u, &s), -1);
	}
	unpack_init(&u, p.data, p.len);
	ck_assert_int_eq(job_unpack_result(&u, &s), 0);
	ck_assert(s.index == 4 && s.outcome == JOB_FAILED && s.code == 550 && s.host_trouble);
	ck_assert_str_eq(s.text, "a\nb");
	job_free_result(&s);
	pack_free(&p);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("token");

	tcase_add_test(tests, test_token_is_bound);
	tcase_add_test(tests, test_token_bits);
	tcase_add_test(tests, test_ids);
	tcase_add_test(tests, test_envelope);
	tcase_add_test(tests, test_parts);
	tcase_add_test(tests, test_job_targets);
	tcase_add_test(tests, test_job);
	return run_case("token", tests);
}
