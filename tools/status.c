/*
 * The processes' status made readable (tools/report.h): a table of who runs, and below it what people ask for first: is mail
 * coming in, is it going out, what do filters stop, is something wrong. JSON has every counter.
 *
 * The answer: a line for each process, its name and then pairs; master's own first.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lines.h"
#include "tools/report.h"

static struct json_object *
json_pairs(char *p)
{
	struct json_object *o = json_object_new_object();
	char *key, *value;

	while (lines_pair(&p, &key, &value))
		if (value[0] != '\0' && strlen(value) < 18 && value[strspn(value, "0123456789")] == '\0')
			lines_put_number(o, key, value);
		else
			lines_put(o, key, value);
	return o;
}

/* { "minimta": {…}, "processes": [ { "name": "smtpd", … }, … ] }; NULL for what is no status. */
static struct json_object *
read_status(FILE *from)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array(), *one;
	char *line = NULL, *p;
	size_t room = 0;

	while (getline(&line, &room, from) > 0) {
		p = line + strcspn(line, " \n");
		if (p == line)
			continue;
		if (*p != '\0')
			*p++ = '\0';
		one = json_pairs(p);
		if (strcmp(line, "minimta") == 0) {
			json_object_object_add(all, line, one);
			continue;
		}
		lines_put(one, "name", line);
		json_object_array_add(list, one);
	}
	free(line);
	json_object_object_add(all, "processes", list);
	if (json_object_array_length(list) > 0 && json_object_object_get(all, "minimta") != NULL)
		return all;
	json_object_put(all);
	return NULL;
}

int
report_status_json(FILE *from, FILE *to)
{
	struct json_object *all = read_status(from);

	if (all == NULL)
		return -1;
	lines_print_json(all, to);
	return 0;
}

/* ---- for people ---- */

static const char *
text(const struct json_object *o, const char *key)
{
	const char *s = json_object_get_string(json_object_object_get(o, key));

	return s != NULL ? s : "";
}

static int64_t
number(const struct json_object *o, const char *key)
{
	return json_object_get_int64(json_object_object_get(o, key));
}

static bool
has(const struct json_object *o, const char *key)
{
	return json_object_object_get(o, key) != NULL;
}

/* What all processes of a name count together: there may be several. */
static int64_t
sum(const struct json_object *list, const char *name, const char *key)
{
	size_t len = strlen(name);
	int64_t n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const struct json_object *o = json_object_array_get_idx(list, i);

		/* "smtpd", "smtpd.7": another of its kind */
		if (strncmp(text(o, "name"), name, len) == 0 && strchr(".", text(o, "name")[len]) != NULL)
			n += number(o, key);
	}
	return n;
}

static void
print_process(const struct json_object *o, FILE *to)
{
	char span[32] = "-", memory[32] = "-", restarts[32];

	if (has(o, "uptime_s"))
		lines_span(span, sizeof(span), number(o, "uptime_s"));
	if (has(o, "rss_kb"))
		snprintf(memory, sizeof(memory), "%.1f MB", (double)number(o, "rss_kb") / 1024);
	snprintf(restarts, sizeof(restarts), "%" PRId64, number(o, "starts") > 0 ? number(o, "starts") - 1 : 0);
	fprintf(to, "%-10s %-9s %8" PRId64 " %10s %10s %9s\n", text(o, "name"), text(o, "state"), number(o, "pid"), span, memory,
	    restarts);
	if (has(o, "what"))
		fprintf(to, "           %s\n", text(o, "what"));
	if (has(o, "trouble"))
		fprintf(to, "           trouble: %s\n", text(o, "trouble"));
}

