/*
 * mailstat as one page of HTML (tools/stats.h): its style and its charts (SVG) are inside, it loads nothing and runs nothing.
 * Colours follow the reader's light or dark mode; every number that a chart shows stands in a title or a table, too.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "tools/stats.h"

#define WIDTH		760
#define HEIGHT		180
#define LEFT		48		/* of the scale */
#define ROWS_SHOWN	25

static const char style[] =
	":root{--ink:#1c2430;--soft:#5d6b7c;--line:#d9dfe6;--page:#fbfcfd;--in:#2f7d5b;--out:#c2553d;--wait:#d39a2d;--go:#3567a8}"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#9aa8b8;--line:#323c48;--page:#14191f;--in:#57b48a;--out:#e0806a;"
	"--wait:#e3b659;--go:#7aa7e0}}"
	"*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1rem;max-width:840px;font:16px/1.5 system-ui,sans-serif;color:var(--ink);"
	"background:var(--page)}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0;color:var(--soft)}"
	".sums{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.8rem;margin:1.4rem 0}"
	".sums div{border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem}.sums b{display:block;font-size:1.6rem;line-height:1.2}"
	".sums span{color:var(--soft);font-size:.85rem}svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}"
	"svg line{stroke:var(--line)}.a{fill:var(--in)}.b{fill:var(--out)}.c{fill:var(--wait)}.d{fill:var(--go)}"
	".key{font-size:.85rem;color:var(--soft)}.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 1em}.key i:first-child{margin-left:0}"
	".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}th,td{text-align:right;padding:.3rem .6rem;"
	"border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left;"
	"word-break:break-word}th{color:var(--soft);font-weight:600}";

struct part { const char *class, *colour, *words; enum stats_count count; };

static const struct part coming[] = { { "a", "--in", "taken", STATS_ACCEPTED }, { "b", "--out", "refused", STATS_REFUSED },
	{ "c", "--wait", "put off", STATS_PUT_OFF } };
static const struct part going[] = { { "d", "--go", "delivered", STATS_DELIVERED }, { "c", "--wait", "deferred", STATS_DEFERRED },
	{ "b", "--out", "failed", STATS_FAILED } };
#define PARTS	3

/* What strangers chose must not become a tag or leave an attribute. */
static void
put(const char *text, FILE *to)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr("<>&\"'", c) != NULL)
			fprintf(to, "&#%u;", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(to, "\\x%02x", c);
		else
			putc(c, to);
	}
}

/* ---- charts ---- */

/* A round number that is not less: 1, 2 or 5 with noughts. */
static uint64_t
round_up(uint64_t n)
{
	for (uint64_t power = 1;; power *= 10)
		for (unsigned k = 0; k < 3; k++)
			if (power * (k == 0 ? 1 : k == 1 ? 2 : 5) >= n)
				return power * (k == 0 ? 1 : k == 1 ? 2 : 5);
}

static uint64_t
sum_of(const uint64_t n[STATS_COUNTS], const struct part *parts)
{
	return n[parts[0].count] + n[parts[1].count] + n[parts[2].count];
}

static void
put_scale(uint64_t most, FILE *to)
{
	for (unsigned i = 0; i <= 2; i++) {
		unsigned y = 10 + HEIGHT - HEIGHT * i / 2;

		fprintf(to, "<line x1=\"%d\" y1=\"%u\" x2=\"%d\" y2=\"%u\"/><text x=\"%d\" y=\"%u\" text-anchor=\"end\">%" PRIu64 "</text>\n",
		    LEFT, y, WIDTH, y, LEFT - 6, y + 4, i == 1 && most % 2 == 1 ? most : most * i / 2);
	}
}

