/*
 * The process lookup, asked by an smtpd that may be in a stranger's hands, and by queue.
 */
#include <netinet/in.h>
#include <sys/un.h>

#include "lib/messages.h"
#include "lib/token.h"
#include "tests/unit/fake_master.h"
#include "tests/unit/run.h"

#define SESSION	77

static struct fake f;
static const uint8_t key[32] = { 5, 4, 3 };

static void
write_file(const char *name, const char *text)
{
	char path[512];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	ck_assert_ptr_nonnull(out = fopen(path, "w"));
	fputs(text, out);
	fclose(out);
	chmod(path, 0644);
}

static void
start(enum proc peer, const char *trusted)
{
	char conf[1024], path[512];

	fake_folder(&f);
	snprintf(path, sizeof(path), "%s/virtual", f.dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/virtual/example.org", f.dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/virtual/example.org/anna", f.dir);
	mkdir(path, 0755);
	write_file("aliases", "team: anna, far@far.example\nbad: |cmd; x\n");
	snprintf(conf, sizeof(conf), "hostname = mail.example.org\ndomains = example.org\naliases = %s/aliases\n"
	    "virtual_directory = %s/virtual\nvirtual_user = daemon\nstate = %s\ncontrol = %s/control\n%s\n", f.dir, f.dir, f.dir,
	    f.dir, trusted);
	fake_start(&f, PROC_LOOKUP, peer, conf, key);
}

/* ---- trust ---- */

/* A listening socket's accepted end: *far_r is the client's. unix: under this name in the folder. */
static int
accepted(const char *unix_name, int *far_r)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr *sa = unix_name != NULL ? (struct sockaddr *)&un : (struct sockaddr *)&in;
	socklen_t len = unix_name != NULL ? sizeof(un) : sizeof(in);
	int s = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), near;

	if (unix_name != NULL)
		snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", f.dir, unix_name);
	ck_assert(bind(s, sa, len) == 0 && listen(s, 5) == 0 && getsockname(s, sa, &len) == 0);
	*far_r = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(*far_r, sa, len), 0);
	near = accept(s, NULL, NULL);
	close(s);
	return near;
}

/* What lookup says of the client behind near, which is handed over; the token is for the caller. */
static bool
is_trusted(int near, uint8_t token[TOKEN_SIZE])
{
	static uint64_t id = 100;
	const struct fake_said *s;
	struct unpack u;
	struct pack p;
	size_t len;
	const void *got;
	bool trusted;

	pack_init(&p);
	pack_u64(&p, SESSION);
	ipc_send_pack(f.peer, MSG_TRUST_ASK, ++id, &p, near);
	pack_free(&p);
	s = fake_wait(&f, MSG_TRUST, id);
	unpack_init(&u, s->data, s->len);
	trusted = unpack_u8(&u) == 1;
	got = unpack_blob(&u, &len);
	ck_assert(unpack_end(&u) && len == (trusted ? TOKEN_SIZE : 0));
	if (trusted)
		memcpy(token, got, TOKEN_SIZE);
	return trusted;
}

START_TEST(test_trust)
{
	uint8_t token[TOKEN_SIZE];
	int far, pair[2];

	start(PROC_SMTPD, "trusted_networks = 127.0.0.0/8");
	ck_assert(is_trusted(accepted(NULL, &far), token));
	ck_assert(token_check(token, sizeof(token), key, TOKEN_TRUSTED, SESSION, "", clock_ms() / 1000));
	ck_assert(is_trusted(accepted("control", &far), token));
	/* What a compromised smtpd has at hand: its channels, which root made; sockets of any other kind; files. */
	ck_assert(!is_trusted(accepted("other", &far), token));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert(!is_trusted(pair[0], token));
	ck_assert(!is_trusted(socket(AF_INET, SOCK_STREAM, 0), token));
	ck_assert(!is_trusted(open("/dev/null", O_RDONLY), token));
	fake_stop(&f);
}
END_TEST

