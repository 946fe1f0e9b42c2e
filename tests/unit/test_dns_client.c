/*
 * The face through the resolver process, against a peer that answers as told: what travels, what comes back late, wrong
 * or never, and what becomes of questions when the peer goes away.
 */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/ipc.h"
#include "lib/pack.h"
#include "mx/dns_answer.h"
#include "tests/unit/run.h"

struct got {
	unsigned	 calls;
	enum dns_result	 result;
	char		 why[80], first[80];
};

/* What the resolver's end has seen. */
struct seen {
	unsigned	 asked, cancelled;
	uint64_t	 ids[8];
	unsigned	 type;
	uint32_t	 deadline_ms;
	char		 name[DNS_NAME_MAX + 1];
};

static struct event_base *base;
static struct ipc *near, *far;
static struct dns *dns;
static struct seen seen;
static const char *down_reason;

static int
on_answer(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	return dns_on_answer(dns, ipc, m);
}

static int
on_ask(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;

	(void)arg;
	(void)ipc;
	unpack_init(&u, m->data, m->len);
	seen.type = unpack_u16(&u);
	seen.deadline_ms = unpack_u32(&u);
	unpack_str_to(&u, seen.name, sizeof(seen.name));
	ck_assert(unpack_end(&u));
	seen.ids[seen.asked++ % 8] = m->id;
	return 0;
}

static int
on_cancel(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	(void)ipc;
	(void)m;
	seen.cancelled++;
	return 0;
}

static void
on_down(void *arg, struct ipc *ipc, const char *reason)
{
	(void)arg;
	if (ipc == far) {
		far = NULL;
		return;
	}
	down_reason = strdup(reason);
	near = NULL;
	dns_ipc_down(dns, ipc, NULL);
}

static const struct ipc_handler near_handlers[] = { { MSG_DNS, on_answer }, { MSG_NONE, NULL } };
static const struct ipc_handler far_handlers[] = {
	{ MSG_DNS_ASK, on_ask }, { MSG_DNS_CANCEL, on_cancel }, { MSG_NONE, NULL },
};

static void
connect_both(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	near = ipc_new(base, fds[0], PROC_DELIVERY, PROC_RESOLVER, 0, near_handlers, on_down, NULL);
	far = ipc_new(base, fds[1], PROC_RESOLVER, PROC_DELIVERY, 0, far_handlers, on_down, NULL);
	dns_set_ipc(dns, near);
}

static void
setup(void)
{
	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	clock_shift(0);
	dns = dns_new_client(base);
	memset(&seen, 0, sizeof(seen));
	down_reason = NULL;
	connect_both();
}

static void
teardown(void)
{
	dns_free(dns);
	ipc_free(near);
	ipc_free(far);
	free((char *)down_reason);
	clock_init(NULL);
	event_base_free(base);
}

static void
on_done(void *arg, const struct dns_answer *a)
{
	struct got *g = arg;

	g->calls++;
	g->result = a->result;
	snprintf(g->why, sizeof(g->why), "%s", a->why != NULL ? a->why : "");
	if (a->n > 0)
		snprintf(g->first, sizeof(g->first), "%s", a->records[0].bytes);
}