static void
print_mail(const struct json_object *list, FILE *to)
{
	static const char *const rates[][2] = {
		{ "accepted", "messages accepted" }, { "delivered", "deliveries" }, { "deferred", "attempts deferred" },
		{ "failed", "recipients failed" },
	};
	char key[3][40];

	fprintf(to, "\n%-20s %10s %10s %14s\n", "", "1 MINUTE", "5 MINUTES", "SINCE START");
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		snprintf(key[0], sizeof(key[0]), "%s_1m", rates[i][0]);
		snprintf(key[1], sizeof(key[1]), "%s_5m", rates[i][0]);
		snprintf(key[2], sizeof(key[2]), "%s_total", rates[i][0]);
		fprintf(to, "%-20s %10" PRId64 " %10" PRId64 " %14" PRId64 "\n", rates[i][1], sum(list, "queue", key[0]),
		    sum(list, "queue", key[1]), sum(list, "queue", key[2]));
	}
	fprintf(to, "\nqueue        %" PRId64 " messages, %" PRId64 " recipients to be tried; %" PRId64 " coming in\n",
	    sum(list, "queue", "messages"), sum(list, "queue", "recipients"), sum(list, "queue", "incoming"));
	fprintf(to, "connections  %" PRId64 " from clients, %" PRId64 " since start\n", sum(list, "smtpd", "sessions"),
	    sum(list, "smtpd", "sessions_total"));
	fprintf(to, "deliveries   %" PRId64 " local and %" PRId64 " remote under way\n", sum(list, "queue", "local"),
	    sum(list, "queue", "remote"));
	fprintf(to, "next hops    %" PRId64 " in use, %" PRId64 " in trouble, %" PRId64 " paused\n", sum(list, "queue", "hops"),
	    sum(list, "queue", "hops_in_trouble"), sum(list, "queue", "hops_paused"));
}

/* ---- what filters stopped: "refused_spf=3", "refused_spf_today=1" and so on, of logger ---- */

static const char *const stopped[] = { "refused", "put_off", "quarantined", "observed" };
#define N_STOPPED	(sizeof(stopped) / sizeof(stopped[0]))

/* The filter that a key is about, when it is of one of these kinds and not of today alone. */
static const char *
filter_of(const char *key)
{
	static const char today[] = "_today";
	size_t len = strlen(key), n;

	if (len > sizeof(today) && strcmp(key + len - sizeof(today) + 1, today) == 0)
		return NULL;
	for (size_t i = 0; i < N_STOPPED; i++) {
		n = strlen(stopped[i]);
		if (strncmp(key, stopped[i], n) == 0 && key[n] == '_' && key[n + 1] != '\0')
			return key + n + 1;
	}
	return NULL;
}

static int64_t
stopped_by(const struct json_object *o, const char *kind, const char *filter, const char *when)
{
	char key[128];

	snprintf(key, sizeof(key), "%s_%s%s", kind, filter, when);
	return number(o, key);
}

static void
print_filter(const struct json_object *o, const char *filter, FILE *to)
{
	fprintf(to, "%-20s %8" PRId64 " %8" PRId64, filter, stopped_by(o, "refused", filter, "_today"),
	    stopped_by(o, "put_off", filter, "_today"));
	for (size_t i = 0; i < N_STOPPED; i++)
		fprintf(to, " %10" PRId64, stopped_by(o, stopped[i], filter, ""));
	putc('\n', to);
}

/* Each filter once: where its first key stands. */
static bool
is_first(const struct json_object *o, const char *key, const char *filter)
{
	for (size_t i = 0; i < N_STOPPED; i++) {
		char other[128];

		snprintf(other, sizeof(other), "%s_%s", stopped[i], filter);
		if (strcmp(other, key) == 0)
			return true;
		if (has(o, other))
			return false;
	}
	return false;
}

static void
print_filters(const struct json_object *list, FILE *to)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (strcmp(text(o, "name"), "logger") != 0)
			continue;
		json_object_object_foreach(o, key, value) {
			const char *filter = filter_of(key);

			(void)value;
			if (filter == NULL || !is_first(o, key, filter))
				continue;
			if (n++ == 0)
				fprintf(to, "\n%-20s %17s %43s\n%-20s %8s %8s %10s %10s %10s %10s\n", "", "TODAY", "31 DAYS",
				    "filters", "REFUSED", "PUT OFF", "REFUSED", "PUT OFF", "JUNK", "WOULD HAVE");
			print_filter(o, filter, to);
		}
	}
}

int
report_status(FILE *from, FILE *to)
{
	struct json_object *all = read_status(from), *list, *master;
	char span[32];

	if (all == NULL)
		return -1;
	list = json_object_object_get(all, "processes");
	master = json_object_object_get(all, "minimta");
	fprintf(to, "minimta %s on %s, process %" PRId64 ", up %s\n\n", text(master, "version"), text(master, "hostname"),
	    number(master, "pid"), lines_span(span, sizeof(span), number(master, "uptime_s")));
	fprintf(to, "%-10s %-9s %8s %10s %10s %9s\n", "PROCESS", "STATE", "PID", "UP", "MEMORY", "RESTARTS");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		print_process(json_object_array_get_idx(list, i), to);
	print_mail(list, to);
	print_filters(list, to);
	json_object_put(all);
	return 0;
}