/* Who says that it brings somebody else must be one that may; then only whom it names counts. */
static const struct { const char *conf, *client; enum rcpt_verdict verdict; } claims[] = {
	{ "trusted_networks = 192.0.2.0/24 proxy_networks = 127.0.0.1", "192.0.2.7", RCPT_RELAY },
	{ "trusted_networks = 192.0.2.0/24 proxy_networks = 127.0.0.1", "192.0.3.7", RCPT_DENIED },
	{ "trusted_networks = 192.0.2.0/24 proxy_networks = 127.0.0.1", "nobody", RCPT_DENIED },
	{ "trusted_networks = 2001:db8::/32 xclient_networks = 127.0.0.1", "2001:db8::7", RCPT_RELAY },
	{ "trusted_networks = 192.0.2.0/24", "192.0.2.7", RCPT_DENIED },
	{ "trusted_networks = { 127.0.0.0/8, 192.0.2.0/24 }", "192.0.2.7", RCPT_DENIED },
	{ "trusted_networks = 127.0.0.0/8 proxy_networks = 127.0.0.1", "192.0.2.7", RCPT_DENIED },
};

START_TEST(test_claimed)
{
	const struct fake_said *s;
	struct unpack u;
	struct pack p;
	int far;

	start(PROC_SMTPD, claims[_i].conf);
	pack_init(&p);
	pack_u64(&p, SESSION);
	pack_str(&p, "to@elsewhere.example");
	pack_str(&p, claims[_i].client);
	ipc_send_pack(f.peer, MSG_TRUST_ASK, 901, &p, accepted(NULL, &far));
	pack_free(&p);
	s = fake_wait(&f, MSG_RCPT, 901);
	unpack_init(&u, s->data, s->len);
	ck_assert_int_eq(unpack_u8(&u), claims[_i].verdict);
	fake_stop(&f);
}
END_TEST

/* A recipient that comes along is judged by what was just found of the client. */
START_TEST(test_recipient_along)
{
	const struct fake_said *s;
	struct unpack u;
	struct pack p;
	int far;

	start(PROC_SMTPD, "trusted_networks = 127.0.0.0/8");
	pack_init(&p);
	pack_u64(&p, SESSION);
	pack_str(&p, "to@elsewhere.example");
	ipc_send_pack(f.peer, MSG_TRUST_ASK, 900, &p, accepted(NULL, &far));
	pack_free(&p);
	s = fake_wait(&f, MSG_RCPT, 900);
	unpack_init(&u, s->data, s->len);
	ck_assert_int_eq(unpack_u8(&u), RCPT_RELAY);
	fake_stop(&f);
}
END_TEST

START_TEST(test_nobody_trusted)
{
	uint8_t token[TOKEN_SIZE];
	int far;

	start(PROC_SMTPD, "");
	ck_assert(!is_trusted(accepted(NULL, &far), token));
	fake_stop(&f);
}
END_TEST

/* ---- recipients ---- */

static enum rcpt_verdict
ask(uint64_t id, const char *address, const uint8_t *trust, size_t trust_len)
{
	uint8_t token[TOKEN_SIZE];
	const struct fake_said *s;
	enum rcpt_verdict verdict;
	const void *got;
	struct unpack u;
	struct pack p;
	char *text;
	size_t len;

	pack_init(&p);
	pack_u64(&p, SESSION);
	pack_str(&p, address);
	pack_blob(&p, trust, trust_len);
	ipc_send_pack(f.peer, MSG_RCPT_ASK, id, &p, -1);
	pack_free(&p);
	s = fake_wait(&f, MSG_RCPT, id);
	unpack_init(&u, s->data, s->len);
	verdict = (enum rcpt_verdict)unpack_u8(&u);
	text = unpack_str(&u);
	got = unpack_blob(&u, &len);
	ck_assert(unpack_end(&u) && text[0] != '\0');
	free(text);
	if (verdict == RCPT_LOCAL || verdict == RCPT_RELAY) {
		ck_assert_uint_eq(len, TOKEN_SIZE);
		memcpy(token, got, len);
		ck_assert(token_check(token, len, key, verdict == RCPT_LOCAL ? TOKEN_LOCAL : TOKEN_RELAY, SESSION, address,
		    clock_ms() / 1000));
	} else {
		ck_assert_uint_eq(len, 0);
	}
	return verdict;
}

