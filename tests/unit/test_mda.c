/*
 * The process mda, with a queue that is right, hurried, or wrong. As root its children become "daemon", who stands for
 * the owner of virtual mailboxes.
 */
#include <dirent.h>
#include <pwd.h>

#include "lib/job.h"
#include "tests/unit/fake_master.h"
#include "tests/unit/run.h"

static struct fake f;

static const char *
in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	return path;
}

static uid_t
owner(void)
{
	return geteuid() == 0 ? getpwnam("daemon")->pw_uid : geteuid();
}

static void
make_mailbox(const char *name)
{
	ck_assert_int_eq(mkdir(in_dir(name), 0700), 0);
	ck_assert_int_eq(chown(in_dir(name), owner(), (gid_t)-1), 0);
}

static void
start(void)
{
	char conf[1024];

	fake_folder(&f);
	mkdir(in_dir("virtual"), 0755);
	mkdir(in_dir("virtual/example.org"), 0755);
	make_mailbox("virtual/example.org/anna");
	snprintf(conf, sizeof(conf), "hostname = mail.example.org\ndomains = example.org\naliases = \"\"\n"
	    "virtual_directory = %s/virtual\nvirtual_user = daemon\nstate = %s\n", f.dir, f.dir);
	fake_start(&f, PROC_MDA, PROC_QUEUE, conf, NULL);
}

static uint32_t flags;		/* of the next job; enum envelope_flags */

static void
begin(uint64_t id, uint64_t size)
{
	struct job_begin b = { .message = (char[]){ "M1" }, .hop = (char[]){ "local" }, .sender = (char[]){ "s@x.example" },
	    .head = (char[]){ "Received: us\r\n" }, .size = size, .flags = flags };
	struct pack p;

	pack_init(&p);
	job_pack_begin(&p, &b);
	ipc_send_pack(f.peer, MSG_JOB_BEGIN, id, &p, -1);
	pack_free(&p);
}

static void
rcpt(uint64_t id, uint32_t index, const char *address)
{
	struct envelope_rcpt r = { .address = (char *)address, .local = true };
	struct pack p;

	pack_init(&p);
	pack_u32(&p, index);
	envelope_pack_rcpt(&p, &r);
	ipc_send_pack(f.peer, MSG_JOB_RCPT, id, &p, -1);
	pack_free(&p);
}

static void
data(uint64_t id, const char *text, size_t len)
{
	ipc_send(f.peer, MSG_JOB_DATA, id, text, len, -1);
}

static void
assert_result(uint64_t id, enum job_outcome outcome, const char *enhanced)
{
	const struct fake_said *s = fake_wait(&f, MSG_JOB_RESULT, id);
	struct job_result r;
	struct unpack u;

	unpack_init(&u, s->data, s->len);
	ck_assert_int_eq(job_unpack_result(&u, &r), 0);
	ck_assert_msg(r.outcome == outcome && strcmp(r.enhanced, enhanced) == 0, "%d %s %s", r.outcome, r.enhanced, r.text);
	job_free_result(&r);
}

/* Files in a Maildir's new/, and the size of the last one. */
static unsigned
count_new(const char *name, size_t *size_r)
{
	char path[1024];
	struct dirent *e;
	unsigned n = 0;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "%s/new", in_dir(name));
	if ((d = opendir(path)) == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		ck_assert_int_eq(fstatat(dirfd(d), e->d_name, &st, 0), 0);
		ck_assert_uint_eq(st.st_uid, owner());
		*size_r = (size_t)st.st_size;
	}
	closedir(d);
	return n;
}

static void
send_small(uint64_t id, const char *to)
{
	begin(id, 17);
	rcpt(id, 5, to);
	data(id, "Subject: x\r\n\r\nb\r\n", 17);
	ipc_send(f.peer, MSG_JOB_START, id, NULL, 0, -1);
}

START_TEST(test_each_recipient_has_a_result)
{
	size_t size = 0;

	start();
	begin(7, 17);
	rcpt(7, 0, "anna@example.org");
	rcpt(7, 1, "nosuch@example.org");
	rcpt(7, 2, "anna+tag@example.org");
	rcpt(7, 3, "anna@elsewhere.example");
	data(7, "Subject: ", 9);
	data(7, "x\r\n\r\nb\r\n", 8);
	ipc_send(f.peer, MSG_JOB_START, 7, NULL, 0, -1);
	assert_result(7, JOB_FAILED, "5.1.1");
	assert_result(7, JOB_FAILED, "5.1.2");
	assert_result(7, JOB_DELIVERED, "2.0.0");
	assert_result(7, JOB_DELIVERED, "2.0.0");
	fake_wait(&f, MSG_JOB_DONE, 7);
	ck_assert_uint_eq(count_new("virtual/example.org/anna", &size), 2);
	fake_stop(&f);
}
END_TEST

