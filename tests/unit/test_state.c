/*
 * What lookup keeps on disk: it survives an end in order and a kill; and whatever else lies in its folder, a start ends well, says
 * once what was wrong, and answers. ATTACKS 71
 */
#include <check.h>
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/greylist_key.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "lookup/state.h"
#include "tests/unit/run.h"

#define DAY_MS	(INT64_C(86400) * 1000)

/* What the library had when it gave up over a broken file cannot be freed. */
const char	*__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libgdbm";
}

static struct event_base *base;
static struct conf *conf;
static struct state *state;
static char folder[64], memory_folder[80];
static char said[16384];
static bool stopped;
static int64_t shift_ms;

static void
on_line(void *arg, enum log_level level, const char *line)
{
	size_t len = strlen(said);

	(void)arg;
	(void)level;
	snprintf(said + len, sizeof(said) - len, "%s\n", line);
}

static bool
has_said(const char *what)
{
	return strstr(said, what) != NULL;
}

static char *
path_of(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", memory_folder, name);
	return path;
}

static void
setup(void)
{
	char text[200], err[200];

	snprintf(folder, sizeof(folder), "/tmp/minimta-state-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(memory_folder, sizeof(memory_folder), "%s/memory", folder);
	snprintf(text, sizeof(text), "hostname = mx.demo.example\nstate = %s\n", folder);
	ck_assert_ptr_nonnull(conf = conf_parse_text(text, strlen(text), "f", err, sizeof(err)));
	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	clock_shift(shift_ms = 0);
	log_set_level(LOG_LEVEL_INFO);
	log_set_sink(on_line, NULL);
	said[0] = '\0';
}

static void
teardown(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	log_set_sink(NULL, NULL);
	clock_shift(0);
	clock_init(NULL);
	event_base_free(base);
	conf_free(conf);
}

static void
on_stopped(void *arg)
{
	(void)arg;
	stopped = true;
}

static void
start(void)
{
	said[0] = '\0';
	state = state_new(base, conf);
	state_start(state);
}

static void
stop(void)
{
	stopped = false;
	state_stop(state, on_stopped, NULL);
	while (!stopped)
		event_base_loop(base, EVLOOP_ONCE);
	state_free(state);
}

static void
shift(int64_t ms)
{
	clock_shift(shift_ms += ms);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static struct memory_answer got;
static bool answered;

static void
on_answer(void *arg, uint64_t id, const struct memory_answer *a)
{
	ck_assert_ptr_eq(arg, &got);
	ck_assert_uint_eq(id, 7);
	got = *a;
	answered = true;
}

static enum memory_grey
ask(const char *network, bool peek)
{
	char other[MEMORY_OTHER_MAX];
	struct memory_question q = { .op = MEMORY_GREYLIST, .key = network, .wait_s = 300, .window_s = 86400, .keep_s = 36 * 86400,
	    .passes = 5, .peek = peek };

	q.other = greylist_key_other(other, "s@far.example", "", "alice@demo.example");
	answered = false;
	state_ask(state, &q, 7, on_answer, &got);
	while (!answered)
		event_base_loop(base, EVLOOP_ONCE);
	return got.grey;
}

static void
wait_for(const char *what)
{
	struct timeval soon = { 0, 10000 };
	char status[600];

	for (;;) {
		state_status(state, status, sizeof(status));
		if (strstr(status, what) != NULL)
			return;
		event_base_loopexit(base, &soon);
		event_base_loop(base, 0);
	}
}

/* Until all that was told is written. */
static void
settle(void)
{
	struct timeval soon = { 0, 2000 };
	char status[600];

	do {
		shift(20);		/* a step of a copy; what is told is gathered for five */
		event_base_loopexit(base, &soon);
		event_base_loop(base, 0);
		state_status(state, status, sizeof(status));
	} while (strstr(status, "memory=kept") == NULL || strstr(status, "backlog=0 ") == NULL);
}

static unsigned
count_files(const char *prefix)
{
	DIR *d = opendir(memory_folder);
	struct dirent *e;
	unsigned n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	if (d != NULL)
		closedir(d);
	return n;
}

/* A folder that was left in order, with n triplets that wait. */
static void
prepare(unsigned n)
{
	char network[40];

	start();
	for (unsigned i = 0; i < n; i++) {
		snprintf(network, sizeof(network), "net %u", i);
		ck_assert_int_eq(ask(network, false), MEMORY_GREY_NEW);
	}
	stop();
}

START_TEST(kept_over_a_restart)
{
	char value[STATE_VALUE_MAX];

	start();
	ck_assert_int_eq(ask("192.0.2.0/24", false), MEMORY_GREY_NEW);
	state_put(state, "callback", "Someone@far.example", "good", clock_wall() + 1000);
	state_put(state, "callback", "short@far.example", "bad", clock_wall() + 10);
	stop();
	ck_assert_uint_eq(count_files("in-use"), 0);
	ck_assert_uint_eq(count_files("waiting.1"), 1);
	shift(300 * 1000);
	start();
	ck_assert_int_eq(ask("192.0.2.0/24", false), MEMORY_GREY_PASSED);
	ck_assert(state_get(state, "callback", "someone@FAR.example", value));
	ck_assert_str_eq(value, "good");
	ck_assert(!state_get(state, "callback", "short@far.example", value));
	ck_assert(!state_get(state, "other", "someone@far.example", value));
	ck_assert(!has_said("anew"));
	stop();
	ck_assert_uint_eq(count_files("waiting.1"), 1);
	start();
	ck_assert_int_eq(ask("192.0.2.0/24", false), MEMORY_GREY_PASSED);
	stop();
}
END_TEST

START_TEST(kept_over_a_kill)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		start();
		for (unsigned i = 0; i < 500; i++) {
			char network[40];

			snprintf(network, sizeof(network), "net %u", i);
			ask(network, false);
		}
		settle();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(count_files("in-use"), 1);
	for (int round = 0; round < 2; round++) {
		start();
		ck_assert_int_eq(ask("net 0", true), MEMORY_GREY_EARLY);
		ck_assert_int_eq(ask("net 499", true), MEMORY_GREY_EARLY);
		ck_assert(has_said("anew") == (round == 0));
		settle();
		stop();
		ck_assert_uint_eq(count_files("waiting."), 1);
	}
}
END_TEST

/* What was left in disorder is so until it has been written anew, however often it is only begun. */
START_TEST(ends_before_all_is_written)
{
	prepare(2000);
	close(open(path_of("in-use"), O_WRONLY | O_CREAT, 0600));
	for (int round = 0; round < 3; round++) {
		start();
		if (round == 1)
			ck_assert_int_eq(ask("net 0", true), MEMORY_GREY_EARLY);
		stop();
		ck_assert_uint_eq(count_files("in-use"), 1);
	}
	start();
	settle();
	ck_assert_int_eq(ask("net 1999", true), MEMORY_GREY_EARLY);
	stop();
	ck_assert_uint_eq(count_files("in-use"), 0);
	ck_assert_uint_eq(count_files("waiting."), 1);
}
END_TEST

START_TEST(generations_turn_and_go)
{
	prepare(100);
	for (int day = 0; day < 5; day++) {
		shift(DAY_MS);
		start();
		ck_assert_int_eq(ask("today", false), MEMORY_GREY_NEW);
		ck_assert_int_eq(ask("net 5", true), MEMORY_GREY_NEW);
		settle();
		stop();
		ck_assert_uint_le(count_files("waiting."), 2);
	}
	shift(3 * DAY_MS);
	start();
	ask("today", true);
	settle();
	stop();
	ck_assert_uint_eq(count_files("waiting."), 0);
}
END_TEST

/* ---- what else may lie there ---- */

static char *
read_file(const char *name, size_t *len_r)
{
	char *bytes = malloc(1 << 20);
	int fd = open(path_of(name), O_RDONLY);
	ssize_t n = read(fd, bytes, 1 << 20);

	ck_assert(fd >= 0 && n > 0);
	close(fd);
	*len_r = (size_t)n;
	return bytes;
}

static void
write_file(const char *name, const void *bytes, size_t len)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

/* It starts, answers, keeps what is new, and ends. */
static void
must_work(void)
{
	start();
	ck_assert_int_eq(ask("new", true), MEMORY_GREY_NEW);
	settle();
	ck_assert_int_eq(ask("new", false), MEMORY_GREY_NEW);
	stop();
	start();
	ck_assert_int_eq(ask("new", true), MEMORY_GREY_EARLY);
	settle();
	stop();
}

static void
clear(void)
{
	DIR *d = opendir(memory_folder);
	struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

START_TEST(flipped_bits)
{
	size_t len;
	char *bytes;

	prepare(400);
	bytes = read_file("waiting.1", &len);
	for (unsigned i = 0; i < 150; i++) {
		/* Its first block, where gdbm keeps what it goes by, and the rest in steps. */
		size_t at = i < 75 ? i * 7 % 512 : (size_t)i * 7919 % len;

		clear();
		bytes[at] ^= (char)(1 << i % 8);
		write_file("waiting.1", bytes, len);
		must_work();
		bytes[at] ^= (char)(1 << i % 8);
	}
	free(bytes);
}
END_TEST

START_TEST(cut_off)
{
	size_t len;
	char *bytes;

	prepare(400);
	bytes = read_file("waiting.1", &len);
	for (size_t part = 0; part <= 20; part++) {
		clear();
		write_file("waiting.1", bytes, len * part / 20 - (part == 20));
		must_work();
	}
	free(bytes);
}
END_TEST

START_TEST(broken_records_are_told_and_the_others_kept)
{
	size_t len;
	char *bytes, *found;

	prepare(50);
	bytes = read_file("waiting.1", &len);
	found = memmem(bytes, len, "minimta-state 1", 15);
	ck_assert_ptr_nonnull(found);
	memset(found + 400, 0x5a, 8);
	write_file("waiting.1", bytes, len);
	free(bytes);
	start();
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	settle();
	ck_assert(has_said("event=memory-set-aside"));
	stop();
	ck_assert_uint_eq(count_files("waiting.broken"), 1);
	start();
	ask("net 1", true);
	ck_assert(!has_said("event=memory-set-aside"));		/* once */
	stop();
}
END_TEST

START_TEST(newer_format_is_refused_by_name)
{
	size_t len;
	char *bytes, *found;

	prepare(5);
	bytes = read_file("waiting.1", &len);
	found = memmem(bytes, len, "minimta-state 1", 15);
	found[14] = '2';
	write_file("waiting.1", bytes, len);
	free(bytes);
	must_work();
	ck_assert_uint_eq(count_files("waiting.broken"), 1);
}
END_TEST

START_TEST(other_things_in_the_folder)
{
	prepare(5);
	write_file("waiting.7", "", 0);
	write_file("passed.3", "this is no database", 19);
	write_file("waiting.x", "x", 1);
	write_file("waiting.99999999999999999999", "x", 1);
	write_file("nobody.1", "x", 1);
	ck_assert_int_eq(mkdir(path_of("clients.4"), 0700), 0);
	ck_assert_int_eq(symlink("/etc/passwd", path_of("people.2")), 0);
	must_work();
	ck_assert_int_eq(access("/etc/passwd", R_OK), 0);
}
END_TEST

/* The process died twice while it read this file: it is not read a third time. */
START_TEST(file_that_kills_is_set_aside)
{
	prepare(5);
	write_file("reading", "waiting.1 1\n", 12);
	start();
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	stop();
	write_file("reading", "waiting.1 2\n", 12);
	start();
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_NEW);
	ck_assert(has_said("has ended the process or its thread before"));
	settle();
	stop();
	ck_assert_uint_eq(count_files("waiting.broken"), 1);
}
END_TEST

START_TEST(no_folder)
{
	char value[STATE_VALUE_MAX], status[600];
	int fd = open(memory_folder, O_WRONLY | O_CREAT, 0600);

	close(fd);
	start();
	ck_assert(has_said("event=memory-not-kept"));
	ck_assert_int_eq(ask("a", false), MEMORY_GREY_NEW);
	ck_assert_int_eq(ask("a", false), MEMORY_GREY_EARLY);
	state_put(state, "callback", "a", "b", clock_wall() + 10);
	ck_assert(state_get(state, "callback", "a", value));
	state_status(state, status, sizeof(status));
	ck_assert_ptr_nonnull(strstr(status, "memory=not-kept"));
	stop();
}
END_TEST

/* Files must not grow, as on a full disk: it is said once, answers go on, and all is written when there is room again. */
START_TEST(full_disk)
{
	struct rlimit all, none = { 0, 0 };

	getrlimit(RLIMIT_FSIZE, &all);
	none.rlim_max = all.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	prepare(10);
	start();
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_int_eq(ask("later", false), MEMORY_GREY_NEW);
	wait_for("memory=not-written");
	ck_assert(has_said("event=memory-not-written"));
	said[0] = '\0';
	for (int i = 2; i <= 4; i++) {
		char count[40];

		shift(61 * 1000);
		snprintf(count, sizeof(count), "memory_failures=%d", i);
		wait_for(count);
		ck_assert_int_eq(ask("later", true), MEMORY_GREY_EARLY);
	}
	ck_assert(!has_said("event=memory-not-written"));
	setrlimit(RLIMIT_FSIZE, &all);
	shift(61 * 1000);
	settle();
	ck_assert(has_said("event=memory-written"));
	stop();
	shift(61 * 1000);
	start();
	ck_assert_int_eq(ask("later", false), MEMORY_GREY_PASSED);
	ck_assert_int_eq(ask("net 1", false), MEMORY_GREY_PASSED);
	stop();
	ck_assert_uint_eq(count_files("waiting."), 1);
}
END_TEST

/* The thread stands still in a system call, as on a disk that hangs: answers go on, what is told is bounded, and all is written
 * when it goes on. */
START_TEST(thread_stands_still)
{
	char network[40];
	int fd;

	prepare(10);
	ck_assert_int_eq(mkfifo(path_of("in-use"), 0600), 0);
	start();
	for (unsigned i = 0; i < 210000; i++) {
		snprintf(network, sizeof(network), "still %u", i);
		ck_assert_int_eq(ask(network, false), MEMORY_GREY_NEW);
		if (i == 100)
			shift(200);
	}
	wait_for("memory=behind");
	ck_assert(has_said("event=memory-behind"));
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	fd = open(path_of("in-use"), O_RDONLY | O_NONBLOCK);
	wait_for("memory_backlog=0");
	shift(61 * 1000);
	settle();
	stop();
	close(fd);
	start();
	ck_assert_int_eq(ask("still 209999", true), MEMORY_GREY_EARLY);
	ck_assert_int_eq(ask("still 0", true), MEMORY_GREY_EARLY);
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	stop();
}
END_TEST

/* An end waits two seconds for a thread that stands still, and no longer. */
START_TEST(end_does_not_wait_for_ever)
{
	prepare(10);
	ck_assert_int_eq(mkfifo(path_of("in-use"), 0600), 0);
	start();
	ck_assert_int_eq(ask("new", false), MEMORY_GREY_NEW);
	stopped = false;
	state_stop(state, on_stopped, NULL);
	shift(1900);
	ck_assert(!stopped);
	shift(200);
	ck_assert(stopped);
	ck_assert(has_said("event=memory-not-written"));
	close(open(path_of("in-use"), O_RDONLY | O_NONBLOCK));
}
END_TEST

/* Another lookup still holds the folder: questions wait three seconds, then memory answers alone, and joins what it finds later. */
START_TEST(files_come_late)
{
	int fd;

	prepare(10);
	fd = open(path_of("lock"), O_RDWR);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	start();
	shift(3000);
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_NEW);
	ck_assert_int_eq(ask("meanwhile", false), MEMORY_GREY_NEW);
	ck_assert(has_said("event=memory-late"));
	close(fd);
	settle();
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	ck_assert_int_eq(ask("meanwhile", true), MEMORY_GREY_EARLY);
	stop();
	start();
	ck_assert_int_eq(ask("net 1", true), MEMORY_GREY_EARLY);
	ck_assert_int_eq(ask("meanwhile", true), MEMORY_GREY_EARLY);
	stop();
}
END_TEST

