/*
 * Stories told (tools/explain.h): a line for what was decided, the checks below it, and what became of the mail. Decides
 * words and layout; what belongs together, story.c.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/conf.h"
#include "tools/explain.h"
#include "tools/lines.h"
#include "tools/story.h"

#define INDENT	"            "

struct telling {
	FILE		*to;
	const struct stories *s;
	unsigned	 story;
	char		 day[32];	/* of what was told last */
};

static const char *
get(const struct story_event *e, const char *key)
{
	return pairs_get(e->pairs, key);
}

static bool
is(const struct story_event *e, const char *key, const char *value)
{
	return strcmp(get(e, key), value) == 0;
}

/* What strangers said, so that it steers no terminal. */
static void
put(FILE *to, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			fprintf(to, "\\x%02x", *p);
		else
			putc(*p, to);
}

static const char *
sender(const struct story_event *e)
{
	return get(e, "from")[0] == '\0' || is(e, "from", "<>") ? "the null sender (a report or bounce)" : get(e, "from");
}

static void
put_span_ms(FILE *to, long long ms)
{
	char span[32];

	if (ms < 10000)
		fprintf(to, "%.*f s", ms < 1000 ? 3 : 1, (double)ms / 1000);
	else
		fputs(lines_span(span, sizeof(span), ms / 1000), to);
}

/* The time, with its date where that is another one than before. */
static void
begin(struct telling *t, const struct story_event *e)
{
	time_t at = (time_t)(e->time_ms / 1000);
	char day[32], hour[16];
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(day, sizeof(day), "%A, %d %B %Y", &tm);
	strftime(hour, sizeof(hour), "%H:%M:%S", &tm);
	if (strcmp(day, t->day) != 0)
		fprintf(t->to, "  %s\n", day);
	memcpy(t->day, day, sizeof(day));
	fprintf(t->to, "  %s  ", hour);
}

/* ---- a decision ---- */

/* "192.0.2.7: it has no name"; not "a.example: a.example has no record". */
static void
put_finding(FILE *to, const char *key, const char *why)
{
	if (strncmp(key, why, strlen(key)) != 0) {
		put(to, key);
		fputs(key[0] != '\0' && why[0] != '\0' ? ": " : "", to);
	}
	put(to, why);
}

static void
tell_check(FILE *to, const struct pairs *f)
{
	const char *value = pairs_get(f, "value"), *why = pairs_get(f, "why"), *asks = pairs_get(f, "asks"), *mark = pairs_get(f, "mark");
	char points[32] = "";

	if (pairs_has(f, "points"))
		snprintf(points, sizeof(points), "%+lld", pairs_number(f, "points"));
	fprintf(to, INDENT "%c %-14s %-10s %4s  ", strcmp(mark, "counted") == 0 ? '*' : ' ', pairs_get(f, "filter"),
	    pairs_get(f, "result"), points);
	put_finding(to, pairs_get(f, "key"), why);
	if (value[0] != '\0' && strstr(why, value) == NULL) {
		fputs(pairs_has(f, "key") || why[0] != '\0' ? " [" : "[", to);
		put(to, value);
		putc(']', to);
	}
	if (strcmp(mark, "exempt") == 0)
		fputs(" (exempt: not counted)", to);
	else if (asks[0] != '\0' && strcmp(asks, "accept") != 0 && strcmp(pairs_get(f, "mode"), "observe") == 0)
		fprintf(to, " (only observed; it would %s)", asks);
	if (pairs_number(f, "ms") > 0) {
		fputs(", ", to);
		put_span_ms(to, pairs_number(f, "ms"));
	}
	putc('\n', to);
}

static void
tell_checks(FILE *to, const struct story_event *e)
{
	if (e->n_filters == 0)
		return;
	fprintf(to, INDENT "  %-14s %-10s %4s  %s\n", "CHECK", "FOUND", "PTS", "LOOKED AT");
	for (size_t i = 0; i < e->n_filters; i++)
		tell_check(to, &e->filters[i]);
}

static const struct pairs *
deciding(const struct story_event *e)
{
	for (size_t i = 0; i < e->n_filters; i++)
		if (strcmp(pairs_get(&e->filters[i], "filter"), get(e, "filter")) == 0)
			return &e->filters[i];
	return NULL;
}

static void
tell_why(FILE *to, const struct story_event *e)
{
	const struct pairs *f = deciding(e);
	const char *filter = get(e, "filter");

	if (filter[0] == '\0')
		return;
	fputs(INDENT, to);
	if (strcmp(filter, "score") == 0) {
		fprintf(to, "The points of all checks together decided: %lld.\n", pairs_number(e->pairs, "score"));
		return;
	}
	fprintf(to, "What decided: %s", filter);
	if (f != NULL) {
		fprintf(to, " found \"%s\"", pairs_get(f, "result"));
		if (pairs_has(f, "key")) {
			fputs(" for ", to);
			put(to, pairs_get(f, "key"));
		}
		if (pairs_has(f, "why")) {
			fputs(": ", to);
			put(to, pairs_get(f, "why"));
		}
	}
	fputs(".\n", to);
}