START_TEST(test_junk)
{
	size_t size = 0;

	start();
	flags = ENVELOPE_JUNK;
	send_small(7, "anna@example.org");
	flags = 0;
	assert_result(7, JOB_DELIVERED, "2.0.0");
	ck_assert_uint_eq(count_new("virtual/example.org/anna/.Junk", &size), 1);
	ck_assert_uint_eq(count_new("virtual/example.org/anna", &size), 0);
	fake_stop(&f);
}
END_TEST

static void
rcpt_part(uint64_t id, uint32_t index, const char *address, enum envelope_part part)
{
	struct envelope_rcpt r = { .address = (char *)(uintptr_t)address, .local = true, .final = true, .part = (uint8_t)part, .part_id = 7 };
	struct pack p;

	pack_init(&p);
	pack_u32(&p, index);
	envelope_pack_rcpt(&p, &r);
	ipc_send_pack(f.peer, MSG_JOB_RCPT, id, &p, -1);
	pack_free(&p);
}

/* A command or a file is what root's aliases and users' own files say, whatever queue asks for. */
START_TEST(test_parts_that_are_none)
{
	size_t size = 0;

	start();
	begin(7, 17);
	rcpt_part(7, 1, "anna@example.org", ENVELOPE_ALIAS_COMMAND);
	rcpt_part(7, 2, "anna@example.org", ENVELOPE_ALIAS_FILE);
	rcpt_part(7, 3, "anna@example.org", ENVELOPE_FORWARD_FILE);
	rcpt_part(7, 4, "anna@example.org", ENVELOPE_FORWARD_COMMAND);
	data(7, "Subject: x\r\n\r\nb\r\n", 17);
	ipc_send(f.peer, MSG_JOB_START, 7, NULL, 0, -1);
	for (int i = 0; i < 4; i++)
		assert_result(7, JOB_FAILED, "5.3.0");
	fake_wait(&f, MSG_JOB_DONE, 7);
	ck_assert_uint_eq(count_new("virtual/example.org/anna", &size), 0);
	fake_stop(&f);
}
END_TEST

