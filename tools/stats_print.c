/*
 * mailstat for the terminal, and as JSON (tools/stats.h). Decides layout and words.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <langinfo.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "tools/lines.h"
#include "tools/stats.h"

#define BAR		34	/* columns */
#define ROWS_SHOWN	15
#define HOURS_SHOWN	24

static const struct { enum stats_count count; const char *words; } lines[] = {
	{ STATS_SESSIONS, "sessions" }, { STATS_ACCEPTED, "messages taken" }, { STATS_REFUSED, "refused (5xx)" },
	{ STATS_PUT_OFF, "put off (4xx)" }, { STATS_QUARANTINED, "marked as spam" }, { STATS_DELIVERED, "deliveries" },
	{ STATS_DEFERRED, "attempts deferred" }, { STATS_FAILED, "recipients failed" }, { STATS_BOUNCES, "bounces sent" },
};

/* As much of the bar as value is of most; at least a sign of what is not 0. */
static void
print_bar(uint64_t value, uint64_t most, char letter, FILE *to)
{
	static const char *const eighths[] = { "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589" };
	bool blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	uint64_t parts = most > 0 ? (value * BAR * 8 + most - 1) / most : 0;

	for (uint64_t i = 0; i < parts / 8; i++)
		fputs(blocks ? (letter == '#' ? "\u2588" : "\u2592") : letter == '#' ? "#" : "-", to);
	if (blocks && letter == '#')
		fputs(eighths[parts % 8], to);
	else if (parts % 8 > 0)
		fputs(blocks ? "\u2592" : letter == '#' ? "#" : "-", to);
}

/* What strangers chose (the names of domains), as something that steers no terminal. */
static int
print_name(const char *name, FILE *to)
{
	int n = 0;

	for (; *name != '\0'; name++)
		n += (unsigned char)*name < 0x20 || (unsigned char)*name >= 0x7f ? fprintf(to, "\\x%02x", (unsigned char)*name) :
		    fprintf(to, "%c", *name);
	return n;
}

static uint64_t
kept_out(const uint64_t n[STATS_COUNTS])
{
	return n[STATS_REFUSED] + n[STATS_PUT_OFF];
}

static uint64_t
most_of(const uint64_t (*n)[STATS_COUNTS], unsigned rows)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < rows; i++) {
		if (n[i][STATS_ACCEPTED] > most)
			most = n[i][STATS_ACCEPTED];
		if (kept_out(n[i]) > most)
			most = kept_out(n[i]);
	}
	return most;
}

/* Two bars: what was taken, and what was not. */
static void
print_time(const char *name, const uint64_t n[STATS_COUNTS], uint64_t most, FILE *to)
{
	fprintf(to, "%-10s %6" PRIu64 " taken%s", name, n[STATS_ACCEPTED], n[STATS_ACCEPTED] > 0 ? " " : "");
	print_bar(n[STATS_ACCEPTED], most, '#', to);
	fprintf(to, "\n%-10s %6" PRIu64 " not%s", "", kept_out(n), kept_out(n) > 0 ? "   " : "");
	print_bar(kept_out(n), most, '-', to);
	putc('\n', to);
}

static void
print_times(const struct stats *s, FILE *to)
{
	uint64_t most = most_of(s->on_day, s->n_days);
	bool any = false;
	char name[32];

	if (s->n_days > 1)
		fputs("\nBy day\n", to);
	for (unsigned i = s->n_days; i-- > 0 && s->n_days > 1;)
		if (any |= s->on_day[i][STATS_SESSIONS] + s->on_day[i][STATS_ACCEPTED] + kept_out(s->on_day[i]) > 0)
			print_time(stats_day_name(name, s->today - (int64_t)i), s->on_day[i], most, to);
	fputs("\nBy hour\n", to);
	most = most_of(s->in_hour, HOURS_SHOWN);
	for (unsigned i = HOURS_SHOWN; i-- > 0;) {
		time_t t = (time_t)((s->now / 3600 - (int64_t)i) * 3600);
		struct tm tm;

		if (s->in_hour[i][STATS_ACCEPTED] + kept_out(s->in_hour[i]) == 0)
			continue;
		strftime(name, sizeof(name), "%a %H:%M", localtime_r(&t, &tm));
		print_time(name, s->in_hour[i], most, to);
	}
}

static void
print_totals(const struct stats *s, FILE *to)
{
	char head[32];

	snprintf(head, sizeof(head), "%u DAYS", s->n_days);
	fprintf(to, "%-22s %10s", "", "TODAY");
	fprintf(to, s->n_days > 1 ? " %10s\n" : "\n", head);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		fprintf(to, "%-22s %10" PRIu64, lines[i].words, s->on_day[0][lines[i].count]);
		if (s->n_days > 1)
			fprintf(to, " %10" PRIu64, s->total[lines[i].count]);
		putc('\n', to);
	}
}

