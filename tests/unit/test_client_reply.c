/*
 * delivery/client_reply.c: what a reply means at each step, and what EHLO offers.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/client_reply.h"
#include "delivery/login.h"
#include "lib/reply.h"
#include "tests/unit/run.h"

static void
read_reply(struct reply *r, const char *text)
{
	size_t used;

	reply_init(r);
	ck_assert_int_eq(reply_feed(r, text, strlen(text), &used), REPLY_DONE);
}

/* For each step the meaning of: 220, 250, 251, 354, 421, 450, 452, 502, 552, 554. */
static const char *const codes[] = { "220\n", "250\n", "251\n", "354\n", "421\n", "450\n", "452\n", "502\n", "552\n", "554\n" };
#define N_CODES (sizeof(codes) / sizeof(codes[0]))
#define G REPLY_GOOD
#define H REPLY_TRY_HELO
#define d REPLY_DEFERS_ONE
#define f REPLY_FAILS_ONE
#define p REPLY_PUTS_OFF_ONE
#define D REPLY_DEFERS_ALL
#define F REPLY_FAILS_ALL
#define E REPLY_ENDS_SESSION
#define X REPLY_SENSELESS
static const struct {
	enum client_step	 step;
	unsigned		 accepted;
	enum client_meaning	 meaning[N_CODES];
} meanings[] = {
	{ STEP_GREETING, 0,	{ G, X, X, X, E, E, E, E, E, E } },
	{ STEP_EHLO, 0,		{ G, G, G, X, E, E, E, H, H, H } },
	{ STEP_HELO, 0,		{ G, G, G, X, E, E, E, E, E, E } },
	{ STEP_AUTH, 0,		{ G, G, G, X, E, E, E, E, E, E } },
	{ STEP_RSET, 0,		{ G, G, G, X, E, E, E, E, E, E } },
	{ STEP_MAIL, 0,		{ G, G, G, X, E, D, D, F, F, F } },
	{ STEP_RCPT, 0,		{ G, G, G, X, E, d, d, f, f, f } },
	{ STEP_RCPT, 1,		{ G, G, G, X, E, d, p, f, p, f } },
	{ STEP_DATA, 1,		{ X, X, X, G, E, D, D, F, F, F } },
	{ STEP_CONTENT, 1,	{ G, G, G, X, D, D, D, F, F, F } },
	{ STEP_IDLE, 0,		{ X, X, X, X, X, X, X, X, X, X } },
};
#undef f
#undef p
#undef d

START_TEST(test_meanings)
{
	struct reply r;

	for (size_t i = 0; i < N_CODES; i++) {
		read_reply(&r, codes[i]);
		ck_assert_msg(client_reply_means(meanings[_i].step, &r, meanings[_i].accepted) == meanings[_i].meaning[i],
		    "%s %s", client_step_name(meanings[_i].step), codes[i]);
		reply_reset(&r);
	}
}
END_TEST

static const struct {
	const char	*text;
	bool		 pipelining, eight_bit, utf8, chunking, size;
	uint64_t	 size_max;
} offers[] = {
	{ "250 x\r\n", .size_max = 0 },
	{ "250-PIPELINING\r\n250 x\r\n", .pipelining = false },
	{ "250-x\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 SIZE 1000\r\n", true, true, true, true,
	    true, 1000 },
	{ "250-x\r\n250-pipelining\r\n250-size\r\n250 PIPELININGS\r\n", .pipelining = true, .size = true },
	{ "250-x\r\n250-SIZE=5\r\n250 \r\n", .size = false },
	{ "250-x\r\n250 SIZE -5\r\n", .size = true },
	{ "250-x\r\n250 SIZE 18446744073709551615\r\n", .size = true, .size_max = UINT64_MAX },
	{ "250-x\r\n250 SIZE 18446744073709551616\r\n", .size = true, .size_max = 0 },
	{ "250-x\r\n250 SIZE 10 20\r\n", .size = true, .size_max = 10 },
};

