/* lib/log.c: nothing from a stranger can end a line, steer a terminal or make a line endless (ATTACKS row 72). */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "tests/unit/run.h"

static const struct { const char *in, *out; } quoting[] = {
	{ "plain", "plain" },
	{ "two words", "\"two words\"" },
	{ "a=b", "\"a=b\"" },
	{ "", "\"\"" },
	{ "x\r\ny", "x\\x0d\\x0ay" },
	{ "\x1b[2J", "\\x1b[2J" },
	{ "say \"hi\"", "\"say \\x22hi\\x22\"" },
	{ "back\\slash", "back\\x5cslash" },
	{ "\xe2\x80\xae", "\\xe2\\x80\\xae" },
	{ "\x7f", "\\x7f" },
};

START_TEST(values)
{
	ck_assert_str_eq(logq(quoting[_i].in), quoting[_i].out);
}
END_TEST

START_TEST(cut_and_null)
{
	char *big = malloc(100001);

	memset(big, '\n', 100000);
	big[100000] = '\0';
	ck_assert_uint_lt(strlen(logq(big)), LOG_VALUE_MAX + 8);
	ck_assert_str_eq(logq(NULL), "-");
	ck_assert_str_eq(logqn("a\0b", 3), "a\\x00b");
	free(big);
}
END_TEST

/* A line whose values its sender has escaped, or should have. */
START_TEST(whole_lines)
{
	char to[64];

	ck_assert_uint_eq(log_printable(to, sizeof(to), "smtpd: to=\"a\\x0db\"\r\n\x1b[2J\xff"), 37);
	ck_assert_str_eq(to, "smtpd: to=\"a\\x0db\"\\x0d\\x0a\\x1b[2J\\xff");
	ck_assert_uint_eq(log_printable(to, 5, "abc\n"), 3);
	ck_assert_str_eq(to, "abc");
	ck_assert_uint_eq(log_printable(to, 5, "abcdefg"), 4);
}
END_TEST

START_TEST(eight_in_one_line)
{
	const char *q[8];
	char in[2] = "a";

	for (int i = 0; i < 8; i++, in[0]++)
		q[i] = logq(in);
	ck_assert_str_eq(q[0], "a");
	ck_assert_str_eq(q[7], "h");
}
END_TEST

static char got[LOG_LINE_MAX];
static unsigned lines;

static void
sink(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	lines++;
	memcpy(got, line, strlen(line) + 1);
}

START_TEST(levels)
{
	log_init("test");
	log_set_sink(sink, NULL);
	log_set_level(LOG_LEVEL_WARN);
	lines = 0;
	log_info("event=no");
	log_warn("event=yes n=%d", 7);
	ck_assert_uint_eq(lines, 1);
	ck_assert_str_eq(got, "test: event=yes n=7");
}
END_TEST

START_TEST(for_systemd)
{
	char stream[64];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("test");
	ck_assert_str_eq(log_prefix(LOG_LEVEL_ERROR), "<3>");
	ck_assert_str_eq(log_prefix(LOG_LEVEL_DEBUG), "<7>");
	setenv("JOURNAL_STREAM", "1:1", 1);		/* inherited, and standard error is another file now */
	log_init("test");
	ck_assert_str_eq(log_prefix(LOG_LEVEL_ERROR), "");
	unsetenv("JOURNAL_STREAM");
	log_init("test");
	ck_assert_str_eq(log_prefix(LOG_LEVEL_ERROR), "");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("log");

	tcase_add_loop_test(t, values, 0, (int)(sizeof(quoting) / sizeof(quoting[0])));
	tcase_add_test(t, cut_and_null);
	tcase_add_test(t, whole_lines);
	tcase_add_test(t, eight_in_one_line);
	tcase_add_test(t, levels);
	tcase_add_test(t, for_systemd);
	return run_case("log", t);
}
