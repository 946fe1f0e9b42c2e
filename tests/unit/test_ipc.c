/*
 * lib/ipc.c: messages and descriptors arrive whole and in order; whatever a hostile peer writes ends that peer, with a
 * reason, and nothing else (ATTACKS row 82).
 */
#include <check.h>
#include <endian.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ipc.h"
#include "lib/pack.h"
#include "tests/unit/run.h"

static struct event_base *base;
static struct ipc *queue_end;	/* queue's end of a channel to smtpd */
static int raw;			/* smtpd's end, as a hostile smtpd would use it */
static char reason[256];
static unsigned n_begin, n_data, n_fds, wrong;
static uint64_t last_id, bytes;
static bool refuse;

static int
on_begin(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	(void)ipc;
	n_begin++;
	last_id = m->id;
	return refuse ? -1 : 0;
}

static int
on_data(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	(void)arg;
	(void)ipc;
	n_data++;
	for (size_t i = 0; i < m->len; i++)
		wrong += m->data[i] != (uint8_t)(bytes + i);
	bytes += m->len;
	return 0;
}

static const struct ipc_handler handlers[] = {
	{ MSG_MAIL_BEGIN, on_begin },
	{ MSG_MAIL_DATA, on_data },
	{ MSG_NONE, NULL },
};

static void
on_down(void *arg, struct ipc *ipc, const char *why)
{
	(void)arg;
	snprintf(reason, sizeof(reason), "%s", why);
	if (ipc == queue_end)
		queue_end = NULL;
}

static void
setup(void)
{
	int sv[2];

	base = event_base_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	queue_end = ipc_new(base, sv[0], PROC_QUEUE, PROC_SMTPD, 1, handlers, on_down, NULL);
	raw = sv[1];
	reason[0] = '\0';
	n_begin = n_data = n_fds = wrong = 0;
	bytes = 0;
	refuse = false;
}

static void
teardown(void)
{
	ipc_free(queue_end);
	if (raw >= 0)
		close(raw);
	event_base_free(base);
}

static void
turns(void)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* A message as raw bytes, with a claimed length and descriptor mark of the test's choice. */
static void
write_raw(unsigned type, uint32_t claimed, uint8_t fd_mark, uint8_t zero, size_t len)
{
	uint8_t *m = calloc(1, 16 + len);
	uint32_t n = htole32(claimed);
	uint16_t t = htole16((uint16_t)type);

	memcpy(m, &n, 4);
	memcpy(m + 4, &t, 2);
	m[6] = fd_mark;
	m[7] = zero;
	m[8] = 42;
	ck_assert_int_eq(write(raw, m, 16 + len), (ssize_t)(16 + len));
	free(m);
}

static const struct {
	const char *what;
	unsigned type;
	uint32_t claimed;
	uint8_t fd_mark, zero;
	size_t len;
	const char *says;
} hostile[] = {
	{ "type 0", 0, 20, 0, 0, 20, "unknown type" },
	{ "type past the table", MSG_COUNT, 20, 0, 0, 20, "unknown type" },
	{ "queue's own answer", MSG_MAIL_DONE, 20, 0, 0, 20, "not its message to send" },
	{ "lookup's answer", MSG_EXPAND, 20, 0, 0, 20, "not its message to send" },
	{ "for lookup", MSG_RCPT_ASK, 20, 0, 0, 20, "not for this process" },
	{ "master's word", MSG_GO, 0, 0, 0, 0, "not its message to send" },
	{ "a result of delivery's", MSG_JOB_RESULT, 20, 0, 0, 20, "not its message to send" },
	{ "too short", MSG_MAIL_BEGIN, 3, 0, 0, 3, "impossible size" },
	{ "too long", MSG_MAIL_BEGIN, 9000, 0, 0, 9000, "impossible size" },
	{ "longer than any", MSG_MAIL_BEGIN, 0xffffffff, 0, 0, 0, "no message" },
	{ "a descriptor that is not allowed", MSG_MAIL_BEGIN, 20, 1, 0, 20, "descriptor where none belongs" },
	{ "a mark that is none", MSG_MAIL_BEGIN, 20, 2, 0, 20, "no message" },
	{ "reserved byte", MSG_MAIL_BEGIN, 20, 0, 9, 20, "no message" },
};

START_TEST(hostile_message_ends_its_sender)
{
	write_raw(hostile[_i].type, hostile[_i].claimed, hostile[_i].fd_mark, hostile[_i].zero, hostile[_i].len);
	turns();
	ck_assert_msg(strstr(reason, hostile[_i].says) != NULL, "%s: said \"%s\"", hostile[_i].what, reason);
	ck_assert_uint_eq(n_begin + n_data, 0);
}
END_TEST

START_TEST(handler_refuses)
{
	refuse = true;
	write_raw(MSG_MAIL_BEGIN, 20, 0, 0, 20);
	write_raw(MSG_MAIL_BEGIN, 20, 0, 0, 20);
	turns();
	ck_assert_uint_eq(n_begin, 1);
	ck_assert(strstr(reason, "MAIL_BEGIN: not acceptable") != NULL);
}
END_TEST

