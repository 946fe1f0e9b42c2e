/*
 * The heap of what is due when: entries come out in order, whatever was moved and removed meanwhile.
 */
#include <check.h>
#include <stdlib.h>

#include "queue/due.h"
#include "tests/unit/run.h"

#define ENTRIES	300

struct thing {
	uint64_t	before;
	struct due	due;
};

static struct thing *
thing(const struct slab *s, uint32_t number)
{
	return slab_at(s, number);
}

static int64_t
earliest(const struct slab *s)
{
	int64_t at = INT64_MAX;

	for (uint32_t i = 1; i <= ENTRIES; i++)
		if (thing(s, i)->due.slot != 0 && thing(s, i)->due.at < at)
			at = thing(s, i)->due.at;
	return at;
}

START_TEST(in_order)
{
	struct slab s;
	struct due_heap h;
	unsigned chance = (unsigned)_i + 7, number;
	int64_t last = INT64_MIN;
	struct thing *t;

	slab_init(&s, sizeof(struct thing));
	due_init(&h, &s, offsetof(struct thing, due));
	for (int i = 0; i < ENTRIES; i++)
		(void)slab_take(&s);
	ck_assert_int_eq(due_first(&h), INT64_MAX);
	ck_assert_ptr_null(due_take(&h, INT64_MAX));
	for (int step = 0; step < 5000; step++) {
		chance = chance * 1103515245U + 12345U;
		number = (chance >> 8) % ENTRIES + 1;
		if ((chance >> 24) % 3 == 0)
			due_remove(&h, &thing(&s, number)->due);
		else
			due_set(&h, number, (int64_t)((chance >> 4) % 1000));
		ck_assert_int_eq(due_first(&h), earliest(&s));
	}
	ck_assert_ptr_null(due_take(&h, due_first(&h) - 1));
	while ((t = due_take(&h, 1000)) != NULL) {
		ck_assert_int_ge(t->due.at, last);
		last = t->due.at;
		ck_assert_uint_eq(t->due.slot, 0);
		due_remove(&h, &t->due);
	}
	ck_assert_int_eq(earliest(&s), INT64_MAX);
	due_free(&h);
	slab_free(&s);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("due");

	tcase_add_loop_test(t, in_order, 0, 10);
	return run_case("due", t);
}
