/*
 * The face of memory through lookup, against a peer that answers as told: what travels, what comes back late, wrong or never,
 * and that nobody waits for a peer that is away.
 */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/memory.h"
#include "filters/memory_pack.h"
#include "lib/clock.h"
#include "lib/ipc.h"
#include "lib/pack.h"
#include "tests/unit/run.h"

struct got {
	unsigned		calls;
	struct memory_answer	answer;
};

static struct event_base *base;
static struct ipc *near, *far;
static struct memory *memory;
static struct {
	unsigned		asked, noted, called;
	uint64_t		ids[8];
	struct memory_question	question;
	struct memory_strings	strings;
	char			address[400];
} seen;
static bool is_down;

static int
on_memory(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	return memory_on_answer(memory, ipc, m);
}

static int
on_callback(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	return memory_on_callback(memory, ipc, m);
}

static int
take(struct ipc_message *m)
{
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	ck_assert_int_eq(memory_unpack_question(&u, &seen.question, &seen.strings), 0);
	return 0;
}

static int
on_ask(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	(void)ipc;
	seen.ids[seen.asked++ % 8] = m->id;
	return take(m);
}

static int
on_note(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	(void)ipc;
	seen.noted++;
	return take(m);
}

static int
on_call(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;

	(void)arg;
	(void)ipc;
	unpack_init(&u, m->data, m->len);
	unpack_str_to(&u, seen.address, sizeof(seen.address));
	ck_assert(unpack_end(&u));
	seen.ids[seen.called++ % 8] = m->id;
	return 0;
}

static void
on_down(void *arg, struct ipc *ipc, const char *reason)
{
	(void)arg;
	(void)reason;
	if (ipc == far) {
		far = NULL;
		return;
	}
	near = NULL;
	is_down = true;
	memory_ipc_down(memory, ipc, NULL);
}

static const struct ipc_handler near_handlers[] = { { MSG_MEMORY, on_memory }, { MSG_CALLBACK, on_callback }, { MSG_NONE, NULL } };
static const struct ipc_handler far_handlers[] = { { MSG_MEMORY_ASK, on_ask }, { MSG_MEMORY_NOTE, on_note },
	{ MSG_CALLBACK_ASK, on_call }, { MSG_NONE, NULL } };

static void
setup(void)
{
	int fds[2];

	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	clock_shift(0);
	memset(&seen, 0, sizeof(seen));
	is_down = false;
	memory = memory_new_client();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	near = ipc_new(base, fds[0], PROC_SMTPD, PROC_LOOKUP, 0, near_handlers, on_down, NULL);
	far = ipc_new(base, fds[1], PROC_LOOKUP, PROC_SMTPD, 0, far_handlers, on_down, NULL);
	memory_set_ipc(memory, near);
}

static void
teardown(void)
{
	memory_free(memory);
	ipc_free(near);
	ipc_free(far);
	clock_init(NULL);
	event_base_free(base);
}

static void
turns(void)
{
	struct timeval soon = { 0, 5000 };

	event_base_loopexit(base, &soon);
	event_base_loop(base, 0);
}

static void
on_done(void *arg, const struct memory_answer *a)
{
	struct got *g = arg;

	g->calls++;
	g->answer = *a;
}

static const struct memory_question greylist = { .op = MEMORY_GREYLIST, .key = "192.0.2.0/24", .other = "s@far.example\na@demo.example",
	.wait_s = 300, .window_s = 86400, .keep_s = 99, .passes = 5 };

static void
send_answer(uint64_t id, const struct memory_answer *a)
{
	struct pack p;

	pack_init(&p);
	memory_pack_answer(&p, a);
	ipc_send_pack(far, MSG_MEMORY, id, &p, -1);
	pack_free(&p);
	turns();
}

START_TEST(asked_and_answered)
{
	struct memory_answer a = { .grey = MEMORY_GREY_PASSED, .written_to = true, .count = 7, .left_s = 8,
	    .standing = { .known = true, .trapped = true, .good = 3, .bad = 4 } };
	struct got g = { 0 }, other = { 0 };

	memory_ask(memory, &greylist, on_done, &g);
	ck_assert_uint_eq(g.calls, 0);
	turns();
	ck_assert_uint_eq(seen.asked, 1);
	ck_assert_str_eq(seen.question.key, greylist.key);
	ck_assert_str_eq(seen.question.other, greylist.other);
	ck_assert(seen.question.op == MEMORY_GREYLIST && seen.question.wait_s == 300 && seen.question.window_s == 86400 &&
	    seen.question.keep_s == 99 && seen.question.passes == 5 && !seen.question.peek);
	memory_ask(memory, &(struct memory_question){ .op = MEMORY_CLIENT, .key = "k", .other = "", .peek = true }, on_done, &other);
	turns();
	ck_assert(seen.question.op == MEMORY_CLIENT && seen.question.peek);
	send_answer(seen.ids[0], &a);
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_uint_eq(other.calls, 0);
	ck_assert(!g.answer.failed && g.answer.grey == MEMORY_GREY_PASSED && g.answer.written_to && g.answer.count == 7 &&
	    g.answer.left_s == 8);
	ck_assert(g.answer.standing.known && g.answer.standing.trapped && !g.answer.standing.passed && g.answer.standing.good == 3 &&
	    g.answer.standing.bad == 4);
	send_answer(seen.ids[0], &a);		/* nobody's any more */
	send_answer(seen.ids[1], &a);
	ck_assert_uint_eq(other.calls, 1);
	ck_assert(!is_down);
}
END_TEST

