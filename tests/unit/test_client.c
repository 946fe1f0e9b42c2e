/*
 * delivery/client.c and client_steps.c against a scripted server in the same loop: whatever the server does at whatever
 * step, the session ends once, in bounded (test) time, and what it says of each recipient is right.
 */
#include <check.h>
#include <signal.h>

#include "delivery/body.h"
#include "delivery/client.h"
#include "delivery/client_verdict.h"
#include "lib/clock.h"
#include "lib/dsn.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "lib/messages.h"
#include "mx/mx.h"
#include "tests/unit/fake_server.h"
#include "tests/unit/run.h"

#define HEAD	"Received: from here\r\n\tby there\r\n"
#define CONTENT	"Subject: x\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
#define RCPTS	3

struct run {
	struct event_base	*base;
	struct fake		*fake;
	struct client		*client;
	struct client_mail	 mail;
	struct client_rcpt	 rcpts[RCPTS];
	unsigned		 done, lost;
	enum client_end		 end;
	/* content that is pulled */
	char			*content;
	size_t			 size, sent, wanted, most_wanted;
	struct event		*feed;
	bool			 starve;	/* never feeds */
};

static int64_t offset;

static void
shift(int64_t ms)
{
	clock_shift(offset += ms);
}

static void
on_done(void *arg, enum client_end end)
{
	struct run *r = arg;

	r->done++;
	r->end = end;
}

static void
on_lost(void *arg)
{
	struct run *r = arg;

	r->lost++;
	client_free(r->client);
	r->client = NULL;
}

static void
on_pull(void *arg, uint32_t bytes)
{
	struct run *r = arg;

	r->wanted += bytes;
	if (r->wanted > r->most_wanted)
		r->most_wanted = r->wanted;
	if (!r->starve)
		event_active(r->feed, 0, 0);
}

static void
on_feed(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	size_t n = r->wanted < 5000 ? r->wanted : 5000;

	(void)fd;
	(void)what;
	if (n == 0)
		return;
	r->wanted -= n;
	r->sent += n;
	ck_assert_int_eq(body_put(r->mail.body, r->content + r->sent - n, n), 0);
	if (r->wanted > 0)
		event_active(r->feed, 0, 0);
}

static void
new_mail(struct run *r, const char *content, size_t size, size_t at_hand)
{
	static const char *const addresses[RCPTS] = { "a@example.org", "b@example.org", "c@example.org" };

	r->content = malloc(size + 1);
	memcpy(r->content, content, size);
	r->size = size;
	r->sent = at_hand;
	r->mail = (struct client_mail){ .message = "M1", .sender = "s@example.net", .rcpts = r->rcpts, .n_rcpts = RCPTS,
	    .n_open = RCPTS };
	for (int i = 0; i < RCPTS; i++)
		r->rcpts[i] = (struct client_rcpt){ .address = addresses[i] };
	r->mail.body = body_new(HEAD, size, on_pull, r);
	ck_assert_int_eq(body_put(r->mail.body, content, at_hand), 0);
}

static void
drop_mail(struct run *r)
{
	for (int i = 0; i < RCPTS; i++)
		verdict_drop(r->rcpts[i].verdict);
	body_free(r->mail.body);
	free(r->content);
	r->done = 0;
}

static void
start(struct run *r, const char *ehlo, const struct fake_rule *rules)
{
	struct mx_address a = { .host = "mx.example.org" };

	memset(r, 0, sizeof(*r));
	r->base = event_base_new();
	clock_init(r->base);
	clock_hold(true);
	r->fake = fake_new(r->base, ehlo, rules);
	r->feed = event_new(r->base, -1, 0, on_feed, r);
	memcpy(&a.address, &r->fake->address, sizeof(r->fake->address));
	a.length = sizeof(r->fake->address);
	r->client = client_new(r->base, &a, "us.example.net");
	new_mail(r, CONTENT, strlen(CONTENT), strlen(CONTENT));
}

static void
end(struct run *r)
{
	client_free(r->client);
	drop_mail(r);
	event_free(r->feed);
	fake_free(r->fake);
	clock_init(NULL);
	event_base_free(r->base);
}

/* What must be true of every session, however it went. */
static void
check_end(const struct run *r, const char *what)
{
	uint32_t open = 0;

	ck_assert_msg(r->done == 1, "%s: ended %u times", what, r->done);
	for (int i = 0; i < RCPTS; i++)
		open += r->rcpts[i].verdict == NULL;
	ck_assert_msg(open == r->mail.n_open, "%s: counted %u open, there are %u", what, r->mail.n_open, open);
	ck_assert_msg((open > 0) == (r->end == CLIENT_FAILED), "%s: end %d with %u open", what, r->end, open);
	if (r->end == CLIENT_FAILED) {
		ck_assert_msg(client_why(r->client) != NULL, "%s: no reason", what);
		ck_assert_int_eq(client_why(r->client)->outcome, JOB_DEFERRED);
		ck_assert_int_eq(client_why(r->client)->enhanced[0], '4');
	}
}

/* Runs to the end. A server that stalls is waited for in test time: half a minute each turn, three hours at most. */
static void
finish(struct run *r, const char *what)
{
	int64_t begun = offset;

	for (int turns = 0; r->done == 0; turns++) {
		ck_assert_msg(turns < 20000, "%s: hangs", what);
		if (r->fake->stalls > 0 || r->starve) {
			event_base_loop(r->base, EVLOOP_NONBLOCK);
			shift(30 * 1000);
			ck_assert_msg(offset - begun < 3 * 3600 * 1000, "%s: waits for ever", what);
		} else {
			event_base_loop(r->base, EVLOOP_ONCE);
		}
	}
	check_end(r, what);
}

