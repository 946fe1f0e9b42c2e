/*
 * The way into the queue, with a real channel, an smtpd played by the test, and a log that only notes what it is told:
 * what an honest smtpd gets for an answer, and that anything else ends it and leaves nothing behind.
 */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/token.h"
#include "queue/dispatch.h"
#include "queue/intake.h"
#include "tests/unit/run.h"

#define SESSION		77
#define LATER_MAX	4096

struct log_file {
	char	*data;
	size_t	 len;
};

/* The log, as far as intake uses it. Callbacks wait until the test runs them. */
static struct {
	uint64_t	 last_id;
	int64_t		 reserved;	/* reservations that exist */
	uint64_t	 room;
	const char	*fail;		/* of what is done next */
	unsigned	 files;
	struct { log_done_fn *done; void *arg; const char *error; } later[LATER_MAX];
	size_t		 n_later;
	unsigned	 accepted;
	char		*content;
	size_t		 content_len;
	char		 head[256], rcpt[256];
	unsigned	 added;		/* messages given to dispatch */
} fake;

static void
later(log_done_fn *done, void *arg)
{
	ck_assert_uint_lt(fake.n_later, LATER_MAX);
	fake.later[fake.n_later].done = done;
	fake.later[fake.n_later].arg = arg;
	fake.later[fake.n_later++].error = fake.fail;
}

static bool
run_later(void)
{
	size_t n = fake.n_later;

	for (size_t i = 0; i < n; i++)
		fake.later[i].done(fake.later[i].arg, fake.later[i].error);
	memmove(fake.later, fake.later + n, (fake.n_later - n) * sizeof(fake.later[0]));
	fake.n_later -= n;
	return n > 0;
}

uint64_t
log_new_id(struct log *l)
{
	(void)l;
	return 1000 + ++fake.last_id;
}

bool
log_reserve(struct log *l, uint64_t bytes)
{
	(void)l;
	if (bytes > fake.room)
		return false;
	fake.reserved++;
	return true;
}

void
log_release(struct log *l, uint64_t bytes)
{
	(void)l;
	(void)bytes;
	fake.reserved--;
}

struct log_file *
log_file_new(struct log *l, uint64_t id)
{
	(void)l;
	(void)id;
	fake.files++;
	return calloc(1, sizeof(struct log_file));
}

void
log_file_write(struct log_file *f, const void *data, size_t len, log_done_fn *done, void *arg)
{
	f->data = realloc(f->data, f->len + len);
	memcpy(f->data + f->len, data, len);
	f->len += len;
	later(done, arg);
}

void
log_file_discard(struct log_file *f)
{
	if (f == NULL)
		return;
	fake.files--;
	free(f->data);
	free(f);
}

void
log_accept(struct log *l, const struct log_accept *a, uint64_t reserved, log_done_fn *done, void *arg)
{
	const void *from = a->file == NULL ? a->content : a->file->data;

	(void)l;
	(void)reserved;
	fake.accepted++;
	fake.reserved--;
	free(fake.content);
	fake.content_len = a->file == NULL ? a->content_len : a->file->len;
	fake.content = malloc(fake.content_len + 1);
	memcpy(fake.content, from, fake.content_len);
	snprintf(fake.head, sizeof(fake.head), "%s", a->head);
	snprintf(fake.rcpt, sizeof(fake.rcpt), "%s", a->rcpts[a->n_rcpts - 1].address);
	log_file_discard(a->file);
	later(done, arg);
}

void
dispatch_accepted(struct dispatch *d, uint64_t id, const struct envelope_sender *s, const struct envelope_rcpt *r, uint32_t n)
{
	(void)d;
	(void)id;
	ck_assert_str_ne(s->address, "");
	ck_assert_uint_gt(n, 0);
	ck_assert_str_eq(r[n - 1].address, fake.rcpt);
	fake.added++;
}

/* ---- both ends of the channel ---- */