START_TEST(told)
{
	memory_wrote(memory, "alice@demo.example", "friend@far.example");
	turns();
	ck_assert(seen.noted == 1 && seen.question.op == MEMORY_WROTE);
	ck_assert_str_eq(seen.question.other, "friend@far.example");
	memory_note(memory, &(struct reverse_address){ .len = 4, .bytes = { 192, 0, 2, 9 } }, MEMORY_GOOD);
	turns();
	ck_assert(seen.noted == 2 && seen.question.op == MEMORY_NOTE && seen.question.note == MEMORY_GOOD);
	ck_assert_str_eq(seen.question.key, "192.0.2.9");
	memory_note(NULL, &(struct reverse_address){ .len = 4 }, MEMORY_GOOD);
	memory_note(memory, &(struct reverse_address){ .len = 0 }, MEMORY_GOOD);
	memory_wrote(memory, "alice@demo.example", "");
	turns();
	ck_assert_uint_eq(seen.noted, 2);
}
END_TEST

START_TEST(cancelled)
{
	struct got g = { 0 };
	struct memory_query *q = memory_ask(memory, &greylist, on_done, &g);

	turns();
	memory_cancel(q);
	memory_cancel(NULL);
	send_answer(seen.ids[0], &(struct memory_answer){ .count = 1 });
	ck_assert_uint_eq(g.calls, 0);
	ck_assert(!is_down);
}
END_TEST

START_TEST(hanging)
{
	struct got g = { 0 };

	memory_ask(memory, &greylist, on_done, &g);
	turns();
	clock_shift(MEMORY_DEADLINE_MS - 100);
	turns();
	ck_assert_uint_eq(g.calls, 0);
	clock_shift(MEMORY_DEADLINE_MS + 100);
	turns();
	ck_assert(g.calls == 1 && g.answer.failed);
	send_answer(seen.ids[0], &(struct memory_answer){ .count = 1 });
	ck_assert_uint_eq(g.calls, 1);
	ck_assert(!is_down);
}
END_TEST

START_TEST(away)
{
	struct got g = { 0 }, open = { 0 };

	memory_ask(memory, &greylist, on_done, &open);
	turns();
	ipc_free(far);
	far = NULL;
	turns();
	ck_assert(is_down && open.calls == 1 && open.answer.failed);
	memory_ask(memory, &greylist, on_done, &g);
	ck_assert_uint_eq(g.calls, 0);
	turns();
	ck_assert(g.calls == 1 && g.answer.failed);
	memory_tell(memory, &greylist);
	memory_cancel(memory_ask(memory, &greylist, on_done, &g));
	turns();
	ck_assert_uint_eq(g.calls, 1);
}
END_TEST

START_TEST(callback)
{
	struct got g = { 0 };
	struct pack p;

	memory_ask(memory, &(struct memory_question){ .op = MEMORY_CALLBACK, .key = "s@far.example", .other = "" }, on_done, &g);
	turns();
	ck_assert(seen.called == 1 && seen.asked == 0);
	ck_assert_str_eq(seen.address, "s@far.example");
	clock_shift(MEMORY_DEADLINE_MS + 1000);
	turns();
	ck_assert_uint_eq(g.calls, 0);
	pack_init(&p);
	pack_u8(&p, MEMORY_CALLBACK_BAD);
	pack_str(&p, "no such user there");
	ipc_send_pack(far, MSG_CALLBACK, seen.ids[0], &p, -1);
	pack_free(&p);
	turns();
	ck_assert(g.calls == 1 && !g.answer.failed && g.answer.callback == MEMORY_CALLBACK_BAD);
	ck_assert_str_eq(g.answer.why, "no such user there");
}
END_TEST

/* What cannot be an answer ends the peer that gave it, and fails the question. */
START_TEST(nonsense)
{
	static const uint8_t bytes[][20] = { { 9 }, { 0, 9 }, { 0, 0, 9 }, { 0, 0, 0, 99 } };
	struct got g = { 0 };
	struct pack p;

	memory_ask(memory, &greylist, on_done, &g);
	turns();
	if (_i < 4) {
		ipc_send(far, MSG_MEMORY, seen.ids[0], bytes[_i], sizeof(bytes[_i]), -1);
	} else {			/* a callback's answer to something else */
		pack_init(&p);
		pack_u8(&p, _i == 4 ? MEMORY_CALLBACK_GOOD : 99);
		pack_str(&p, "");
		ipc_send_pack(far, MSG_CALLBACK, seen.ids[0], &p, -1);
		pack_free(&p);
	}
	turns();
	ck_assert(is_down && g.calls == 1 && g.answer.failed);
}
END_TEST

START_TEST(long_ones_are_cut)
{
	char key[2000];
	struct got g = { 0 };

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	memory_ask(memory, &(struct memory_question){ .op = MEMORY_RATE, .key = key, .other = key }, on_done, &g);
	turns();
	ck_assert_uint_eq(strlen(seen.question.key), MEMORY_KEY_MAX - 1);
	ck_assert_uint_eq(strlen(seen.question.other), MEMORY_OTHER_MAX - 1);
	send_answer(seen.ids[0], &(struct memory_answer){ .count = 1 });
	ck_assert_uint_eq(g.calls, 1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("memory_client");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, asked_and_answered);
	tcase_add_test(t, told);
	tcase_add_test(t, cancelled);
	tcase_add_test(t, hanging);
	tcase_add_test(t, away);
	tcase_add_test(t, callback);
	tcase_add_loop_test(t, nonsense, 0, 6);
	tcase_add_test(t, long_ones_are_cut);
	return run_case("memory_client", t);
}
