/*
 * Counting (logger/counters.h): which line counts as what. How the counters are written and read again is counters_text.c's
 * business.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "logger/counters_cells.h"

#define REASON_MAX	56

const char *const counters_names[COUNTS] = { "sessions", "accepted", "refused", "put_off", "quarantined", "delivered",
	"deferred", "failed", "bounces" };
const char *const counters_kinds[KINDS] = { "filter", "domain", "reason" };
const char *const counters_columns[KINDS][COLUMNS] = {
	[BY_FILTER] = { "refused", "put_off", "quarantined", "observed", "exempt" },
	[BY_DOMAIN] = { "accepted", "refused", "delivered", "deferred", "failed" },
	[BY_REASON] = { "n", "", "", "", "" },
};
const char *const counters_spreads[SPREADS] = { "waited", "delay" };

static const char others[] = "others";

int64_t
counters_day(time_t t)
{
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		return 0;
	tm.tm_hour = tm.tm_min = tm.tm_sec = tm.tm_isdst = 0;
	return (int64_t)timegm(&tm) / 86400;
}

struct counters *
counters_new(void)
{
	struct counters *c = alloc_new(1, sizeof(*c));

	return c;
}

void
counters_clear(struct counters *c)
{
	struct row *r, *next;

	for (unsigned k = 0; k < KINDS; k++)
		HASH_ITER(hh, c->rows[k], r, next) {
			HASH_DEL(c->rows[k], r);
			free(r);
		}
	memset(c, 0, sizeof(*c));
}

void
counters_free(struct counters *c)
{
	if (c != NULL)
		counters_clear(c);
	free(c);
}

/* ---- cells ---- */

struct cell *
counters_cell(struct cell *cells, int64_t n, int64_t at)
{
	struct cell *c = &cells[at % n];

	if (c->at != at)
		*c = (struct cell){ .at = at };
	return c;
}

struct row_cell *
counters_row_cell(struct row *r, int64_t day)
{
	struct row_cell *c = &r->days[day % COUNTERS_ROW_DAYS];

	if (c->at != day)
		*c = (struct row_cell){ .at = day };
	return c;
}

struct spread_cell *
counters_spread_cell(struct spread_cell *cells, int64_t day)
{
	struct spread_cell *c = &cells[day % COUNTERS_ROW_DAYS];

	if (c->at != day) {
		memset(c, 0, sizeof(*c));
		c->at = day;
	}
	return c;
}

/* ---- rows ---- */

static uint64_t
weight(const struct row *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < COUNTERS_ROW_DAYS; i++)
		for (unsigned k = 0; k < COLUMNS; k++)
			sum += r->days[i].n[k];
	return sum;
}

static struct row *
add_row(struct counters *c, enum kind kind, const char *name)
{
	struct row *r = alloc_new(1, sizeof(*r));

	snprintf(r->name, sizeof(r->name), "%s", name);
	HASH_ADD_STR(c->rows[kind], name, r);
	return r;
}

static struct row *
find_row(struct counters *c, enum kind kind, const char *name)
{
	char key[COUNTERS_NAME_MAX];
	struct row *r;

	snprintf(key, sizeof(key), "%s", name);
	HASH_FIND_STR(c->rows[kind], key, r);
	return r;
}

/* Makes room: the least of all goes among the others. Strangers can name any domain, so that this must not lose a sum. */
static void
merge_least(struct counters *c, enum kind kind)
{
	struct row *least = NULL, *rest = find_row(c, kind, others), *r, *next;

	if (rest == NULL)
		rest = add_row(c, kind, others);
	HASH_ITER(hh, c->rows[kind], r, next)
		if (r != rest && (least == NULL || weight(r) < weight(least)))
			least = r;
	for (unsigned i = 0; i < COUNTERS_ROW_DAYS; i++) {
		struct row_cell *to;

		if (least->days[i].at == 0 || least->days[i].at < rest->days[i].at)
			continue;
		to = counters_row_cell(rest, least->days[i].at);
		for (unsigned k = 0; k < COLUMNS; k++)
			to->n[k] += least->days[i].n[k];
	}
	HASH_DEL(c->rows[kind], least);
	free(least);
}