static void
tell_whose(FILE *to, const struct story_event *e)
{
	fputs("Mail from ", to);
	put(to, sender(e));
	if (pairs_has(e->pairs, "to")) {
		fputs(" to ", to);
		put(to, get(e, "to"));
	}
	if (pairs_number(e->pairs, "nrcpt") > 1 && !is(e, "stage", "rcpt"))
		fprintf(to, " and %lld more", pairs_number(e->pairs, "nrcpt") - 1);
}

static void
tell_verdict(FILE *to, const struct story_event *e)
{
	static const struct { const char *outcome, *words; } verdicts[] = {
		{ "refuse", " was refused." }, { "defer", " was put off: it may come again later." },
		{ "split", " was asked to come in a message of its own, for this recipient has other rules." } };

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (is(e, "outcome", verdicts[i].outcome)) {
			fprintf(to, "%s The client was told:\n" INDENT "  %s %s ", verdicts[i].words, get(e, "code"), get(e, "enhanced"));
			put(to, get(e, "text"));
			putc('\n', to);
			return;
		}
	if (is(e, "tagged", "yes"))
		fputs(" was let through and marked, for tag_only is set", to);
	else if (is(e, "quarantine", "yes"))
		fputs(" was let through and marked as spam: it goes to the folder Junk", to);
	else
		fputs(is(e, "stage", "end") ? " passed all checks" : " passed the checks up to then", to);
	if (pairs_number(e->pairs, "score") != 0)
		fprintf(to, ", with %lld points", pairs_number(e->pairs, "score"));
	fputs(".\n", to);
}

/* What let mail pass is told for the last of a message only: it says all that the ones before do. */
static bool
is_told_again(const struct telling *t, const struct story_event *e)
{
	if (!is(e, "outcome", "pass") || is(e, "tagged", "yes"))
		return false;
	for (const struct story_event *later = e + 1; later < t->s->events + t->s->n_events; later++)
		if (later->letter == 'D' && later->story == t->story && is(later, "session", get(e, "session")) &&
		    is(later, "from", get(e, "from")))
			return true;
	return false;
}

static void
tell_decision(struct telling *t, const struct story_event *e)
{
	long long waited = pairs_number(e->pairs, "waited");

	if (is_told_again(t, e))
		return;
	begin(t, e);
	tell_whose(t->to, e);
	tell_verdict(t->to, e);
	tell_why(t->to, e);
	if (waited > 0) {
		fputs(INDENT "The client had been kept waiting for ", t->to);
		put_span_ms(t->to, waited);
		fputs(" until then.\n", t->to);
	}
	tell_checks(t->to, e);
}

/* ---- what the log has of it ---- */

/* A refusal by a filter has its code behind it, and was told as a decision. */
static bool
was_decided(const struct telling *t, const struct story_event *e, const char *text)
{
	for (size_t i = 0; i < t->s->n_events; i++) {
		const struct story_event *d = &t->s->events[i];

		if (d->letter == 'D' && d->story == t->story && get(d, "ref")[0] != '\0' && strstr(text, get(d, "ref")) != NULL &&
		    is(d, "session", get(e, "session")))
			return true;
	}
	return false;
}

static void
tell_refused(struct telling *t, const struct story_event *e)
{
	if (was_decided(t, e, get(e, "text")))
		return;
	begin(t, e);
	fputs("The client", t->to);
	if (pairs_has(e->pairs, "from")) {
		fputs(", with mail from ", t->to);
		put(t->to, sender(e));
		putc(',', t->to);
	}
	if (pairs_has(e->pairs, "command")) {
		fputs(" said ", t->to);
		put(t->to, get(e, "command"));
		fputs(" and", t->to);
	}
	fprintf(t->to, " was told:\n" INDENT "  %s ", get(e, "code"));
	if (pairs_has(e->pairs, "enhanced") && !is(e, "enhanced", "-"))
		fprintf(t->to, "%s ", get(e, "enhanced"));
	put(t->to, get(e, "text"));
	putc('\n', t->to);
}

static void
tell_message(struct telling *t, const struct story_event *e)
{
	if (!is(e, "code", "250"))
		return;		/* the refusal itself is an event of its own */
	begin(t, e);
	fprintf(t->to, "Message %s from ", get(e, "msg"));
	put(t->to, sender(e));
	fputs(" to ", t->to);
	put(t->to, get(e, "to"));
	fprintf(t->to, " was taken: %s bytes.\n", get(e, "size"));
}