static struct queue queue;
static struct conf conf;
static struct event_base *base;
static struct ipc *smtpd, *at_queue;
static bool ended;		/* queue ended smtpd, or saw it go */
static char end_reason[256];
static unsigned answers, code;
static char answer_id[ID_TEXT];
static uint64_t credit;

static int
on_done(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;
	char text[512];

	(void)arg;
	(void)ipc;
	unpack_init(&u, m->data, m->len);
	code = unpack_u16(&u);
	unpack_str_to(&u, text, sizeof(text));
	unpack_str_to(&u, answer_id, sizeof(answer_id));
	ck_assert(unpack_end(&u));
	answers++;
	return 0;
}

static int
on_credit(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;

	(void)arg;
	(void)ipc;
	unpack_init(&u, m->data, m->len);
	credit += unpack_u32(&u);
	return 0;
}

static const struct ipc_handler smtpd_handlers[] = {
	{ MSG_MAIL_DONE, on_done }, { MSG_MAIL_CREDIT, on_credit }, { MSG_NONE, NULL } };
static const struct ipc_handler queue_handlers[] = {
	{ MSG_MAIL_BEGIN, intake_on_begin }, { MSG_MAIL_RCPT, intake_on_rcpt }, { MSG_MAIL_DATA, intake_on_data },
	{ MSG_MAIL_END, intake_on_end }, { MSG_MAIL_ABORT, intake_on_abort }, { MSG_NONE, NULL } };

static void
on_smtpd_down(void *arg, struct ipc *ipc, const char *reason)
{
	(void)arg;
	snprintf(end_reason, sizeof(end_reason), "%s", reason);
	ended = true;
	at_queue = NULL;
	intake_peer_down(queue.intake, ipc);
}

static void
on_queue_down(void *arg, struct ipc *ipc, const char *reason)
{
	(void)arg;
	(void)ipc;
	(void)reason;
	smtpd = NULL;
}

/* Until nothing happens any more. */
static void
settle(void)
{
	do {
		for (int i = 0; i < 8; i++)
			event_base_loop(base, EVLOOP_NONBLOCK);
	} while (run_later());
}

static void
quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
setup(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	log_set_sink(quiet, NULL);
	memset(&fake, 0, sizeof(fake));
	fake.room = UINT64_MAX;
	ended = false;
	answers = code = 0;
	credit = 0;
	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	conf = (struct conf){ .connections = 10, .recipients = 3, .message_size = 10 * 1024 * 1024, .always_bcc = (char *)(uintptr_t)"" };
	queue = (struct queue){ .p = { .conf = &conf, .base = base, .secret = "a key of thirty-two bytes......" } };
	queue.most.connections = conf.connections;
	queue.most.recipients = conf.recipients;
	queue.most.message_size = conf.message_size;
	queue.intake = intake_new(&queue);
	at_queue = ipc_new(base, fds[0], PROC_QUEUE, PROC_SMTPD, 0, queue_handlers, on_smtpd_down, &queue);
	smtpd = ipc_new(base, fds[1], PROC_SMTPD, PROC_QUEUE, 0, smtpd_handlers, on_queue_down, NULL);
}

/* Whatever happened, nothing may be left of it. */
static void
teardown(void)
{
	ipc_free(smtpd);
	smtpd = NULL;
	settle();
	ck_assert(ended);
	ck_assert_uint_eq(intake_count(queue.intake), 0);
	ck_assert_int_eq(fake.reserved, 0);
	ck_assert_uint_eq(fake.files, 0);
	intake_free(queue.intake);
	event_base_free(base);
	free(fake.content);
}

/* ---- what smtpd says ---- */

static void
begin(uint64_t id, uint64_t size)
{
	struct envelope_sender s = { .address = (char []){ "ann@example.org" }, .client = (char []){ "192.0.2.1" },
	    .session = (char []){ "S1" }, .session_id = SESSION, .size = size };
	struct pack p;

	pack_init(&p);
	envelope_pack_sender(&p, &s);
	ipc_send_pack(smtpd, MSG_MAIL_BEGIN, id, &p, -1);
	pack_free(&p);
}