/* Byte by byte, and many at once. */
START_TEST(any_division)
{
	uint8_t m[36] = { 20, 0, 0, 0, MSG_MAIL_BEGIN, 0, 0, 0, 7 };

	for (size_t i = 0; i < sizeof(m); i++) {
		ck_assert_int_eq(write(raw, m + i, 1), 1);
		ck_assert_uint_eq(n_begin, 0);
		turns();
	}
	ck_assert_uint_eq(n_begin, 1);
	ck_assert_uint_eq(last_id, 7);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(write(raw, m, sizeof(m)), (ssize_t)sizeof(m));
		if (i % 50 == 0)
			turns();
	}
	turns();
	ck_assert_uint_eq(n_begin, 1001);
	ck_assert_str_eq(reason, "");
}
END_TEST

START_TEST(peer_closes)
{
	write_raw(MSG_MAIL_BEGIN, 20, 0, 0, 20);
	close(raw);
	raw = -1;
	turns();
	ck_assert_uint_eq(n_begin, 1);
	ck_assert_str_eq(reason, "closed");
}
END_TEST

/* More than the socket holds: everything comes, in order, without any wait in ipc_send. */
START_TEST(large_streams)
{
	struct ipc *smtpd_end;
	uint8_t chunk[MSG_CHUNK_MAX];
	uint64_t sent = 0;

	smtpd_end = ipc_new(base, dup(raw), PROC_SMTPD, PROC_QUEUE, 1, NULL, on_down, NULL);
	for (int i = 0; i < 100; i++) {
		for (size_t k = 0; k < sizeof(chunk); k++)
			chunk[k] = (uint8_t)(sent + k);
		ipc_send(smtpd_end, MSG_MAIL_DATA, 1, chunk, sizeof(chunk), -1);
		sent += sizeof(chunk);
	}
	ck_assert_uint_gt(ipc_pending(smtpd_end), 0);
	while (n_data < 100)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(bytes, sent);
	ck_assert_uint_eq(wrong, 0);
	ipc_free(smtpd_end);
}
END_TEST

/* Who does not read is ended, not waited for. */
START_TEST(peer_that_does_not_read)
{
	uint8_t chunk[2048] = { 0 };

	for (unsigned i = 0; i < IPC_OUT_MAX / sizeof(chunk) + 1000; i++)
		ipc_send(queue_end, MSG_MAIL_DONE, 1, chunk, sizeof(chunk), -1);
	turns();
	ck_assert(strstr(reason, "does not read") != NULL);
}
END_TEST

static struct ipc *lookup_end;
static int fd_order[64];

static int
on_trust(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	char c;

	(void)arg;
	(void)ipc;
	ck_assert_int_ge(m->fd, 0);
	ck_assert_int_eq(read(m->fd, &c, 1), 1);
	fd_order[n_fds++] = c;
	ck_assert_uint_eq(m->id, (uint64_t)c);
	close(m->fd);
	return 0;
}

static const struct ipc_handler lookup_handlers[] = { { MSG_TRUST_ASK, on_trust }, { MSG_NONE, NULL } };

/* Descriptors among messages without: each reaches its own message. */
START_TEST(descriptors_in_order)
{
	struct ipc *smtpd_end;
	int sv[2], p[2];
	uint8_t eight[8] = { 0 };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	smtpd_end = ipc_new(base, sv[0], PROC_SMTPD, PROC_LOOKUP, 1, NULL, on_down, NULL);
	lookup_end = ipc_new(base, sv[1], PROC_LOOKUP, PROC_SMTPD, 1, lookup_handlers, on_down, NULL);
	for (char c = 0; c < 40; c++) {
		ck_assert_int_eq(pipe(p), 0);
		ck_assert_int_eq(write(p[1], &c, 1), 1);
		close(p[1]);
		ipc_send(smtpd_end, MSG_TRUST_ASK, (uint64_t)c, eight, sizeof(eight), p[0]);
	}
	while (n_fds < 40 && reason[0] == '\0')
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_str_eq(reason, "");
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(fd_order[i], i);
	ipc_free(smtpd_end);
	ipc_free(lookup_end);
}
END_TEST

/* A descriptor announced but not sent, and descriptors sent that no message announces. */
START_TEST(descriptors_that_lie)
{
	int sv[2];
	uint8_t m[24] = { 8, 0, 0, 0, MSG_TRUST_ASK, 0, 1, 0 };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	lookup_end = ipc_new(base, sv[1], PROC_LOOKUP, PROC_SMTPD, 1, lookup_handlers, on_down, NULL);
	ck_assert_int_eq(write(sv[0], m, sizeof(m)), (ssize_t)sizeof(m));
	turns();
	ck_assert(strstr(reason, "announced and not sent") != NULL);
	close(sv[0]);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("ipc");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, hostile_message_ends_its_sender, 0, (int)(sizeof(hostile) / sizeof(hostile[0])));
	tcase_add_test(t, handler_refuses);
	tcase_add_test(t, any_division);
	tcase_add_test(t, peer_closes);
	tcase_add_test(t, large_streams);
	tcase_add_test(t, peer_that_does_not_read);
	tcase_add_test(t, descriptors_in_order);
	tcase_add_test(t, descriptors_that_lie);
	return run_case("ipc", t);
}
