/*
 * queue/patience.c: what replies of real servers ask for, and what only looks like it.
 */
#include <check.h>
#include <stdlib.h>

#include "queue/patience.h"
#include "tests/unit/run.h"

static const struct {
	const char	*text;
	int64_t		 seconds;
} replies[] = {
	{ "4.7.1 Greylisted, please try again in 300 seconds", 300 },
	{ "4.2.0 <bob@example.org>: Recipient address rejected: Greylisted for 5 minutes (see http://example.org/)", 300 },
	{ "Greylisting in action, please come back in 00:04:59", 299 },
	{ "Please try again in 4 minutes and 30 seconds.", 270 },
	{ "too many messages, retry after 1h", 3600 },
	{ "4.3.2 system busy; wait at least 90s before the next try", 90 },
	{ "Retry-After: 120 sec", 120 },
	{ "try again in about 2 hours", 7200 },
	{ "try again in 1 day", 86400 },
	{ "try again in 30 days", 7 * 86400 },
	{ "try again in 999999999999 days", 0 },
	{ "try again in 05:00", 300 },
	{ "try again in 05:99", 0 },
	{ "try again in 300", 0 },		/* of what? */
	{ "try again in 3 months", 0 },
	{ "try again in 100 ms", 0 },
	{ "try again later", 0 },
	{ "4.7.0 [192.0.2.1] temporarily deferred due to 30 user complaints", 0 },
	{ "wait: there are 500 messages before yours", 0 },
	{ "Try again in a moment. Our limit is 5 minutes of connections", 0 },
	{ "over quota, 5 minutes ago", 0 },
	{ "452 try again in 5 servers", 0 },
	{ "wait 10 min. Then try again in 20 min", 1200 },
	{ "", 0 },
	{ "wait", 0 },
	{ "again in 1", 0 },
	{ "again in 1:", 0 },
	{ "again in 1 ", 0 },
};

START_TEST(replies_are_read)
{
	ck_assert_int_eq(patience_asked(replies[_i].text), replies[_i].seconds * 1000);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("patience");

	tcase_add_loop_test(t, replies_are_read, 0, sizeof(replies) / sizeof(replies[0]));
	return run_case("patience", t);
}
