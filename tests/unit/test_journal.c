/* logger/journal.c: files that follow each other, go by size and by age, and survive a torn end and a full disk. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "logger/journal.h"
#include "tests/unit/run.h"

#define MIB	(1024U * 1024)
#define DAY_MS	86400000LL

static char folder[] = "/tmp/minimta-journal-XXXXXX";
static int dir;

static void
setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/minimta-journal-XXXXXX");
	ck_assert_ptr_ne(mkdtemp(folder), NULL);
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	clock_init(NULL);
	clock_hold(true);
	clock_shift(0);
}

static void
teardown(void)
{
	struct journal_file files[JOURNAL_FILES_MAX];
	struct journal *j = journal_new(dir, 0, 0);
	size_t n = journal_files(j, files);
	char name[40];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "journal.%llu", (unsigned long long)files[i].number);
		unlinkat(dir, name, 0);
	}
	journal_free(j);
	close(dir);
	rmdir(folder);
}

static void
add(struct journal *j, unsigned n)
{
	char line[200];

	for (unsigned i = 0; i < n; i++) {
		int len = snprintf(line, sizeof(line), "L t=1 p=smtpd session=A%u event=%0120u\n", i, i);

		if (!journal_add(j, line, (size_t)len))		/* each ck_assert() is a line in a file, which has a limit below */
			ck_abort_msg("line %u was not taken", i);
	}
}

/* All lines of all files; -1: one is cut, or a file does not begin as it should. */
static long
lines(const struct journal *j)
{
	struct journal_file files[JOURNAL_FILES_MAX];
	size_t n = journal_files(j, files);
	long sum = 0;

	for (size_t i = 0; i < n; i++) {
		FILE *f = fdopen(journal_open(j, files[i].number), "r");
		char line[300];

		ck_assert_ptr_ne(f, NULL);
		if (fgets(line, sizeof(line), f) == NULL || strcmp(line, JOURNAL_FIRST_LINE) != 0)
			sum = -1000000;
		while (fgets(line, sizeof(line), f) != NULL)
			sum += strncmp(line, "L t=1 ", 6) == 0 && strchr(line, '\n') != NULL ? 1 : -1000000;
		fclose(f);
	}
	return sum;
}

START_TEST(kept_over_starts)
{
	struct journal *j;

	for (unsigned i = 0; i < 3; i++) {
		j = journal_new(dir, MIB, DAY_MS);
		add(j, 100);
		journal_free(j);
	}
	j = journal_new(dir, MIB, DAY_MS);
	ck_assert_int_eq(lines(j), 300);
	journal_free(j);
}
END_TEST

START_TEST(bounded_by_size)
{
	struct journal *j = journal_new(dir, MIB, DAY_MS);
	struct journal_file files[JOURNAL_FILES_MAX];
	size_t n;

	add(j, 50000);
	journal_flush(j);
	ck_assert_uint_le(journal_bytes(j), MIB + 256 * 1024);
	ck_assert_int_gt(lines(j), 4000);
	n = journal_files(j, files);
	ck_assert_uint_gt(n, 2);
	for (size_t i = 1; i < n; i++)
		ck_assert_uint_gt(files[i].number, files[i - 1].number);
	journal_free(j);
}
END_TEST

START_TEST(bounded_by_age)
{
	struct journal *j = journal_new(dir, MIB, 4 * DAY_MS);
	struct journal_file files[JOURNAL_FILES_MAX];

	for (int day = 0; day < 10; day++) {
		clock_shift(day * DAY_MS);
		add(j, 10);
		journal_tidy(j, clock_wall());
	}
	ck_assert_int_ge(lines(j), 40);
	ck_assert_int_le(lines(j), 60);
	ck_assert_int_ge((int64_t)clock_wall() - (int64_t)(journal_files(j, files), files[0].number), 4 * 86400 - 1);
	clock_shift(30 * DAY_MS);
	journal_tidy(j, clock_wall());
	add(j, 1);
	clock_shift(40 * DAY_MS);
	journal_tidy(j, clock_wall());
	ck_assert_int_le(lines(j), 1);
	journal_free(j);
}
END_TEST

