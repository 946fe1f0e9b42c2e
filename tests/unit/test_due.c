/*
 * The heap of what is due when: entries come out in order, whatever was moved and removed meanwhile.
 */
#include <check.h>
#include <stdlib.h>

#include "queue/due.h"

#define ENTRIES	300

static int64_t
earliest(const struct due *entries)
{
	int64_t at = INT64_MAX;

	for (int i = 0; i < ENTRIES; i++)
		if (entries[i].slot != 0 && entries[i].at < at)
			at = entries[i].at;
	return at;
}

START_TEST(in_order)
{
	static struct due entries[ENTRIES];
	struct due_heap h = { 0 };
	unsigned chance = (unsigned)_i + 7;
	int64_t last = INT64_MIN;
	struct due *d;

	ck_assert_ptr_null(due_first(&h));
	for (int step = 0; step < 5000; step++) {
		chance = chance * 1103515245U + 12345U;
		d = &entries[(chance >> 8) % ENTRIES];
		if ((chance >> 24) % 3 == 0)
			due_remove(&h, d);
		else
			due_set(&h, d, (int64_t)((chance >> 4) % 1000));
		ck_assert(due_first(&h) == NULL || due_first(&h)->at == earliest(entries));
	}
	while ((d = due_first(&h)) != NULL) {
		ck_assert_int_ge(d->at, last);
		last = d->at;
		due_remove(&h, d);
		due_remove(&h, d);
	}
	due_free(&h);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("due");
	Suite *suite = suite_create("due");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, in_order, 0, 10);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
