/*
 * delivery/agent.c and pool.c, with queue at one end of a channel and scripted servers at the other: for every job each
 * recipient has exactly one result and then comes JOB_DONE, whatever happens.
 */
#include <check.h>
#include <signal.h>

#include "delivery/agent.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/credentials.h"
#include "lib/envelope.h"
#include "lib/ipc.h"
#include "lib/job.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "mx/dns.h"
#include "tests/unit/fake_server.h"
#include "tests/unit/run.h"

#define JOBS	64
#define RCPTS	4
#define CONTENT	"Subject: x\r\n\r\nbody\r\n"

struct world {
	struct event_base	*base;
	struct conf		 conf;
	struct dns		*dns;
	struct agent		*agent;
	struct ipc		*queue, *delivery;	/* the two ends */
	bool			 down;			/* delivery found queue bad */
	struct fake		*fake;
	unsigned		 results[JOBS][RCPTS], done[JOBS], n_done;
	struct job_result	 last;			/* of any recipient */
	uint64_t		 pulled;
	bool			 feed;			/* answer JOB_PULL */
	bool			 stopped;
	int64_t			 offset;
};

/* ---- queue's side ---- */

static int
on_result(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;
	struct job_result r;
	struct unpack u;

	(void)ipc;
	unpack_init(&u, m->data, m->len);
	ck_assert_int_eq(job_unpack_result(&u, &r), 0);
	ck_assert_uint_lt(m->id, JOBS);
	ck_assert_uint_lt(r.index, RCPTS);
	ck_assert_uint_eq(w->done[m->id], 0);
	w->results[m->id][r.index]++;
	job_free_result(&w->last);
	w->last = r;
	return 0;
}

static int
on_done(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;

	(void)ipc;
	w->done[m->id]++;
	w->n_done++;
	return 0;
}

static int
on_pull(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct world *w = arg;
	struct unpack u;
	uint32_t n;
	char *p;

	unpack_init(&u, m->data, m->len);
	n = unpack_u32(&u);
	ck_assert(unpack_end(&u));
	ck_assert_uint_le(n, MSG_CREDIT);
	w->pulled += n;
	if (!w->feed)
		return 0;
	p = malloc(n);
	memset(p, 'x', n);
	memcpy(p + n - 2, "\r\n", 2);
	ipc_send(ipc, MSG_JOB_DATA, m->id, p, n, -1);
	free(p);
	return 0;
}

static const struct ipc_handler queue_handlers[] = {
	{ MSG_JOB_RESULT, on_result },
	{ MSG_JOB_DONE, on_done },
	{ MSG_JOB_PULL, on_pull },
	{ MSG_NONE, NULL },
};

static void
on_queue_end_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct world *w = arg;

	(void)ipc;
	(void)reason;
	w->queue = NULL;
}

/* ---- delivery's side, as main.c has it ---- */

#define HANDLER(name) \
	static int name(void *arg, struct ipc *ipc, struct ipc_message *m) \
	{ \
		return agent_##name(((struct world *)arg)->agent, ipc, m); \
	}
HANDLER(on_job_begin)
HANDLER(on_job_rcpt)
HANDLER(on_job_data)
HANDLER(on_job_start)
HANDLER(on_job_cancel)

static const struct ipc_handler delivery_handlers[] = {
	{ MSG_JOB_BEGIN, on_job_begin },
	{ MSG_JOB_RCPT, on_job_rcpt },
	{ MSG_JOB_DATA, on_job_data },
	{ MSG_JOB_START, on_job_start },
	{ MSG_JOB_CANCEL, on_job_cancel },
	{ MSG_NONE, NULL },
};

static void
on_delivery_end_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct world *w = arg;

	(void)reason;
	agent_queue_down(w->agent, ipc);
	w->delivery = NULL;
	w->down = true;
}

/* ---- the world ---- */

