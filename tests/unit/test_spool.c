/*
 * The queue's log through its face, with real threads and a real folder: what comes back after a start, content small and
 * large, a second master, a newer format, damage in the middle, no room. Random histories are test_spool_model.c's.
 */
#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "queue/log_private.h"
#include "tests/unit/run.h"

#define SEGMENT	(1U << 20)

static struct {
	struct event_base	*base;
	struct log		*log;
	char			 path[64];
	int			 dirfd;
	bool			 scanned;
	/* what a start told */
	uint64_t		 ids[100];
	uint32_t		 open[100];
	unsigned		 n, troubles;
	char			 trouble[2000];
	/* the last callback */
	bool			 done;
	char			 error[200];
	char			 text[4096], past[4200];
	uint8_t			*content;
	size_t			 content_len;
} t;

static void
on_message(void *arg, const struct log_envelope *e)
{
	(void)arg;
	t.ids[t.n] = e->message.id;
	t.open[t.n++] = e->message.n_open;
}

static void
on_scanned(void *arg, uint64_t messages)
{
	(void)arg;
	for (unsigned i = 1; i < t.n; i++)		/* threads read them: in no order */
		for (unsigned j = i; j > 0 && t.ids[j] < t.ids[j - 1]; j--) {
			uint64_t id = t.ids[j];
			uint32_t open = t.open[j];

			t.ids[j] = t.ids[j - 1];
			t.open[j] = t.open[j - 1];
			t.ids[j - 1] = id;
			t.open[j - 1] = open;
		}
	ck_assert_uint_eq(messages, t.n);
	t.scanned = true;
}

static void
on_trouble(void *arg, const char *what)
{
	size_t n;

	(void)arg;
	t.troubles++;
	n = strlen(t.trouble);
	snprintf(t.trouble + n, sizeof(t.trouble) - n, "%s\n", what);
}

static struct log *
try_open(char *err, size_t size)
{
	static const struct log_events events = { on_message, on_scanned, on_trouble };
	struct log_options options = { .segment_size = SEGMENT };

	return log_open(t.base, t.dirfd, &options, &events, NULL, err, size);
}

static void
start(void)
{
	char err[200] = "";

	t.n = t.troubles = 0;
	t.trouble[0] = '\0';
	t.scanned = false;
	t.log = try_open(err, sizeof(err));
	ck_assert_msg(t.log != NULL, "%s", err);
	while (!t.scanned)
		event_base_loop(t.base, EVLOOP_ONCE);
}

static void
stop(void)
{
	log_close(t.log);
	t.log = NULL;
}