START_TEST(test_recipients)
{
	uint8_t trust[TOKEN_SIZE], forged[TOKEN_SIZE] = { 1 };
	static const struct { const char *address; enum rcpt_verdict stranger, trusted; } rows[] = {
		{ "anna@example.org", RCPT_LOCAL, RCPT_LOCAL }, { "Anna+x@example.org", RCPT_LOCAL, RCPT_LOCAL },
		{ "team@example.org", RCPT_LOCAL, RCPT_LOCAL }, { "nosuch@example.org", RCPT_UNKNOWN, RCPT_UNKNOWN },
		{ "postmaster", RCPT_LOCAL, RCPT_LOCAL }, { "anna", RCPT_UNKNOWN, RCPT_UNKNOWN },
		{ "a@far.example", RCPT_DENIED, RCPT_RELAY }, { "anna%example.org@far.example", RCPT_DENIED, RCPT_RELAY },
		{ "a%far.example@example.org", RCPT_UNKNOWN, RCPT_UNKNOWN }, { "a@[192.0.2.1]", RCPT_DENIED, RCPT_RELAY },
		{ "\"anna@far.example\"@example.org", RCPT_UNKNOWN, RCPT_UNKNOWN },
	};

	start(PROC_SMTPD, "");
	token_make(trust, key, TOKEN_TRUSTED, SESSION, "", clock_ms() / 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(ask(1000 + i, rows[i].address, NULL, 0) == rows[i].stranger, "%s", rows[i].address);
		ck_assert_msg(ask(2000 + i, rows[i].address, trust, sizeof(trust)) == rows[i].trusted, "%s", rows[i].address);
	}
	ck_assert_int_eq(ask(1, "a@far.example", forged, sizeof(forged)), RCPT_DENIED);
	token_make(trust, key, TOKEN_TRUSTED, SESSION + 1, "", clock_ms() / 1000);
	ck_assert_int_eq(ask(2, "a@far.example", trust, sizeof(trust)), RCPT_DENIED);
	token_make(trust, key, TOKEN_LOCAL, SESSION, "", clock_ms() / 1000);
	ck_assert_int_eq(ask(3, "a@far.example", trust, sizeof(trust)), RCPT_DENIED);
	fake_stop(&f);
}
END_TEST

/* What is not canonical was never parsed by an honest smtpd. The next smtpd is served. */
START_TEST(test_bad_smtpd)
{
	static const char *const addresses[] = { "anna@EXAMPLE.org", "<anna@example.org>", "a\nb@example.org", "\"anna\"@example.org", "" };
	struct pack p;

	start(PROC_SMTPD, "");
	pack_init(&p);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		pack_u64(&p, SESSION);
		pack_str(&p, addresses[i]);
		pack_blob(&p, "", 0);
		ipc_send_pack(f.peer, MSG_RCPT_ASK, 5, &p, -1);
		fake_wait_down(&f);
		fake_wait(&f, MSG_BAD_PEER, 0);
		fake_peer(&f, PROC_SMTPD);
	}
	pack_free(&p);
	ck_assert_int_eq(ask(6, "anna@example.org", NULL, 0), RCPT_LOCAL);
	fake_stop(&f);
}
END_TEST

/* ---- expansion and tools ---- */

static enum expand_verdict
expansion(uint64_t id, const char *address, unsigned *messages_r, unsigned *targets_r)
{
	enum expand_verdict verdict;
	struct pack p;
	bool more;

	pack_init(&p);
	pack_str(&p, address);
	pack_str(&p, "s@far.example");
	ipc_send_pack(f.peer, MSG_EXPAND_ASK, id, &p, -1);
	pack_free(&p);
	*messages_r = *targets_r = 0;
	do {
		const struct fake_said *s = fake_wait(&f, MSG_EXPAND, id);
		struct unpack u;

		unpack_init(&u, s->data, s->len);
		verdict = (enum expand_verdict)unpack_u8(&u);
		more = unpack_u8(&u) == 1;
		*targets_r += unpack_u16(&u);
		++*messages_r;
	} while (more);
	return verdict;
}