static void
go(struct run *r, const char *what)
{
	client_send(r->client, &r->mail, on_done, r);
	ck_assert_msg(r->done == 0, "%s: called back from inside", what);
	finish(r, what);
}

static void
check_content(const struct run *r, const char *what)
{
	size_t len = strlen(HEAD) + r->size;
	const unsigned char *got = evbuffer_pullup(r->fake->content, -1);

	ck_assert_msg(evbuffer_get_length(r->fake->content) == len, "%s: %zu bytes of %zu", what,
	    evbuffer_get_length(r->fake->content), len);
	ck_assert(memcmp(got, HEAD, strlen(HEAD)) == 0 && memcmp(got + strlen(HEAD), r->content, r->size) == 0);
}

static const char *const dialects[] = { FAKE_PLAIN, FAKE_PIPE, FAKE_CHUNK, FAKE_CHUNK_ONLY };
static const char *const dialect_logs[] = {
	"greeting EHLO MAIL RCPT RCPT RCPT DATA content",
	"greeting EHLO MAIL RCPT RCPT RCPT DATA content",
	"greeting EHLO MAIL RCPT RCPT RCPT BDAT content",
	"greeting EHLO MAIL RCPT RCPT RCPT BDAT content",
};
#define DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

START_TEST(test_delivers)
{
	struct run r;

	start(&r, dialects[_i], NULL);
	go(&r, dialects[_i]);
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	ck_assert_str_eq(r.fake->log, dialect_logs[_i]);
	check_content(&r, dialects[_i]);
	for (int i = 0; i < RCPTS; i++) {
		ck_assert_int_eq(r.rcpts[i].verdict->outcome, JOB_DELIVERED);
		ck_assert_int_eq(r.rcpts[i].verdict->code, 250);
		ck_assert_str_eq(r.rcpts[i].verdict->enhanced, "2.0.0");
		ck_assert_str_eq(r.rcpts[i].verdict->text, "2.0.0 stored");
		ck_assert(strncmp(r.rcpts[i].verdict->host, "mx.example.org [127.0.0.1]:", 27) == 0);
	}
	end(&r);
}
END_TEST

/* RFC 3461, 5.2.2: a server that cannot be told that nobody wants to hear of it has nobody to tell. */
static const struct {
	const char	*ehlo;
	uint8_t		 notify[RCPTS];
	const char	*log, *last_mail;
	bool		 login;
} without_reports[] = {
	{ FAKE_PIPE, { DSN_NEVER, 0, DSN_NEVER }, "greeting EHLO MAIL RCPT DATA content MAIL RCPT RCPT DATA content", "<>", false },
	{ FAKE_CHUNK, { 0, DSN_FAILURE, DSN_NEVER }, "greeting EHLO MAIL RCPT RCPT BDAT content MAIL RCPT BDAT content", "<>", false },
	{ FAKE_PLAIN, { DSN_NEVER, DSN_NEVER, DSN_NEVER }, "greeting EHLO MAIL RCPT RCPT RCPT DATA content", "<>", false },
	{ "250-fake\r\n250 DSN\r\n", { DSN_NEVER, 0, DSN_NEVER }, "greeting EHLO MAIL RCPT RCPT RCPT DATA content", "<s@example.net>", false },
	{ "250-fake\r\n250 AUTH PLAIN\r\n", { DSN_NEVER, 0, DSN_NEVER }, "greeting EHLO AUTH MAIL RCPT RCPT RCPT DATA content",
	    "<s@example.net>", true },
};

START_TEST(test_quiet)
{
	struct run r;

	start(&r, without_reports[_i].ehlo, NULL);
	if (without_reports[_i].login)
		client_set_login(r.client, "us", "secret");
	for (int i = 0; i < RCPTS; i++)
		r.rcpts[i].notify = without_reports[_i].notify[i];
	go(&r, without_reports[_i].log);
	ck_assert_str_eq(r.fake->log, without_reports[_i].log);
	ck_assert_ptr_nonnull(strstr(r.fake->line[0], without_reports[_i].last_mail));
	for (int i = 0; i < RCPTS; i++)
		ck_assert_int_eq(r.rcpts[i].verdict->outcome, JOB_DELIVERED);
	check_content(&r, "quiet");
	end(&r);
}
END_TEST

/* ---- logging in ---- */

#define FAKE_AUTH	"250-fake\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN\r\n"
#define FAKE_CRAM	"250-fake\r\n250 AUTH CRAM-MD5\r\n"

static const struct {
	const char	*ehlo;
	struct fake_rule rules[3];
	bool		 delivered;
	const char	*log, *why;
} logins[] = {
	{ FAKE_AUTH, { { 0 } }, true, "greeting EHLO AUTH MAIL RCPT RCPT RCPT DATA content", NULL },
	{ FAKE_CRAM, { { "AUTH", 0, FAKE_SAY, "334 PDE4\r\n" }, { "?", 0, FAKE_SAY, "235 ok\r\n" } }, true,
	    "greeting EHLO AUTH ? MAIL RCPT RCPT RCPT DATA content", NULL },
	{ FAKE_PIPE, { { 0 } }, false, "greeting EHLO", "offers no way to log in" },
	{ FAKE_AUTH, { { "EHLO", 0, FAKE_SAY, "500 what\r\n" } }, false, "greeting EHLO HELO", "offers no way to log in" },
	{ FAKE_AUTH, { { "AUTH", 0, FAKE_SAY, "535 5.7.8 no\r\n" } }, false, "greeting EHLO AUTH", "5.7.8 no" },
	{ FAKE_AUTH, { { "AUTH", 0, FAKE_SAY, "454 4.7.0 later\r\n" } }, false, "greeting EHLO AUTH", "4.7.0 later" },
	{ FAKE_AUTH, { { "AUTH", 0, FAKE_SAY, "334 more\r\n" } }, false, "greeting EHLO AUTH", "makes no sense" },
	{ FAKE_AUTH, { { "AUTH", 0, FAKE_STALL, NULL } }, false, "greeting EHLO AUTH", "timed out, waiting for AUTH" },
	{ FAKE_AUTH, { { "AUTH", 0, FAKE_CLOSE, NULL } }, false, "greeting EHLO AUTH", "waiting for AUTH" },
	{ FAKE_CRAM, { { "AUTH", 0, FAKE_SAY, "235 come in\r\n" } }, false, "greeting EHLO AUTH", "has not taken place" },
	{ FAKE_CRAM, { { "AUTH", 0, FAKE_SAY, "334 PDE4\r\n" }, { "?", 0, FAKE_SAY, "334 PDE4\r\n" } }, false, "greeting EHLO AUTH ?",
	    "makes no sense" },
};