static void
setup(void)
{
	memset(&t, 0, sizeof(t));
	snprintf(t.path, sizeof(t.path), "/tmp/test_spool.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t.path));
	t.dirfd = open(t.path, O_RDONLY | O_DIRECTORY);
	t.base = event_base_new();
	clock_init(t.base);	/* goes on: the threads take what they take, and nothing here measures it */
	start();
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static void
teardown(void)
{
	log_close(t.log);
	clock_init(NULL);
	event_base_free(t.base);
	close(t.dirfd);
	free(t.content);
	nftw(t.path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
on_done(void *arg, const char *error)
{
	(void)arg;
	t.done = true;
	snprintf(t.error, sizeof(t.error), "%s", error ? error : "");
}

static void
wait_done(void)
{
	while (!t.done)
		event_base_loop(t.base, EVLOOP_ONCE);
	t.done = false;
}

/* An acceptance with n recipients r0, r1, … */
static uint64_t
accept_mail(const void *content, size_t len, uint32_t n, struct log_file *file, uint64_t id)
{
	static char names[200][16];
	struct envelope_sender sender = { .address = (char *)"s@x", .client = (char *)"", .session = (char *)"" };
	struct envelope_rcpt rcpts[200];
	struct log_accept a = { .id = id ? id : log_new_id(t.log), .arrived = 5, .sender = &sender, .rcpts = rcpts, .n_rcpts = n,
	    .head = "H: 1\r\n", .content = content, .content_len = len, .file = file };

	for (uint32_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "r%u@y", i);
		rcpts[i] = (struct envelope_rcpt){ .address = names[i] };
	}
	log_accept(t.log, &a, 0, on_done, NULL);
	ck_assert(!t.done);			/* never from inside */
	wait_done();
	return a.id;
}

static void
outcome(uint64_t id, uint32_t index, enum log_state state, uint32_t attempts, const char *text)
{
	struct log_outcome o = { .index = index, .state = state, .attempts = attempts, .next_try = 99, .text = text };

	log_outcomes(t.log, id, &o, 1, on_done, NULL);
	ck_assert(!t.done);
	wait_done();
}

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	size_t n = 0;

	on_done(arg, error);
	t.text[0] = '\0';
	snprintf(t.past, sizeof(t.past), "%s", e ? e->rcpts[0].past : "");
	for (uint32_t i = 0; e && i < e->message.n_rcpts && n < sizeof(t.text) - 400; i++)
		n += (size_t)snprintf(t.text + n, sizeof(t.text) - n, "%s %c%u %s;", e->rcpts[i].rcpt.address,
		    "ODFXRH"[e->rcpts[i].state], e->rcpts[i].attempts, e->rcpts[i].text);
}

static const char *
envelope(uint64_t id)
{
	log_read_envelope(t.log, id, on_envelope, NULL);
	wait_done();
	return t.error[0] != '\0' ? t.error : t.text;
}

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	on_done(arg, error);
	t.content = realloc(t.content, t.content_len + len + 1);
	if (len > 0)
		memcpy(t.content + t.content_len, data, len);
	t.content_len += len;
}

/* The whole content, piece by piece. */
static void
content(uint64_t id, size_t piece)
{
	size_t before;

	t.content_len = 0;
	do {
		before = t.content_len;
		log_read_content(t.log, id, t.content_len, piece, on_content, NULL);
		ck_assert(!t.done);
		wait_done();
	} while (t.error[0] == '\0' && t.content_len > before);
}

START_TEST(test_life)
{
	uint64_t id = accept_mail("hello\r\n", 7, 3, NULL, 0);
	struct log_message m;

	ck_assert_str_eq(t.error, "");
	ck_assert(log_find(t.log, id, &m));
	ck_assert_uint_eq(m.n_open, 3);
	outcome(id, 1, LOG_DELIVERED, 1, "ok");
	outcome(id, 2, LOG_OPEN, 4, "later");
	for (int turn = 0; turn < 2; turn++) {
		ck_assert_str_eq(envelope(id), "r0@y O0 ;r1@y D0 ok;r2@y O4 later;");
		content(id, 3);
		ck_assert_uint_eq(t.content_len, 7);
		ck_assert_mem_eq(t.content, "hello\r\n", 7);
		stop();
		start();
		ck_assert_uint_eq(t.n, 1);
		ck_assert_uint_eq(t.ids[0], id);
		ck_assert_uint_eq(t.open[0], 2);
	}
	ck_assert_uint_ne(log_new_id(t.log), id);
	outcome(id, 0, LOG_FAILED, 1, "no");
	outcome(id, 2, LOG_DELIVERED, 5, "ok");
	ck_assert(!log_find(t.log, id, &m));
	ck_assert_str_eq(envelope(id), "no such message");
	content(id, 10);
	ck_assert_str_eq(t.error, "no such message");
	outcome(id, 0, LOG_DELIVERED, 1, "");
	ck_assert_str_eq(t.error, "no such message");
	stop();
	start();
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

static void
admin(uint64_t id, uint32_t index, enum log_state to, const char *text)
{
	log_edit(t.log, id, &(struct log_outcome){ .index = index, .state = to, .text = text }, 1, NULL, 0, on_done, NULL);
	wait_done();
}

START_TEST(test_expand_admin)
{
	struct envelope_rcpt added[] = { { .address = (char *)"x@z", .local = true }, { .address = (char *)"y@z" } };
	uint64_t id = accept_mail("a", 1, 1, NULL, 0);

	log_expand(t.log, id, 0, added, 2, on_done, NULL);
	wait_done();
	ck_assert_str_eq(envelope(id), "r0@y X0 ;x@z O0 ;y@z O0 ;");
	admin(id, 1, LOG_HELD, "uid=0");
	admin(id, 2, LOG_HELD, "uid=0");
	stop();
	start();
	ck_assert_uint_eq(t.open[0], 2);
	ck_assert_str_eq(envelope(id), "r0@y X0 ;x@z H0 uid=0;y@z H0 uid=0;");
	admin(id, 1, LOG_OPEN, "go");
	admin(id, 2, LOG_REMOVED, "bye");
	ck_assert_str_eq(envelope(id), "r0@y X0 ;x@z O0 go;y@z R0 bye;");
	log_expand(t.log, id, 1, NULL, 0, on_done, NULL);	/* to nobody: that was the last one */
	wait_done();
	stop();
	start();
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

START_TEST(test_parent)
{
	struct envelope_sender sender = { .address = (char *)"" };
	struct envelope_rcpt rcpt = { .address = (char *)"s@x" };
	uint64_t parent = accept_mail("a", 1, 2, NULL, 0);
	struct log_outcome failed[] = { { .index = 0, .state = LOG_FAILED, .text = "code=550" },
	    { .index = 1, .state = LOG_OPEN, .attempts = 2, .next_try = 9, .text = "code=450", .at = 5, .marks = 1, .past = "then" } };
	struct log_accept a = { .id = log_new_id(t.log), .sender = &sender, .rcpts = &rcpt, .n_rcpts = 1, .content = "bounce",
	    .content_len = 6, .parent = parent, .outcomes = failed, .n_outcomes = 1 };
	struct log_message m;

	log_accept(t.log, &a, 0, on_done, NULL);
	wait_done();
	ck_assert_str_eq(envelope(parent), "r0@y F0 code=550;r1@y O0 ;");
	a.id = log_new_id(t.log);		/* a warning: its recipient stays */
	a.outcomes = failed + 1;
	log_accept(t.log, &a, 0, on_done, NULL);
	wait_done();
	ck_assert_str_eq(envelope(parent), "r0@y F0 code=550;r1@y O2 code=450;");
	stop();
	start();
	ck_assert_str_eq(envelope(parent), "r0@y F0 code=550;r1@y O2 code=450;");
	failed[1].state = LOG_FAILED;
	a.id = log_new_id(t.log);
	a.outcomes = failed;
	a.n_outcomes = 2;
	log_accept(t.log, &a, 0, on_done, NULL);
	wait_done();
	ck_assert(!log_find(t.log, parent, &m));
	stop();
	start();
	ck_assert_uint_eq(t.n, 3);
	ck_assert_uint_eq(t.ids[2], a.id);
}
END_TEST

static struct log_file *
large_file(uint64_t id, size_t size, uint8_t *bytes)
{
	struct log_file *f = log_file_new(t.log, id);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 1000);
	for (size_t at = 0; at < size; at += 30000) {
		log_file_write(f, bytes + at, size - at < 30000 ? size - at : 30000, on_done, NULL);
		wait_done();
		ck_assert_str_eq(t.error, "");
	}
	return f;
}

static unsigned
large_files(void)
{
	unsigned n = 0;
	char path[200];

	for (uint64_t seg = 1; seg < 10; seg++)
		for (uint64_t k = 1; k < 10; k++) {
			snprintf(path, sizeof(path), "%s/large/%016llx", t.path, (unsigned long long)(seg << LOG_ID_BITS | k));
			n += access(path, F_OK) == 0;
		}
	return n;
}

START_TEST(test_large)
{
	static const size_t sizes[] = { 1, RECORD_CHUNK, RECORD_CHUNK + 1, 300000 };
	static uint8_t bytes[300000];
	char path[200];
	uint64_t id = 0;
	int fd;

	for (size_t i = 0; i < 4; i++) {
		id = log_new_id(t.log);
		accept_mail(NULL, 0, 1, large_file(id, sizes[i], bytes), id);
		ck_assert_str_eq(t.error, "");
		for (int turn = 0; turn < 2; turn++) {
			content(id, 20000 + turn * 50000);
			ck_assert_str_eq(t.error, "");
			ck_assert_uint_eq(t.content_len, sizes[i]);
			ck_assert_mem_eq(t.content, bytes, sizes[i]);
			stop();
			start();
		}
		if (i < 3)
			outcome(id, 0, LOG_DELIVERED, 1, "");
	}
	stop();
	start();
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(large_files(), 1);
	/* A changed byte is never handed on. */
	snprintf(path, sizeof(path), "%s/large/%016llx", t.path, (unsigned long long)id);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, "x", 1, 200000), 1);
	close(fd);
	content(id, 65536);
	ck_assert_str_eq(t.error, "damaged on the disk");
	ck_assert_uint_lt(t.content_len, 200000);
}
END_TEST