static void
begin(struct world *w, const char *ehlo, const struct fake_rule *rules)
{
	int fds[2];

	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	clock_init(w->base);
	clock_hold(true);
	clock_shift(0);
	w->conf = (struct conf){ .hostname = (char *)"us.example.net", .smtp_port = 25, .delivery_connections = 20,
	    .destination_connections = 3 };
	w->dns = dns_new_client(w->base);
	w->agent = agent_new(w->base, &w->conf, w->dns, NULL, 0);
	w->fake = fake_new(w->base, ehlo, rules);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	w->queue = ipc_new(w->base, fds[0], PROC_QUEUE, PROC_DELIVERY, 1, queue_handlers, on_queue_end_down, w);
	w->delivery = ipc_new(w->base, fds[1], PROC_DELIVERY, PROC_QUEUE, 1, delivery_handlers, on_delivery_end_down, w);
}

static void
finish(struct world *w)
{
	agent_free(w->agent);
	ipc_free(w->queue);
	ipc_free(w->delivery);
	dns_free(w->dns);
	fake_free(w->fake);
	job_free_result(&w->last);
	clock_shift(0);
	clock_init(NULL);
	event_base_free(w->base);
}

static void
send_begin(struct world *w, uint64_t id, const char *hop, uint64_t size)
{
	char name[100];
	struct job_begin b = { .message = (char *)"M1", .hop = (char *)hop, .sender = (char *)"s@example.net",
	    .head = (char *)"Received: x\r\n", .size = size };
	struct pack p;

	if (hop == NULL) {
		snprintf(name, sizeof(name), "relay:127.0.0.1:%u", ntohs(w->fake->address.sin_port));
		b.hop = name;
	}
	pack_init(&p);
	job_pack_begin(&p, &b);
	ipc_send_pack(w->queue, MSG_JOB_BEGIN, id, &p, -1);
	pack_free(&p);
}

static void
send_rcpt(struct world *w, uint64_t id, uint32_t index, const char *address)
{
	struct envelope_rcpt r = { .address = (char *)address };
	struct pack p;

	pack_init(&p);
	pack_u32(&p, index);
	envelope_pack_rcpt(&p, &r);
	ipc_send_pack(w->queue, MSG_JOB_RCPT, id, &p, -1);
	pack_free(&p);
}

static void
send_job(struct world *w, uint64_t id, const char *hop)
{
	send_begin(w, id, hop, strlen(CONTENT));
	for (uint32_t i = 0; i < RCPTS; i++)
		send_rcpt(w, id, i, "r@example.org");
	ipc_send(w->queue, MSG_JOB_DATA, id, CONTENT, strlen(CONTENT), -1);
	ipc_send(w->queue, MSG_JOB_START, id, NULL, 0, -1);
}

/* Until so many jobs are done; where the server stalls test time passes. */
static void
run(struct world *w, unsigned n)
{
	for (int turns = 0; w->n_done < n; turns++) {
		ck_assert_msg(!w->down, "queue was found bad");
		ck_assert_msg(turns < 50000, "hangs with %u of %u jobs done", w->n_done, n);
		if (w->fake->stalls > 0) {
			event_base_loop(w->base, EVLOOP_NONBLOCK);
			clock_shift(w->offset += 5000);
		} else {
			event_base_loop(w->base, EVLOOP_ONCE);
		}
	}
}

static void
check_once(const struct world *w, unsigned jobs)
{
	for (unsigned j = 0; j < jobs; j++) {
		ck_assert_uint_eq(w->done[j], 1);
		for (int i = 0; i < RCPTS; i++)
			ck_assert_uint_eq(w->results[j][i], 1);
	}
}

START_TEST(test_many_jobs)
{
	struct world w;
	char status[200];

	begin(&w, FAKE_CHUNK, NULL);
	for (unsigned i = 0; i < 40; i++)
		send_job(&w, i, NULL);
	run(&w, 40);
	check_once(&w, 40);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	ck_assert_uint_eq(w.fake->messages, 40);
	ck_assert_uint_le(w.fake->sessions, w.conf.destination_connections);
	agent_status(w.agent, status, sizeof(status));
	ck_assert_str_eq(status, "jobs=0 connections=0 idle=3 waiting=0");

	/* Kept for some seconds, then QUIT. */
	clock_shift(w.offset += 6000);
	while (w.fake->conns != NULL)
		event_base_loop(w.base, EVLOOP_ONCE);
	ck_assert_ptr_nonnull(strstr(w.fake->log, "QUIT"));
	agent_status(w.agent, status, sizeof(status));
	ck_assert_str_eq(status, "jobs=0 connections=0 idle=0 waiting=0");
	finish(&w);
}
END_TEST