/* One column, its parts on top of each other. */
static void
put_column(const uint64_t n[STATS_COUNTS], const struct part *parts, const char *name, double x, double width, uint64_t most, FILE *to)
{
	double y = 10 + HEIGHT;

	fputs("<g><title>", to);
	put(name, to);
	for (unsigned p = 0; p < PARTS; p++)
		fprintf(to, "%s %" PRIu64 " %s", p == 0 ? ":" : ",", n[parts[p].count], parts[p].words);
	fprintf(to, "</title><rect x=\"%.1f\" y=\"10\" width=\"%.1f\" height=\"%d\" fill=\"transparent\"/>", x, width, HEIGHT);
	for (unsigned p = 0; p < PARTS; p++) {
		double high = (double)n[parts[p].count] / (double)most * HEIGHT;

		if (n[parts[p].count] == 0)
			continue;
		y -= high;
		fprintf(to, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", parts[p].class, x, y, width, high);
	}
	fputs("</g>\n", to);
}

struct column { const uint64_t *n; char name[48]; };

static void
put_chart(const char *title, const struct column *columns, unsigned n, const struct part *parts, unsigned every, FILE *to)
{
	double step = (double)(WIDTH - LEFT) / n, width = step * 0.72;
	uint64_t most = 2;

	for (unsigned i = 0; i < n; i++)
		if (sum_of(columns[i].n, parts) > most)
			most = sum_of(columns[i].n, parts);
	most = round_up(most);
	fprintf(to, "<h2>%s</h2>\n<p class=\"key\">", title);
	for (unsigned p = 0; p < PARTS; p++)
		fprintf(to, "<i style=\"background:var(%s)\"></i>%s", parts[p].colour, parts[p].words);
	fprintf(to, "</p>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT + 34, title);
	put_scale(most, to);
	for (unsigned i = 0; i < n; i++) {
		double x = LEFT + step * i + (step - width) / 2;

		put_column(columns[i].n, parts, columns[i].name, x, width, most, to);
		if (i % every == 0)
			fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x + width / 2, HEIGHT + 27,
			    columns[i].name);
	}
	fputs("</svg>\n", to);
}

static void
put_days(const struct stats *s, FILE *to)
{
	struct column columns[STATS_DAYS_MAX];
	unsigned every = s->n_days > 16 ? 4 : s->n_days > 8 ? 2 : 1;

	for (unsigned i = 0; i < s->n_days; i++) {
		columns[i].n = s->on_day[s->n_days - 1 - i];
		stats_day_name(columns[i].name, s->today - (int64_t)(s->n_days - 1 - i));
	}
	put_chart("What came, by day", columns, s->n_days, coming, every, to);
	put_chart("What went, by day", columns, s->n_days, going, every, to);
}

static void
put_hours(const struct stats *s, FILE *to)
{
	struct column columns[STATS_HOURS];

	for (unsigned i = 0; i < STATS_HOURS; i++) {
		time_t t = (time_t)((s->now / 3600 - (int64_t)(STATS_HOURS - 1 - i)) * 3600);
		struct tm tm;

		columns[i].n = s->in_hour[STATS_HOURS - 1 - i];
		strftime(columns[i].name, sizeof(columns[i].name), "%H:%M", localtime_r(&t, &tm));
	}
	put_chart("What came, by hour", columns, STATS_HOURS, coming, 4, to);
	put_chart("What went, by hour", columns, STATS_HOURS, going, 4, to);
}

/* ---- tables ---- */

static void
put_sums(const struct stats *s, FILE *to)
{
	static const struct { enum stats_count count; const char *words; } sums[] = {
		{ STATS_ACCEPTED, "messages taken" }, { STATS_REFUSED, "refused" }, { STATS_PUT_OFF, "put off" },
		{ STATS_QUARANTINED, "marked as spam" }, { STATS_DELIVERED, "deliveries" }, { STATS_DEFERRED, "attempts deferred" },
		{ STATS_FAILED, "recipients failed" }, { STATS_BOUNCES, "bounces sent" },
	};

	fputs("<div class=\"sums\">", to);
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		fprintf(to, "<div><b>%" PRIu64 "</b><span>%s</span></div>", s->total[sums[i].count], sums[i].words);
	fputs("</div>\n", to);
}

static void
put_rows(const struct stats *s, enum stats_kind kind, const char *title, const char *const *heads, FILE *to)
{
	size_t n = s->n_rows[kind] < ROWS_SHOWN ? s->n_rows[kind] : ROWS_SHOWN;

	if (n == 0)
		return;
	fprintf(to, "<h2>%s</h2>\n<div class=\"wide\"><table><tr><th></th>", title);
	for (unsigned k = 0; k < STATS_COLUMNS && heads[k] != NULL; k++)
		fprintf(to, "<th>%s</th>", heads[k]);
	fputs("</tr>\n", to);
	for (size_t i = 0; i < n; i++) {
		fputs("<tr><td>", to);
		put(s->rows[kind][i].name, to);
		fputs("</td>", to);
		for (unsigned k = 0; k < STATS_COLUMNS && heads[k] != NULL; k++)
			fprintf(to, "<td>%" PRIu64 "</td>", s->rows[kind][i].n[k]);
		fputs("</tr>\n", to);
	}
	fputs("</table></div>\n", to);
	if (s->n_rows[kind] > n)
		fprintf(to, "<p>and %zu more</p>\n", s->n_rows[kind] - n);
}

static void
put_spreads(const struct stats *s, FILE *to)
{
	static const struct { enum stats_spread which; const char *words; } spreads[] = {
		{ STATS_DELAY, "from arrival to delivery" }, { STATS_WAITED, "clients were kept waiting" } };
	static const unsigned percents[] = { 50, 75, 90, 95, 99 };
	char span[32];

	fputs("<h2>How long it took</h2>\n<div class=\"wide\"><table><tr><th></th><th>50 %</th><th>75 %</th><th>90 %</th><th>95 %</th>"
	    "<th>99 %</th></tr>\n", to);
	for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
		bool any = stats_spread_count(s, spreads[i].which) > 0;

		fprintf(to, "<tr><td>%s</td>", spreads[i].words);
		for (size_t k = 0; k < sizeof(percents) / sizeof(percents[0]); k++)
			fprintf(to, "<td>%s</td>", any ? stats_span(span, stats_percentile(s, spreads[i].which, percents[k])) : "–");
		fputs("</tr>\n", to);
	}
	fputs("</table></div>\n", to);
}

void
stats_print_html(const struct stats *s, FILE *to)
{
	static const char *const filters[] = { "refused", "put off", "marked", "would have stopped", "exempt" };
	static const char *const domains[] = { "taken from", "refused from", "delivered to", "deferred to", "failed to" };
	static const char *const reasons[] = { "times", NULL };
	char first[32], last[32], since[64];
	time_t t = (time_t)s->since;
	struct tm tm;

	strftime(since, sizeof(since), "%d %B %Y", localtime_r(&t, &tm));
	fprintf(to, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
	    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Mail statistics</title>\n<style>%s</style>\n"
	    "<h1>Mail statistics</h1>\n<p>%s to %s; %s%s</p>\n", style, stats_day_name(first, s->today - (int64_t)s->n_days + 1),
	    stats_day_name(last, s->today), s->since > 0 ? "counted since " : "nothing was counted yet", s->since > 0 ? since : "");
	put_sums(s, to);
	put_days(s, to);
	put_hours(s, to);
	put_rows(s, STATS_FILTER, "What filters stopped", filters, to);
	put_rows(s, STATS_DOMAIN, "By domain", domains, to);
	put_rows(s, STATS_REASON, "By reason", reasons, to);
	put_spreads(s, to);
	fputs("</html>\n", to);
}
