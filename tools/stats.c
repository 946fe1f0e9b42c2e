/*
 * The counters read (tools/stats.h). Decides which days count; what is shown of them, stats_print.c and stats_html.c.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/alloc.h"
#include "lib/pairs.h"
#include "tools/lines.h"
#include "tools/stats.h"

const char *const stats_count_names[STATS_COUNTS] = { "sessions", "accepted", "refused", "put_off", "quarantined", "delivered",
	"deferred", "failed", "bounces" };
const char *const stats_kind_names[STATS_KINDS] = { "filter", "domain", "reason" };
const char *const stats_columns[STATS_KINDS][STATS_COLUMNS] = {
	[STATS_FILTER] = { "refused", "put_off", "quarantined", "observed", "exempt" },
	[STATS_DOMAIN] = { "accepted", "refused", "delivered", "deferred", "failed" },
	[STATS_REASON] = { "n" },
};
const char *const stats_spread_names[STATS_SPREADS] = { "waited", "delay" };

static int64_t
day_of(int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		return 0;
	tm.tm_hour = tm.tm_min = tm.tm_sec = tm.tm_isdst = 0;
	return (int64_t)timegm(&tm) / 86400;
}

/* The day's place, -1 for one that does not count. */
static int
place_of(const struct stats *s, int64_t day)
{
	return day > s->today - (int64_t)s->n_days && day <= s->today ? (int)(s->today - day) : -1;
}

static void
read_hour(struct stats *s, const struct pairs *ps)
{
	int64_t back = s->now / 3600 - pairs_number(ps, "at");

	for (unsigned k = 0; back >= 0 && back < STATS_HOURS && k < STATS_COUNTS; k++)
		s->in_hour[back][k] = (uint64_t)pairs_number(ps, stats_count_names[k]);
}

static void
read_day(struct stats *s, const struct pairs *ps)
{
	int place = place_of(s, pairs_number(ps, "at"));

	for (unsigned k = 0; place >= 0 && k < STATS_COUNTS; k++) {
		s->on_day[place][k] = (uint64_t)pairs_number(ps, stats_count_names[k]);
		s->total[k] += s->on_day[place][k];
	}
}

/* The lines of one name stand together. */
static struct stats_row *
row_named(struct stats *s, enum stats_kind kind, const char *name)
{
	struct stats_row *r;

	if (s->n_rows[kind] > 0 && strcmp(s->rows[kind][s->n_rows[kind] - 1].name, name) == 0)
		return &s->rows[kind][s->n_rows[kind] - 1];
	s->rows[kind] = alloc_resize(s->rows[kind], s->n_rows[kind] + 1, sizeof(*r));
	r = &s->rows[kind][s->n_rows[kind]++];
	*r = (struct stats_row){ .name = alloc_text(name) };
	return r;
}

static void
read_row(struct stats *s, const struct pairs *ps)
{
	if (place_of(s, pairs_number(ps, "at")) < 0)
		return;
	for (unsigned kind = 0; kind < STATS_KINDS; kind++) {
		struct stats_row *r;

		if (!pairs_has(ps, stats_kind_names[kind]))
			continue;
		r = row_named(s, (enum stats_kind)kind, pairs_get(ps, stats_kind_names[kind]));
		for (unsigned k = 0; k < STATS_COLUMNS && stats_columns[kind][k] != NULL; k++)
			r->n[k] += (uint64_t)pairs_number(ps, stats_columns[kind][k]);
		return;
	}
}

static void
read_spread(struct stats *s, const struct pairs *ps)
{
	const char *p = pairs_get(ps, "ms");
	unsigned b, n;
	int used;

	if (place_of(s, pairs_number(ps, "at")) < 0)
		return;
	for (unsigned k = 0; k < STATS_SPREADS; k++) {
		if (strcmp(pairs_get(ps, "of"), stats_spread_names[k]) != 0)
			continue;
		for (; sscanf(p, "%u:%u%n", &b, &n, &used) == 2 && b < STATS_BUCKETS; p += p[used] == ',' ? used + 1 : used)
			s->spread[k][b] += n;
	}
}