START_TEST(test_logs_in)
{
	struct run r;

	start(&r, logins[_i].ehlo, logins[_i].rules);
	client_set_login(r.client, "anna", "secret");
	go(&r, "login");
	ck_assert_int_eq(r.end, logins[_i].delivered ? CLIENT_KEPT : CLIENT_FAILED);
	ck_assert_str_eq(r.fake->log, logins[_i].log);
	if (!logins[_i].delivered)
		ck_assert_msg(strstr(client_why(r.client)->text, logins[_i].why) != NULL, "%s", client_why(r.client)->text);
	end(&r);
}
END_TEST

/* Once by connection. */
START_TEST(test_logs_in_once)
{
	struct run r;

	start(&r, FAKE_AUTH, NULL);
	client_set_login(r.client, "anna", "secret");
	go(&r, "first");
	drop_mail(&r);
	new_mail(&r, CONTENT, strlen(CONTENT), strlen(CONTENT));
	go(&r, "second");
	ck_assert_uint_eq(r.fake->sessions, 1);
	ck_assert_str_eq(r.fake->log, "greeting EHLO AUTH MAIL RCPT RCPT RCPT DATA content MAIL RCPT RCPT RCPT DATA content");
	end(&r);
}
END_TEST

START_TEST(test_source_address)
{
	struct run r;

	start(&r, FAKE_PIPE, NULL);
	client_set_source(r.client, "127.0.0.9", "2001:db8::1");
	go(&r, "source");
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	end(&r);
	/* One that is not ours: no connection, and the mail waits. */
	start(&r, FAKE_PIPE, NULL);
	client_set_source(r.client, "192.0.2.1", "");
	go(&r, "not ours");
	ck_assert_int_eq(r.end, CLIENT_FAILED);
	ck_assert_uint_eq(r.fake->sessions, 0);
	end(&r);
}
END_TEST

/* ---- every act at every step, in every dialect ---- */

static const char *const all_steps[] = { "greeting", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "inside", "content" };
static const struct { enum fake_act act; const char *text; } all_acts[] = {
	{ FAKE_CLOSE, "" },
	{ FAKE_STALL, "" },
	{ FAKE_SAY_CLOSE, "421 4.3.2 going down\r\n" },
	{ FAKE_SAY, "421 4.3.2 going down\r\n" },
	{ FAKE_SAY, "450 4.2.0 later\r\n" },
	{ FAKE_SAY_CLOSE, "450 4.2.0 later\r\n" },
	{ FAKE_SAY, "550-5.7.1 no\r\n550 5.7.1 really\r\n" },
	{ FAKE_SAY_CLOSE, "554 5.7.1 no\r\n" },
	{ FAKE_SAY, "354 what?\r\n" },
	{ FAKE_SAY, "250 fine\r\n" },
	{ FAKE_SAY, "250 fine\r\n250 fine\r\n" },
	{ FAKE_SAY, "250-half\r\n" },
	{ FAKE_SAY, "250-half\r\n251 other\r\n" },
	{ FAKE_SAY, "hello\r\n" },
	{ FAKE_SAY, "\x16\x03\x01\x02\x03\n" },
	{ FAKE_SAY, "25" },
	{ FAKE_SAY, "" },
};
#define STEPS (sizeof(all_steps) / sizeof(all_steps[0]))
#define ACTS (sizeof(all_acts) / sizeof(all_acts[0]))

/* A reply that never becomes whole stalls as well. */
static bool
is_incomplete(const char *text)
{
	return strcmp(text, "250-half\r\n") == 0 || strcmp(text, "25") == 0 || text[0] == '\0' ||
	    strcmp(text, "354 what?\r\n") == 0;
}

START_TEST(test_sweep)
{
	struct run r;
	char what[200];
	size_t step = (size_t)_i % STEPS, act = (size_t)_i / STEPS;

	for (size_t d = 0; d < DIALECTS; d++) {
		for (unsigned nth = 0; nth < 3; nth++) {
			struct fake_rule rules[] = { { all_steps[step], nth, all_acts[act].act, all_acts[act].text },
			    { .step = NULL } };

			snprintf(what, sizeof(what), "dialect %zu, %s %u, act %zu", d, all_steps[step], nth, act);
			start(&r, dialects[d], rules);
			if (is_incomplete(all_acts[act].text) || strcmp(all_steps[step], "DATA") == 0)
				r.starve = true;	/* time passes */
			go(&r, what);
			end(&r);
		}
	}
}
END_TEST

/* ---- exact meanings ---- */

#define OPEN	-1
#define D	JOB_DELIVERED
#define L	JOB_DEFERRED
#define F	JOB_FAILED
#define LIMITS(limits)	"250-fake\r\n250-PIPELINING\r\n250 LIMITS " limits "\r\n"
#define TWICE(dialect)	dialect, dialect