/* Files without acceptance: discarded, and left behind by a crash. */
START_TEST(test_orphans)
{
	static uint8_t bytes[200000];
	struct log_file *f = large_file(log_new_id(t.log), 200000, bytes);
	char path[200];

	log_file_discard(f);
	log_file_discard(NULL);
	stop();
	ck_assert_uint_eq(large_files(), 0);
	snprintf(path, sizeof(path), "%s/large/%016llx", t.path, 1ULL << LOG_ID_BITS | 3);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	ck_assert_uint_eq(large_files(), 1);
	start();
	stop();
	ck_assert_uint_eq(large_files(), 0);
	start();
}
END_TEST

START_TEST(test_second_master)
{
	int again = open(t.path, O_RDONLY | O_DIRECTORY), first = t.dirfd;
	char err[200];

	t.dirfd = again;
	ck_assert_ptr_null(try_open(err, sizeof(err)));
	t.dirfd = first;
	ck_assert_str_eq(err, "the spool is in use by another minimta");
	close(again);
}
END_TEST

static void
segment_change(uint32_t number, const char *find, const char *replace)
{
	char path[200];
	uint8_t *bytes = malloc(SEGMENT), *at;
	int fd;

	snprintf(path, sizeof(path), "%s/log/%08x.seg", t.path, number);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, bytes, SEGMENT, 0), SEGMENT);
	at = memmem(bytes, SEGMENT, find, strlen(find));
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(pwrite(fd, replace, strlen(replace), at - bytes), (ssize_t)strlen(replace));
	close(fd);
	free(bytes);
	snprintf(path, sizeof(path), "%s/log/%08x.idx", t.path, number);
	unlink(path);
}

