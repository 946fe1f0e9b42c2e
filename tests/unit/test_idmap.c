/*
 * The table of ids against a plain array, over random puts and removals of ids that lie close together.
 */
#include <check.h>
#include <stdlib.h>

#include "queue/idmap.h"

#define IDS	500
#define STEPS	20000

static void
check_walk(const struct idmap *m, char *const *model)
{
	size_t at = 0, walked = 0, expected = 0;

	while (idmap_next(m, &at) != NULL)
		walked++;
	for (int i = 0; i < IDS; i++)
		expected += model[i] != NULL;
	ck_assert_uint_eq(walked, expected);
	ck_assert_uint_eq(m->used, expected);
}

START_TEST(like_an_array)
{
	static char values[IDS];
	char *model[IDS] = { NULL };
	struct idmap m = { 0 };
	unsigned chance = (unsigned)_i + 1, id;

	for (int step = 0; step < STEPS; step++) {
		chance = chance * 1103515245U + 12345U;
		id = (chance >> 8) % IDS;
		/* Long times of growing and of shrinking, so that it is resized both ways. */
		if ((chance >> 24) % 4 < (step / 5000 % 2 ? 1U : 3U)) {
			idmap_put(&m, (uint64_t)id << _i, &values[id]);
			model[id] = &values[id];
		} else {
			idmap_remove(&m, (uint64_t)id << _i);
			model[id] = NULL;
		}
		id = (chance >> 4) % IDS;
		ck_assert_ptr_eq(idmap_get(&m, (uint64_t)id << _i), model[id]);
		if (step % 1000 == 0)
			check_walk(&m, model);
	}
	idmap_free(&m);
	ck_assert_ptr_null(idmap_get(&m, 1));
	idmap_remove(&m, 1);
	idmap_free(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("idmap");
	Suite *suite = suite_create("idmap");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, like_an_array, 0, 40);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