/* A kept connection has gone: the job is not harmed. */
START_TEST(test_stale)
{
	const struct fake_rule rules[] = { { "MAIL", 2, FAKE_CLOSE, "" }, { .step = NULL } };
	struct world w;

	begin(&w, FAKE_CHUNK, rules);
	send_job(&w, 0, NULL);
	run(&w, 1);
	send_job(&w, 1, NULL);
	run(&w, 2);
	check_once(&w, 2);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	ck_assert_uint_eq(w.fake->sessions, 2);
	finish(&w);
}
END_TEST

static const struct {
	struct fake_rule	 rule;
	enum job_outcome	 outcome;
	const char		*enhanced;
	bool			 trouble;
} troubles[] = {
	{ { "greeting", 0, FAKE_CLOSE, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "greeting", 0, FAKE_STALL, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "greeting", 0, FAKE_SAY, "554 5.3.2 no\r\n" }, JOB_DEFERRED, "4.3.2", true },
	{ { "EHLO", 0, FAKE_CLOSE, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "MAIL", 0, FAKE_CLOSE, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "MAIL", 0, FAKE_SAY, "550 5.7.1 no\r\n" }, JOB_FAILED, "5.7.1", false },
	{ { "RCPT", 4, FAKE_SAY, "450 4.2.1 no\r\n" }, JOB_DEFERRED, "4.2.1", false },
	{ { "RCPT", 2, FAKE_STALL, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "RCPT", 2, FAKE_CLOSE, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "DATA", 0, FAKE_SAY_CLOSE, "451 4.3.0 no\r\n" }, JOB_DEFERRED, "4.3.0", false },
	{ { "content", 0, FAKE_CLOSE, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "content", 0, FAKE_STALL, "" }, JOB_DEFERRED, "4.4.2", true },
	{ { "content", 0, FAKE_SAY, "554 5.6.0 no\r\n" }, JOB_FAILED, "5.6.0", false },
};

START_TEST(test_trouble)
{
	struct fake_rule rules[] = { troubles[_i].rule, { .step = NULL } };
	struct world w;

	begin(&w, FAKE_PIPE, rules);
	send_job(&w, 0, NULL);
	run(&w, 1);
	check_once(&w, 1);
	ck_assert_int_eq(w.last.outcome, troubles[_i].outcome);
	ck_assert_str_eq(w.last.enhanced, troubles[_i].enhanced);
	ck_assert_int_eq(w.last.host_trouble, troubles[_i].trouble);
	finish(&w);
}
END_TEST

START_TEST(test_nothing_there)
{
	struct world w;

	begin(&w, FAKE_PIPE, NULL);
	fake_shut(w.fake);
	send_job(&w, 0, NULL);
	run(&w, 1);
	check_once(&w, 1);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);
	ck_assert(w.last.host_trouble);

	send_job(&w, 1, "mx:[10.0.0.1]");		/* a private address, which nobody allowed */
	run(&w, 2);
	ck_assert_int_eq(w.last.outcome, JOB_FAILED);
	ck_assert_str_eq(w.last.enhanced, "5.4.4");

	send_job(&w, 2, "mx:example.org");		/* no resolver, so time has to pass */
	w.fake->stalls = 1;
	run(&w, 3);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);
	ck_assert_str_eq(w.last.enhanced, "4.4.3");

	send_job(&w, 3, "nonsense");
	run(&w, 4);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);

	/* What is wrong with a relay is never the mail's fault. */
	send_job(&w, 4, "relay:0.0.0.0:25");
	run(&w, 5);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);
	ck_assert_str_eq(w.last.enhanced, "4.4.3");
	ck_assert(w.last.host_trouble);
	check_once(&w, 5);
	finish(&w);
}
END_TEST

