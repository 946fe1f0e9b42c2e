/*
 * SMTP AUTH from the client's side: the examples of the RFCs, and servers that ask for what makes no sense.
 */
#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "delivery/login.h"
#include "tests/unit/run.h"

#define NONCE	"rOprNGfwEbeRWgbNEkqO"
#define SERVER	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT	",s=W22ZaJ0SNY7soEsUEjb6gQ=="
#define FINAL	"c=biws," SERVER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define PROOF	"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const char *
base64(const char *text)
{
	static char to[4000];

	EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)text, (int)strlen(text));
	return to;
}

static size_t
answer(struct login *l, const char *challenge, char to[LOGIN_LINE_MAX])
{
	return login_answer(l, challenge, strlen(challenge), to);
}

static void
check_line(const char *line, size_t len, const char *expected)
{
	char text[LOGIN_LINE_MAX + 3];

	snprintf(text, sizeof(text), "%s\r\n", expected);
	ck_assert_str_eq(line, text);
	ck_assert_uint_eq(len, strlen(text));
}

START_TEST(offered)
{
	static const struct { const char *words; unsigned offered; } rows[] = {
		{ "PLAIN LOGIN", LOGIN_PLAIN | LOGIN_LOGIN }, { "plain", LOGIN_PLAIN }, { "", 0 }, { " ", 0 }, { "PLAINX XPLAIN", 0 },
		{ "GSSAPI  CRAM-MD5 SCRAM-SHA-256-PLUS", LOGIN_CRAM_MD5 },
		{ "LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256", LOGIN_PLAIN | LOGIN_LOGIN | LOGIN_CRAM_MD5 | LOGIN_SCRAM_SHA_256 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(login_offered(rows[i].words, strlen(rows[i].words)) == rows[i].offered, "%s", rows[i].words);
}
END_TEST

/* The best that is offered. */
START_TEST(choice)
{
	static const struct { unsigned offered; const char *name; } rows[] = {
		{ 15, "SCRAM-SHA-256" }, { 14, "CRAM-MD5" }, { LOGIN_PLAIN | LOGIN_LOGIN, "PLAIN" }, { LOGIN_LOGIN, "LOGIN" },
	};
	struct login *l;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		l = login_new(rows[i].offered, "user", "password", NONCE);
		ck_assert_str_eq(login_name(l), rows[i].name);
		ck_assert_int_eq(login_may_end(l), i == 2);
		login_free(l);
	}
	ck_assert_ptr_null(login_new(0, "user", "password", NONCE));
	login_free(NULL);
}
END_TEST

START_TEST(plain)
{
	struct login *l = login_new(LOGIN_PLAIN, "tim", "tanstaaftanstaaf", NONCE);
	char line[LOGIN_LINE_MAX];

	check_line(line, login_command(l, line), "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
	ck_assert(login_may_end(l));
	ck_assert_uint_eq(answer(l, "", line), 0);
	login_free(l);
}
END_TEST

START_TEST(login)
{
	struct login *l = login_new(LOGIN_LOGIN, "user", "secret", NONCE);
	char line[LOGIN_LINE_MAX];

	check_line(line, login_command(l, line), "AUTH LOGIN");
	check_line(line, answer(l, "VXNlcm5hbWU6", line), "dXNlcg==");
	ck_assert(!login_may_end(l));
	check_line(line, answer(l, "Password:", line), "c2VjcmV0");
	ck_assert(login_may_end(l));
	ck_assert_uint_eq(answer(l, "VXNlcm5hbWU6", line), 0);
	login_free(l);
}
END_TEST

START_TEST(cram)
{
	static const char *const bad[] = { "", "a", "====", "no base64!!!" };
	struct login *l = login_new(LOGIN_CRAM_MD5, "tim", "tanstaaftanstaaf", NONCE);
	char line[LOGIN_LINE_MAX];

	check_line(line, login_command(l, line), "AUTH CRAM-MD5");
	check_line(line, answer(l, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", line),
	    "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
	ck_assert(login_may_end(l));
	ck_assert_uint_eq(answer(l, "PDE4", line), 0);
	login_free(l);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		l = login_new(LOGIN_CRAM_MD5, "tim", "x", NONCE);
		ck_assert_msg(answer(l, bad[i], line) == 0, "%s", bad[i]);
		login_free(l);
	}
}
END_TEST

/* RFC 7677, 3. */
START_TEST(scram)
{
	struct login *l = login_new(LOGIN_SCRAM_SHA_256, "user", "pencil", NONCE);
	char line[LOGIN_LINE_MAX], expected[LOGIN_LINE_MAX + 4000];

	snprintf(expected, sizeof(expected), "AUTH SCRAM-SHA-256 %s", base64("n,,n=user,r=" NONCE));
	check_line(line, login_command(l, line), expected);
	snprintf(expected, sizeof(expected), "%s", base64(FINAL));
	check_line(line, answer(l, base64(SERVER SALT ",i=4096"), line), expected);
	ck_assert(!login_may_end(l));		/* whoever says 235 now has shown nothing */
	check_line(line, answer(l, base64(PROOF), line), "");
	ck_assert(login_may_end(l));
	login_free(l);
}
END_TEST

START_TEST(scram_bad)
{
	static const char *const firsts[] = {
		"", "r=", "hello", SERVER, SERVER SALT, SERVER SALT ",i=", SERVER SALT ",i=0", SERVER SALT ",i=1", SERVER SALT ",i=4095",
		SERVER SALT ",i=99999999999999999999", SERVER SALT ",i=200001", SERVER SALT ",i=4096x", SERVER ",s=,i=4096",
		SERVER ",s=!!!!,i=4096", "r=" NONCE SALT ",i=4096", "r=other" SALT ",i=4096", "s=W22ZaJ0SNY7soEsUEjb6gQ==,r=x,i=4096",
	};
	static const char *const proofs[] = { "", "v=", "e=other-error", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=",
	    "v=AAAA", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" };
	char line[LOGIN_LINE_MAX];
	struct login *l;

	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		l = login_new(LOGIN_SCRAM_SHA_256, "user", "pencil", NONCE);
		login_command(l, line);
		ck_assert_msg(answer(l, base64(firsts[i]), line) == 0, "%s", firsts[i]);
		ck_assert(!login_may_end(l));
		login_free(l);
	}
	for (size_t i = 0; i < sizeof(proofs) / sizeof(proofs[0]); i++) {
		l = login_new(LOGIN_SCRAM_SHA_256, "user", "pencil", NONCE);
		login_command(l, line);
		ck_assert_uint_gt(answer(l, base64(SERVER SALT ",i=4096"), line), 0);
		ck_assert_msg(answer(l, base64(proofs[i]), line) == 0, "%s", proofs[i]);
		ck_assert(!login_may_end(l));
		login_free(l);
	}
}
END_TEST

/* The longest that a file of credentials can hold. */
START_TEST(longest)
{
	char user[256], password[256], line[LOGIN_LINE_MAX];
	struct login *l;

	memset(user, '=', 255);
	memset(password, ',', 255);
	user[255] = password[255] = '\0';
	for (unsigned m = LOGIN_SCRAM_SHA_256; m <= LOGIN_LOGIN; m *= 2) {
		l = login_new(m, user, password, NONCE);
		ck_assert_uint_eq(login_command(l, line), strlen(line));
		ck_assert_str_eq(line + strlen(line) - 2, "\r\n");
		login_free(l);
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("login");

	tcase_add_test(t, offered);
	tcase_add_test(t, choice);
	tcase_add_test(t, plain);
	tcase_add_test(t, login);
	tcase_add_test(t, cram);
	tcase_add_test(t, scram);
	tcase_add_test(t, scram_bad);
	tcase_add_test(t, longest);
	return run_case("login", t);
}