struct claim {
	enum token_claim claim;
	uint64_t	 session;
	const char	*address;
	int		 age_s;
	bool		 final;
};

static const struct claim honest = { TOKEN_LOCAL, SESSION, "bob@example.org", 0, false };

/* Names bob@example.org, local, under a token for `c`. */
static void
rcpt(uint64_t id, const struct claim *c)
{
	struct envelope_rcpt r = { .address = (char []){ "bob@example.org" }, .local = true, .final = c->final };
	uint8_t token[TOKEN_SIZE];
	struct pack p;

	token_make(token, queue.p.secret, c->claim, c->session, c->address, clock_ms() / 1000 - c->age_s);
	pack_init(&p);
	envelope_pack_rcpt(&p, &r);
	pack_blob(&p, token, sizeof(token));
	ipc_send_pack(smtpd, MSG_MAIL_RCPT, id, &p, -1);
	pack_free(&p);
}

static void
data(uint64_t id, const void *bytes, size_t len)
{
	ipc_send(smtpd, MSG_MAIL_DATA, id, bytes, len, -1);
}

static void
end_with(uint64_t id, uint64_t size, const char *tail)
{
	struct pack p;

	pack_init(&p);
	pack_u64(&p, size);
	pack_u32(&p, 0);
	pack_str(&p, "Received: by here id ");
	pack_str(&p, tail);
	ipc_send_pack(smtpd, MSG_MAIL_END, id, &p, -1);
	pack_free(&p);
}

static void
end(uint64_t id, uint64_t size)
{
	end_with(id, size, "; today\r\n");
}

static void
small(uint64_t id)
{
	begin(id, 0);
	rcpt(id, &honest);
	data(id, "hello\r\n", 7);
	end(id, 7);
}

/* ---- tests ---- */

START_TEST(small_mail)
{
	char head[256];

	small(5);
	settle();
	ck_assert(!ended);
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_eq(code, 250);
	ck_assert_uint_eq(fake.added, 1);
	ck_assert_uint_eq(fake.content_len, 7);
	ck_assert_int_eq(memcmp(fake.content, "hello\r\n", 7), 0);
	snprintf(head, sizeof(head), "Received: by here id %s; today\r\n", answer_id);
	ck_assert_str_eq(fake.head, head);
	ck_assert_uint_eq(credit, 0);
	small(5);		/* the id is free again */
	small(6);
	settle();
	ck_assert_uint_eq(answers, 3);
}
END_TEST

START_TEST(acknowledged_when_durable_and_not_before)
{
	small(5);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(fake.accepted, 1);
	ck_assert_uint_eq(answers, 0);
	settle();
	ck_assert_uint_eq(answers, 1);
}
END_TEST

START_TEST(large_mail_streams)
{
	size_t size = 3 * 1024 * 1024 + 17, at = 0, n;
	char *bytes = malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 7 + i / 999);
	begin(1, 0);
	rcpt(1, &honest);
	while (at < size) {
		while (at < size && at - credit < MSG_CREDIT) {
			n = size - at < 40000 ? size - at : 40000;
			if (n > MSG_CREDIT - (at - credit))
				n = (size_t)(MSG_CREDIT - (at - credit));
			data(1, bytes + at, n);
			at += n;
		}
		settle();
		ck_assert(!ended);
		ck_assert_msg(at == size || at - credit < MSG_CREDIT, "no credit at %zu", at);
	}
	end(1, size);
	settle();
	ck_assert_uint_eq(code, 250);
	ck_assert_uint_eq(fake.content_len, size);
	ck_assert_int_eq(memcmp(fake.content, bytes, size), 0);
	free(bytes);
}
END_TEST