/* One message's bytes changed: it is told and set aside, the others live, and new mail is taken. */
START_TEST(test_damage)
{
	char *report;
	size_t len;
	FILE *f;
	uint64_t first = accept_mail("first", 5, 1, NULL, 0), last;

	accept_mail("second", 6, 1, NULL, 0);
	last = accept_mail("third", 5, 1, NULL, 0);
	stop();
	segment_change(1, "second", "sEcond");
	f = open_memstream(&report, &len);
	ck_assert_int_eq(log_check(t.dirfd, f), 1);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(report, "found=damage"));
	free(report);
	start();
	ck_assert_uint_eq(t.n, 2);
	ck_assert_uint_eq(t.ids[0], first);
	ck_assert_uint_eq(t.ids[1], last);
	ck_assert_uint_eq(t.troubles, 1);
	ck_assert_ptr_nonnull(strstr(t.trouble, "are damaged and were copied to damaged"));
	accept_mail("fourth", 6, 1, NULL, 0);
	ck_assert_str_eq(t.error, "");
	content(last, 100);
	ck_assert_mem_eq(t.content, "third", 5);
	/* A header gone is found in its copy; both gone are told. */
	stop();
	segment_change(2, "minimta-log", "minimta-LOG");
	start();
	ck_assert_uint_eq(t.n, 3);
	stop();
	segment_change(2, "minimta-log", "minimta-LOG");
	start();
	ck_assert_ptr_nonnull(strstr(t.trouble, "has no readable header"));
}
END_TEST