START_TEST(test_root_has_a_maildir)
{
	struct stat st;

	start();
	send_small(7, "root@example.org");
	assert_result(7, JOB_DELIVERED, "2.0.0");
	ck_assert_int_eq(stat(in_dir("root/Maildir/new"), &st), 0);
	ck_assert_uint_eq(st.st_uid, geteuid());
	ck_assert_int_eq(stat(in_dir("root"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	fake_stop(&f);
}
END_TEST

/* A large message comes as it is asked for, and never faster. */
START_TEST(test_large)
{
	size_t size = 3000001, sent = 0, wanted = 0, got = 0, n;
	char *text = malloc(size);
	const struct fake_said *s;
	struct unpack u;

	memset(text, 'x', size);
	start();
	begin(9, size);
	rcpt(9, 0, "anna@example.org");
	ipc_send(f.peer, MSG_JOB_START, 9, NULL, 0, -1);
	while (sent < size) {
		s = fake_wait(&f, MSG_JOB_PULL, 9);
		unpack_init(&u, s->data, s->len);
		wanted += unpack_u32(&u);
		ck_assert_uint_le(wanted, size);
		ck_assert_uint_le(wanted - sent, 512 * 1024);
		for (; sent < wanted; sent += n) {
			n = wanted - sent < 50000 ? wanted - sent : 50000;
			data(9, text + sent, n);
		}
	}
	assert_result(9, JOB_DELIVERED, "2.0.0");
	fake_wait(&f, MSG_JOB_DONE, 9);
	ck_assert_uint_eq(count_new("virtual/example.org/anna", &got), 1);
	ck_assert_uint_gt(got, size);
	free(text);
	fake_stop(&f);
}
END_TEST

/* More recipients than children at once. */
START_TEST(test_many)
{
	char address[64];
	size_t size = 0;

	start();
	begin(3, 17);
	for (uint32_t i = 0; i < 60; i++) {
		snprintf(address, sizeof(address), "anna+%u@example.org", i);
		rcpt(3, i, address);
	}
	data(3, "Subject: x\r\n\r\nb\r\n", 17);
	ipc_send(f.peer, MSG_JOB_START, 3, NULL, 0, -1);
	for (int i = 0; i < 60; i++)
		assert_result(3, JOB_DELIVERED, "2.0.0");
	fake_wait(&f, MSG_JOB_DONE, 3);
	ck_assert_uint_eq(count_new("virtual/example.org/anna", &size), 60);
	fake_stop(&f);
}
END_TEST

START_TEST(test_links_are_refused)
{
	char target[512];

	start();
	mkdir(in_dir("elsewhere"), 0777);
	snprintf(target, sizeof(target), "%s", in_dir("elsewhere"));
	ck_assert_int_eq(symlink(target, in_dir("virtual/example.org/anna/new")), 0);
	send_small(7, "anna@example.org");
	assert_result(7, JOB_DEFERRED, "4.3.5");
	fake_stop(&f);
}
END_TEST

START_TEST(test_cancel)
{
	start();
	begin(1, 100);
	rcpt(1, 0, "anna@example.org");
	data(1, "half", 4);
	ipc_send(f.peer, MSG_JOB_CANCEL, 1, NULL, 0, -1);
	fake_wait(&f, MSG_JOB_DONE, 1);
	ck_assert_uint_eq(fake_count(&f, MSG_JOB_RESULT, 1), 0);
	begin(2, 100);
	ipc_send(f.peer, MSG_JOB_CANCEL, 2, NULL, 0, -1);
	fake_wait(&f, MSG_JOB_DONE, 2);
	data(2, "late", 4);
	ipc_send(f.peer, MSG_JOB_CANCEL, 2, NULL, 0, -1);
	send_small(3, "anna@example.org");
	assert_result(3, JOB_DELIVERED, "2.0.0");
	fake_stop(&f);
}
END_TEST

/* What no queue says: each ends that queue, half a message is never delivered, and the next queue is served. */
START_TEST(test_bad_queue)
{
	size_t size = 0;

	start();
	for (int i = 0; i < 8; i++) {
		begin(1, 10);
		rcpt(1, 0, "anna@example.org");
		switch (i) {
		case 0: data(1, "more than ten bytes", 19); break;
		case 1: begin(1, 10); break;
		case 2: ipc_send(f.peer, MSG_JOB_BEGIN, 2, "0123456789abcdef", 16, -1); break;
		case 3: rcpt(2, 0, "anna@example.org"); break;
		case 4: rcpt(1, 1, "a\nb@example.org"); break;
		case 5: begin(2, 0); ipc_send(f.peer, MSG_JOB_START, 2, NULL, 0, -1); break;
		case 6: begin(2, UINT64_MAX); break;
		case 7: data(1, "half", 4); ipc_send(f.peer, MSG_JOB_START, 1, NULL, 0, -1);
			ipc_send(f.peer, MSG_JOB_START, 1, NULL, 0, -1); break;
		}
		fake_wait_down(&f);
		fake_wait(&f, MSG_BAD_PEER, 0);
		fake_peer(&f, PROC_QUEUE);
	}
	ck_assert_uint_eq(count_new("virtual/example.org/anna", &size), 0);
	send_small(1, "anna@example.org");
	assert_result(1, JOB_DELIVERED, "2.0.0");
	fake_stop(&f);
}
END_TEST

START_TEST(test_stop_gives_back)
{
	start();
	begin(1, 1 << 20);
	rcpt(1, 0, "anna@example.org");
	ipc_send(f.peer, MSG_JOB_START, 1, NULL, 0, -1);
	fake_wait(&f, MSG_JOB_PULL, 1);
	fake_stop(&f);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("mda");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_each_recipient_has_a_result);
	tcase_add_test(tests, test_junk);
	tcase_add_test(tests, test_parts_that_are_none);
	tcase_add_test(tests, test_root_has_a_maildir);
	tcase_add_test(tests, test_large);
	tcase_add_test(tests, test_many);
	tcase_add_test(tests, test_links_are_refused);
	tcase_add_test(tests, test_cancel);
	tcase_add_test(tests, test_bad_queue);
	tcase_add_test(tests, test_stop_gives_back);
	return run_case("mda", tests);
}