START_TEST(whole_inline_mail_needs_no_credit)
{
	char *bytes = calloc(1, MSG_INLINE_MAX);

	begin(1, MSG_INLINE_MAX);
	rcpt(1, &honest);
	data(1, bytes, MSG_CHUNK_MAX);
	data(1, bytes, MSG_CHUNK_MAX);
	end(1, MSG_INLINE_MAX);
	settle();
	ck_assert(!ended);
	ck_assert_uint_eq(code, 250);
	ck_assert_uint_eq(fake.content_len, MSG_INLINE_MAX);
	free(bytes);
}
END_TEST

START_TEST(no_room)
{
	fake.room = 1000000;
	begin(1, 2000000);
	rcpt(1, &honest);
	data(1, "hello\r\n", 7);
	end(1, 7);
	settle();
	ck_assert_uint_eq(code, 452);
	begin(1, 11 * 1024 * 1024);
	rcpt(1, &honest);
	end(1, 0);
	settle();
	ck_assert_uint_eq(code, 552);
	ck_assert_uint_eq(fake.accepted, 0);
	small(2);
	settle();
	ck_assert_uint_eq(code, 250);
}
END_TEST

START_TEST(declared_too_little)
{
	static char piece[MSG_CHUNK_MAX];
	size_t at = 0;

	fake.room = 500000;
	begin(1, 100);
	rcpt(1, &honest);
	for (; at < 20 * sizeof(piece); at += sizeof(piece)) {
		data(1, piece, sizeof(piece));
		settle();
	}
	end(1, at);
	settle();
	ck_assert(!ended);
	ck_assert_uint_eq(code, 452);
	ck_assert_uint_eq(fake.accepted, 0);
}
END_TEST

START_TEST(failed_disk)
{
	fake.fail = "the disk is gone";
	small(1);
	settle();
	ck_assert_uint_eq(code, 451);
	ck_assert_uint_eq(fake.added, 0);
	ck_assert(!ended);
}
END_TEST

START_TEST(failed_disk_while_streaming)
{
	static char piece[MSG_CHUNK_MAX];
	size_t at = 0;

	fake.fail = "the disk is gone";
	begin(1, 0);
	rcpt(1, &honest);
	for (; at < 6 * sizeof(piece); at += sizeof(piece)) {
		data(1, piece, sizeof(piece));
		settle();
	}
	ck_assert_uint_ge(credit, at - MSG_CREDIT);
	end(1, at);
	settle();
	ck_assert(!ended);
	ck_assert_uint_eq(code, 451);
	ck_assert_uint_eq(fake.accepted, 0);
}
END_TEST

START_TEST(old_token)
{
	struct claim old = honest;

	old.age_s = TOKEN_LIFE_S + 10;
	begin(1, 0);
	rcpt(1, &old);
	data(1, "hello\r\n", 7);
	end(1, 7);
	settle();
	ck_assert(!ended);
	ck_assert_uint_eq(code, 451);
}
END_TEST

static const struct claim dishonest[] = {
	{ TOKEN_RELAY, SESSION, "bob@example.org", 0, false },
	{ TOKEN_TRUSTED, SESSION, "bob@example.org", 0, false },
	{ TOKEN_LOCAL, SESSION + 1, "bob@example.org", 0, false },
	{ TOKEN_LOCAL, SESSION, "eve@example.org", 0, false },
	{ TOKEN_LOCAL, SESSION, "bob@example.org", 0, true },
	{ TOKEN_RELAY, SESSION, "bob@example.org", TOKEN_LIFE_S + 10, false },
};

START_TEST(forged_tokens)
{
	begin(1, 0);
	rcpt(1, &dishonest[_i]);
	data(1, "hello\r\n", 7);
	end(1, 7);
	settle();
	ck_assert(ended);
	ck_assert_str_ne(end_reason, "closed");
	ck_assert_uint_eq(fake.accepted, 0);
	ck_assert_uint_eq(answers, 0);
}
END_TEST

