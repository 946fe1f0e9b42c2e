/*
 * queue/forward.c: what mda may say of a recipient who forwards his mail.
 */
#include <check.h>
#include <stdlib.h>

#include "queue/attempt.h"
#include "tests/unit/run.h"

#define HERE	"anna@example.org"

static const struct {
	struct envelope_rcpt	 target;
	enum envelope_part	 of;		/* of the recipient */
	bool			 sane;
} rows[] = {
	{ { .address = (char[]){ "far@x.example" } }, ENVELOPE_WHOLE, true },
	{ { .address = (char[]){ "bob@example.org" } }, ENVELOPE_WHOLE, true },
	{ { .address = (char[]){ HERE }, .local = true, .final = true, .part = ENVELOPE_MAILBOX }, ENVELOPE_WHOLE, true },
	{ { .address = (char[]){ HERE }, .local = true, .final = true, .part = ENVELOPE_FORWARD_COMMAND }, ENVELOPE_WHOLE, true },
	{ { .address = (char[]){ HERE }, .local = true, .final = true, .part = ENVELOPE_FORWARD_FILE }, ENVELOPE_WHOLE, true },
	/* Another's mailbox past his own wishes, his command, a command of an alias; a mailbox without a look at aliases. */
	{ { .address = (char[]){ "bob@example.org" }, .local = true, .final = true, .part = ENVELOPE_MAILBOX }, ENVELOPE_WHOLE, false },
	{ { .address = (char[]){ "bob@example.org" }, .local = true, .final = true, .part = ENVELOPE_FORWARD_COMMAND }, ENVELOPE_WHOLE, false },
	{ { .address = (char[]){ HERE }, .local = true, .final = true, .part = ENVELOPE_ALIAS_COMMAND }, ENVELOPE_WHOLE, false },
	{ { .address = (char[]){ HERE }, .local = true, .final = true, .part = ENVELOPE_ALIAS_FILE }, ENVELOPE_WHOLE, false },
	{ { .address = (char[]){ "bob@example.org" }, .local = true, .final = true }, ENVELOPE_WHOLE, false },
	{ { .address = (char[]){ "bob" } }, ENVELOPE_WHOLE, false },
	/* Who was one part of a recipient does not become several. */
	{ { .address = (char[]){ "far@x.example" } }, ENVELOPE_MAILBOX, false },
	{ { .address = (char[]){ "far@x.example" } }, ENVELOPE_ALIAS_COMMAND, false },
};

START_TEST(test_sane)
{
	struct envelope_rcpt target = rows[_i].target;
	struct attempt_rcpt r = { .rcpt = { .address = (char[]){ HERE }, .local = true, .final = true, .part = (uint8_t)rows[_i].of } };
	struct job_result j = { .outcome = JOB_EXPANDED, .targets = &target, .n_targets = 1 };

	ck_assert(forward_is_sane(&r, &j) == rows[_i].sane);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("forwarded");

	tcase_add_loop_test(tests, test_sane, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	return run_case("forwarded", tests);
}
