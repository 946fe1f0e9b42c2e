/*
 * One message and next hops made readable (tools/report.h). Decides words and layout; the facts are queue/show.c's.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "tools/lines.h"
#include "tools/mailq.h"
#include "tools/report.h"

/* ---- one message ---- */

static void
print_message(char *const *f, FILE *to)
{
	char date[64];

	fprintf(to, "message    %s\nsender     <%s>\narrived    %s\nsize       %s bytes\n", f[1], f[5],
	    clock_rfc5322(date, sizeof(date), (time_t)lines_number(f[2])), f[3]);
}

static void
print_recipient(char *const *f, FILE *to)
{
	char when[96];

	fprintf(to, "\nrecipient  <%s>\n  %s", f[5], f[2]);
	if (strcmp(f[3], "0") != 0)
		fprintf(to, ", %s attempt%s", f[3], strcmp(f[3], "1") == 0 ? "" : "s");
	if (strcmp(f[2], "open") == 0 && lines_when(when, sizeof(when), lines_number(f[4]), clock_wall())[0] != '\0')
		fprintf(to, ", next: %s", when);
	putc('\n', to);
	if (f[6][0] != '\0')
		mailq_reason(f[6], 2, to);
}

static void
print_attempt(char *const *f, FILE *to)
{
	time_t at = (time_t)lines_number(f[2]);
	char date[64];
	struct tm tm;

	strftime(date, sizeof(date), "%a %d %b %H:%M:%S", localtime_r(&at, &tm));
	fprintf(to, "  %s ", date);
	mailq_reason(f[3], 0, to);
}

struct shown {
	FILE			*to;
	bool			 header;		/* its title is there */
	struct json_object	*message, *rcpts, *lines;
};

static void
print_line(void *arg, char *const *f)
{
	struct shown *s = arg;
	FILE *to = s->to;

	switch (f[0][0]) {
	case 'M':
		print_message(f, to);
		break;
	case 'C':
		fprintf(to, "session    %s\nclient     %s\n", f[1], f[2]);
		break;
	case 'R':
		print_recipient(f, to);
		break;
	case 'V':
		fprintf(to, "reports    %s%s%s\n", f[1], f[1][0] != '\0' && f[2][0] != '\0' ? ", envelope id " : f[2][0] != '\0' ?
		    "envelope id " : "", f[2]);
		break;
	case 'H':
		fprintf(to, "  next hop %s\n", f[2]);
		break;
	case 'N':
		if (f[2][0] != '\0')
			fprintf(to, "  reports %s\n", f[2]);
		if (f[3][0] != '\0')
			fprintf(to, "  original address %s\n", f[3]);
		break;
	case 'A':
		print_attempt(f, to);
		break;
	case 'T':
		fprintf(to, "%s  %s\n", s->header ? "" : "\nheader\n", f[1]);
		s->header = true;
		break;
	case 'X':
		fprintf(to, "\n%s\n", f[1]);
		break;
	}
}

int
report_message(FILE *from, FILE *to)
{
	struct shown s = { .to = to };

	return lines_read(from, true, print_line, &s);
}

/* To the recipient of the line before. */
static void
add_to_last(struct json_object *rcpts, char *const *f)
{
	struct json_object *last = json_object_array_get_idx(rcpts, json_object_array_length(rcpts) - 1), *list, *one;

	if (last == NULL)
		return;
	if (f[0][0] == 'H') {
		lines_put(last, "hop", f[2]);
		return;
	}
	if (f[0][0] == 'N') {
		lines_put(last, "notify", f[2]);
		lines_put(last, "orcpt", f[3]);
		return;
	}
	if (!json_object_object_get_ex(last, "history", &list)) {
		list = json_object_new_array();
		json_object_object_add(last, "history", list);
	}
	one = json_object_new_object();
	lines_put_number(one, "at", f[2]);
	lines_put(one, "reason", f[3]);
	json_object_array_add(list, one);
}