static void
print_rows(const struct stats *s, enum stats_kind kind, const char *title, FILE *to)
{
	static const char *const heads[STATS_KINDS][STATS_COLUMNS] = {
		[STATS_FILTER] = { "refused", "put off", "marked", "would have", "exempt" },
		[STATS_DOMAIN] = { "taken", "refused", "delivered", "deferred", "failed" },
		[STATS_REASON] = { "times" },
	};
	size_t n = s->n_rows[kind] < ROWS_SHOWN ? s->n_rows[kind] : ROWS_SHOWN;
	uint64_t most = n > 0 ? stats_row_sum(&s->rows[kind][0]) : 0;

	if (n == 0)
		return;
	fprintf(to, "\n%-34s", title);
	for (unsigned k = 0; k < STATS_COLUMNS && heads[kind][k] != NULL; k++)
		fprintf(to, " %11s", heads[kind][k]);
	putc('\n', to);
	for (size_t i = 0; i < n; i++) {
		const struct stats_row *r = &s->rows[kind][i];
		int len = print_name(r->name, to);

		fprintf(to, "%*s", len < 34 ? 34 - len : 1, "");
		for (unsigned k = 0; k < STATS_COLUMNS && stats_columns[kind][k] != NULL; k++)
			fprintf(to, " %11" PRIu64, r->n[k]);
		if (kind == STATS_REASON) {
			fputs("  ", to);
			print_bar(r->n[0], most, '#', to);
		}
		putc('\n', to);
	}
	if (s->n_rows[kind] > n)
		fprintf(to, "and %zu more\n", s->n_rows[kind] - n);
}

static void
print_spread(const struct stats *s, enum stats_spread which, const char *title, FILE *to)
{
	static const unsigned percents[] = { 50, 90, 95, 99 };
	char span[32];

	if (stats_spread_count(s, which) == 0)
		return;
	fprintf(to, "%-34s", title);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		fprintf(to, " %11s", stats_span(span, stats_percentile(s, which, percents[i])));
	putc('\n', to);
}

void
stats_print(const struct stats *s, FILE *to)
{
	time_t since = (time_t)s->since;
	char date[64], first[32], last[32];
	struct tm tm;

	if (s->since == 0) {
		fputs("Nothing was counted yet.\n", to);
		return;
	}
	strftime(date, sizeof(date), "%d %B %Y", localtime_r(&since, &tm));
	fprintf(to, "%s%s%s; counted since %s\n\n", s->n_days > 1 ? stats_day_name(first, s->today - (int64_t)s->n_days + 1) : "",
	    s->n_days > 1 ? " to " : "", stats_day_name(last, s->today), date);
	print_totals(s, to);
	print_times(s, to);
	print_rows(s, STATS_FILTER, "By filter", to);
	print_rows(s, STATS_DOMAIN, "By domain", to);
	print_rows(s, STATS_REASON, "By reason", to);
	if (stats_spread_count(s, STATS_DELAY) + stats_spread_count(s, STATS_WAITED) > 0)
		fprintf(to, "\n%-34s %11s %11s %11s %11s\n", "How long it took", "50 %", "90 %", "95 %", "99 %");
	print_spread(s, STATS_DELAY, "from arrival to delivery", to);
	print_spread(s, STATS_WAITED, "clients were kept waiting", to);
}

/* ---- JSON ---- */

static void
put(struct json_object *o, const char *name, int64_t n)
{
	json_object_object_add(o, name, json_object_new_int64(n));
}

static struct json_object *
json_counts(const uint64_t n[STATS_COUNTS])
{
	struct json_object *o = json_object_new_object();

	for (unsigned k = 0; k < STATS_COUNTS; k++)
		put(o, stats_count_names[k], (int64_t)n[k]);
	return o;
}

static struct json_object *
json_rows(const struct stats *s, enum stats_kind kind)
{
	struct json_object *list = json_object_new_array(), *o;

	for (size_t i = 0; i < s->n_rows[kind]; i++) {
		o = json_object_new_object();
		lines_put(o, stats_kind_names[kind], s->rows[kind][i].name);
		for (unsigned k = 0; k < STATS_COLUMNS && stats_columns[kind][k] != NULL; k++)
			put(o, stats_columns[kind][k], (int64_t)s->rows[kind][i].n[k]);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *
json_days(const struct stats *s)
{
	struct json_object *list = json_object_new_array(), *o;
	char name[16];
	struct tm tm;

	for (unsigned i = s->n_days; i-- > 0;) {
		time_t t = (time_t)((s->today - (int64_t)i) * 86400);

		o = json_counts(s->on_day[i]);
		strftime(name, sizeof(name), "%Y-%m-%d", gmtime_r(&t, &tm));
		lines_put(o, "day", name);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *
json_hours(const struct stats *s)
{
	struct json_object *list = json_object_new_array(), *o;

	for (unsigned i = STATS_HOURS; i-- > 0;) {
		o = json_counts(s->in_hour[i]);
		put(o, "begins", (s->now / 3600 - (int64_t)i) * 3600);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *
json_spread(const struct stats *s, enum stats_spread which)
{
	static const unsigned percents[] = { 50, 75, 90, 95, 99, 100 };
	struct json_object *o = json_object_new_object();
	char name[16];

	put(o, "count", (int64_t)stats_spread_count(s, which));
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		snprintf(name, sizeof(name), "p%u_ms", percents[i]);
		put(o, name, stats_percentile(s, which, percents[i]));
	}
	return o;
}

void
stats_print_json(const struct stats *s, FILE *to)
{
	struct json_object *o = json_object_new_object();

	put(o, "now", s->now);
	put(o, "since", s->since);
	put(o, "days_counted", s->n_days);
	json_object_object_add(o, "today", json_counts(s->on_day[0]));
	json_object_object_add(o, "total", json_counts(s->total));
	json_object_object_add(o, "days", json_days(s));
	json_object_object_add(o, "hours", json_hours(s));
	json_object_object_add(o, "filters", json_rows(s, STATS_FILTER));
	json_object_object_add(o, "domains", json_rows(s, STATS_DOMAIN));
	json_object_object_add(o, "reasons", json_rows(s, STATS_REASON));
	json_object_object_add(o, "delivery", json_spread(s, STATS_DELAY));
	json_object_object_add(o, "kept_waiting", json_spread(s, STATS_WAITED));
	lines_print_json(o, to);
}