static void
tell_unfinished(struct telling *t, const struct story_event *e)
{
	begin(t, e);
	fputs("Mail from ", t->to);
	put(t->to, sender(e));
	fputs(" to ", t->to);
	put(t->to, get(e, "to"));
	fprintf(t->to, " was not finished: %s bytes of it had come.\n", get(e, "size"));
}

static void
tell_end(struct telling *t, const struct story_event *e)
{
	static const struct { const char *reason, *words; } ends[] = { { "quit", "the client took its leave" },
		{ "client-left", "the client closed the connection" }, { "timeout", "no command came in time" },
		{ "session-timeout", "it had lasted too long" }, { "data-timeout", "the rest of the message did not come" },
		{ "slow", "the message came too slowly" }, { "does-not-read", "the client did not read its replies" },
		{ "errors", "too many commands were wrong" }, { "junk", "too many commands brought no mail" },
		{ "pipelining", "the client did not wait for a reply" }, { "early-talker", "the client did not wait for the greeting" },
		{ "evicted", "others needed its place" }, { "stop", "the server was stopped" } };
	const char *words = get(e, "reason");
	long long waited = 0, would = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(words, ends[i].reason) == 0)
			words = ends[i].words;
	for (size_t i = 0; i < t->s->n_events; i++)
		if (t->s->events[i].letter == 'S' && is(&t->s->events[i], "session", get(e, "session"))) {
			waited = pairs_number(t->s->events[i].pairs, "waited");
			would = pairs_number(t->s->events[i].pairs, "would-wait");
		}
	begin(t, e);
	fputs("The session ended: ", t->to);
	put(t->to, words);
	fprintf(t->to, "; %s message%s taken", get(e, "messages"), is(e, "messages", "1") ? " was" : "s were");
	if (waited > 0) {
		fputs("; it was kept waiting for ", t->to);
		put_span_ms(t->to, waited);
		fputs(" in all", t->to);
	}
	if (would > 0) {
		fputs("; filters that only observe would have kept it waiting for another ", t->to);
		put_span_ms(t->to, would);
	}
	fputs(".\n", t->to);
}

static void
tell_outcome(struct telling *t, const struct story_event *e, const char *words)
{
	char span[32];

	if (!is(e, "p", "queue"))
		return;		/* mda says the same */
	begin(t, e);
	fprintf(t->to, "Message %s %s ", get(e, "msg"), words);
	put(t->to, get(e, "to"));
	if (get(e, "host")[0] != '\0' && !is(e, "host", "-")) {
		fputs(" by ", t->to);
		put(t->to, get(e, "host"));
	}
	fprintf(t->to, ", %s after it had come%s%s", lines_span(span, sizeof(span), pairs_number(e->pairs, "delay")),
	    pairs_number(e->pairs, "attempt") > 1 ? ", attempt " : "", pairs_number(e->pairs, "attempt") > 1 ? get(e, "attempt") : "");
	if (pairs_has(e->pairs, "reply")) {
		fputs(":\n" INDENT "  ", t->to);
		put(t->to, get(e, "reply"));
	}
	putc('\n', t->to);
}

/* A bounce, or another report about a message. */
static void
tell_report(struct telling *t, const struct story_event *e)
{
	begin(t, e);
	fprintf(t->to, "Of message %s a report (%s) went by mail to ", get(e, "parent"), get(e, "event"));
	put(t->to, get(e, "to"));
	fprintf(t->to, ": message %s.\n", get(e, "msg"));
}

static void
tell_named(struct telling *t, const struct story_event *e)
{
	begin(t, e);
	put(t->to, get(e, "via"));
	fprintf(t->to, " said (%s) that the client is ", get(e, "by"));
	put(t->to, get(e, "client"));
	fputs(".\n", t->to);
}

static void
tell_early(struct telling *t, const struct story_event *e)
{
	begin(t, e);
	fputs("It spoke before the greeting was complete, ", t->to);
	put_span_ms(t->to, pairs_number(e->pairs, "after_ms"));
	fputs(" after its first line.\n", t->to);
}

/* Anything else as it stands in the log. */
static void
tell_other(struct telling *t, const struct story_event *e)
{
	static const char *const known[] = { "t", "p", "session", "msg", "event", "client" };

	begin(t, e);
	fprintf(t->to, "%s%s%s: %s", get(e, "msg")[0] != '\0' ? "Message " : "", get(e, "msg"), get(e, "msg")[0] != '\0' ? "" : get(e, "p"),
	    get(e, "event"));
	for (unsigned i = 0; i < e->pairs->n; i++) {
		bool told = false;

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			told |= strcmp(e->pairs->list[i].key, known[k]) == 0;
		if (told)
			continue;
		fprintf(t->to, " %s=", e->pairs->list[i].key);
		put(t->to, e->pairs->list[i].value);
	}
	putc('\n', t->to);
}

