/*
 * mda/maildir.c, as whoever runs the test, in a temporary place.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "lib/mailbox.h"
#include "mda/maildir.h"
#include "tests/unit/run.h"

static char dir[128];
static struct mail mail;
static struct maildir_place place;
static struct mail_result result;

static const char *
in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
set_content(const char *content, size_t len)
{
	mail.content_fd = memfd_create("content", 0);
	ck_assert_int_eq(write(mail.content_fd, content, len), (ssize_t)len);
	mail.size = len;
}

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/minimta-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	place = (struct maildir_place){ .base = dir, .maildir = "mail/box", .owner = geteuid(), .folder = "" };
	mail = (struct mail){ .hostname = "a/b:c,d.example", .sender = "s@x.example", .recipient = "r+t@example.org",
	    .head = "Received: by us\r\n\tfor you\r\n" };
	set_content("Subject: x\r\n\r\nbody\r\n", 20);
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

/* How many files there are; the path of the last one. */
static int
count_files(const char *name, char *path_r)
{
	DIR *d = opendir(in_dir(name));
	struct dirent *e;
	int n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.') {
			n++;
			snprintf(path_r, 1024, "%s/%s", in_dir(name), e->d_name);
		}
	if (d != NULL)
		closedir(d);
	return n;
}

/* What was delivered, as a string; it must be one file, and nothing left in tmp. */
static char *
delivered(size_t *len_r)
{
	static char path[1024];
	struct stat st;
	char *text;
	int fd;

	ck_assert_int_eq(count_files("mail/box/tmp", path), 0);
	ck_assert_int_eq(count_files("mail/box/new", path), 1);
	ck_assert_int_ge(fd = open(path, O_RDONLY), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	text = calloc(1, (size_t)st.st_size + 1);
	ck_assert_int_eq(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	if (len_r != NULL)
		*len_r = (size_t)st.st_size;
	return text;
}

static void
deliver(void)
{
	if (mail_check_loop(&mail, &result) == 0)
		maildir_deliver(&place, &mail, &result);
}

static void
assert_refused(enum job_outcome outcome, const char *enhanced, const char *words)
{
	char path[1024];

	deliver();
	ck_assert_int_eq(result.outcome, outcome);
	ck_assert_str_eq(result.enhanced, enhanced);
	ck_assert_msg(strstr(result.text, words) != NULL, "%s", result.text);
	ck_assert_int_eq(count_files("mail/box/tmp", path), 0);
	ck_assert_int_eq(count_files("mail/box/new", path), 0);
}

static void
assert_refused_with_mail(enum job_outcome outcome, const char *enhanced, const char *words)
{
	deliver();
	ck_assert_int_eq(result.outcome, outcome);
	ck_assert_str_eq(result.enhanced, enhanced);
	ck_assert_msg(strstr(result.text, words) != NULL, "%s", result.text);
}

START_TEST(test_deliver)
{
	char *text, size[32];
	struct stat st;
	size_t len;

	deliver();
	ck_assert_msg(result.outcome == JOB_DELIVERED, "%s", result.text);
	text = delivered(&len);
	ck_assert_str_eq(text, "Return-Path: <s@x.example>\nDelivered-To: r+t@example.org\nReceived: by us\n\tfor you\n"
	    "Subject: x\n\nbody\n");
	free(text);
	ck_assert_int_eq(stat(in_dir("mail/box/cur"), &st), 0);
	ck_assert_int_eq(stat(in_dir("mail"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_ptr_null(strchr(result.text + strlen("stored as new/"), '/'));
	ck_assert_ptr_null(strchr(result.text, ':'));
	/* Who adds up sizes reads them there. */
	snprintf(size, sizeof(size), ",S=%lld", (long long)len);
	ck_assert_str_eq(strstr(result.text, ",S="), size);
}
END_TEST

START_TEST(test_junk)
{
	char *text;

	mail.flags = ENVELOPE_JUNK;
	deliver();
	text = delivered(NULL);
	ck_assert_ptr_nonnull(strstr(text, "\nX-Spam-Flag: YES\nReceived: by us\n"));
	free(text);
}
END_TEST

START_TEST(test_folders)
{
	char path[1024], name[MAILBOX_FOLDER_MAX];
	struct stat st;

	place.folder = mailbox_folder(name, "lists.a-b_1");
	deliver();
	ck_assert_int_eq(count_files("mail/box/new", path), 1);
	place.make_folder = true;
	deliver();
	ck_assert_int_eq(count_files("mail/box/.lists.a-b_1/new", path), 1);
	ck_assert_int_eq(stat(in_dir("mail/box/.lists.a-b_1/maildirfolder"), &st), 0);
	ck_assert_ptr_nonnull(strstr(result.text, "stored as .lists.a-b_1/new/"));
	/* Where it is, it is used, made or not. */
	place.make_folder = false;
	deliver();
	ck_assert_int_eq(count_files("mail/box/.lists.a-b_1/new", path), 2);
	ck_assert_int_eq(symlink("/tmp", in_dir("mail/box/.link")), 0);
	place.folder = ".link";
	deliver();
	ck_assert_int_eq(result.outcome, JOB_DEFERRED);
	ck_assert_ptr_nonnull(strstr(result.text, "symbolic link"));
}
END_TEST

START_TEST(test_folder_names)
{
	static const char *const bad[] = { "", ".", "..", "a..b", ".a", "a.", "a/b", "../a", "a b", "\xc3\xa4", "a\tb", "a:b" };
	char name[MAILBOX_FOLDER_MAX], long_one[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(mailbox_folder(name, bad[i])[0] == '\0', "%s", bad[i]);
	memset(long_one, 'a', sizeof(long_one));
	long_one[MAILBOX_FOLDER_MAX - 1] = '\0';
	ck_assert_str_eq(mailbox_folder(name, long_one), "");
	long_one[MAILBOX_FOLDER_MAX - 2] = '\0';
	ck_assert_uint_eq(strlen(mailbox_folder(name, long_one)), MAILBOX_FOLDER_MAX - 1);
	ck_assert_str_eq(mailbox_folder(name, "Lists.abc"), ".Lists.abc");
}
END_TEST

/* All folders together; by what a name says, or else by the file. */
START_TEST(test_mailbox_size)
{
	FILE *f;

	place.folder = ".other";
	place.make_folder = true;
	deliver();
	place.folder = "";
	ck_assert_ptr_nonnull(f = fopen(in_dir("mail/box/.other/cur/1.x:2,S"), "w"));
	fprintf(f, "%892s", "");
	fclose(f);
	mail.mailbox_size = 1000 + mail.size;
	deliver();
	ck_assert_int_eq(result.outcome, JOB_DELIVERED);
	assert_refused_with_mail(JOB_DEFERRED, "4.2.2", "it may hold 1020 bytes");
	ck_assert_ptr_nonnull(f = fopen(in_dir("mail/box/.other/cur/2.x,S=5000:2,S"), "w"));
	fclose(f);
	mail.mailbox_size = 5000;
	assert_refused_with_mail(JOB_DEFERRED, "4.2.2", "mailbox full");
	mail.mailbox_size = 1;
	assert_refused_with_mail(JOB_DEFERRED, "4.2.2", "mailbox full");
}
END_TEST

/* Two deliveries at once do not both find the last place. */
START_TEST(test_mailbox_size_is_locked)
{
	char path[1024];
	int fd;

	deliver();
	ck_assert_int_ge(fd = open(in_dir("mail/box"), O_RDONLY | O_DIRECTORY), 0);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	deliver();
	ck_assert_int_eq(result.outcome, JOB_DELIVERED);	/* without a size nobody counts */
	mail.mailbox_size = 100000;
	place.folder = ".other";
	place.make_folder = true;
	deliver();
	ck_assert(result.outcome == JOB_DEFERRED && result.busy);
	ck_assert_str_eq(result.enhanced, "4.2.0");
	close(fd);
	deliver();
	ck_assert(result.outcome == JOB_DELIVERED && !result.busy);
	ck_assert_int_eq(count_files("mail/box/new", path), 2);
	ck_assert_int_eq(count_files("mail/box/.other/new", path), 1);
}
END_TEST

START_TEST(test_every_delivery_is_a_file)
{
	char path[1024];

	for (int i = 0; i < 20; i++)
		deliver();
	ck_assert_int_eq(count_files("mail/box/new", path), 20);
}
END_TEST

/* Larger than every buffer, with CRLF across their edges; a lone CR, which cannot come, would stay. */
START_TEST(test_large)
{
	size_t len = 300001, at = 0, got;
	char *content = malloc(len + 1), *text, *body;

	for (; at + 3 < len; at += 3)
		memcpy(content + at, "x\r\n", 3);
	memset(content + at, '\r', len - at);
	close(mail.content_fd);
	set_content(content, len);
	deliver();
	ck_assert_int_eq(result.outcome, JOB_DELIVERED);
	text = delivered(&got);
	body = strstr(text, "x\n");
	ck_assert_uint_eq(got - (size_t)(body - text), at / 3 * 2 + (len - at));
	ck_assert_ptr_eq(strchr(body, '\r'), body + at / 3 * 2);
	free(text);
	free(content);
}
END_TEST

START_TEST(test_loop)
{
	static const char again[] = "Delivered-To: other@example.org\r\nDELIVERED-TO :\r\n R+t@EXAMPLE.org \r\n\r\n";
	static const char body[] = "Delivered-To: other@example.org\r\n\r\nDelivered-To: r+t@example.org\r\n";

	close(mail.content_fd);
	set_content(again, sizeof(again) - 1);
	assert_refused(JOB_FAILED, "5.4.6", "mail loop");
	close(mail.content_fd);
	set_content(body, sizeof(body) - 1);
	deliver();
	ck_assert_int_eq(result.outcome, JOB_DELIVERED);
}
END_TEST

START_TEST(test_links)
{
	static const char *const links[] = { "mail", "mail/box", "mail/box/tmp", "mail/box/new", "mail/box/cur" };
	char path[512];

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		mkdir(in_dir("mail"), 0700);
		mkdir(in_dir("mail/box"), 0700);
		nftw(in_dir(links[i]), remove_one, 8, FTW_DEPTH | FTW_PHYS);
		snprintf(path, sizeof(path), "%s", in_dir(links[i]));
		ck_assert_int_eq(symlink("/tmp", path), 0);
		deliver();
		ck_assert_int_eq(result.outcome, JOB_DEFERRED);
		ck_assert_msg(strstr(result.text, "symbolic link") != NULL, "%s: %s", links[i], result.text);
		ck_assert_int_eq(unlink(path), 0);
	}
}
END_TEST

START_TEST(test_strange_places)
{
	FILE *f;

	place.maildir = "../x";
	assert_refused(JOB_DEFERRED, "4.3.5", "no name for a Maildir");
	place.maildir = "mail/box";
	place.base = "/nonexistent";
	assert_refused(JOB_DEFERRED, "4.3.0", "/nonexistent");
	place.base = dir;
	place.owner = geteuid() + 1;
	assert_refused(JOB_DEFERRED, "4.3.5", "is owned by uid");
	place.owner = geteuid();
	ck_assert_int_eq(nftw(in_dir("mail"), remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	ck_assert_ptr_nonnull(f = fopen(in_dir("mail"), "w"));
	fclose(f);
	assert_refused(JOB_DEFERRED, "4.3.5", "no directory");
}
END_TEST

/* A write that stops half way leaves nothing, in tmp or new. */
START_TEST(test_full)
{
	struct rlimit small = { 4096, 4096 };
	char content[20000];

	signal(SIGXFSZ, SIG_IGN);
	memset(content, 'x', sizeof(content));
	close(mail.content_fd);
	set_content(content, sizeof(content));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_refused(JOB_DEFERRED, "4.2.2", "mailbox full");
}
END_TEST

START_TEST(test_short_content)
{
	mail.size += 10;
	assert_refused(JOB_DEFERRED, "4.3.0", "could not be read");
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("maildir");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, test_deliver);
	tcase_add_test(tests, test_every_delivery_is_a_file);
	tcase_add_test(tests, test_large);
	tcase_add_test(tests, test_junk);
	tcase_add_test(tests, test_folders);
	tcase_add_test(tests, test_folder_names);
	tcase_add_test(tests, test_mailbox_size);
	tcase_add_test(tests, test_mailbox_size_is_locked);
	tcase_add_test(tests, test_loop);
	tcase_add_test(tests, test_links);
	tcase_add_test(tests, test_strange_places);
	tcase_add_test(tests, test_full);
	tcase_add_test(tests, test_short_content);
	return run_case("maildir", tests);
}
