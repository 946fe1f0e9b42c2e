/*
 * delivery/client_verdict.c: what is recorded of a reply, of our own findings and of a lookup.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/client_verdict.h"
#include "lib/reply.h"
#include "tests/unit/run.h"

static void
read_reply(struct reply *r, const char *text)
{
	size_t used;

	reply_init(r);
	ck_assert_int_eq(reply_feed(r, text, strlen(text), &used), REPLY_DONE);
}

static const struct {
	const char		*reply;
	enum job_outcome	 outcome;
	const char		*enhanced, *text;
	size_t			 most;
} verdicts[] = {
	{ "250 2.0.0 ok\r\n", JOB_DELIVERED, "2.0.0", "2.0.0 ok", 1000 },
	{ "250 ok\r\n", JOB_DELIVERED, "2.0.0", "ok", 1000 },
	{ "554 5.7.1 no\r\n", JOB_DEFERRED, "4.7.1", "5.7.1 no", 1000 },
	{ "550-one\r\n550 two\r\n", JOB_FAILED, "5.0.0", "one\ntwo", 1000 },
	{ "550-one\r\n550 two\r\n", JOB_FAILED, "5.0.0", "one\nt", 5 },
	{ "550-one\r\n550 two\r\n", JOB_FAILED, "5.0.0", "one\n", 4 },
	{ "550-one\r\n550 two\r\n", JOB_FAILED, "5.0.0", "", 0 },
	{ "550\r\n", JOB_FAILED, "5.0.0", "", 1000 },
};

START_TEST(test_verdicts)
{
	struct verdict *v;
	struct reply r;

	read_reply(&r, verdicts[_i].reply);
	v = verdict_from_reply(verdicts[_i].outcome, true, "mx [192.0.2.1]:25", &r, verdicts[_i].most);
	ck_assert_int_eq(v->outcome, verdicts[_i].outcome);
	ck_assert_int_eq(v->code, r.code);
	ck_assert_str_eq(v->enhanced, verdicts[_i].enhanced);
	ck_assert_str_eq(v->text, verdicts[_i].text);
	ck_assert_str_eq(v->host, "mx [192.0.2.1]:25");
	ck_assert(v->host_trouble);
	verdict_drop(verdict_ref(v));
	verdict_drop(v);
	verdict_drop(NULL);
	reply_reset(&r);
}
END_TEST

static const struct {
	enum mx_result		 result;
	enum job_outcome	 outcome;
	int			 code;
	const char		*enhanced;
	bool			 trouble;
} lookups[] = {
	{ MX_NO_DOMAIN, JOB_FAILED, 0, "5.1.2", false },
	{ MX_NO_HOST, JOB_FAILED, 0, "5.4.4", false },
	{ MX_NULL, JOB_FAILED, 556, "5.1.10", false },
	{ MX_LOOP, JOB_FAILED, 0, "5.4.6", false },
	{ MX_REFUSED, JOB_FAILED, 0, "5.4.4", false },
	{ MX_TEMPORARY, JOB_DEFERRED, 0, "4.4.3", true },
	{ MX_OK, JOB_DEFERRED, 0, "4.4.3", true },
	{ (enum mx_result)77, JOB_DEFERRED, 0, "4.4.3", true },
};

START_TEST(test_lookups)
{
	struct verdict *v = verdict_from_mx(lookups[_i].result, "100% why");

	ck_assert_int_eq(v->outcome, lookups[_i].outcome);
	ck_assert_int_eq(v->code, lookups[_i].code);
	ck_assert_str_eq(v->enhanced, lookups[_i].enhanced);
	ck_assert_int_eq(v->host_trouble, lookups[_i].trouble);
	ck_assert_str_eq(v->text, "100% why");
	ck_assert_str_eq(v->host, "");
	verdict_drop(v);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, test_verdicts, 0, sizeof(verdicts) / sizeof(verdicts[0]));
	tcase_add_loop_test(t, test_lookups, 0, sizeof(lookups) / sizeof(lookups[0]));
	return run_case("client_verdict", t);
}
