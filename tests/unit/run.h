/*
 * What every unit test ends with: its one case, run by Check; the exit code says whether all passed. CK_VERBOSITY and the
 * like are heard, for who looks at a test by hand.
 */
#ifndef TESTS_UNIT_RUN_H
#define TESTS_UNIT_RUN_H

#include <check.h>

static inline int
run_case(const char *name, TCase *c)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

#endif