static const struct {
	const char		*what, *ehlo;
	struct fake_rule	 rules[4];
	enum client_end		 end;
	int			 outcomes[RCPTS];
	int			 code;			/* of the first, or of why */
	const char		*enhanced;
	const char		*log;
} meanings[] = {
	{ "greeting 554", FAKE_PIPE, { { "greeting", 0, FAKE_SAY, "554 5.7.1 no\r\n" } },
	    CLIENT_FAILED, { OPEN, OPEN, OPEN }, 554, "4.7.1", "greeting" },
	{ "greeting 421", FAKE_PIPE, { { "greeting", 0, FAKE_SAY_CLOSE, "421 busy\r\n" } },
	    CLIENT_FAILED, { OPEN, OPEN, OPEN }, 421, "4.0.0", "greeting" },
	{ "early 250", FAKE_PIPE, { { "greeting", 0, FAKE_SAY, "220 hi\r\n250 early\r\n" } },
	    CLIENT_FAILED, { OPEN, OPEN, OPEN }, 0, "4.5.0", "greeting" },
	{ "HELO", FAKE_PIPE, { { "EHLO", 0, FAKE_SAY, "502 5.5.1 no EHLO\r\n" } },
	    CLIENT_KEPT, { D, D, D }, 250, "2.0.0", "greeting EHLO HELO MAIL RCPT RCPT RCPT DATA content" },
	{ "no HELO either", FAKE_PIPE, { { "EHLO", 0, FAKE_SAY, "502 no\r\n" }, { "HELO", 0, FAKE_SAY, "502 no\r\n" } },
	    CLIENT_FAILED, { OPEN, OPEN, OPEN }, 502, "4.0.0", "greeting EHLO HELO" },
	{ "MAIL 4xx", FAKE_PIPE, { { "MAIL", 0, FAKE_SAY, "451 4.3.0 no\r\n" }, { "RCPT", 0, FAKE_SAY, "503 MAIL first\r\n" },
	    { "DATA", 0, FAKE_SAY, "503 MAIL first\r\n" } },
	    CLIENT_KEPT, { L, L, L }, 451, "4.3.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA" },
	{ "MAIL 5xx, one by one", FAKE_PLAIN, { { "MAIL", 0, FAKE_SAY, "550 5.7.1 no\r\n" } },
	    CLIENT_KEPT, { F, F, F }, 550, "5.7.1", "greeting EHLO MAIL" },
	{ "RCPT mixed", FAKE_PIPE, { { "RCPT", 1, FAKE_SAY, "550 5.1.1 no\r\n" }, { "RCPT", 2, FAKE_SAY, "450 later\r\n" } },
	    CLIENT_KEPT, { F, L, D }, 550, "5.1.1", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
	{ "RCPT mixed, BDAT", FAKE_CHUNK, { { "RCPT", 2, FAKE_SAY, "550 5.1.1 no\r\n" } },
	    CLIENT_KEPT, { D, F, D }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT RCPT BDAT content" },
	{ "too many recipients", FAKE_PIPE, { { "RCPT", 3, FAKE_SAY, "552 too many\r\n" } },
	    CLIENT_KEPT, { D, D, D }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA content MAIL RCPT DATA content" },
	{ "too many recipients, BDAT", FAKE_CHUNK, { { "RCPT", 2, FAKE_SAY, "452 4.5.3 too many\r\n" },
	    { "RCPT", 3, FAKE_SAY, "452 4.5.3 too many\r\n" } }, CLIENT_KEPT, { D, D, D }, 250, "2.0.0",
	    "greeting EHLO MAIL RCPT RCPT RCPT BDAT content MAIL RCPT BDAT content MAIL RCPT BDAT content" },
	{ "always too many", FAKE_PIPE, { { "RCPT", 2, FAKE_SAY, "452 no room\r\n" }, { "RCPT", 4, FAKE_SAY, "452 no room\r\n" } },
	    CLIENT_KEPT, { D, L, D }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA content MAIL RCPT DATA content" },
	{ "RCPTMAX", LIMITS("RCPTMAX=2"), { { NULL, 0, FAKE_SAY, NULL } },
	    CLIENT_KEPT, { D, D, D }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT DATA content MAIL RCPT DATA content" },
	{ "RCPTMAX, first ones refused", LIMITS("RCPTMAX=1"), { { "RCPT", 1, FAKE_SAY, "550 5.1.1 no\r\n" },
	    { "content", 2, FAKE_SAY, "451 4.3.0 no\r\n" } },
	    CLIENT_KEPT, { F, L, D }, 550, "5.1.1",
	    "greeting EHLO MAIL RCPT DATA content MAIL RCPT DATA content RSET MAIL RCPT DATA content" },
	{ "RCPTMAX, lost in the second", LIMITS("RCPTMAX=2"), { { "content", 2, FAKE_CLOSE, "" } },
	    CLIENT_CLOSED, { D, D, L }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT DATA content MAIL RCPT DATA content" },
	{ "RCPTMAX and MAILMAX", LIMITS("RCPTMAX=2 MAILMAX=1"), { { NULL, 0, FAKE_SAY, NULL } },
	    CLIENT_FAILED, { D, D, OPEN }, 0, "4.5.3", "greeting EHLO MAIL RCPT RCPT DATA content" },
	{ "RCPTDOMAINMAX, all of one", LIMITS("RCPTDOMAINMAX=1"), { { NULL, 0, FAKE_SAY, NULL } },
	    CLIENT_KEPT, { D, D, D }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
	{ "mailbox full", FAKE_PIPE, { { "RCPT", 3, FAKE_SAY, "552 5.2.2 full\r\n" } },
	    CLIENT_KEPT, { D, D, F }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
	{ "all refused, DATA refused", FAKE_PIPE, { { "RCPT", 0, FAKE_SAY, "550 5.1.1 no\r\n" },
	    { "DATA", 0, FAKE_SAY, "554 5.5.1 no recipients\r\n" } },
	    CLIENT_KEPT, { F, F, F }, 550, "5.1.1", "greeting EHLO MAIL RCPT RCPT RCPT DATA" },
	{ "all refused, 354", FAKE_PIPE, { { "RCPT", 0, FAKE_SAY, "550 5.1.1 no\r\n" },
	    { "content", 0, FAKE_SAY, "554 nobody\r\n" } },
	    CLIENT_KEPT, { F, F, F }, 550, "5.1.1", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
	{ "all refused, BDAT", FAKE_CHUNK, { { "RCPT", 0, FAKE_SAY, "450 4.2.0 no\r\n" },
	    { "content", 0, FAKE_SAY, "503 nobody\r\n" } },
	    CLIENT_KEPT, { L, L, L }, 450, "4.2.0", "greeting EHLO MAIL RCPT RCPT RCPT BDAT content" },
	{ "all refused, one by one", FAKE_PLAIN, { { "RCPT", 0, FAKE_SAY, "550 no\r\n" } },
	    CLIENT_KEPT, { F, F, F }, 550, "5.0.0", "greeting EHLO MAIL RCPT RCPT RCPT" },
	{ "421 to RCPT", FAKE_PLAIN, { { "RCPT", 1, FAKE_SAY, "550 no\r\n" }, { "RCPT", 2, FAKE_SAY, "421 4.7.0 go\r\n" } },
	    CLIENT_FAILED, { F, OPEN, OPEN }, 421, "4.7.0", "greeting EHLO MAIL RCPT RCPT" },
	{ "DATA 4xx", FAKE_PIPE, { { "DATA", 0, FAKE_SAY, "451 4.3.0 no\r\n" } },
	    CLIENT_KEPT, { L, L, L }, 451, "4.3.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA" },
	{ "250 to DATA", FAKE_PIPE, { { "DATA", 0, FAKE_SAY, "250 ok\r\n" } },
	    CLIENT_FAILED, { OPEN, OPEN, OPEN }, 0, "4.5.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA" },
	{ "content 5xx", FAKE_PIPE, { { "RCPT", 1, FAKE_SAY, "450 4.2.0 no\r\n" }, { "content", 0, FAKE_SAY, "554 5.6.0 no\r\n" } },
	    CLIENT_KEPT, { L, F, F }, 450, "4.2.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
	{ "content 421", FAKE_CHUNK, { { "content", 0, FAKE_SAY_CLOSE, "421 4.3.2 no\r\n" } },
	    CLIENT_CLOSED, { L, L, L }, 421, "4.3.2", "greeting EHLO MAIL RCPT RCPT RCPT BDAT content" },
	{ "lost after the dot", FAKE_PIPE, { { "content", 0, FAKE_CLOSE, "" } },
	    CLIENT_CLOSED, { L, L, L }, 0, "4.4.2", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
	{ "lost after 354", FAKE_PIPE, { { "DATA", 0, FAKE_CLOSE, "" } },
	    CLIENT_FAILED, { OPEN, OPEN, OPEN }, 0, "4.4.2", "greeting EHLO MAIL RCPT RCPT RCPT DATA" },
	{ "more after the end", FAKE_PIPE, { { "content", 0, FAKE_SAY, "250 2.0.0 ok\r\n250 and more\r\n" } },
	    CLIENT_CLOSED, { D, D, D }, 250, "2.0.0", "greeting EHLO MAIL RCPT RCPT RCPT DATA content" },
};

START_TEST(test_meaning)
{
	const char *what = meanings[_i].what;
	struct verdict *v;
	struct run r;

	start(&r, meanings[_i].ehlo, meanings[_i].rules);
	go(&r, what);
	ck_assert_msg(r.end == meanings[_i].end, "%s: end %d", what, r.end);
	for (int i = 0; i < RCPTS; i++) {
		v = r.rcpts[i].verdict;
		ck_assert_msg((v != NULL ? (int)v->outcome : OPEN) == meanings[_i].outcomes[i], "%s: recipient %d: %d", what, i,
		    v != NULL ? (int)v->outcome : OPEN);
	}
	v = r.rcpts[0].verdict != NULL && r.end != CLIENT_FAILED ? r.rcpts[0].verdict : client_why(r.client);
	ck_assert_msg(v->code == meanings[_i].code, "%s: code %u", what, v->code);
	ck_assert_str_eq(v->enhanced, meanings[_i].enhanced);
	ck_assert_msg(strcmp(r.fake->log, meanings[_i].log) == 0, "%s: %s", what, r.fake->log);
	end(&r);
}
END_TEST

/* ---- parameters ---- */

/* A header beyond ASCII, sent by SMTPUTF8, goes nowhere else; the same bytes without it are passed on as ever. */
START_TEST(test_utf8_header)
{
	struct run r;

	start(&r, _i == 0 ? FAKE_CHUNK : FAKE_PIPE, NULL);
	r.mail.flags = ENVELOPE_8BIT | ENVELOPE_HEADER_8BIT | (_i == 2 ? 0 : ENVELOPE_UTF8);
	go(&r, "header");
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	ck_assert_uint_eq(r.fake->messages, _i == 1 ? 0 : 1);
	if (_i == 1) {
		ck_assert_str_eq(r.rcpts[2].verdict->enhanced, "5.6.7");
		ck_assert_int_eq(r.rcpts[2].verdict->outcome, JOB_FAILED);
	} else {
		ck_assert_str_eq(r.fake->line[0], _i == 0 ? "MAIL FROM:<s@example.net> BODY=8BITMIME SMTPUTF8" :
		    "MAIL FROM:<s@example.net> SIZE=67 BODY=8BITMIME");
	}
	end(&r);
}
END_TEST

START_TEST(test_domains)
{
	struct run r;

	start(&r, LIMITS("RCPTDOMAINMAX=1"), NULL);
	r.rcpts[1].address = "b@other.example";
	r.rcpts[2].address = "c@EXAMPLE.org";
	go(&r, "two domains");
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	ck_assert_uint_eq(r.mail.n_open, 0);
	ck_assert_str_eq(r.fake->log, "greeting EHLO MAIL RCPT RCPT DATA content MAIL RCPT DATA content");
	ck_assert_str_eq(r.fake->line[1], "RCPT TO:<b@other.example>");
	ck_assert(client_may_go_on(r.client));
	end(&r);
}
END_TEST


START_TEST(test_size_and_8bit)
{
	struct run r;
	char expect[100];

	start(&r, FAKE_PIPE, NULL);
	r.mail.flags = ENVELOPE_8BIT | ENVELOPE_UTF8;
	go(&r, "size");
	snprintf(expect, sizeof(expect), "MAIL FROM:<s@example.net> SIZE=%zu BODY=8BITMIME", strlen(HEAD CONTENT));
	ck_assert_str_eq(r.fake->line[0], expect);
	ck_assert_str_eq(r.fake->line[3], "EHLO us.example.net");
	end(&r);

	start(&r, "250-x\r\n250 size 61\r\n", NULL);
	go(&r, "too large");
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	ck_assert_str_eq(r.fake->log, "greeting EHLO");
	ck_assert_int_eq(r.rcpts[2].verdict->outcome, JOB_FAILED);
	ck_assert_int_eq(r.rcpts[2].verdict->code, 552);
	ck_assert_str_eq(r.rcpts[2].verdict->enhanced, "5.3.4");
	end(&r);

	start(&r, "250-x\r\n250 SIZE 99999999999999999999999\r\n", NULL);
	go(&r, "a size beyond all");
	ck_assert_int_eq(r.rcpts[0].verdict->outcome, JOB_DELIVERED);
	end(&r);
}
END_TEST

START_TEST(test_utf8)
{
	struct run r;

	start(&r, FAKE_CHUNK, NULL);
	r.rcpts[1] = (struct client_rcpt){ .address = "j\xc3\xb6rg@example.org", .utf8 = true };
	go(&r, "offered");
	ck_assert_str_eq(r.fake->line[0], "MAIL FROM:<s@example.net> SMTPUTF8");
	ck_assert_int_eq(r.rcpts[1].verdict->outcome, JOB_DELIVERED);
	end(&r);

	start(&r, FAKE_PIPE, NULL);
	r.rcpts[1] = (struct client_rcpt){ .address = "j\xc3\xb6rg@example.org", .utf8 = true };
	go(&r, "not offered");
	ck_assert_int_eq(r.rcpts[1].verdict->outcome, JOB_FAILED);
	ck_assert_str_eq(r.rcpts[1].verdict->enhanced, "5.6.7");
	ck_assert_int_eq(r.rcpts[0].verdict->outcome, JOB_DELIVERED);
	ck_assert_int_eq(r.rcpts[2].verdict->outcome, JOB_DELIVERED);
	ck_assert_str_eq(r.fake->log, "greeting EHLO MAIL RCPT RCPT DATA content");
	end(&r);

	start(&r, FAKE_PIPE, NULL);
	r.mail.sender_utf8 = true;
	go(&r, "sender");
	ck_assert_int_eq(r.rcpts[0].verdict->outcome, JOB_FAILED);
	ck_assert_str_eq(r.fake->log, "greeting EHLO");
	end(&r);
}
END_TEST

/* ---- kept connections ---- */

static void
again(struct run *r)
{
	drop_mail(r);
	new_mail(r, CONTENT, strlen(CONTENT), strlen(CONTENT));
}

START_TEST(test_kept)
{
	struct run r;

	start(&r, dialects[_i], NULL);
	go(&r, "first");
	again(&r);
	go(&r, "second");
	again(&r);
	go(&r, "third");
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	ck_assert_uint_eq(r.fake->sessions, 1);
	ck_assert_uint_eq(r.fake->messages, 3);
	ck_assert_uint_eq(client_count(r.client), 3);
	ck_assert_ptr_null(strstr(r.fake->log, "RSET"));
	client_quit(r.client);
	r.client = NULL;
	while (strstr(r.fake->log, "QUIT") == NULL)
		event_base_loop(r.base, EVLOOP_ONCE);
	end(&r);
}
END_TEST

START_TEST(test_kept_after_refusal)
{
	const struct fake_rule rules[] = { { "MAIL", 1, FAKE_SAY, "550 5.7.1 no\r\n" }, { "content", 1, FAKE_SAY, "503 no\r\n" },
	    { .step = NULL } };
	struct run r;

	start(&r, FAKE_CHUNK, rules);
	go(&r, "first");
	again(&r);
	go(&r, "second");
	ck_assert_int_eq(r.rcpts[0].verdict->outcome, JOB_DELIVERED);
	ck_assert_str_eq(r.fake->log, "greeting EHLO MAIL RCPT RCPT RCPT BDAT content RSET MAIL RCPT RCPT RCPT BDAT content");
	end(&r);
}
END_TEST

START_TEST(test_stale)
{
	const struct fake_rule rules[] = { { "MAIL", 2, FAKE_CLOSE, "" }, { .step = NULL } };
	struct run r;

	start(&r, dialects[_i], rules);
	go(&r, "first");
	again(&r);
	go(&r, "second");
	ck_assert_int_eq(r.end, CLIENT_FAILED);
	ck_assert(client_is_used_up(r.client));
	end(&r);
}
END_TEST

START_TEST(test_idle)
{
	static const char *const words[] = { "421 4.4.2 too long\r\n", "", "x" };
	struct run r;

	start(&r, FAKE_PIPE, NULL);
	go(&r, "first");
	client_set_lost(r.client, on_lost, &r);
	if (words[_i][0] != '\0')
		bufferevent_write(r.fake->conns->bev, words[_i], strlen(words[_i]));
	else
		fake_free_conn(r.fake->conns);
	while (r.lost == 0)
		event_base_loop(r.base, EVLOOP_ONCE);
	ck_assert_uint_eq(r.lost, 1);
	end(&r);

	/* A message comes before the loop has noticed. */
	start(&r, FAKE_PIPE, NULL);
	go(&r, "first");
	client_set_lost(r.client, on_lost, &r);
	fake_free_conn(r.fake->conns);
	again(&r);
	go(&r, "second");
	ck_assert_int_eq(r.end, CLIENT_FAILED);
	ck_assert(client_is_used_up(r.client));
	ck_assert_uint_eq(r.lost, 0);
	end(&r);
}
END_TEST

/* ---- large content, by pull ---- */

static char *
large(size_t size)
{
	char *p = malloc(size);

	for (size_t i = 0; i < size; i++)
		p[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : i % 50 == 0 && i % 3 == 0 ? '.' : 'x';
	memcpy(p + size - 2, "\r\n", 2);
	return p;
}

START_TEST(test_large)
{
	size_t size = 50 * 20000;
	char *p = large(size);
	struct run r;

	for (size_t at_hand = 0; at_hand <= MSG_INLINE_MAX; at_hand += MSG_INLINE_MAX / 2) {
		start(&r, _i == 1 ? FAKE_PLAIN : dialects[_i], NULL);
		drop_mail(&r);
		new_mail(&r, p, size, at_hand);
		go(&r, dialects[_i]);
		ck_assert_int_eq(r.end, CLIENT_KEPT);
		ck_assert_int_eq(r.rcpts[0].verdict->outcome, JOB_DELIVERED);
		check_content(&r, dialects[_i]);
		ck_assert_uint_le(r.most_wanted, MSG_CREDIT);
		ck_assert(!body_rewind(r.mail.body));
		end(&r);
	}
	free(p);
}
END_TEST

/* Reads nothing until everything on the way is full, then all at once: a full output may be written in one go. */
START_TEST(test_large_in_fits)
{
	static const struct fake_rule rules[] = { { "inside", 0, FAKE_STALL, "" }, { NULL, 0, FAKE_SAY, NULL } };
	size_t size = 50 * 400000, before;
	char *p = large(size);
	struct run r;
	int quiet = 0;

	start(&r, _i == 1 ? FAKE_PLAIN : dialects[_i], rules);
	drop_mail(&r);
	new_mail(&r, p, size, 0);
	client_send(r.client, &r.mail, on_done, &r);
	while (quiet < 100 && r.done == 0) {
		before = r.sent;
		event_base_loop(r.base, EVLOOP_NONBLOCK);
		quiet = r.fake->stalls > 0 && r.sent == before ? quiet + 1 : 0;
	}
	ck_assert_uint_lt(r.sent, size);
	r.fake->conns->stalled = false;
	bufferevent_enable(r.fake->conns->bev, EV_READ);
	event_base_loopexit(r.base, &(struct timeval){ .tv_sec = 20 });
	while (r.done == 0 && !event_base_got_exit(r.base))
		event_base_loop(r.base, EVLOOP_ONCE);
	check_end(&r, "in fits");
	ck_assert_int_eq(r.end, CLIENT_KEPT);
	check_content(&r, dialects[_i]);
	end(&r);
	free(p);
}
END_TEST

START_TEST(test_large_stops)
{
	static const struct fake_rule rules[][2] = {
		{ { "inside", 0, FAKE_SAY, "552 5.3.4 too much\r\n" } },
		{ { "inside", 0, FAKE_SAY, "250 2.0.0 early\r\n" } },
		{ { "inside", 0, FAKE_STALL, "" } },
		{ { "inside", 0, FAKE_CLOSE, "" } },
		{ { "inside", 0, FAKE_SAY_CLOSE, "452 4.3.1 disk\r\n" } },
		{ { "RCPT", 0, FAKE_SAY, "550 no\r\n" } },
	};
	static const int outcomes[] = { JOB_FAILED, OPEN, OPEN, OPEN, JOB_DEFERRED, JOB_FAILED };
	size_t size = 50 * 200000;
	char *p = large(size);
	struct run r;

	for (int chunking = 0; chunking < 2; chunking++) {
		start(&r, chunking ? FAKE_CHUNK : FAKE_PLAIN, rules[_i]);
		drop_mail(&r);
		new_mail(&r, p, size, MSG_INLINE_MAX);
		go(&r, "stops");
		ck_assert_int_eq(r.rcpts[0].verdict != NULL ? (int)r.rcpts[0].verdict->outcome : OPEN, outcomes[_i]);
		ck_assert_msg(r.sent < size, "all was pulled for a server that took none");
		end(&r);
	}
	free(p);
}
END_TEST

START_TEST(test_queue_starves)
{
	size_t size = 50 * 20000;
	char *p = large(size);
	struct run r;

	start(&r, FAKE_CHUNK, NULL);
	drop_mail(&r);
	new_mail(&r, p, size, 0);
	r.starve = true;
	go(&r, "starve");
	ck_assert_int_eq(r.end, CLIENT_FAILED);
	ck_assert_uint_eq(r.fake->messages, 0);
	end(&r);
	free(p);
}
END_TEST

/* ---- time and size ---- */

static const struct {
	const char	*step, *drip;
	int64_t		 most_s;
} tarpits[] = {
	{ "greeting", "220-wait\r\n", 301 },
	{ "EHLO", "x", 301 },
	{ "MAIL", "250-abcdefghi", 301 },
	{ "DATA", "3", 301 },
	{ "content", "250-", 601 },
};

/* A byte every ten seconds for ever: each awaited reply has a deadline as a whole. */
START_TEST(test_tarpit)
{
	const struct fake_rule rules[] = { { tarpits[_i].step, 0, FAKE_SAY, "" }, { .step = NULL } };
	struct run r;
	const char *drip = tarpits[_i].drip;
	int64_t begun;

	start(&r, FAKE_PIPE, rules);
	client_send(r.client, &r.mail, on_done, &r);
	while (strstr(r.fake->log, tarpits[_i].step) == NULL)
		event_base_loop(r.base, EVLOOP_ONCE);
	begun = offset;
	for (size_t i = 0; r.done == 0; i++) {
		if (r.fake->conns != NULL)
			bufferevent_write(r.fake->conns->bev, drip + i % strlen(drip), 1);
		for (int j = 0; j < 4; j++)
			event_base_loop(r.base, EVLOOP_NONBLOCK);
		shift(10 * 1000);
		ck_assert_msg(offset - begun <= 15 * 60 * 1000, "%s: still waits", tarpits[_i].step);
	}
	ck_assert_int_le(offset - begun, (tarpits[_i].most_s + 20) * 1000);
	check_end(&r, tarpits[_i].step);
	end(&r);
}
END_TEST

START_TEST(test_endless)
{
	static const char *const lines[] = { "250-more\r\n", "x", "250-", "\r\n" };
	const size_t n = 100 * 1024;
	char *text = malloc(n + 20);
	size_t len = 0;
	struct run r;

	for (; len < n; len += strlen(lines[_i]))
		strcpy(text + len, lines[_i]);
	for (size_t s = 0; s < STEPS; s++) {
		const struct fake_rule rules[] = { { all_steps[s], 1, FAKE_SAY, text }, { .step = NULL } };

		start(&r, FAKE_PIPE, rules);
		if (strcmp(all_steps[s], "BDAT") == 0) {
			end(&r);
			continue;
		}
		go(&r, all_steps[s]);
		ck_assert_int_ne(r.end, CLIENT_KEPT);
		if (r.rcpts[0].verdict != NULL)
			ck_assert_int_eq(r.rcpts[0].verdict->outcome, JOB_DEFERRED);
		else
			ck_assert_str_eq(client_why(r.client)->enhanced, "4.5.0");
		end(&r);
	}
	free(text);
}
END_TEST

START_TEST(test_long_reply_is_cut)
{
	char *text = malloc(120 * 1024);
	size_t len = 0;
	const struct fake_rule rules[] = { { "RCPT", 0, FAKE_SAY, text }, { .step = NULL } };
	struct run r;

	for (int i = 0; i < 90; i++)
		len += (size_t)sprintf(text + len, "550%c%01200d\r\n", i < 89 ? '-' : ' ', i);
	start(&r, FAKE_PLAIN, rules);
	go(&r, "long");
	ck_assert_uint_eq(strlen(r.rcpts[0].verdict->text), VERDICT_TEXT_MAX);
	ck_assert_uint_eq(strcspn(r.rcpts[0].verdict->text, "\n"), VERDICT_LINE_MAX);
	end(&r);
	free(text);
}
END_TEST

START_TEST(test_no_connection)
{
	struct run r;

	start(&r, FAKE_PIPE, NULL);
	fake_shut(r.fake);
	go(&r, "refused");
	ck_assert_str_eq(client_why(r.client)->enhanced, "4.4.1");
	ck_assert(client_why(r.client)->host_trouble);
	end(&r);
}
END_TEST

/* Freed in the middle: no callback, nothing left behind (the sanitizers look). */
START_TEST(test_free)
{
	struct run r;

	start(&r, dialects[_i % (int)DIALECTS], NULL);
	client_send(r.client, &r.mail, on_done, &r);
	for (int turn = 0; turn < _i; turn++)
		event_base_loop(r.base, EVLOOP_NONBLOCK);
	client_free(r.client);
	r.client = NULL;
	for (int turn = 0; turn < 5; turn++)
		event_base_loop(r.base, EVLOOP_NONBLOCK);
	ck_assert_uint_le(r.done, 1);
	end(&r);
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
	tcase_add_loop_test(t, test_quiet, 0, (int)(sizeof(without_reports) / sizeof(without_reports[0])));
	tcase_add_loop_test(t, test_logs_in, 0, sizeof(logins) / sizeof(logins[0]));
	tcase_add_test(t, test_logs_in_once);
	tcase_add_test(t, test_source_address);
	tcase_add_loop_test(t, test_delivers, 0, DIALECTS);
	tcase_add_loop_test(t, test_sweep, 0, STEPS * ACTS);
	tcase_add_loop_test(t, test_meaning, 0, sizeof(meanings) / sizeof(meanings[0]));
	tcase_add_test(t, test_size_and_8bit);
	tcase_add_test(t, test_utf8);
	tcase_add_test(t, test_domains);
	tcase_add_loop_test(t, test_utf8_header, 0, 3);
	tcase_add_loop_test(t, test_kept, 0, DIALECTS);
	tcase_add_test(t, test_kept_after_refusal);
	tcase_add_loop_test(t, test_stale, 0, DIALECTS);
	tcase_add_loop_test(t, test_idle, 0, 3);
	tcase_add_loop_test(t, test_large, 0, DIALECTS);
	tcase_add_loop_test(t, test_large_in_fits, 0, DIALECTS);
	tcase_add_loop_test(t, test_large_stops, 0, 6);
	tcase_add_test(t, test_queue_starves);
	tcase_add_loop_test(t, test_tarpit, 0, sizeof(tarpits) / sizeof(tarpits[0]));
	tcase_add_loop_test(t, test_endless, 0, 4);
	tcase_add_test(t, test_long_reply_is_cut);
	tcase_add_test(t, test_no_connection);
	tcase_add_loop_test(t, test_free, 0, 40);
	return run_case("client", t);
}