/* False: the last line. */
static bool
read_line(struct stats *s, char *line)
{
	char *rest = line + strcspn(line, " =");
	struct pairs ps;
	size_t len = (size_t)(rest - line);

	if (strncmp(line, "now=", 4) == 0) {
		s->now = strtoll(line + 4, NULL, 10);
		s->today = day_of(s->now);
		return true;
	}
	pairs_cut(&ps, rest);
	if (len == 3 && strncmp(line, "end", len) == 0)
		return false;
	if (len == 4 && strncmp(line, "hour", len) == 0)
		read_hour(s, &ps);
	else if (len == 3 && strncmp(line, "day", len) == 0)
		read_day(s, &ps);
	else if (len == 3 && strncmp(line, "row", len) == 0)
		read_row(s, &ps);
	else if (len == 6 && strncmp(line, "spread", len) == 0)
		read_spread(s, &ps);
	else if (strncmp(line, "minimta-counters", len) == 0)
		s->since = pairs_number(&ps, "since");
	return true;
}

uint64_t
stats_row_sum(const struct stats_row *r)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < STATS_COLUMNS; k++)
		sum += r->n[k];
	return sum;
}

static int
compare(const void *a, const void *b)
{
	const struct stats_row *x = a, *y = b;
	uint64_t n = stats_row_sum(x), m = stats_row_sum(y);

	return n != m ? (n < m ? 1 : -1) : strcmp(x->name, y->name);
}

int
stats_read(struct stats *s, FILE *from, unsigned days)
{
	char *line = NULL;
	bool end = false;
	size_t room = 0;

	*s = (struct stats){ .n_days = days };
	while (!end && getline(&line, &room, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		end = !read_line(s, line);
	}
	free(line);
	for (unsigned k = 0; k < STATS_KINDS; k++)
		if (s->n_rows[k] > 0)
			qsort(s->rows[k], s->n_rows[k], sizeof(*s->rows[k]), compare);
	return end && s->now > 0 ? 0 : -1;
}

void
stats_free(struct stats *s)
{
	for (unsigned k = 0; k < STATS_KINDS; k++) {
		for (size_t i = 0; i < s->n_rows[k]; i++)
			free(s->rows[k][i].name);
		free(s->rows[k]);
	}
}

/* ---- percentiles ---- */

/* The most that a bucket holds: four for each doubling. */
static int64_t
bucket_most(unsigned b)
{
	return b < 4 ? (int64_t)b : ((int64_t)(4 + b % 4 + 1) << (b / 4 - 1)) - 1;
}

uint64_t
stats_spread_count(const struct stats *s, enum stats_spread which)
{
	uint64_t sum = 0;

	for (unsigned b = 0; b < STATS_BUCKETS; b++)
		sum += s->spread[which][b];
	return sum;
}

int64_t
stats_percentile(const struct stats *s, enum stats_spread which, unsigned percent)
{
	uint64_t all = stats_spread_count(s, which), sum = 0;

	for (unsigned b = 0; b < STATS_BUCKETS && all > 0; b++) {
		sum += s->spread[which][b];
		if (sum * 100 >= all * percent)
			return bucket_most(b);
	}
	return 0;
}

/* ---- words ---- */

char *
stats_day_name(char to[32], int64_t day)
{
	time_t t = (time_t)(day * 86400);
	struct tm tm;

	strftime(to, 32, "%a %d %b", gmtime_r(&t, &tm));
	return to;
}

char *
stats_span(char to[32], int64_t ms)
{
	if (ms < 10000)
		snprintf(to, 32, "%.1f s", (double)ms / 1000);
	else
		lines_span(to, 32, ms / 1000);
	return to;
}