static void
turns(void)
{
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
send_txt(uint64_t id, enum dns_type type, const char *text)
{
	struct dns_record record = { .ttl = 300 };
	char bytes[80], nowhere[] = "";
	struct dns_answer a = { .type = type, .ttl = 300, .canonical = nowhere, .records = &record, .n = 1 };
	struct pack p;

	snprintf(bytes, sizeof(bytes), "%s", text);
	record.bytes = bytes;
	record.len = strlen(bytes);
	pack_init(&p);
	dns_pack_answer(&p, &a);
	ipc_send_pack(far, MSG_DNS, id, &p, -1);
	pack_free(&p);
	turns();
}

START_TEST(test_answered)
{
	struct got g = { 0 }, other = { 0 };

	dns_ask(dns, DNS_TXT, "one.test", 7000, on_done, &g);
	turns();
	ck_assert_uint_eq(seen.type, DNS_TXT);
	ck_assert_uint_eq(seen.deadline_ms, 7000);
	ck_assert_str_eq(seen.name, "one.test");
	dns_ask(dns, DNS_TXT, "two.test", 0, on_done, &other);
	turns();
	ck_assert_uint_eq(seen.deadline_ms, DNS_DEADLINE_MS);
	send_txt(seen.ids[1], DNS_TXT, "second");
	send_txt(seen.ids[0], DNS_TXT, "first");
	send_txt(seen.ids[0], DNS_TXT, "again");	/* as after a cancel: nobody's */
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_uint_eq(other.calls, 1);
	ck_assert_str_eq(g.first, "first");
	ck_assert_str_eq(other.first, "second");
	ck_assert_uint_eq(seen.cancelled, 0);
	ck_assert_ptr_null(down_reason);
}
END_TEST

START_TEST(test_cancelled)
{
	struct got g = { 0 };
	struct dns_question *q = dns_ask(dns, DNS_TXT, "one.test", 0, on_done, &g);

	turns();
	dns_cancel(q);
	turns();
	ck_assert_uint_eq(seen.cancelled, 1);
	send_txt(seen.ids[0], DNS_TXT, "late");
	ck_assert_uint_eq(g.calls, 0);
	ck_assert_ptr_null(down_reason);
}
END_TEST

/* A resolver that hangs costs its deadline and a second, not for ever. */
START_TEST(test_hanging)
{
	struct got g = { 0 };

	dns_ask(dns, DNS_TXT, "one.test", 5000, on_done, &g);
	clock_shift(5500);
	turns();
	ck_assert_uint_eq(g.calls, 0);
	clock_shift(6100);
	turns();
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_str_eq(g.why, "timed out");
	ck_assert_uint_eq(seen.cancelled, 1);
}
END_TEST

static void
end_far(void)
{
	ipc_free(far);
	far = NULL;
	turns();
	ck_assert_ptr_nonnull(down_reason);
	free((char *)down_reason);
	down_reason = NULL;
}

/* While one takes over from another, who was asked answers, and new questions go to the newer. */
START_TEST(test_successor)
{
	struct got g = { 0 }, later = { 0 };
	struct ipc *old_near = near, *old_far = far, *new_far;

	dns_ask(dns, DNS_TXT, "one.test", 0, on_done, &g);
	turns();
	connect_both();
	new_far = far;
	dns_ask(dns, DNS_TXT, "two.test", 0, on_done, &later);
	turns();
	ck_assert_uint_eq(seen.asked, 2);
	far = old_far;
	send_txt(seen.ids[0], DNS_TXT, "old");
	ck_assert_str_eq(g.first, "old");
	far = new_far;
	send_txt(seen.ids[1], DNS_TXT, "new");
	ck_assert_str_eq(later.first, "new");
	ck_assert_ptr_null(down_reason);
	ipc_free(old_near);
	ipc_free(old_far);
}
END_TEST

/* Questions wait for a new resolver, with what is left of their time. */
START_TEST(test_away_and_back)
{
	struct got g = { 0 }, early = { 0 };
	struct dns_question *q;

	dns_ask(dns, DNS_TXT, "one.test", 10000, on_done, &g);
	turns();
	end_far();
	ck_assert_uint_eq(g.calls, 0);
	q = dns_ask(dns, DNS_TXT, "cancelled.test", 0, on_done, &early);
	dns_cancel(q);
	dns_ask(dns, DNS_TXT, "two.test", 0, on_done, &early);
	turns();
	ck_assert_uint_eq(early.calls, 0);
	ck_assert_uint_eq(seen.asked, 1);

	clock_shift(4000);
	connect_both();
	turns();
	ck_assert_uint_eq(seen.asked, 3);
	ck_assert_uint_eq(seen.cancelled, 0);
	ck_assert_uint_eq(seen.ids[1], seen.ids[0]);
	ck_assert_str_eq(seen.name, "two.test");
	send_txt(seen.ids[1], DNS_TXT, "first");
	send_txt(seen.ids[2], DNS_TXT, "second");
	ck_assert_str_eq(g.first, "first");
	ck_assert_str_eq(early.first, "second");
	ck_assert_ptr_null(down_reason);
}
END_TEST

START_TEST(test_away_for_long)
{
	struct got g = { 0 }, late = { 0 };

	dns_ask(dns, DNS_TXT, "one.test", 5000, on_done, &g);
	turns();
	end_far();
	dns_ask(dns, DNS_TXT, "two.test", 8000, on_done, &late);
	clock_shift(5100);
	turns();
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_uint_eq(late.calls, 0);
	ck_assert_int_eq(g.result, DNS_TEMPORARY);
	ck_assert_str_eq(g.why, "the resolver process is away");
	clock_shift(8100);
	turns();
	ck_assert_str_eq(late.why, "the resolver process is away");
}
END_TEST

/* Two resolvers have died with it: it is not asked of a third. */
START_TEST(test_killer)
{
	struct got g = { 0 };

	dns_ask(dns, DNS_TXT, "one.test", 0, on_done, &g);
	turns();
	end_far();
	connect_both();
	turns();
	ck_assert_uint_eq(seen.asked, 2);
	ck_assert_uint_eq(g.calls, 0);
	end_far();
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.result, DNS_TEMPORARY);
	connect_both();
	turns();
	ck_assert_uint_eq(seen.asked, 2);
}
END_TEST

/* What the resolver cannot have meant ends it, and the question waits for another. */
START_TEST(test_wrong_answer)
{
	struct got g = { 0 };

	dns_ask(dns, DNS_TXT, "one.test", 0, on_done, &g);
	turns();
	if (_i == 0)
		send_txt(seen.ids[0], DNS_TLSA, "another type");
	else
		ipc_send(far, MSG_DNS, seen.ids[0], "\1\2\3\4\5\6\7\10\11", 9, -1);
	turns();
	ck_assert_ptr_nonnull(down_reason);
	ck_assert_ptr_nonnull(strstr(down_reason, "answer"));
	ck_assert_uint_eq(g.calls, 0);
	clock_shift(DNS_DEADLINE_MS + 100);
	turns();
	ck_assert_uint_eq(g.calls, 1);
	ck_assert_int_eq(g.result, DNS_TEMPORARY);
}
END_TEST

START_TEST(test_bad_name)
{
	struct got g = { 0 };

	dns_ask(dns, DNS_TXT, "one..test", 0, on_done, &g);
	ck_assert_uint_eq(g.calls, 0);
	turns();
	ck_assert_int_eq(g.result, DNS_INVALID);
	ck_assert_uint_eq(seen.asked, 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dns_client");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_answered);
	tcase_add_test(tc, test_cancelled);
	tcase_add_test(tc, test_hanging);
	tcase_add_test(tc, test_successor);
	tcase_add_test(tc, test_away_and_back);
	tcase_add_test(tc, test_away_for_long);
	tcase_add_test(tc, test_killer);
	tcase_add_loop_test(tc, test_wrong_answer, 0, 2);
	tcase_add_test(tc, test_bad_name);
	return run_case("dns_client", tc);
}