START_TEST(many)
{
	prepare(30000);
	start();
	ck_assert_int_eq(ask("net 29999", true), MEMORY_GREY_EARLY);
	ck_assert(has_said("entries=30000"));
	stop();
}
END_TEST

/* ---- commands ---- */

static void
command(const char *line, bool privileged, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	state_command(state, line, privileged, f);
	fclose(f);
	ck_assert_msg(strstr(text, expected) != NULL, "%s: %s", line, text);
	free(text);
}

START_TEST(commands)
{
	start();
	ask("192.0.2.0/24", false);
	command("memory\tgreylist\t192.0.2.0/24\ts@far.example\t\talice@demo.example", true, "ok\nearly 300 0\n");
	command("memory\tgreylist\t192.0.2.0/24\ts@far.example\t\tbob@demo.example", true, "ok\nnew 300 0\n");
	command("memory\tshow\t192.0.2.9", true, "client 192.0.2.9 good=0 bad=0 known=no");
	command("memory\tshow\t192.0.2.9", false, "denied: ");
	command("memory\tforget\t192.0.2.9", true, "error: nothing is remembered");
	state_ask(state, &(struct memory_question){ .op = MEMORY_NOTE, .key = "192.0.2.9", .other = "", .note = MEMORY_GOOD }, 0,
	    NULL, NULL);
	command("memory\tshow\t192.0.2.9", true, "client 192.0.2.9 good=1 bad=0 known=yes");
	command("memory\tforget\t192.0.2.9", true, "ok\nforgot 1 of 192.0.2.9");
	command("memory\tshow\t192.0.2.9", true, "known=no");
	command("memory", true, "error: expected");
	command("memory\tshow", true, "error: expected");
	command("memory\tshow\ta\tb\tc\td\te\tf\tg", true, "error: expected");
	stop();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("state");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, kept_over_a_restart);
	tcase_add_test(t, kept_over_a_kill);
	tcase_add_test(t, ends_before_all_is_written);
	tcase_add_test(t, generations_turn_and_go);
	tcase_add_test(t, flipped_bits);
	tcase_add_test(t, cut_off);
	tcase_add_test(t, broken_records_are_told_and_the_others_kept);
	tcase_add_test(t, newer_format_is_refused_by_name);
	tcase_add_test(t, other_things_in_the_folder);
	tcase_add_test(t, file_that_kills_is_set_aside);
	tcase_add_test(t, no_folder);
	tcase_add_test(t, full_disk);
	tcase_add_test(t, thread_stands_still);
	tcase_add_test(t, end_does_not_wait_for_ever);
	tcase_add_test(t, files_come_late);
	tcase_add_test(t, many);
	tcase_add_test(t, commands);
	return run_case("state", t);
}
