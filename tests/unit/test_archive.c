/*
 * The archive address: added once, to what does not have it.
 */
#include <check.h>
#include <string.h>

#include "lib/conf.h"
#include "lib/dsn.h"
#include "lib/envelope.h"
#include "queue/archive.h"
#include "tests/unit/run.h"

static const struct {
	const char	*conf, *rcpts[3];
	const char	*added;		/* NULL: none */
	bool		 local;
} rows[] = {
	{ "", { "a@x.example" }, NULL, false },
	{ "always_bcc = archive\n", { "a@x.example" }, "archive@our.example", true },
	{ "always_bcc = archive@our.example\n", { "a@x.example", "b@our.example" }, "archive@our.example", true },
	{ "always_bcc = all@far.example\n", { "a@x.example" }, "all@far.example", false },
	{ "always_bcc = all@far.example\n", { "a@x.example", "ALL@far.example" }, NULL, false },
	{ "always_bcc = archive\n", { "archive@our.example" }, NULL, false },
};

START_TEST(added)
{
	char text[300], err[300];
	struct envelope_rcpt rcpts[3] = { { 0 } }, to;
	struct conf *c;
	uint32_t n = 0;

	snprintf(text, sizeof(text), "domains = our.example\n%s", rows[_i].conf);
	c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));
	ck_assert_msg(c != NULL, "%s", err);
	for (; n < 3 && rows[_i].rcpts[n] != NULL; n++)
		rcpts[n].address = (char *)(uintptr_t)rows[_i].rcpts[n];
	ck_assert_int_eq(archive_rcpt(c, rcpts, n, &to), rows[_i].added != NULL);
	if (rows[_i].added != NULL) {
		ck_assert_str_eq(to.address, rows[_i].added);
		ck_assert_int_eq(to.local, rows[_i].local);
		ck_assert_int_eq(to.notify, DSN_NEVER);
		ck_assert(!to.final);
		envelope_free_rcpt(&to);
	}
	conf_free(c);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("archive");

	tcase_add_loop_test(t, added, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	return run_case("archive", t);
}