/* Scripts of what no honest smtpd says: b begin, r recipient, d seven bytes, e end of seven, E of eight, a abort, p piece. */
static const char *const impossible[] = { "r", "d", "e", "bd", "bb", "be", "brdr", "brE", "brrrr", "brdeD", "brdee",
	"bard", "brpppppp" };

START_TEST(impossible_orders)
{
	static char piece[MSG_CHUNK_MAX];

	for (const char *step = impossible[_i]; *step != '\0'; step++) {
		switch (*step) {
		case 'b':
			begin(1, 0);
			break;
		case 'r':
			rcpt(1, &honest);
			break;
		case 'd':
		case 'D':
			data(1, "hello\r\n", 7);
			break;
		case 'p':
			data(1, piece, sizeof(piece));
			break;
		case 'e':
			end(1, 7);
			break;
		case 'E':
			end(1, 8);
			break;
		case 'a':
			ipc_send(smtpd, MSG_MAIL_ABORT, 1, NULL, 0, -1);
			break;
		}
	}
	/* The log does not get to write anything meanwhile: credit stays out. */
	for (int i = 0; i < 40; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_msg(ended, "%s", impossible[_i]);
	ck_assert_str_ne(end_reason, "closed");
}
END_TEST

static const char *const no_tails[] = { "", "x", "\n", "; today", "; today\n" };

START_TEST(no_trace)
{
	begin(1, 0);
	rcpt(1, &honest);
	end_with(1, 0, no_tails[_i]);
	settle();
	ck_assert(ended);
}
END_TEST

START_TEST(too_many_transactions)
{
	for (uint64_t id = 1; id < 200; id++)
		begin(id, 0);
	settle();
	ck_assert(ended);
}
END_TEST

START_TEST(smtpd_dies)
{
	static char piece[MSG_CHUNK_MAX];

	small(1);
	begin(2, 0);
	rcpt(2, &honest);
	data(2, "hello\r\n", 7);
	begin(3, 0);
	rcpt(3, &honest);
	for (int i = 0; i < 3; i++)
		data(3, piece, 50000);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ipc_free(smtpd);
	smtpd = NULL;
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(ended);
	settle();
	ck_assert_uint_eq(fake.accepted, 1);	/* nobody hears of it, but it was accepted */
	ck_assert_uint_eq(fake.added, 1);
}
END_TEST

START_TEST(aborted)
{
	begin(1, 0);
	rcpt(1, &honest);
	data(1, "hello\r\n", 7);
	ipc_send(smtpd, MSG_MAIL_ABORT, 1, NULL, 0, -1);
	small(1);
	ipc_send(smtpd, MSG_MAIL_ABORT, 1, NULL, 0, -1);	/* crosses our answer */
	settle();
	ck_assert(!ended);
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_eq(fake.accepted, 1);
}
END_TEST

START_TEST(stopping)
{
	intake_stop(queue.intake);
	small(1);
	settle();
	ck_assert_uint_eq(code, 451);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof(table[0]))

int
main(void)
{
	TCase *t = tcase_create("intake");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, small_mail);
	tcase_add_test(t, acknowledged_when_durable_and_not_before);
	tcase_add_test(t, large_mail_streams);
	tcase_add_test(t, whole_inline_mail_needs_no_credit);
	tcase_add_test(t, no_room);
	tcase_add_test(t, declared_too_little);
	tcase_add_test(t, failed_disk);
	tcase_add_test(t, failed_disk_while_streaming);
	tcase_add_test(t, old_token);
	tcase_add_loop_test(t, forged_tokens, 0, N(dishonest));
	tcase_add_loop_test(t, impossible_orders, 0, N(impossible));
	tcase_add_loop_test(t, no_trace, 0, N(no_tails));
	tcase_add_test(t, too_many_transactions);
	tcase_add_test(t, smtpd_dies);
	tcase_add_test(t, aborted);
	tcase_add_test(t, stopping);
	return run_case("intake", t);
}
