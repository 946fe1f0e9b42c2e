/*
 * master/pages.c: who has a page for reading can neither write it nor make it shorter, by whatever way.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/messages.h"
#include "master/master.h"
#include "tests/unit/run.h"

START_TEST(a_reader_sees_what_is_written)
{
	int fd = pages_make(), reader = pages_for_reading(fd);
	char *page, *seen;

	ck_assert_int_ge(reader, 0);
	page = mmap(NULL, MSG_TALLY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	seen = mmap(NULL, MSG_TALLY_SIZE, PROT_READ, MAP_SHARED, reader, 0);
	ck_assert(page != MAP_FAILED && seen != MAP_FAILED);
	page[MSG_TALLY_SIZE - 1] = 7;
	ck_assert_int_eq(seen[MSG_TALLY_SIZE - 1], 7);
}
END_TEST

START_TEST(a_reader_cannot_write)
{
	int fd = pages_make(), reader = pages_for_reading(fd);
	char *seen = mmap(NULL, MSG_TALLY_SIZE, PROT_READ, MAP_SHARED, reader, 0);

	ck_assert(seen != MAP_FAILED);
	ck_assert_int_eq(write(reader, "x", 1), -1);
	ck_assert(mmap(NULL, MSG_TALLY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED);
	ck_assert_int_eq(mprotect(seen, MSG_TALLY_SIZE, PROT_READ | PROT_WRITE), -1);
	ck_assert_int_eq(fallocate(reader, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
}
END_TEST

/* Not even where /proc can be seen, once it is not root any more. */
START_TEST(it_cannot_be_opened_for_writing)
{
	int fd = pages_make(), reader = pages_for_reading(fd), status;
	char path[64];
	pid_t pid;

	if (geteuid() != 0)
		return;			/* then all is one user's */
	if ((pid = fork()) == 0) {
		if (setresuid(65534, 65534, 65534) != 0)
			_exit(2);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", reader);
		_exit(open(path, O_RDWR) >= 0 || open(path, O_WRONLY) >= 0 ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(its_size_is_fixed)
{
	int fd = pages_make();

	ck_assert_int_eq(ftruncate(fd, 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, 2 * MSG_TALLY_SIZE), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_reader_sees_what_is_written);
	tcase_add_test(tc, a_reader_cannot_write);
	tcase_add_test(tc, it_cannot_be_opened_for_writing);
	tcase_add_test(tc, its_size_is_fixed);
	return run_case("pages", tc);
}