static void
add_line(void *arg, char *const *f)
{
	struct shown *s = arg;

	if (s->message == NULL && f[0][0] == 'M')
		s->message = mailq_json_message(f, &s->rcpts);
	if (s->message == NULL)
		return;
	switch (f[0][0]) {
	case 'C':
		lines_put(s->message, "session", f[1]);
		lines_put(s->message, "client", f[2]);
		break;
	case 'R':
		json_object_array_add(s->rcpts, mailq_json_recipient(f));
		break;
	case 'V':
		lines_put(s->message, "ret", f[1]);
		lines_put(s->message, "envid", f[2]);
		break;
	case 'H':
	case 'N':
	case 'A':
		add_to_last(s->rcpts, f);
		break;
	case 'T':
		json_object_array_add(s->lines, lines_json(f[1]));
		break;
	}
}

int
report_message_json(FILE *from, FILE *to)
{
	struct shown s = { .lines = json_object_new_array() };
	int rc = lines_read(from, false, add_line, &s);

	if (s.message == NULL) {
		json_object_put(s.lines);
		return -1;
	}
	json_object_object_add(s.message, "header", s.lines);
	return lines_end_json(rc, s.message, to);
}

/* A line with the number of bytes, and the bytes. */
int
report_content(FILE *from, FILE *to)
{
	char buffer[16384];
	int64_t left;
	size_t n;

	if (fgets(buffer, sizeof(buffer), from) == NULL || (left = lines_number(buffer)) < 0)
		return -1;
	while (left > 0 && (n = fread(buffer, 1, left < (int64_t)sizeof(buffer) ? (size_t)left : sizeof(buffer), from)) > 0) {
		fwrite(buffer, 1, n, to);
		left -= (int64_t)n;
	}
	return left == 0 ? 0 : -1;
}

/* ---- next hops ---- */

static void
print_hop(char *const *f, FILE *to)
{
	char when[96];

	fprintf(to, "%-40s %-8s %8s %8s %6s\n", f[1], f[2], f[3], f[4], f[5]);
	if (strcmp(f[2], "trouble") == 0)
		fprintf(to, "    failed %s time%s in a row, next try: %s\n", f[7], strcmp(f[7], "1") == 0 ? "" : "s",
		    lines_when(when, sizeof(when), lines_number(f[6]), clock_wall()));
	if (f[8][0] != '\0')
		mailq_reason(f[8], 4, to);
}

struct hops {
	FILE	*to;
	bool	 any;
};

static void
take_hop(void *arg, char *const *f)
{
	struct hops *h = arg;

	if (f[0][0] == 'D') {
		if (!h->any)
			fprintf(h->to, "%-40s %-8s %8s %8s %6s\n", "NEXT HOP", "STATE", "WAITING", "RUNNING", "LIMIT");
		h->any = true;
		print_hop(f, h->to);
	} else if (f[0][0] == 'E' && !h->any) {
		fprintf(h->to, "No mail waits for any next hop, and none is paused.\n");
	}
}

int
report_hops(FILE *from, FILE *to)
{
	struct hops h = { .to = to };

	return lines_read(from, true, take_hop, &h);
}

static struct json_object *
json_hop(char *const *f)
{
	struct json_object *o = json_object_new_object();

	lines_put(o, "hop", f[1]);
	lines_put(o, "state", f[2]);
	lines_put_number(o, "jobs", f[3]);
	lines_put_number(o, "running", f[4]);
	lines_put_number(o, "limit", f[5]);
	lines_put_number(o, "next", f[6]);
	lines_put_number(o, "failures", f[7]);
	lines_put(o, "reason", f[8]);
	return o;
}

static void
add_hop(void *arg, char *const *f)
{
	if (f[0][0] == 'D')
		json_object_array_add(arg, json_hop(f));
}

int
report_hops_json(FILE *from, FILE *to)
{
	struct json_object *all = json_object_new_array();

	return lines_end_json(lines_read(from, false, add_hop, all), all, to);
}

static void
print_hoststat(void *arg, char *const *f)
{
	char when[96];

	if (f[0][0] == 'D')
		fprintf(arg, "%-38s %-20s %s\n", f[1], lines_when(when, sizeof(when), lines_number(f[6]), clock_wall()),
		    f[8][0] != '\0' ? f[8] : f[2]);
}

int
report_hoststat(FILE *from, FILE *to)
{
	fprintf(to, "%-38s %-20s %s\n", "--------------- Hostname -------------", "---- Next try -----", "-------- Results --------");
	return lines_read(from, true, print_hoststat, to);
}
