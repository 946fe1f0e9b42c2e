/*
 * mda/mbox.c, as whoever runs the test, in a temporary place.
 */
#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "mda/mbox.h"
#include "tests/unit/run.h"

static char dir[128];
static struct mail mail;
static struct mbox_place place;
static struct mail_result result;

static const char *
in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
set_content(const char *content)
{
	if (mail.content_fd > 0)
		close(mail.content_fd);
	mail.content_fd = memfd_create("content", 0);
	mail.size = strlen(content);
	ck_assert_int_eq(write(mail.content_fd, content, mail.size), (ssize_t)mail.size);
}

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/minimta-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	place = (struct mbox_place){ .base = dir, .path = "anna", .owner = geteuid(), .mode = 0660, .needs_dotlock = true };
	mail = (struct mail){ .hostname = "h.example", .sender = "s@x.example", .recipient = "anna@example.org",
	    .head = "Received: by us\r\n\tfor you\r\n" };
	set_content("Subject: x\r\n\r\nbody\r\n");
	clock_hold(true);
	clock_shift(0);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
tear_down(void)
{
	ck_assert_int_eq(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	close(mail.content_fd);
}

static void
put_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(in_dir(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(in_dir(name), mode), 0);
}

static const char *
content_of(const char *name)
{
	static char text[300000];
	int fd = open(in_dir(name), O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static void
deliver(enum job_outcome outcome, const char *enhanced, const char *words)
{
	mbox_deliver(&place, &mail, &result);
	ck_assert_msg(result.outcome == outcome && strcmp(result.enhanced, enhanced) == 0 && strstr(result.text, words) != NULL,
	    "%d %s %s", result.outcome, result.enhanced, result.text);
}

static void
delivered(void)
{
	deliver(JOB_DELIVERED, "2.0.0", "appended to");
	ck_assert_int_eq(access(in_dir("anna.lock"), F_OK), -1);
}

START_TEST(test_deliver)
{
	struct stat st;
	const char *text;

	delivered();
	text = content_of("anna");
	ck_assert_msg(strncmp(text, "From s@x.example ", 17) == 0, "%s", text);
	ck_assert_str_eq(strchr(text, '\n'), "\nReturn-Path: <s@x.example>\nDelivered-To: anna@example.org\n"
	    "Received: by us\n\tfor you\nSubject: x\n\nbody\n\n");
	ck_assert_int_eq(stat(in_dir("anna"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0660);
	mail.sender = "";
	delivered();
	ck_assert_ptr_nonnull(strstr(content_of("anna"), "body\n\nFrom MAILER-DAEMON "));
	/* A sender may have spaces between quotes; the date is the third word. */
	mail.sender = "\"a b\"@x.example";
	delivered();
	ck_assert_ptr_nonnull(strstr(content_of("anna"), "\n\nFrom \"a_b\"@x.example "));
}
END_TEST

/* What begins like a From_ line is quoted, and what is quoted is quoted again. */
START_TEST(test_quoting)
{
	const char *body;

	set_content("Subject: x\r\n\r\nFrom here\r\n>From there\r\n>>From x\r\nFromage\r\nfrom x\r\n From x\r\n>\r\n>F\r\n\r\nFrom\r\n"
	    "F\r\nFrom ");
	delivered();
	body = strstr(content_of("anna"), "Subject: ");
	ck_assert_str_eq(body, "Subject: x\n\n>From here\n>>From there\n>>>From x\nFromage\nfrom x\n From x\n>\n>F\n\nFrom\nF\n"
	    ">From \n\n");
	set_content("Subject: x\r\n\r\n>>Fro");
	delivered();
	ck_assert_ptr_nonnull(strstr(content_of("anna"), "\n\n>>Fro\n\n"));
}
END_TEST

/* Another program's last message may lack its empty line. */
START_TEST(test_end_of_others)
{
	put_file("anna", "From x y\n\nbo", 0600);
	delivered();
	ck_assert_ptr_nonnull(strstr(content_of("anna"), "\n\nbo\n\nFrom s@x.example "));
}
END_TEST

START_TEST(test_strange_files)
{
	put_file("other", "mine", 0600);
	ck_assert_int_eq(symlink("other", in_dir("anna")), 0);
	deliver(JOB_DEFERRED, "4.3.5", "symbolic link");
	unlink(in_dir("anna"));
	ck_assert_int_eq(mkfifo(in_dir("anna"), 0600), 0);
	deliver(JOB_DEFERRED, "4.3.5", "not a regular file");
	unlink(in_dir("anna"));
	ck_assert_int_eq(mkdir(in_dir("anna"), 0700), 0);
	mbox_deliver(&place, &mail, &result);
	ck_assert_int_eq(result.outcome, JOB_DEFERRED);
	rmdir(in_dir("anna"));
	{
		char from[512];

		snprintf(from, sizeof(from), "%s", in_dir("other"));
		ck_assert_int_eq(link(from, in_dir("anna")), 0);
	}
	deliver(JOB_DEFERRED, "4.3.5", "hard links");
	unlink(in_dir("anna"));
	put_file("anna", "", 0622);
	deliver(JOB_DEFERRED, "4.3.5", "odd permissions");
	chmod(in_dir("anna"), 0700);
	deliver(JOB_DEFERRED, "4.3.5", "odd permissions");
	chmod(in_dir("anna"), 0600);
	place.owner++;
	deliver(JOB_DEFERRED, "4.3.5", "belongs to somebody else");
	ck_assert_str_eq(content_of("other"), "mine");
	ck_assert_str_eq(content_of("anna"), "");
}
END_TEST

START_TEST(test_strange_places)
{
	place.path = "../anna";
	mbox_deliver(&place, &mail, &result);
	ck_assert_int_eq(result.outcome, JOB_DEFERRED);
	ck_assert_int_eq(mkdir(in_dir("real"), 0700), 0);
	ck_assert_int_eq(symlink("real", in_dir("link")), 0);
	place.path = "link/anna";
	deliver(JOB_DEFERRED, "4.3.5", "symbolic link");
	place.path = "missing/anna";
	deliver(JOB_DEFERRED, "4.3.0", "No such file");
	place.path = "real/anna";
	delivered();
	place.path = "real/";
	deliver(JOB_DEFERRED, "4.3.5", "no name");
}
END_TEST

/* The lock of another process: neither waited for nor broken. */
START_TEST(test_locked_by_fcntl)
{
	int ready[2], end[2];
	char byte;
	pid_t pid;

	delivered();
	ck_assert(pipe(ready) == 0 && pipe(end) == 0);
	if ((pid = fork()) == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(in_dir("anna"), O_RDWR);

		close(end[1]);
		if (fcntl(fd, F_SETLK, &lock) == 0 && write(ready[1], "", 1) == 1 && read(end[0], &byte, 1) == 0)
			_exit(0);
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	deliver(JOB_DEFERRED, "4.2.0", "is locked (fcntl)");
	ck_assert(result.busy);
	close(end[1]);
	waitpid(pid, NULL, 0);
	delivered();
	ck_assert(!result.busy);
}
END_TEST

START_TEST(test_locked_by_file)
{
	struct timespec now[2] = { { .tv_sec = clock_wall() }, { .tv_sec = clock_wall() } };

	put_file("anna.lock", "4711\n", 0600);
	ck_assert_int_eq(utimensat(AT_FDCWD, in_dir("anna.lock"), now, 0), 0);
	deliver(JOB_DEFERRED, "4.2.0", "is locked (anna.lock)");
	ck_assert(result.busy);
	ck_assert_int_eq(access(in_dir("anna.lock"), F_OK), 0);
	clock_shift(299 * 1000);
	deliver(JOB_DEFERRED, "4.2.0", "is locked");
	clock_shift(300 * 1000);
	delivered();
	ck_assert_int_eq(symlink("/etc/passwd", in_dir("anna.lock")), 0);
	deliver(JOB_DEFERRED, "4.3.5", "symbolic link");
}
END_TEST

/* Half of a message that a delivery wrote before it died is cut off; its lock says where it began. */
START_TEST(test_cut_back)
{
	char lock[64];
	size_t whole;

	delivered();
	whole = strlen(content_of("anna"));
	{
		FILE *f = fopen(in_dir("anna"), "a");

		fputs("From s@x.example Thu\nSubject: torn", f);
		fclose(f);
	}
	snprintf(lock, sizeof(lock), "4711\nminimta %zu\n", whole);
	put_file("anna.lock", lock, 0600);
	delivered();
	ck_assert_ptr_null(strstr(content_of("anna"), "torn"));
	ck_assert_int_eq(strncmp(content_of("anna") + whole, "From s@x.example ", 17), 0);
	/* One that says more than there is cuts nothing. */
	whole = strlen(content_of("anna"));
	put_file("anna.lock", "4711\nminimta 99999\n", 0600);
	delivered();
	ck_assert_uint_gt(strlen(content_of("anna")), whole);
}
END_TEST

START_TEST(test_full)
{
	struct rlimit small = { 4096, 4096 };
	char content[20000];

	delivered();
	signal(SIGXFSZ, SIG_IGN);
	memset(content, 'x', sizeof(content) - 1);
	content[sizeof(content) - 1] = '\0';
	set_content(content);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	deliver(JOB_DEFERRED, "4.2.2", "mailbox full");
	ck_assert_ptr_null(strstr(content_of("anna"), "xxx"));
	ck_assert_str_eq(strstr(content_of("anna"), "body"), "body\n\n");
	ck_assert_int_eq(access(in_dir("anna.lock"), F_OK), -1);
}
END_TEST

START_TEST(test_size)
{
	mail.mailbox_size = 160;
	delivered();
	deliver(JOB_DEFERRED, "4.2.2", "it may hold 160 bytes");
	mail.mailbox_size = 10;
	deliver(JOB_DEFERRED, "4.2.2", "it may hold 10 bytes");
}
END_TEST

START_TEST(test_short_content)
{
	delivered();
	mail.size += 10;
	deliver(JOB_DEFERRED, "4.3.0", "could not be read");
	ck_assert_str_eq(strstr(content_of("anna"), "body"), "body\n\n");
}
END_TEST

/* A folder in which no lock can be made: no place for a mailbox, but for a file that somebody named. */
START_TEST(test_no_dotlock)
{
	if (geteuid() == 0)
		return;			/* may make one anywhere */
	put_file("anna", "", 0600);
	ck_assert_int_eq(chmod(dir, 0500), 0);
	deliver(JOB_DEFERRED, "4.3.0", "create anna.lock");
	place.needs_dotlock = false;
	delivered();
	ck_assert_int_eq(chmod(dir, 0700), 0);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("mbox");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, test_deliver);
	tcase_add_test(tests, test_quoting);
	tcase_add_test(tests, test_end_of_others);
	tcase_add_test(tests, test_strange_files);
	tcase_add_test(tests, test_strange_places);
	tcase_add_test(tests, test_locked_by_fcntl);
	tcase_add_test(tests, test_locked_by_file);
	tcase_add_test(tests, test_cut_back);
	tcase_add_test(tests, test_full);
	tcase_add_test(tests, test_size);
	tcase_add_test(tests, test_short_content);
	tcase_add_test(tests, test_no_dotlock);
	return run_case("mbox", tests);
}