/* Hosts in order; addresses of the family that is wanted. */
START_TEST(test_several_hosts)
{
	struct conf_destination d = { .domain = (char *)"*", .mx = true, .connections = 1, .n_hosts = 1, .inet = CONF_INET_IPV6,
	    .login = (char *)"", .source_ipv4 = (char *)"", .source_ipv6 = (char *)"", .helo = (char *)"us.example.net" };
	struct conf_host host = { .name = (char *)"127.0.0.1" };
	struct world w;
	char hop[200];

	begin(&w, FAKE_PIPE, NULL);
	snprintf(hop, sizeof(hop), "relay:0.0.0.0:25,127.0.0.9:%u,127.0.0.1:%u", ntohs(w.fake->address.sin_port),
	    ntohs(w.fake->address.sin_port));
	send_job(&w, 0, hop);
	run(&w, 1);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);

	host.port = ntohs(w.fake->address.sin_port);
	d.hosts = &host;
	w.conf.destinations = &d;
	w.conf.n_destinations = 1;
	snprintf(hop, sizeof(hop), "relay-mx:127.0.0.1:%u", host.port);
	send_job(&w, 1, hop);
	run(&w, 2);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);
	ck_assert_ptr_nonnull(strstr(w.last.text, "no IPv6 address"));
	d.inet = CONF_INET_IPV4;
	send_job(&w, 2, hop);
	run(&w, 3);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	check_once(&w, 3);
	finish(&w);
}
END_TEST

/* A relay that is logged in to: with what is in the file, on connections of its own, and never without. */
START_TEST(test_login)
{
	static const char text[] = "out anna secret\n";
	struct conf_destination d = { .domain = (char *)"*", .connections = 1, .n_hosts = 1, .login = (char *)"out",
	    .source_ipv4 = (char *)"127.0.0.9", .source_ipv6 = (char *)"", .helo = (char *)"other.example" };
	struct conf_host host = { .name = (char *)"127.0.0.1" };
	struct credentials *credentials;
	char hop[200], plain[200], err[100];
	struct world w;

	begin(&w, "250-fake\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n", NULL);
	host.port = ntohs(w.fake->address.sin_port);
	d.hosts = &host;
	w.conf.destinations = &d;
	w.conf.n_destinations = 1;
	snprintf(hop, sizeof(hop), "relay:127.0.0.1:%u/to=*", host.port);
	send_job(&w, 0, hop);
	run(&w, 1);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);
	ck_assert_ptr_nonnull(strstr(w.last.text, "has no entry out"));
	ck_assert_uint_eq(w.fake->sessions, 0);

	credentials = credentials_parse(text, strlen(text), err, sizeof(err));
	agent_set_credentials(w.agent, credentials);
	send_job(&w, 1, hop);
	run(&w, 2);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	ck_assert_ptr_nonnull(strstr(w.fake->log, "EHLO AUTH MAIL"));
	ck_assert_str_eq(w.fake->line[3], "EHLO other.example");
	send_job(&w, 2, hop);
	run(&w, 3);
	ck_assert_uint_eq(w.fake->sessions, 1);
	/* The same address for others: not by that connection. */
	snprintf(plain, sizeof(plain), "relay:127.0.0.1:%u", host.port);
	send_job(&w, 3, plain);
	run(&w, 4);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	ck_assert_uint_eq(w.fake->sessions, 2);
	ck_assert_str_eq(w.fake->line[3], "EHLO us.example.net");
	/* The section is gone: nothing is sent without what it said. */
	send_job(&w, 4, strcat(hop, ".example"));
	run(&w, 5);
	ck_assert_int_eq(w.last.outcome, JOB_DEFERRED);
	check_once(&w, 5);
	finish(&w);
	credentials_free(credentials);
}
END_TEST