struct row *
counters_row(struct counters *c, enum kind kind, const char *name)
{
	struct row *r = find_row(c, kind, name);

	if (r != NULL)
		return r;
	if (HASH_COUNT(c->rows[kind]) >= COUNTERS_ROWS_MAX)
		merge_least(c, kind);
	return add_row(c, kind, name);
}

static void
add_to_row(struct counters *c, enum kind kind, const char *name, unsigned column)
{
	if (name[0] != '\0')
		counters_row_cell(counters_row(c, kind, name), c->today)->n[column]++;
}

/* ---- counting ---- */

static void
add(struct counters *c, time_t now, enum count what)
{
	if (c->since == 0)
		c->since = now;
	counters_cell(c->hours, COUNTERS_HOURS, (int64_t)now / 3600)->n[what]++;
	counters_cell(c->days, COUNTERS_DAYS, c->today)->n[what]++;
}

static void
add_domain(struct counters *c, const char *address, unsigned column)
{
	const char *at = strrchr(address, '@');
	char name[COUNTERS_NAME_MAX];

	snprintf(name, sizeof(name), "%s", at != NULL && at[1] != '\0' ? at + 1 : "<>");
	for (char *p = name; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	add_to_row(c, BY_DOMAIN, name, column);
}

static unsigned
bucket_of(int64_t ms)
{
	unsigned top, b;

	if (ms < 4)
		return ms < 0 ? 0 : (unsigned)ms;
	top = 63 - (unsigned)__builtin_clzll((unsigned long long)ms);
	b = (top - 1) * 4 + (unsigned)((ms >> (top - 2)) & 3);
	return b < COUNTERS_BUCKETS ? b : COUNTERS_BUCKETS - 1;
}

static void
add_spread(struct counters *c, enum spread which, int64_t ms)
{
	counters_spread_cell(c->spreads[which], c->today)->n[bucket_of(ms)]++;
}

/* Whether a refusal has a decision's code behind it, which is counted where that decision is. */
static bool
has_ref(const char *text)
{
	static const char see[] = "(see ";
	const char *p = strstr(text, see), *next;

	for (; p != NULL && (next = strstr(p + 1, see)) != NULL; p = next)
		;
	return p != NULL && strchr(p, ')') != NULL;
}

/* The words in front of what is special to one mail. */
static void
reason_of(char to[REASON_MAX], const char *code, const char *text)
{
	size_t n = (size_t)snprintf(to, REASON_MAX, "%s ", code);

	for (; *text != '\0' && n < REASON_MAX - 1 && strchr("<:;(,\"@", *text) == NULL; text++)
		to[n++] = *text;
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

static void
count_refusal(struct counters *c, time_t now, const struct pairs *ps)
{
	const char *text = pairs_get(ps, "text");
	long long code = pairs_number(ps, "code");
	char reason[REASON_MAX];

	if (has_ref(text))
		return;
	/* Wrong commands (50x) are no mail. */
	if (code >= 510)
		add(c, now, REFUSED);
	else if (code < 500)
		add(c, now, PUT_OFF);
	reason_of(reason, pairs_get(ps, "code"), text);
	add_to_row(c, BY_REASON, reason, 0);
}

static void
count_outcome(struct counters *c, time_t now, const struct pairs *ps, enum count what, unsigned column)
{
	const char *reply = pairs_get(ps, "status");
	char reason[REASON_MAX];

	add(c, now, what);
	add_domain(c, pairs_get(ps, "to"), column);
	if (what == DELIVERED) {
		add_spread(c, DELAY, pairs_number(ps, "delay") * 1000);
		return;
	}
	snprintf(reason, sizeof(reason), "%s %.12s", counters_names[what], reply);
	add_to_row(c, BY_REASON, reason, 0);
}

static void
count_event(struct counters *c, time_t now, const struct pairs *ps)
{
	const char *event = pairs_get(ps, "event"), *from = pairs_get(ps, "p");

	if (strcmp(from, "smtpd") == 0) {
		if (strcmp(event, "session") == 0)
			add(c, now, SESSIONS);
		else if (strcmp(event, "refused") == 0)
			count_refusal(c, now, ps);
		else if (strcmp(event, "message") == 0 && pairs_number(ps, "code") == 250) {
			add(c, now, ACCEPTED);
			add_domain(c, pairs_get(ps, "from"), D_ACCEPTED);
		}
	} else if (strcmp(from, "queue") == 0) {
		if (strcmp(event, "delivered") == 0)
			count_outcome(c, now, ps, DELIVERED, D_DELIVERED);
		else if (strcmp(event, "deferred") == 0)
			count_outcome(c, now, ps, DEFERRED, D_DEFERRED);
		else if (strcmp(event, "failed") == 0 || strcmp(event, "expired") == 0)
			count_outcome(c, now, ps, FAILED, D_FAILED);
		else if (strcmp(event, "bounce") == 0)
			add(c, now, BOUNCES);
	}
}

static void
count_decision(struct counters *c, time_t now, const struct pairs *ps)
{
	const char *outcome = pairs_get(ps, "outcome"), *filter = pairs_get(ps, "filter");

	c->marked = false;
	if (strcmp(pairs_get(ps, "tagged"), "yes") == 0) {
		add_to_row(c, BY_FILTER, filter, F_OBSERVED);
	} else if (strcmp(outcome, "refuse") == 0) {
		add(c, now, REFUSED);
		add_to_row(c, BY_FILTER, filter, F_REFUSED);
		add_domain(c, pairs_get(ps, "from"), D_REFUSED);
	} else if (strcmp(outcome, "defer") == 0) {
		add(c, now, PUT_OFF);
		add_to_row(c, BY_FILTER, filter, F_PUT_OFF);
	} else if (strcmp(pairs_get(ps, "quarantine"), "yes") == 0) {
		add(c, now, QUARANTINED);
		c->marked = true;
	}
}

/* Who marked the message; what a filter that is only observed, or that this client is exempt from, would have done. */
static void
count_filter(struct counters *c, const struct pairs *ps)
{
	const char *asks = pairs_get(ps, "asks"), *filter = pairs_get(ps, "filter");

	if (strcmp(asks, "refuse") != 0 && strcmp(asks, "defer") != 0 && strcmp(asks, "quarantine") != 0)
		return;
	if (strcmp(pairs_get(ps, "mark"), "exempt") == 0)
		add_to_row(c, BY_FILTER, filter, F_EXEMPT);
	else if (strcmp(pairs_get(ps, "mode"), "observe") == 0)
		add_to_row(c, BY_FILTER, filter, F_OBSERVED);
	else if (c->marked && strcmp(asks, "quarantine") == 0) {
		add_to_row(c, BY_FILTER, filter, F_QUARANTINED);
		c->marked = false;
	}
}

/* Who was sent away for what smtpd itself sees to, without any decision of a filter. */
static void
count_session(struct counters *c, const struct pairs *ps)
{
	const char *end = pairs_get(ps, "end");

	add_spread(c, WAITED, pairs_number(ps, "waited"));
	if (strcmp(end, "early-talker") == 0)
		add_to_row(c, BY_FILTER, "early", F_REFUSED);
	else if (strcmp(end, "pipelining") == 0)
		add_to_row(c, BY_FILTER, "pipelining", F_REFUSED);
}

void
counters_line(struct counters *c, time_t now, char letter, const struct pairs *ps)
{
	if (now != c->now)
		c->today = counters_day(now);
	c->now = now;
	switch (letter) {
	case 'L':
		count_event(c, now, ps);
		break;
	case 'D':
		count_decision(c, now, ps);
		break;
	case 'F':
		count_filter(c, ps);
		break;
	case 'S':
		count_session(c, ps);
		break;
	}
}