START_TEST(test_newer_format)
{
	char path[200], err[200];
	uint8_t block[SEGMENT_BLOCK];
	int fd;

	stop();
	snprintf(path, sizeof(path), "%s/log/00000009.seg", t.path);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	segment_header_write(block, &(struct segment_header){ .number = 9, .size = SEGMENT });
	ck_assert_int_eq(pwrite(fd, block, sizeof(block), 0), sizeof(block));
	ck_assert_int_eq(pwrite(fd, "minimta-log 7\nall else may differ\nsum 27db61f8ecb56ccc\n", 56, 0), 56);
	close(fd);
	/* Its checksum is wrong: that is damage, not a newer format. */
	start();
	ck_assert_ptr_nonnull(strstr(t.trouble, "has no readable header"));
	stop();
	fd = open(path, O_RDWR);
	{
		char text[SEGMENT_BLOCK] = "minimta-log 7\nall else may differ\nsum ";
		size_t n = strlen(text);
		extern uint64_t test_sum(const void *, size_t);

		snprintf(text + n, 20, "%016llx\n", (unsigned long long)test_sum(text, n));
		ck_assert_int_eq(pwrite(fd, text, sizeof(text), 0), sizeof(text));
	}
	close(fd);
	ck_assert_ptr_null(try_open(err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "has format 7, and this minimta knows none newer than 2"));
	unlink(path);
	start();
}
END_TEST

/* As a minimta of format 1 left it: what it wrote has none of what was added since. */
static void
make_older(const char *name)
{
	char path[200], text[SEGMENT_BLOCK];
	extern uint64_t test_sum(const void *, size_t);
	char *sum;
	int fd;

	snprintf(path, sizeof(path), "%s/log/%s", t.path, name);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), sizeof(text));
	ck_assert_int_eq(strncmp(text, "minimta-log 2\n", 14), 0);
	text[12] = '1';
	sum = strstr(text, "\nsum ") + 5;
	snprintf(sum, 18, "%016llx\n", (unsigned long long)test_sum(text, (size_t)(sum - text)));
	ck_assert_int_eq(pwrite(fd, text, sizeof(text), 0), sizeof(text));
	ck_assert_int_eq(pwrite(fd, text, sizeof(text), SEGMENT - SEGMENT_BLOCK), sizeof(text));
	close(fd);
}

START_TEST(test_format_before)
{
	struct log_outcome late = { .index = 0, .state = LOG_OPEN, .attempts = 3, .next_try = 7, .text = "code=450", .at = 44,
	    .marks = 1, .past = "40\tcode=421\n" };
	uint64_t id = accept_mail("hello", 5, 2, NULL, 0);

	outcome(id, 0, LOG_OPEN, 2, "code=421");
	stop();
	make_older("00000001.seg");
	start();
	ck_assert_uint_eq(t.troubles, 0);
	ck_assert_str_eq(envelope(id), "r0@y O2 code=421;r1@y O0 ;");
	log_outcomes(t.log, id, &late, 1, on_done, NULL);
	wait_done();
	stop();
	start();
	ck_assert_str_eq(envelope(id), "r0@y O3 code=450;r1@y O0 ;");
	ck_assert_str_eq(t.past, "40\tcode=421\n");
}
END_TEST