/* Two next hops that lead to the same address share what that may have, and the connections that are kept. */
START_TEST(test_shared_host)
{
	struct world w;
	char hop[200], status[200];

	begin(&w, FAKE_CHUNK, NULL);
	w.conf.host_connections = 4;
	snprintf(hop, sizeof(hop), "relay:127.0.0.9:%u,127.0.0.1:%u", ntohs(w.fake->address.sin_port),
	    ntohs(w.fake->address.sin_port));
	for (unsigned i = 0; i < 40; i++)
		send_job(&w, i, i % 2 == 0 ? hop : NULL);
	run(&w, 40);
	check_once(&w, 40);
	ck_assert_uint_eq(w.fake->messages, 40);
	ck_assert_uint_le(w.fake->sessions, 4);
	agent_drain(w.agent);
	agent_status(w.agent, status, sizeof(status));
	ck_assert_str_eq(status, "jobs=0 connections=0 idle=0 waiting=0");
	send_job(&w, 40, NULL);
	run(&w, 41);
	agent_status(w.agent, status, sizeof(status));
	ck_assert_str_eq(status, "jobs=0 connections=0 idle=0 waiting=0");
	finish(&w);
}
END_TEST

/* A connection takes one message and one recipient. */
START_TEST(test_small_server)
{
	struct world w;

	begin(&w, "250-fake\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=1 RCPTMAX=1\r\n", NULL);
	for (unsigned i = 0; i < 4; i++)
		send_job(&w, i, NULL);
	run(&w, 4);
	check_once(&w, 4);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	ck_assert_uint_eq(w.fake->messages, 4 * RCPTS);
	ck_assert_uint_eq(w.fake->sessions, 4 * RCPTS);
	finish(&w);
}
END_TEST

START_TEST(test_bad_address)
{
	char address[1000];
	struct world w;

	memset(address, 'a', sizeof(address));
	memcpy(address + sizeof(address) - 3, "@b", 3);
	begin(&w, FAKE_PIPE, NULL);
	send_begin(&w, 0, NULL, strlen(CONTENT));
	for (uint32_t i = 0; i < RCPTS; i++)
		send_rcpt(&w, 0, i, i < 3 ? "r@example.org" : address);
	ipc_send(w.queue, MSG_JOB_DATA, 0, CONTENT, strlen(CONTENT), -1);
	ipc_send(w.queue, MSG_JOB_START, 0, NULL, 0, -1);
	run(&w, 1);
	check_once(&w, 1);
	ck_assert_str_eq(w.last.enhanced, "5.1.3");
	ck_assert_uint_eq(w.fake->messages, 1);
	finish(&w);
}
END_TEST

START_TEST(test_large)
{
	const uint64_t size = 3 * 1000 * 1000;
	char *p = malloc(MSG_CHUNK_MAX);
	struct world w;

	begin(&w, _i == 0 ? FAKE_CHUNK : FAKE_PLAIN, NULL);
	w.feed = true;
	memset(p, 'y', MSG_CHUNK_MAX);
	memcpy(p + MSG_CHUNK_MAX - 2, "\r\n", 2);
	send_begin(&w, 0, NULL, size);
	for (uint32_t i = 0; i < RCPTS; i++)
		send_rcpt(&w, 0, i, "r@example.org");
	ipc_send(w.queue, MSG_JOB_DATA, 0, p, MSG_CHUNK_MAX, -1);
	ipc_send(w.queue, MSG_JOB_START, 0, NULL, 0, -1);
	run(&w, 1);
	check_once(&w, 1);
	ck_assert_int_eq(w.last.outcome, JOB_DELIVERED);
	ck_assert_uint_eq(w.pulled, size - MSG_CHUNK_MAX);
	ck_assert_uint_eq(evbuffer_get_length(w.fake->content), size + strlen("Received: x\r\n"));
	free(p);
	finish(&w);
}
END_TEST

