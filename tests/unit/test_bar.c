/*
 * queue/bar.c: how it looks, and that it is drawn on a terminal only, and only for what takes long.
 */
#include <check.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "queue/bar.h"
#include "tests/unit/run.h"

START_TEST(text)
{
	static const struct { uint64_t done, total; const char *text; } rows[] = {
		{ 0, 10, "work [                                        ]   0 %" },
		{ 5, 10, "work [####################                    ]  50 %" },
		{ 999, 1000, "work [####################################### ]  99 %" },
		{ 10, 10, "work [########################################] 100 %" },
		{ 11, 10, "work [########################################] 100 %" },
		{ 0, 0, "work [########################################] 100 %" },
		{ UINT64_MAX - 1, UINT64_MAX, "work [########################################] 100 %" },
	};
	char line[120];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(bar_text(line, sizeof(line), "work", rows[i].done, rows[i].total), rows[i].text);
}
END_TEST

/* What a bar writes on a terminal while the clock moves on by this. */
static const char *
drawn(int64_t ms, bool output_too)
{
	static char got[400];
	int master, slave, out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
	struct bar b;
	ssize_t n;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	dup2(slave, STDERR_FILENO);
	dup2(output_too ? slave : null, STDOUT_FILENO);
	clock_hold(true);		/* else a machine that stands still draws it twice */
	bar_begin(&b, "work", 4);
	bar_at(&b, 1);
	clock_shift(ms);
	bar_at(&b, 2);
	bar_at(&b, 3);
	bar_end(&b);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	fcntl(master, F_SETFL, O_NONBLOCK);
	n = read(master, got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	close(master);
	close(slave);
	close(null);
	close(out);
	close(err);
	return got;
}

START_TEST(on_a_terminal)
{
	ck_assert_str_eq(drawn(100000, false), "\rwork [####################                    ]  50 %\r\033[K");
	ck_assert_str_eq(drawn(200000, true), "");	/* the lines that are printed there say it */
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("bar");

	tcase_add_test(t, text);
	tcase_add_test(t, on_a_terminal);
	return run_case("bar", t);
}