START_TEST(test_refused)
{
	static char content_too_large[200000];
	struct log_message m;
	uint64_t id;

	id = accept_mail(content_too_large, sizeof(content_too_large), 1, NULL, 0);
	ck_assert_str_eq(t.error, "not a message that can be stored");
	ck_assert(!log_find(t.log, id, &m));
	id = accept_mail("", 0, 0, NULL, 0);
	ck_assert_str_eq(t.error, "not a message that can be stored");
	id = accept_mail("", 0, 1, NULL, 0);
	ck_assert_str_eq(t.error, "");
	content(id, 100);
	ck_assert_uint_eq(t.content_len, 0);
	ck_assert(!log_reserve(t.log, UINT64_C(1) << 62));
	ck_assert(log_reserve(t.log, 1000));
	log_release(t.log, 1000);
	ck_assert(log_room(t.log));
}
END_TEST

static void
on_one_of_many(void *arg, const char *error)
{
	unsigned *left = arg;

	ck_assert_ptr_null(error);
	--*left;
}

/* What arrives together is made durable together: a hundred messages, a few syncs. */
struct several {
	uint64_t	 ids[8];
	char		 errors[8][40];
	unsigned	 n;
};

static void
on_one_of_several(void *arg, const struct log_envelope *e, const char *error)
{
	struct several *s = arg;

	s->ids[s->n] = e ? e->message.id : 0;
	if (e)
		ck_assert_str_eq(e->rcpts[0].rcpt.address, "r0@y");
	snprintf(s->errors[s->n++], sizeof(s->errors[0]), "%s", error ? error : "");
}

/* In one go, from memory and from disk, with one among them that is gone: each has its answer, in their order. */
START_TEST(test_several)
{
	uint64_t ids[8];

	for (int round = 0; round < 2; round++) {
		struct several s = { .n = 0 };

		for (unsigned i = 0; i < 8; i++)
			ids[i] = i == 3 ? log_new_id(t.log) : accept_mail("x\r\n", 3, 1 + i % 2, NULL, 0);
		outcome(ids[1], 0, LOG_OPEN, 1, "later");
		if (round == 1) {
			stop();
			start();
		}
		log_read_envelopes(t.log, ids, 8, on_one_of_several, &s);
		ck_assert_uint_eq(s.n, 0);
		while (s.n < 8)
			event_base_loop(t.base, EVLOOP_ONCE);
		for (unsigned i = 0; i < 8; i++) {
			ck_assert_uint_eq(s.ids[i], i == 3 ? 0 : ids[i]);
			ck_assert_str_eq(s.errors[i], i == 3 ? "no such message" : "");
		}
	}
	log_read_envelopes(t.log, ids, 0, on_one_of_several, NULL);
}
END_TEST

START_TEST(test_group_commit)
{
	struct envelope_sender sender = { .address = (char *)"s@x" };
	struct envelope_rcpt rcpt = { .address = (char *)"r@y" };
	struct log_accept a = { .sender = &sender, .rcpts = &rcpt, .n_rcpts = 1, .content = "x", .content_len = 1 };
	uint64_t before = commit_counts(t.log->commit).batches;
	unsigned left = 100;

	for (int i = 0; i < 100; i++) {
		a.id = log_new_id(t.log);
		log_accept(t.log, &a, 0, on_one_of_many, &left);
	}
	ck_assert_uint_eq(left, 100);
	while (left > 0)
		event_base_loop(t.base, EVLOOP_ONCE);
	/* The writer's count is read by the loop when the turn that ends it is over. */
	accept_mail("y", 1, 1, NULL, 0);
	ck_assert_uint_le(commit_counts(t.log->commit).batches - before, 4);
}
END_TEST