/* A process that died in the middle of a write: what it began is cut away, and nothing is joined to it. */
START_TEST(torn)
{
	struct journal *j = journal_new(dir, MIB, DAY_MS);
	struct journal_file files[JOURNAL_FILES_MAX];
	char name[40], all[100] = "";

	add(j, 10);
	journal_flush(j);
	ck_assert_uint_eq(journal_files(j, files), 1);
	journal_free(j);
	snprintf(name, sizeof(name), "journal.%llu", (unsigned long long)files[0].number);
	for (int cut = 0; cut < 2; cut++) {
		int fd = openat(dir, name, O_WRONLY | O_APPEND);

		memset(all, 'x', sizeof(all) - 1);
		for (int i = 0; i < (cut == 0 ? 1 : 200); i++)
			ck_assert_int_eq(write(fd, all, 99), 99);
		close(fd);
		j = journal_new(dir, MIB, DAY_MS);
		add(j, 1);
		journal_flush(j);
		ck_assert_int_eq(lines(j), 11 + cut);
		journal_free(j);
	}
}
END_TEST

/* One of another version, or none of ours at all, is left alone and followed by another. */
START_TEST(foreign)
{
	int fd = openat(dir, "journal.4000000000", O_WRONLY | O_CREAT, 0600);
	struct journal *j;
	struct stat st;

	ck_assert_int_eq(write(fd, "minimta-journal 2\nsomething\n", 28), 28);
	j = journal_new(dir, MIB, DAY_MS);
	add(j, 1);
	journal_free(j);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 28);
	ck_assert_int_eq(faccessat(dir, "journal.4000000001", F_OK, 0), 0);
	close(fd);
}
END_TEST

/* Stands for a full disk: no more than 64 KiB in a file. Whole lines only, told once, and told when it is over. */
START_TEST(full)
{
	struct rlimit little = { 64 * 1024, RLIM_INFINITY }, before;
	struct journal *j = journal_new(dir, 10 * MIB, DAY_MS);
	uint64_t lost = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &little);
	ck_assert_ptr_eq(journal_trouble(j, &lost), NULL);
	for (int i = 0; i < 50; i++) {
		add(j, 100);
		journal_flush(j);
	}
	ck_assert_ptr_ne(journal_trouble(j, &lost), NULL);
	ck_assert_uint_gt(lost, 4000);
	ck_assert_ptr_eq(journal_trouble(j, &lost), NULL);
	setrlimit(RLIMIT_FSIZE, &before);
	ck_assert_int_eq(lines(j), 5000 - (long)lost);
	add(j, 10);
	journal_flush(j);
	ck_assert_str_eq(journal_trouble(j, &lost), "");
	ck_assert_uint_gt(lost, 4000);
	ck_assert_int_eq(lines(j), 5010 - (long)lost);
	journal_free(j);
}
END_TEST

START_TEST(off)
{
	struct journal *j = journal_new(dir, 0, DAY_MS), *none = journal_new(-1, MIB, DAY_MS);

	ck_assert(!journal_add(j, "x\n", 2));
	ck_assert(!journal_add(none, "x\n", 2));
	ck_assert_uint_eq(journal_bytes(j), 0);
	journal_free(none);
	journal_limit(j, MIB, DAY_MS);
	add(j, 3);
	journal_flush(j);
	journal_limit(j, 0, DAY_MS);
	journal_tidy(j, clock_wall());
	ck_assert_int_eq(lines(j), 3);		/* its time is not over */
	clock_shift(2 * DAY_MS);
	journal_tidy(j, clock_wall());
	ck_assert_uint_eq(journal_bytes(j), 0);
	journal_free(j);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("journal");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, kept_over_starts);
	tcase_add_test(t, bounded_by_size);
	tcase_add_test(t, bounded_by_age);
	tcase_add_test(t, torn);
	tcase_add_test(t, foreign);
	tcase_add_test(t, full);
	tcase_add_test(t, off);
	return run_case("journal", t);
}
