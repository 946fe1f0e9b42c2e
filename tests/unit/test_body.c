/*
 * delivery/body.c: what is asked for, what is kept, and that neither is ever more than promised.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/body.h"
#include "lib/messages.h"
#include "tests/unit/run.h"

#define HEAD "Received: x\r\n"

struct source {
	uint64_t	wanted, asked;		/* not yet sent; ever */
	unsigned	pulls, readies;
};

static void
on_pull(void *arg, uint32_t bytes)
{
	struct source *s = arg;

	s->wanted += bytes;
	s->asked += bytes;
	s->pulls++;
}

static void
on_ready(void *arg)
{
	((struct source *)arg)->readies++;
}

static uint8_t
byte_at(uint64_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* Sends n bytes of content beginning at *at. */
static int
send_some(struct body *b, uint64_t *at, size_t n)
{
	uint8_t *p = malloc(n + 1);
	int result;

	for (size_t i = 0; i < n; i++)
		p[i] = byte_at(*at + i);
	result = body_put(b, p, n);
	free(p);
	if (result == 0)
		*at += n;
	return result;
}

static const struct { uint64_t size; size_t at_hand; } sizes[] = {
	{ 0, 0 }, { 1, 1 }, { 1, 0 }, { 1000, 1000 }, { 1000, 10 }, { MSG_INLINE_MAX, MSG_INLINE_MAX },
	{ MSG_INLINE_MAX, 0 }, { MSG_INLINE_MAX + 1, MSG_INLINE_MAX }, { MSG_INLINE_MAX + 1, 0 }, { 1000000, 0 },
	{ 1000000, 70000 }, { 1000000, MSG_INLINE_MAX }, { MSG_INLINE_MAX + MSG_CREDIT, MSG_INLINE_MAX },
};

/* Takes all, checks each byte, and that no more than the credit is ever on its way. Returns bytes taken. */
static uint64_t
take_all(struct body *b, struct source *s, uint64_t *sent, size_t piece)
{
	uint64_t at = 0;
	const uint8_t *p;
	size_t n, wrong = 0;

	while (!body_at_end(b)) {
		n = body_peek(b, &p);
		ck_assert_uint_le(s->wanted, MSG_CREDIT);
		if (n == 0) {
			ck_assert_msg(s->wanted > 0, "nothing at hand and nothing asked for at %llu", (unsigned long long)at);
			n = s->wanted < 3000 ? s->wanted : 3000;
			s->wanted -= n;
			ck_assert_int_eq(send_some(b, sent, n), 0);
			continue;
		}
		if (n > piece)
			n = piece;
		for (size_t i = 0; i < n; i++, at++)
			wrong += p[i] != (at < strlen(HEAD) ? (uint8_t)HEAD[at] : byte_at(at - strlen(HEAD)));
		ck_assert_uint_eq(wrong, 0);
		body_skip(b, n);
	}
	ck_assert_uint_eq(body_peek(b, &p), 0);
	return at;
}

START_TEST(test_sizes)
{
	for (size_t piece = 999; piece < 100000; piece *= 10) {
		struct source s = { .wanted = 0 };
		struct body *b = body_new(HEAD, sizes[_i].size, on_pull, &s);
		uint64_t sent = 0;

		body_set_ready(b, on_ready, &s);
		ck_assert_int_eq(send_some(b, &sent, sizes[_i].at_hand), 0);
		ck_assert_uint_eq(s.readies, 1);
		ck_assert_uint_eq(body_total(b), sizes[_i].size + strlen(HEAD));
		ck_assert_int_eq(body_is_here(b), sizes[_i].size == sizes[_i].at_hand);
		ck_assert(body_rewind(b));
		ck_assert_uint_eq(take_all(b, &s, &sent, piece), body_total(b));
		ck_assert_uint_eq(s.asked, sizes[_i].size - sizes[_i].at_hand);
		ck_assert_uint_le(s.pulls, sizes[_i].size / (MSG_CREDIT / 2) + 2);
		ck_assert_int_eq(body_rewind(b), sizes[_i].size <= MSG_INLINE_MAX);
		if (body_rewind(b))
			ck_assert_uint_eq(take_all(b, &s, &sent, piece), body_total(b));
		body_free(b);
	}
}
END_TEST

START_TEST(test_too_much)
{
	struct source s = { .wanted = 0 };
	struct body *b = body_new(HEAD, 1000, on_pull, &s);
	const uint8_t *p;
	uint64_t sent = 0;

	ck_assert_int_eq(send_some(b, &sent, 1001), -1);
	ck_assert_int_eq(send_some(b, &sent, 1000), 0);
	ck_assert_int_eq(send_some(b, &sent, 1), -1);
	body_free(b);

	b = body_new("", 10 * MSG_INLINE_MAX, on_pull, &s);
	sent = 0;
	ck_assert_int_eq(send_some(b, &sent, MSG_INLINE_MAX), 0);
	ck_assert_int_eq(send_some(b, &sent, 1), -1);
	ck_assert_uint_eq(body_peek(b, &p), MSG_INLINE_MAX);
	ck_assert_uint_eq(s.asked, 0);
	body_skip(b, MSG_INLINE_MAX);
	ck_assert_uint_eq(s.asked, MSG_CREDIT);
	ck_assert_int_eq(send_some(b, &sent, MSG_CREDIT), 0);
	ck_assert_int_eq(send_some(b, &sent, 1), -1);
	body_free(b);
	body_free(NULL);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, test_sizes, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(t, test_too_much);
	return run_case("body", t);
}
