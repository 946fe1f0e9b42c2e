/*
 * Records given out and given back: numbers are used again, records stay where they are and keep what is in them, also
 * when two slabs become one.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "queue/slab.h"
#include "tests/unit/run.h"

#define RECORDS	(3 * SLAB_BLOCK + 100)

struct thing {
	uint64_t	value, more[2];
};

static uint32_t numbers[2 * RECORDS];
static const struct thing *places[2 * RECORDS];

static void
take(struct slab *s, uint32_t i)
{
	struct thing *t = slab_at(s, numbers[i] = slab_take(s));

	ck_assert_uint_ne(numbers[i], 0);
	ck_assert(t->value == 0 && t->more[0] == 0 && t->more[1] == 0);
	memset(t, 0xff, sizeof(*t));
	t->value = i;
	places[i] = t;
}

static void
check(const struct slab *s, uint32_t first, uint32_t n, uint32_t shift)
{
	for (uint32_t i = first; i < first + n; i++) {
		ck_assert_ptr_eq(slab_at(s, numbers[i] + shift), places[i]);
		ck_assert_uint_eq(places[i]->value, i);
	}
}

START_TEST(given_back_is_used_again)
{
	struct slab s = { 0 };
	uint32_t most;

	slab_free(&s);
	slab_init(&s, sizeof(struct thing));
	for (uint32_t i = 0; i < RECORDS; i++)
		take(&s, i);
	most = s.n_blocks;
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < RECORDS; i += 2)
			slab_give(&s, numbers[i]);
		for (uint32_t i = 0; i < RECORDS; i += 2)
			take(&s, i);
		check(&s, 0, RECORDS, 0);
	}
	ck_assert_uint_eq(s.n_blocks, most);
	slab_free(&s);
	ck_assert_uint_eq(slab_take(&s), 1);
	slab_free(&s);
}
END_TEST

START_TEST(two_become_one)
{
	struct slab to, from;
	uint32_t shift, most;

	slab_init(&to, sizeof(struct thing));
	slab_init(&from, sizeof(struct thing));
	for (uint32_t i = 0; i < RECORDS; i++)
		take(&to, i);
	for (uint32_t i = RECORDS; i < RECORDS + 300U * (unsigned)_i; i++)
		take(&from, i);
	for (uint32_t i = RECORDS; i < RECORDS + 150U * (unsigned)_i; i++)
		slab_give(&from, numbers[i]);
	shift = slab_merge(&to, &from);
	check(&to, 0, RECORDS, 0);
	check(&to, RECORDS + 150U * (unsigned)_i, 150U * (unsigned)_i, shift);
	ck_assert_uint_eq(slab_take(&from), 1);
	/* What was free in both is given out before there is another block. */
	for (uint32_t i = RECORDS + 150U * (unsigned)_i, j = RECORDS + 300U * (unsigned)_i; i < j; i++)
		numbers[i] += shift;
	most = to.n_blocks * SLAB_BLOCK - RECORDS - 150U * (unsigned)_i;
	for (uint32_t i = 0; i < most; i++)
		(void)slab_take(&to);
	check(&to, 0, RECORDS, 0);
	check(&to, RECORDS + 150U * (unsigned)_i, 150U * (unsigned)_i, 0);
	ck_assert_uint_eq(to.given, to.n_blocks * SLAB_BLOCK);
	ck_assert_uint_eq(to.free, 0);
	slab_free(&to);
	slab_free(&from);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("slab");

	tcase_add_test(t, given_back_is_used_again);
	tcase_add_loop_test(t, two_become_one, 0, 10);
	return run_case("slab", t);
}