START_TEST(test_expansion)
{
	size_t size = 4 << 20, len = 0;
	char *text = malloc(size), path[512];
	unsigned messages, targets;

	start(PROC_QUEUE, "");
	ck_assert_int_eq(expansion(1, "team@example.org", &messages, &targets), EXPAND_OK);
	ck_assert(messages == 1 && targets == 2);
	ck_assert_int_eq(expansion(2, "bad@example.org", &messages, &targets), EXPAND_ERROR);
	ck_assert_int_eq(expansion(3, "nosuch@example.org", &messages, &targets), EXPAND_UNKNOWN);
	ck_assert_int_eq(expansion(4, "postmaster", &messages, &targets), EXPAND_OK);
	for (int i = 0; i < 50000; i++)
		len += (size_t)snprintf(text + len, size - len, "%sperson-number-%d@far.example\n", i == 0 ? "all: " : ",", i);
	for (char *p = text; (p = strchr(p, '\n')) != NULL; )
		*p = ' ';
	snprintf(path, sizeof(path), "%s/new", f.dir);
	write_file("new", text);
	snprintf(text, size, "%s/aliases", f.dir);
	ck_assert_int_eq(rename(path, text), 0);
	ipc_send(f.master, MSG_CLOCK, 0, (uint64_t[]){ htole64(5000), 0 }, 16, -1);
	ck_assert_int_eq(expansion(5, "postmaster", &messages, &targets), EXPAND_OK);
	for (int i = 0; i < 100 && expansion(10 + (uint64_t)i, "all@example.org", &messages, &targets) != EXPAND_OK; i++)
		;	/* the clock's message takes another channel than the question */
	ck_assert_uint_eq(targets, 50000);
	ck_assert_uint_gt(messages, 10);
	free(text);
	fake_stop(&f);
}
END_TEST

static void
control(const char *line, char *answer, size_t size)
{
	size_t len = 0;
	struct pack p;
	int fds[2];
	ssize_t n;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pack_init(&p);
	pack_u32(&p, 0);
	pack_u8(&p, 1);
	pack_str(&p, line);
	ipc_send_pack(f.master, MSG_CONTROL, 1, &p, fds[1]);
	pack_free(&p);
	ipc_flush(f.master, 1000);
	event_base_loop(f.base, EVLOOP_NONBLOCK);
	while (len < size - 1 && (n = read(fds[0], answer + len, size - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fds[0]);
}

START_TEST(test_newaliases)
{
	char answer[4096];

	start(PROC_QUEUE, "");
	control("aliases", answer, sizeof(answer));
	ck_assert_int_eq(strncmp(answer, "error: 1 of the entries", 23), 0);
	ck_assert_ptr_nonnull(strstr(answer, "aliases:2: \"|cmd; x\": no shell reads it"));
	write_file("aliases", "team: anna, bob\nx: y\n");
	control("aliases", answer, sizeof(answer));
	ck_assert_int_eq(strncmp(answer, "ok\n", 3), 0);
	ck_assert_ptr_nonnull(strstr(answer, "aliases: 2 aliases, longest 7 bytes, 8 bytes in all\n"));
	control("nonsense", answer, sizeof(answer));
	ck_assert_int_eq(strncmp(answer, "error: ", 7), 0);
	fake_stop(&f);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("lookup");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_trust);
	tcase_add_test(tests, test_recipient_along);
	tcase_add_loop_test(tests, test_claimed, 0, sizeof(claims) / sizeof(claims[0]));
	tcase_add_test(tests, test_nobody_trusted);
	tcase_add_test(tests, test_recipients);
	tcase_add_test(tests, test_bad_smtpd);
	tcase_add_test(tests, test_expansion);
	tcase_add_test(tests, test_newaliases);
	return run_case("lookup", tests);
}
