/*
 * The counters as text (logger/counters.h), with a sum at its end, and back; and the few of them that status shows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/alloc.h"
#include "logger/counters_cells.h"

static void
print_cells(const char *what, const struct cell *cells, unsigned n, FILE *to)
{
	for (unsigned i = 0; i < n; i++) {
		if (cells[i].at == 0)
			continue;
		fprintf(to, "%s at=%" PRId64, what, cells[i].at);
		for (unsigned k = 0; k < COUNTS; k++)
			if (cells[i].n[k] > 0)
				fprintf(to, " %s=%" PRIu64, counters_names[k], cells[i].n[k]);
		putc('\n', to);
	}
}

static void
print_row(enum kind kind, const struct row *r, FILE *to)
{
	char name[COUNTERS_NAME_MAX * 4 + 16];
	struct pairs_text t;

	pairs_init(&t, name, sizeof(name));
	pairs_put(&t, counters_kinds[kind], r->name);
	for (unsigned i = 0; i < COUNTERS_ROW_DAYS; i++) {
		if (r->days[i].at == 0)
			continue;
		fprintf(to, "row %s at=%" PRId64, name, r->days[i].at);
		for (unsigned k = 0; k < COLUMNS; k++)
			if (r->days[i].n[k] > 0)
				fprintf(to, " %s=%" PRIu32, counters_columns[kind][k], r->days[i].n[k]);
		putc('\n', to);
	}
}

static void
print_spread(const char *name, const struct spread_cell *c, FILE *to)
{
	if (c->at == 0)
		return;
	fprintf(to, "spread of=%s at=%" PRId64 " ms=", name, c->at);
	for (unsigned b = 0, n = 0; b < COUNTERS_BUCKETS; b++)
		if (c->n[b] > 0)
			fprintf(to, "%s%u:%" PRIu32, n++ > 0 ? "," : "", b, c->n[b]);
	putc('\n', to);
}

static void
print_all(const struct counters *c, FILE *to)
{
	struct row *r, *next;

	fprintf(to, "minimta-counters version=%d since=%" PRId64 "\n", COUNTERS_VERSION, (int64_t)c->since);
	print_cells("hour", c->hours, COUNTERS_HOURS, to);
	print_cells("day", c->days, COUNTERS_DAYS, to);
	for (unsigned k = 0; k < KINDS; k++)
		HASH_ITER(hh, c->rows[k], r, next)
			print_row((enum kind)k, r, to);
	for (unsigned s = 0; s < SPREADS; s++)
		for (unsigned i = 0; i < COUNTERS_ROW_DAYS; i++)
			print_spread(counters_spreads[s], &c->spreads[s][i], to);
}

void
counters_print(const struct counters *c, FILE *to)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = alloc_stream(&text, &len);

	print_all(c, f);
	fclose(f);
	fwrite(text, 1, len, to);
	fprintf(to, "end sum=%016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, len));
	free(text);
}

/* ---- and back ---- */

static int
read_cell(struct cell *cells, int64_t n, const struct pairs *ps)
{
	int64_t at = pairs_number(ps, "at");
	struct cell *c;

	if (at <= 0)
		return -1;
	c = counters_cell(cells, n, at);
	for (unsigned k = 0; k < COUNTS; k++)
		c->n[k] = (uint64_t)pairs_number(ps, counters_names[k]);
	return 0;
}

static int
read_row(struct counters *c, const struct pairs *ps)
{
	int64_t at = pairs_number(ps, "at");

	for (unsigned k = 0; k < KINDS; k++) {
		const char *name = pairs_get(ps, counters_kinds[k]);
		struct row_cell *to;

		if (name[0] == '\0')
			continue;
		if (at <= 0)
			return -1;
		to = counters_row_cell(counters_row(c, (enum kind)k, name), at);
		for (unsigned i = 0; i < COLUMNS && counters_columns[k][i][0] != '\0'; i++)
			to->n[i] = (uint32_t)pairs_number(ps, counters_columns[k][i]);
		return 0;
	}
	return -1;
}

