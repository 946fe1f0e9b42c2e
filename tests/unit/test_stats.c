/* tools/stats*.c: the counters as a person, a program and a browser see them. Long enough a history to show all of it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"
#include "tools/stats.h"

#define NOON	1795262400	/* Saturday 21 November 2026, 12:00 UTC; day 20778, hour 498684 */

static const char answer[] =
    "now=1795262400\n"
    "minimta-counters version=1 since=1790000000\n"
    "hour at=498684 sessions=9 accepted=4 refused=2\n"
    "hour at=498680 accepted=8 put_off=1\n"
    "hour at=498000 accepted=1000\n"
    "day at=20778 sessions=90 accepted=40 refused=20 put_off=5 delivered=38 deferred=3 failed=2 bounces=2\n"
    "day at=20777 accepted=10 refused=80\n"
    "day at=20760 accepted=7000\n"
    "row filter=spf at=20778 refused=3 observed=1\n"
    "row filter=spf at=20777 refused=4\n"
    "row filter=spf at=20700 refused=4000\n"
    "row filter=greylist at=20778 put_off=50\n"
    "row domain=\"<script>x\" at=20778 accepted=1\n"
    "row domain=a\\x1b.example at=20778 accepted=2\n"
    "row reason=\"550 No such recipient here\" at=20778 n=20\n"
    "spread of=delay at=20778 ms=0:50,40:40,60:10\n"
    "spread of=delay at=20700 ms=99:1000\n"
    "end sum=0\n";

static char *
show(const char *text, unsigned days, void (*print)(const struct stats *, FILE *), int *rc)
{
	FILE *from = fmemopen((void *)(uintptr_t)text, strlen(text), "r"), *to;
	char *out = NULL;
	size_t len = 0;
	struct stats s;

	*rc = stats_read(&s, from, days);
	fclose(from);
	to = open_memstream(&out, &len);
	if (*rc == 0)
		print(&s, to);
	fclose(to);
	stats_free(&s);
	return out;
}

static const struct {
	void		(*print)(const struct stats *, FILE *);
	unsigned	days;
	const char	*has[8], *lacks[4];
} shown[] = {
	{ stats_print, 7, { "Sun 15 Nov to Sat 21 Nov; counted since 21 September 2026\n", "TODAY     7 DAYS\n",
	    "messages taken                 40         50\n", "refused (5xx)                  20        100\n", "By day\n", "By hour\n",
	    "greylist                                     0          50           0           0           0\nspf  ",
	    "How long it took                          50 %        90 %        95 %        99 %\n"
	    "from arrival to delivery                 0.0 s       2.6 s      1m 21s      1m 21s\n" }, { "\x1b", "7000", "4000" } },
	{ stats_print, 7, { "Fri 20 Nov     10 taken #####\n               80 not   ----------------------------------\n",
	    "Sat 08:00       8 taken ##################################\n", "a\\x1b.example  ",
	    "spf                                          7           0           0           1           0\n" }, { NULL } },
	{ stats_print, 1, { "Sat 21 Nov; counted since", "messages taken                 40\n",
	    "spf                                          3           0           0           1           0\n" }, { "By day", "DAYS" } },
	{ stats_print, 31, { "messages taken                 40       7050\n" }, { "4000" } },
	{ stats_print_json, 7, { "\"accepted\":50", "\"day\":\"2026-11-20\"", "\"filter\":\"greylist\"", "\"put_off\":50", "\"begins\":1795248000",
	    "\"p90_ms\":2559", "\"reason\":\"550 No such recipient here\"" }, { ":7000", ":400" } },
	{ stats_print_html, 7, { "<!DOCTYPE html>", "<b>50</b><span>messages taken", "&#60;script&#62;x", "a\\x1b.example",
	    "<title>Fri 20 Nov: 10 taken, 80 refused, 0 put off</title>", "aria-label=\"What went, by hour\"", "<td>2.6 s</td>", "</html>\n" },
	    { "<script", "http", "src=", "nan" } },
};

START_TEST(views)
{
	int rc;
	char *text = show(answer, shown[_i].days, shown[_i].print, &rc);

	ck_assert_int_eq(rc, 0);
	for (unsigned k = 0; k < 8 && shown[_i].has[k] != NULL; k++)
		ck_assert_msg(strstr(text, shown[_i].has[k]) != NULL, "not there: %s\nin: %.3000s", shown[_i].has[k], text);
	for (unsigned k = 0; k < 4 && shown[_i].lacks[k] != NULL; k++)
		ck_assert_msg(strstr(text, shown[_i].lacks[k]) == NULL, "there: %s\nin: %.3000s", shown[_i].lacks[k], text);
	free(text);
}
END_TEST

static void (*const prints[])(const struct stats *, FILE *) = { stats_print, stats_print_json, stats_print_html };

/* A server that has counted nothing yet, and answers that break off or are none. */
START_TEST(little)
{
	static const char *const none[] = { "", "now=1795262400\n", "now=1795262400\nminimta-counters version=1 since=0\nday at=20778\n",
		"end sum=0\n", "nonsense\n" };
	int rc;
	char *text = show("now=1795262400\nminimta-counters version=1 since=0\nend sum=0\n", 7, prints[_i], &rc);

	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(strlen(text), 10);
	ck_assert_ptr_eq(strstr(text, "nan"), NULL);
	free(text);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		text = show(none[i][0] != '\0' ? none[i] : "\n", 7, prints[_i], &rc);
		ck_assert_int_eq(rc, -1);
		free(text);
	}
}
END_TEST

START_TEST(percentiles)
{
	static struct stats s;
	static const struct { unsigned bucket; int64_t most; } buckets[] = { { 0, 0 }, { 3, 3 }, { 4, 4 }, { 7, 7 }, { 8, 9 }, { 11, 15 },
		{ 12, 19 }, { 40, 2559 } };

	for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
		memset(&s, 0, sizeof(s));
		s.spread[STATS_DELAY][buckets[i].bucket] = 1;
		ck_assert_int_eq(stats_percentile(&s, STATS_DELAY, 50), buckets[i].most);
	}
	memset(&s, 0, sizeof(s));
	ck_assert_int_eq(stats_percentile(&s, STATS_DELAY, 50), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("stats");

	setenv("TZ", "UTC", 1);
	tcase_add_loop_test(t, views, 0, (int)(sizeof(shown) / sizeof(shown[0])));
	tcase_add_loop_test(t, little, 0, 3);
	tcase_add_test(t, percentiles);
	return run_case("stats", t);
}
