/*
 * queue/mark.c: what a start died of is counted, what it read is not; and queue's log over it: a record and a message of
 * which it has died too often are left out, told and kept, and the rest is there.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/mark.h"
#include "tests/unit/run.h"

static char folder[64];
static int dirfd_;

static void
setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/test_mark.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	unlinkat(dirfd_, "reading", 0);
	close(dirfd_);
	rmdir(folder);
}

static struct mark_place
record_at(uint32_t segment, uint64_t offset)
{
	return (struct mark_place){ MARK_RECORD, segment, offset };
}

static struct mark_place
message(uint64_t id)
{
	return (struct mark_place){ MARK_MESSAGE, 0, id };
}

/* A start that reads these, in order, and dies of the last: by a signal, or (`fatal`) as log_fatal() ends it. */
static void
start_and_die(const struct mark_place *places, unsigned n, bool fatal)
{
	struct mark *m;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		m = mark_open(dirfd_);
		for (unsigned i = 0; i < n; i++) {
			mark_begin(m, places[i]);
			if (i + 1 < n)
				mark_end(m, places[i]);
		}
		if (fatal)
			exit(1);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WIFSIGNALED(status), !fatal);
}

START_TEST(three_deaths)
{
	struct mark_place places[] = { record_at(1, 4096), record_at(1, 5000), record_at(2, 4096) };
	struct mark *m;

	for (int i = 0; i < MARK_DEATHS_MOST; i++) {
		m = mark_open(dirfd_);
		ck_assert_int_eq(mark_had_death(m), i > 0);
		ck_assert(mark_begin(m, places[2]));
		ck_assert_msg(mark_begin(m, record_at(1, 4096)), "the same offset elsewhere is another record");
		mark_close(m);		/* in order: not counted, and nothing is forgotten */
		start_and_die(places, 3, false);
	}
	for (int i = 0; i < 2; i++) {
		m = mark_open(dirfd_);
		ck_assert(!mark_begin(m, places[2]));
		ck_assert(mark_begin(m, places[0]));
		mark_end(m, places[0]);
		mark_close(m);
	}
}
END_TEST

START_TEST(read_in_between)
{
	struct mark_place place = record_at(7, 8192);
	struct mark *m;

	for (int i = 0; i < 3; i++) {
		start_and_die(&place, 1, false);
		start_and_die(&place, 1, false);
		m = mark_open(dirfd_);
		ck_assert(mark_begin(m, place));
		mark_end(m, place);
		mark_close(m);
	}
}
END_TEST

START_TEST(an_exit_is_no_death)
{
	struct mark_place place = message(5);
	struct mark *m;

	for (int i = 0; i < 5; i++)
		start_and_die(&place, 1, true);
	m = mark_open(dirfd_);
	ck_assert(!mark_had_death(m));
	ck_assert(mark_begin(m, place));
	mark_close(m);
}
END_TEST

/* Many are read at once: each counts, until one by one shows which it is. */
START_TEST(several_at_once)
{
	struct mark_place guilty = message(3);
	struct mark *m;
	pid_t pid;

	if ((pid = fork()) == 0) {
		m = mark_open(dirfd_);
		for (uint64_t id = 1; id <= 100; id++)
			mark_begin(m, message(id));
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	start_and_die(&guilty, 1, false);
	start_and_die(&guilty, 1, false);
	m = mark_open(dirfd_);
	for (uint64_t id = 1; id <= 100; id++) {
		ck_assert_int_eq(mark_begin(m, message(id)), id != 3);
		if (id != 3)
			mark_end(m, message(id));
	}
	mark_close(m);
	m = mark_open(dirfd_);
	ck_assert(!mark_had_death(m));
	ck_assert(!mark_begin(m, message(3)));
	mark_close(m);
}
END_TEST

/* More suspects than there is room for: those that were deadly before stay. */
START_TEST(a_full_table)
{
	struct mark_place guilty = record_at(1, 1), other;
	struct mark *m;

	for (int i = 0; i < MARK_DEATHS_MOST; i++)
		start_and_die(&guilty, 1, false);
	for (uint64_t i = 0; i < 100; i++) {
		other = record_at(2, i);
		start_and_die(&other, 1, false);
	}
	m = mark_open(dirfd_);
	ck_assert(!mark_begin(m, guilty));
	mark_close(m);
}
END_TEST

START_TEST(without_a_file)
{
	int nowhere = open("/dev/null", O_RDONLY);

	ck_assert_ptr_null(mark_open(nowhere));
	ck_assert(mark_begin(NULL, message(1)));
	mark_end(NULL, message(1));
	ck_assert(!mark_had_death(NULL));
	mark_close(NULL);
	close(nowhere);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, three_deaths);
	tcase_add_test(tc, read_in_between);
	tcase_add_test(tc, an_exit_is_no_death);
	tcase_add_test(tc, several_at_once);
	tcase_add_test(tc, a_full_table);
	tcase_add_test(tc, without_a_file);
	return run_case("mark", tc);
}