static int
read_spread(struct counters *c, const struct pairs *ps)
{
	int64_t at = pairs_number(ps, "at");
	const char *p = pairs_get(ps, "ms");
	struct spread_cell *to = NULL;
	unsigned b, n;
	int used;

	for (unsigned s = 0; s < SPREADS; s++)
		if (strcmp(pairs_get(ps, "of"), counters_spreads[s]) == 0 && at > 0)
			to = counters_spread_cell(c->spreads[s], at);
	for (; to != NULL && sscanf(p, "%u:%u%n", &b, &n, &used) == 2; p += p[used] == ',' ? used + 1 : used) {
		if (b >= COUNTERS_BUCKETS)
			return -1;
		to->n[b] = n;
	}
	return to != NULL && *p == '\0' ? 0 : -1;
}

static int
read_line(struct counters *c, char *line)
{
	char *rest = line + strcspn(line, " ");
	struct pairs ps;

	if (*rest != '\0')
		*rest++ = '\0';
	pairs_cut(&ps, rest);
	if (strcmp(line, "hour") == 0)
		return read_cell(c->hours, COUNTERS_HOURS, &ps);
	if (strcmp(line, "day") == 0)
		return read_cell(c->days, COUNTERS_DAYS, &ps);
	if (strcmp(line, "row") == 0)
		return read_row(c, &ps);
	if (strcmp(line, "spread") == 0)
		return read_spread(c, &ps);
	if (strcmp(line, "minimta-counters") != 0 || pairs_number(&ps, "version") != COUNTERS_VERSION)
		return -1;
	c->since = (time_t)pairs_number(&ps, "since");
	return 0;
}

/* Where the last line begins, when its sum is right; else NULL. */
static char *
sound_end(char *text, size_t len)
{
	char *last = NULL;
	uint64_t sum;

	if (len < 24 || text[len - 1] != '\n')
		return NULL;
	for (char *p = text; (p = memmem(p, len - (size_t)(p - text), "\nend sum=", 9)) != NULL; p++)
		last = p + 1;
	if (last == NULL || sscanf(last, "end sum=%" SCNx64, &sum) != 1 || sum != XXH3_64bits(text, (size_t)(last - text)))
		return NULL;
	return last;
}

int
counters_read(struct counters *c, char *text, size_t len)
{
	char *end = memchr(text, '\0', len) == NULL ? sound_end(text, len) : NULL;
	int rc = end != NULL && strncmp(text, "minimta-counters ", 17) == 0 ? 0 : -1;

	counters_clear(c);
	for (char *p = text, *lf; rc == 0 && p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		*lf = '\0';
		rc = read_line(c, p);
	}
	if (rc != 0)
		counters_clear(c);
	return rc;
}

/* ---- for status ---- */

static void
sum_row(const struct row *r, int64_t today, uint64_t all[COLUMNS], uint64_t one[COLUMNS])
{
	for (unsigned i = 0; i < COUNTERS_ROW_DAYS; i++)
		for (unsigned k = 0; k < COLUMNS; k++) {
			all[k] += r->days[i].at > today - COUNTERS_ROW_DAYS ? r->days[i].n[k] : 0;
			one[k] += r->days[i].at == today ? r->days[i].n[k] : 0;
		}
}

static void
put_count(struct pairs_text *t, const char *what, const char *filter, const char *when, uint64_t n)
{
	if (n > 0)
		pairs_put_plain(t, " %s_%s%s=%" PRIu64, what, filter, when, n);
}

void
counters_status(const struct counters *c, time_t now, char *to, size_t size)
{
	struct pairs_text t;
	struct row *r, *next;

	pairs_init(&t, to, size);
	HASH_ITER(hh, c->rows[BY_FILTER], r, next) {
		uint64_t all[COLUMNS] = { 0 }, today[COLUMNS] = { 0 };

		if (strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(r->name))
			continue;
		sum_row(r, counters_day(now), all, today);
		for (unsigned k = 0; k < COLUMNS; k++) {
			put_count(&t, counters_columns[BY_FILTER][k], r->name, "", all[k]);
			put_count(&t, counters_columns[BY_FILTER][k], r->name, "_today", today[k]);
		}
	}
}