/* A message in flight when the process died is counted; one whose attempt ended, or after an end in order, is not. */
START_TEST(test_flight)
{
	uint64_t id = accept_mail("a", 1, 1, NULL, 0), other = accept_mail("b", 1, 1, NULL, 0);
	char path[200];
	uint64_t slot[2];
	int fd, found = 0;

	for (int turn = 0; turn < 3; turn++) {
		log_attempt(t.log, id, LOG_BEGUN);
		log_attempt(t.log, other, LOG_BEGUN);
		log_attempt(t.log, other, LOG_ENDED);
		stop();
		start();
		ck_assert_uint_eq(log_crashes(t.log, id), 0);
	}
	log_attempt(t.log, other, LOG_BEGUN);
	snprintf(path, sizeof(path), "%s/flight", t.path);
	fd = open(path, O_RDWR);
	for (off_t at = 0; pread(fd, slot, sizeof(slot), at) == sizeof(slot); at += sizeof(slot))
		found += slot[0] == other && (uint32_t)slot[1] == 1;
	ck_assert_int_eq(found, 1);
	stop();
	for (int turn = 1; turn <= 3; turn++) {		/* as a process leaves it that is killed */
		slot[0] = id;
		slot[1] = 1 | (uint64_t)(turn - 1) << 32;
		ck_assert_int_eq(pwrite(fd, slot, sizeof(slot),
		    (off_t)((id * UINT64_C(0x9e3779b97f4a7c15) >> 40) % 4096 * sizeof(slot))), sizeof(slot));
		start();
		ck_assert_uint_eq(log_crashes(t.log, id), turn);
		ck_assert_uint_eq(log_crashes(t.log, other), 0);
		stop();
	}
	start();
	log_attempt(t.log, id, LOG_BEGUN);
	log_attempt(t.log, id, LOG_CRASHED);
	ck_assert_uint_eq(log_crashes(t.log, id), 4);
	log_attempt(t.log, id, LOG_BEGUN);
	log_attempt(t.log, id, LOG_ENDED);
	ck_assert_uint_eq(log_crashes(t.log, id), 0);
	log_attempt(t.log, id, LOG_BEGUN);
	log_attempt(t.log, id, LOG_CRASHED);
	outcome(id, 0, LOG_DELIVERED, 1, "");
	ck_assert_uint_eq(log_crashes(t.log, id), 0);
	close(fd);
}
END_TEST

static bool
count_message(void *arg, const struct log_message *m)
{
	uint64_t *last = arg;

	ck_assert_uint_gt(m->id, *last);
	*last = m->id;
	return true;
}

/* Many at once through several segments; what ended leaves, what lives stays. */
START_TEST(test_many)
{
	static char body[100000];
	uint64_t ids[120], last = 0;
	char status[1000], *report;
	size_t len;
	FILE *f;

	for (int i = 0; i < 120; i++)
		ids[i] = accept_mail(body, sizeof(body), 1, NULL, 0);
	log_each(t.log, count_message, &last);
	ck_assert_uint_eq(last, ids[119]);
	for (int i = 0; i < 120; i++)
		if (i % 40 != 0)
			outcome(ids[i], 0, LOG_DELIVERED, 1, "");
	while (t.log->reclaim.freed < 9)
		event_base_loop(t.base, EVLOOP_ONCE);
	stop();
	start();
	ck_assert_uint_eq(t.n, 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(t.ids[i], ids[i * 40]);
		content(t.ids[i], 65536);
		ck_assert_uint_eq(t.content_len, sizeof(body));
	}
	ck_assert_ptr_nonnull(strstr(log_status(t.log, status, sizeof(status)), "messages=3 "));
	stop();
	f = open_memstream(&report, &len);
	ck_assert_int_eq(log_check(t.dirfd, f), 0);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(report, "messages=3 damage=no"));
	free(report);
	start();
}
END_TEST

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t	test_sum(const void *, size_t);

uint64_t
test_sum(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

int
main(void)
{
	TCase *c = tcase_create("spool");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, test_life);
	tcase_add_test(c, test_expand_admin);
	tcase_add_test(c, test_parent);
	tcase_add_test(c, test_large);
	tcase_add_test(c, test_orphans);
	tcase_add_test(c, test_second_master);
	tcase_add_test(c, test_damage);
	tcase_add_test(c, test_newer_format);
	tcase_add_test(c, test_format_before);
	tcase_add_test(c, test_refused);
	tcase_add_test(c, test_many);
	tcase_add_test(c, test_flight);
	tcase_add_test(c, test_group_commit);
	tcase_add_test(c, test_several);
	return run_case("spool", c);
}
