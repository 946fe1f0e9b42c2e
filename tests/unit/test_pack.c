/* lib/pack.c: what is written comes back, and no malformed payload is read past its end. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/messages.h"
#include "lib/pack.h"
#include "tests/unit/run.h"

static void
fill(struct pack *p)
{
	pack_init(p);
	pack_u8(p, 0xab);
	pack_u16(p, 0xabcd);
	pack_u32(p, 0xdeadbeef);
	pack_u64(p, 0x0123456789abcdefULL);
	pack_i64(p, -5);
	pack_str(p, "hello");
	pack_str(p, NULL);
	pack_blob(p, "a\0b", 3);
}

START_TEST(round_trip)
{
	struct pack p;
	struct unpack u;
	char to[6];
	char *empty;
	size_t len;

	fill(&p);
	unpack_init(&u, p.data, p.len);
	ck_assert_uint_eq(unpack_u8(&u), 0xab);
	ck_assert_uint_eq(unpack_u16(&u), 0xabcd);
	ck_assert_uint_eq(unpack_u32(&u), 0xdeadbeef);
	ck_assert_uint_eq(unpack_u64(&u), 0x0123456789abcdefULL);
	ck_assert_int_eq(unpack_i64(&u), -5);
	unpack_str_to(&u, to, sizeof(to));
	ck_assert_str_eq(to, "hello");
	empty = unpack_str(&u);
	ck_assert_str_eq(empty, "");
	ck_assert(!unpack_end(&u));
	ck_assert_mem_eq(unpack_blob(&u, &len), "a\0b", 3);
	ck_assert_uint_eq(len, 3);
	ck_assert(unpack_end(&u));
	free(empty);
	pack_free(&p);
}
END_TEST

/* Cut anywhere, the reader says so and gives zeros and empty strings. */
START_TEST(cut_short)
{
	struct pack p;

	fill(&p);
	for (size_t cut = 0; cut < p.len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);
		struct unpack u;
		size_t len;

		memcpy(exact, p.data, cut);
		unpack_init(&u, exact, cut);
		unpack_u8(&u), unpack_u16(&u), unpack_u32(&u), unpack_u64(&u), unpack_i64(&u);
		free(unpack_str(&u));
		free(unpack_str(&u));
		unpack_blob(&u, &len);
		ck_assert(!unpack_ok(&u));
		ck_assert_uint_eq(len, 0);
		ck_assert_uint_eq(unpack_u32(&u), 0);
		free(exact);
	}
	pack_free(&p);
}
END_TEST

START_TEST(strings_that_are_none)
{
	struct pack p;
	struct unpack u;
	char small[5] = "x";
	char *s;

	pack_init(&p);
	pack_blob(&p, "a\0b", 3);
	unpack_init(&u, p.data, p.len);
	s = unpack_str(&u);
	ck_assert_str_eq(s, "");
	ck_assert(!unpack_ok(&u));
	free(s);

	p.len = 0;
	pack_str(&p, "12345");
	unpack_init(&u, p.data, p.len);
	unpack_str_to(&u, small, sizeof(small));
	ck_assert_str_eq(small, "");
	ck_assert(!unpack_ok(&u));
	pack_free(&p);
}
END_TEST

/* What is no message may be longer than one, and says when it is longer than it may be. */
START_TEST(a_bound_of_ones_own)
{
	static uint8_t bytes[MSG_PAYLOAD_MAX + 1];
	struct pack p;

	pack_init_most(&p, sizeof(bytes) + 4);
	pack_raw(&p, bytes, sizeof(bytes));
	pack_u32(&p, 7);
	ck_assert(!p.over);
	ck_assert_uint_eq(p.len, sizeof(bytes) + 4);
	pack_u8(&p, 1);
	ck_assert(p.over);
	ck_assert_uint_eq(p.len, sizeof(bytes) + 4);
	pack_free(&p);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("pack");

	tcase_add_test(t, round_trip);
	tcase_add_test(t, cut_short);
	tcase_add_test(t, strings_that_are_none);
	tcase_add_test(t, a_bound_of_ones_own);
	return run_case("pack", t);
}