/* Cancelled while waiting, connecting, in the middle: results all the same. */
START_TEST(test_cancel)
{
	const struct fake_rule rules[] = { { "greeting", 0, FAKE_STALL, "" }, { .step = NULL } };
	struct world w;

	begin(&w, FAKE_PIPE, _i > 5 ? rules : NULL);
	for (unsigned i = 0; i < 8; i++)
		send_job(&w, i, NULL);
	for (int turn = 0; turn < _i; turn++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	for (unsigned i = 0; i < 8; i++)
		ipc_send(w.queue, MSG_JOB_CANCEL, i, NULL, 0, -1);
	w.fake->stalls = 0;
	run(&w, 8);
	check_once(&w, 8);
	ck_assert(!w.down);
	finish(&w);
}
END_TEST

static void
on_stopped(void *arg)
{
	((struct world *)arg)->stopped = true;
}

START_TEST(test_stop)
{
	const struct fake_rule rules[] = { { "content", 2, FAKE_STALL, "" }, { .step = NULL } };
	struct world w;

	begin(&w, FAKE_PIPE, rules);
	for (unsigned i = 0; i < 8; i++)
		send_job(&w, i, NULL);
	while (w.fake->stalls == 0)
		event_base_loop(w.base, EVLOOP_ONCE);
	agent_stop(w.agent, on_stopped, &w);
	for (int i = 0; i < 5; i++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	ck_assert(!w.stopped);
	send_job(&w, 8, NULL);
	clock_shift(w.offset += 31 * 1000);
	run(&w, 9);
	check_once(&w, 9);
	ck_assert(w.stopped);
	ck_assert_str_eq(w.last.enhanced, "4.3.2");
	finish(&w);
}
END_TEST

START_TEST(test_queue_gone)
{
	struct world w;

	begin(&w, FAKE_PIPE, NULL);
	for (unsigned i = 0; i < 8; i++)
		send_job(&w, i, NULL);
	for (int turn = 0; turn < _i; turn++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	ipc_flush(w.queue, 100);
	ipc_free(w.queue);
	w.queue = NULL;
	while (!w.down)
		event_base_loop(w.base, EVLOOP_ONCE);
	for (int turn = 0; turn < 20; turn++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	finish(&w);
}
END_TEST

/* What queue must not say ends its channel, and nothing else. */
START_TEST(test_bad_queue)
{
	struct world w;

	begin(&w, FAKE_PIPE, NULL);
	switch (_i) {
	case 0:
		ipc_send(w.queue, MSG_JOB_START, 1, NULL, 0, -1);
		break;
	case 1:
		send_rcpt(&w, 1, 0, "r@example.org");
		break;
	case 2:
		send_begin(&w, 1, NULL, 10);
		send_begin(&w, 1, NULL, 10);
		break;
	case 3:
		send_begin(&w, 1, NULL, 10);
		ipc_send(w.queue, MSG_JOB_DATA, 1, CONTENT, strlen(CONTENT), -1);
		break;
	case 4:
		send_begin(&w, 1, NULL, 10);
		ipc_send(w.queue, MSG_JOB_START, 1, NULL, 0, -1);
		break;
	case 5:
		ipc_send(w.queue, MSG_JOB_BEGIN, 1, "\xff\xff\xff\xff aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 36, -1);
		break;
	case 6:
		send_begin(&w, 1, NULL, 10);
		send_rcpt(&w, 1, 0, "a\r\nRSET\r\n@example.org");
		break;
	}
	while (!w.down)
		event_base_loop(w.base, EVLOOP_ONCE);
	finish(&w);
}
END_TEST

static void
no_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int
main(void)
{
	TCase *t = tcase_create("all");

	signal(SIGPIPE, SIG_IGN);
	if (getenv("LOG") == NULL)
		log_set_sink(no_log, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_many_jobs);
	tcase_add_test(t, test_stale);
	tcase_add_loop_test(t, test_trouble, 0, sizeof(troubles) / sizeof(troubles[0]));
	tcase_add_test(t, test_nothing_there);
	tcase_add_test(t, test_several_hosts);
	tcase_add_test(t, test_login);
	tcase_add_test(t, test_shared_host);
	tcase_add_test(t, test_small_server);
	tcase_add_test(t, test_bad_address);
	tcase_add_loop_test(t, test_large, 0, 2);
	tcase_add_loop_test(t, test_cancel, 0, 16);
	tcase_add_test(t, test_stop);
	tcase_add_loop_test(t, test_queue_gone, 0, 16);
	tcase_add_loop_test(t, test_bad_queue, 0, 7);
	return run_case("agent", t);
}