START_TEST(test_logins)
{
	static const struct { const char *text; unsigned login; } rows[] = {
		{ "250-x\r\n250 AUTH PLAIN CRAM-MD5\r\n", LOGIN_PLAIN | LOGIN_CRAM_MD5 },
		{ "250-x\r\n250-AUTH=LOGIN PLAIN\r\n250 auth scram-sha-256\r\n", LOGIN_LOGIN | LOGIN_PLAIN | LOGIN_SCRAM_SHA_256 },
		{ "250-x\r\n250-AUTH\r\n250 AUTHX PLAIN\r\n", 0 },
		{ "250 AUTH PLAIN\r\n", 0 },
	};
	struct client_offers o;
	struct reply r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		read_reply(&r, rows[i].text);
		client_offers_read(&o, &r);
		ck_assert_msg(o.login == rows[i].login, "%s", rows[i].text);
		reply_reset(&r);
	}
	read_reply(&r, "334 abcd\r\n");
	ck_assert_int_eq(client_reply_means(STEP_AUTH, &r, 0), REPLY_GOOD);
	ck_assert_int_eq(client_reply_means(STEP_EHLO, &r, 0), REPLY_SENSELESS);
	ck_assert_int_eq(client_reply_means(STEP_MAIL, &r, 0), REPLY_SENSELESS);
	reply_reset(&r);
}
END_TEST

START_TEST(test_offers)
{
	struct client_offers o;
	struct reply r;

	read_reply(&r, offers[_i].text);
	client_offers_read(&o, &r);
	ck_assert_int_eq(o.pipelining, offers[_i].pipelining);
	ck_assert_int_eq(o.eight_bit, offers[_i].eight_bit);
	ck_assert_int_eq(o.utf8, offers[_i].utf8);
	ck_assert_int_eq(o.chunking, offers[_i].chunking);
	ck_assert_int_eq(o.size, offers[_i].size);
	ck_assert_uint_eq(o.size_max, offers[_i].size_max);
	reply_reset(&r);
}
END_TEST

/* RFC 9422. */
static const struct {
	const char	*text;
	uint32_t	 mail, rcpt, domain;
} limits[] = {
	{ "250-x\r\n250 LIMITS MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1\r\n", 20, 100, 1 },
	{ "250-x\r\n250 limits  rcptmax=7  OTHER=5 MAILMAX RCPTDOMAINMAX=\r\n", 0, 7, 0 },
	{ "250-x\r\n250 LIMITS\r\n", 0, 0, 0 },
	{ "250-x\r\n250 LIMITS RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=99999999999999999999999\r\n", 0, 0, 0 },
	{ "250-x\r\n250 LIMITS RCPTMAX=4294967296 MAILMAX=4294967294\r\n", 4294967294U, 0, 0 },
	{ "250-x\r\n250 LIMITSX RCPTMAX=4\r\n", 0, 0, 0 },
};

START_TEST(test_limits)
{
	struct client_offers o;
	struct reply r;

	read_reply(&r, limits[_i].text);
	client_offers_read(&o, &r);
	ck_assert_uint_eq(o.mail_max, limits[_i].mail);
	ck_assert_uint_eq(o.rcpt_max, limits[_i].rcpt);
	ck_assert_uint_eq(o.domain_max, limits[_i].domain);
	reply_reset(&r);
}
END_TEST

static const struct {
	const char	*text;
	bool		 does;
} dislikes[] = {
	{ "550 5.7.25 no\r\n", true },
	{ "450 4.7.25 [2001:db8::1]: no\r\n", true },
	{ "550-5.7.1 [2001:db8::1] does not meet IPv6 sending\r\n550 5.7.1 guidelines\r\n", true },
	{ "554 you have no reverse DNS\r\n", true },
	{ "550 5.1.1 no such user ipv6\r\n", false },
	{ "550 5.7.1 spam\r\n", false },
	{ "250 2.7.25 fine\r\n", false },
};

START_TEST(test_dislikes)
{
	struct reply r;

	read_reply(&r, dislikes[_i].text);
	ck_assert_int_eq(client_reply_dislikes_ipv6(&r), dislikes[_i].does);
	reply_reset(&r);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, test_meanings, 0, sizeof(meanings) / sizeof(meanings[0]));
	tcase_add_test(t, test_logins);
	tcase_add_loop_test(t, test_offers, 0, sizeof(offers) / sizeof(offers[0]));
	tcase_add_loop_test(t, test_limits, 0, sizeof(limits) / sizeof(limits[0]));
	tcase_add_loop_test(t, test_dislikes, 0, sizeof(dislikes) / sizeof(dislikes[0]));
	return run_case("client_reply", t);
}