static void
tell_logged(struct telling *t, const struct story_event *e)
{
	if (is(e, "event", "refused") && is(e, "p", "smtpd"))
		tell_refused(t, e);
	else if (is(e, "event", "message"))
		tell_message(t, e);
	else if (is(e, "event", "unfinished"))
		tell_unfinished(t, e);
	else if (is(e, "event", "session"))
		tell_end(t, e);
	else if (is(e, "event", "delivered"))
		tell_outcome(t, e, "was delivered to");
	else if (is(e, "event", "deferred"))
		tell_outcome(t, e, "could not be delivered yet to");
	else if (is(e, "event", "failed"))
		tell_outcome(t, e, "could not be delivered to");
	else if (is(e, "event", "expired"))
		tell_outcome(t, e, "was given up for");
	else if (pairs_has(e->pairs, "parent") && pairs_has(e->pairs, "to"))
		tell_report(t, e);
	else if (is(e, "event", "client"))
		tell_named(t, e);
	else if (is(e, "event", "early-talker"))
		tell_early(t, e);
	else if (!is(e, "event", "done") && !is(e, "event", "filtered"))	/* filtered: there is a record of it */
		tell_other(t, e);
}

/* ---- a story ---- */

/* Who came: the first line of each session in it. */
static void
tell_client(struct telling *t, const struct story_event *first)
{
	const char *helo = "-", *listener = "", *session = get(first, "session");

	for (size_t i = 0; i < t->s->n_events; i++) {
		const struct story_event *e = &t->s->events[i];

		if (!is(e, "session", session))
			continue;
		if (pairs_has(e->pairs, "helo"))
			helo = get(e, "helo");
		if (pairs_has(e->pairs, "listener"))
			listener = get(e, "listener");
	}
	fprintf(t->to, "Session %s: ", session);
	if (strncmp(get(first, "client"), "local uid ", 10) == 0) {	/* it came by the control socket */
		fputs("a program of uid ", t->to);
		put(t->to, get(first, "client") + 10);
		fputs(" on this machine.\n", t->to);
		return;
	}
	fputs("the client ", t->to);
	put(t->to, get(first, "client"));
	if (listener[0] != '\0')
		fprintf(t->to, " came to %s and", listener);
	fputs(strcmp(helo, "-") != 0 ? " called itself " : " did not say who it is", t->to);
	if (strcmp(helo, "-") != 0)
		put(t->to, helo);
	fputs(".\n", t->to);
}

static bool
is_first_of_session(const struct telling *t, const struct story_event *e)
{
	const char *session = get(e, "session");

	for (const struct story_event *before = t->s->events; before < e; before++)
		if (is(before, "session", session))
			return false;
	return session[0] != '\0';
}

static void
tell_story(struct telling *t)
{
	t->day[0] = '\0';
	for (size_t i = 0; i < t->s->n_events; i++) {
		const struct story_event *e = &t->s->events[i];

		if (e->story != t->story)
			continue;
		if (is_first_of_session(t, e))
			tell_client(t, e);
		if (e->letter == 'D')
			tell_decision(t, e);
		else if (e->letter == 'L')
			tell_logged(t, e);
	}
}

int
explain_print(FILE *from, FILE *to)
{
	struct stories s;
	struct telling t = { .to = to, .s = &s };
	int rc = stories_read(&s, from);
	char date[64];
	time_t since = (time_t)s.since;
	struct tm tm;

	for (t.story = 0; t.story < s.n; t.story++) {
		if (t.story > 0)
			putc('\n', to);
		tell_story(&t);
	}
	strftime(date, sizeof(date), "%A, %d %B %Y %H:%M", localtime_r(&since, &tm));
	if (rc == 0 && s.n == 0 && s.since > 0)
		fprintf(to, "Nothing is known of it. The journal begins on %s.\n", date);
	else if (rc == 0 && s.n == 0)
		fprintf(to, "Nothing is known of it: the journal is empty.\n");
	if (s.more)
		fprintf(to, "\nThere was more; these are the newest. --since narrows it down.\n");
	stories_free(&s);
	return rc;
}

/* ---- since when ---- */

int
explain_since(const char *text, int64_t now, int64_t *since)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%H:%M" };
	time_t t = (time_t)now;
	int64_t ms;

	if (!isdigit((unsigned char)text[0]))
		return -1;
	if (strpbrk(text, "-:") == NULL) {
		if (conf_duration(text, &ms) != 0)
			return -1;
		*since = now - ms / 1000;
		return 0;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm;
		const char *end;

		localtime_r(&t, &tm);
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		tm.tm_isdst = -1;
		if ((end = strptime(text, forms[i], &tm)) != NULL && *end == '\0') {
			*since = (int64_t)mktime(&tm);
			return 0;
		}
	}
	return -1;
}
