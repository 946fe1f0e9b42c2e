/*
 * The queue's list made readable: for people in the form that they know, for programs as JSON. Used by mailq, sendmail
 * -bp and minimtactl queue list.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/lines.h"
#include "tools/mailq.h"

struct list {
	FILE			*to;
	const char		*nothing;	/* what is said where there is no message */
	uint64_t		 messages;
	struct json_object	*all, *rcpts;	/* as JSON: of the last message */
};

static void
print_message(char *const *f, FILE *to)
{
	time_t arrived = (time_t)lines_number(f[2]);
	char date[64], id[40], mark = strchr(f[4], '!') != NULL ? '!' : strchr(f[4], '*') != NULL ? '*' : ' ';
	struct tm tm;

	strftime(date, sizeof(date), "%a %b %e %H:%M:%S", localtime_r(&arrived, &tm));
	snprintf(id, sizeof(id), "%s%c", f[1], mark);
	fprintf(to, "%-14s %8" PRId64 " %s  %s\n", id, lines_number(f[3]), date, f[5][0] != '\0' ? f[5] : "<>");
}

void
mailq_reason(const char *reason, int indent, FILE *to)
{
	const char *host = NULL, *code = reason, *text;
	size_t host_len = 0;

	if (strncmp(reason, "host=", 5) == 0 && (code = strstr(reason, " code=")) != NULL) {
		host = reason + 5;
		host_len = (size_t)(code++ - host);
	}
	if (code == NULL || strncmp(code, "code=", 5) != 0 || (text = strstr(code, " status=")) == NULL ||
	    (text = strchr(text + 1, ' ')) == NULL) {
		fprintf(to, "%*s(%s)\n", indent, "", reason);
		return;
	}
	fprintf(to, "%*s(", indent, "");
	if (host != NULL)
		fprintf(to, "host %.*s%s", (int)host_len, host, code[5] != '0' ? " said: " : ": ");
	if (code[5] != '0')
		fprintf(to, "%.*s ", (int)strcspn(code + 5, " "), code + 5);
	fprintf(to, "%s)\n", text + 1);
}

static void
print_recipient(char *const *f, FILE *to)
{
	if (strcmp(f[2], "paused") == 0)
		fprintf(to, "%*s(its next hop is paused; minimtactl queue hops)\n", 25, "");
	if (f[6][0] != '\0')
		mailq_reason(f[6], 25, to);
	fprintf(to, "%*s%s\n", 45, "", f[5]);
}

static void
print_end(uint64_t messages, uint64_t bytes, FILE *to)
{
	fprintf(to, "\n-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n", (bytes + 1023) / 1024, messages,
	    messages == 1 ? "" : "s");
}

static void
print_line(void *arg, char *const *f)
{
	struct list *l = arg;

	if (f[0][0] == 'M' && f[3][0] != '\0') {
		fputs(l->messages++ == 0 ? "-Queue ID-       --Size-- ----Arrival Time---- -Sender/Recipient-------\n" : "\n", l->to);
		print_message(f, l->to);
	} else if (f[0][0] == 'R' && f[5][0] != '\0') {
		print_recipient(f, l->to);
	} else if (f[0][0] == 'E' && l->messages > 0) {
		print_end((uint64_t)lines_number(f[1]), (uint64_t)lines_number(f[2]), l->to);
	} else if (f[0][0] == 'E') {
		fputs(l->nothing, l->to);
	}
}

int
mailq_print(FILE *from, FILE *to)
{
	struct list l = { .to = to, .nothing = "Mail queue is empty\n" };

	return lines_read(from, true, print_line, &l);
}

int
mailq_print_chosen(FILE *from, FILE *to)
{
	struct list l = { .to = to, .nothing = "No mail in the queue is like that\n" };

	return lines_read(from, true, print_line, &l);
}

struct json_object *
mailq_json_message(char *const *f, struct json_object **rcpts_r)
{
	struct json_object *o = json_object_new_object();

	lines_put(o, "id", f[1]);
	lines_put_number(o, "arrived", f[2]);
	lines_put_number(o, "size", f[3]);
	lines_put(o, "flags", f[4]);
	lines_put(o, "sender", f[5]);
	*rcpts_r = json_object_new_array();
	json_object_object_add(o, "recipients", *rcpts_r);
	return o;
}

struct json_object *
mailq_json_recipient(char *const *f)
{
	struct json_object *o = json_object_new_object();

	lines_put_number(o, "index", f[1]);
	lines_put(o, "state", f[2]);
	lines_put_number(o, "attempts", f[3]);
	lines_put_number(o, "next", f[4]);
	lines_put(o, "address", f[5]);
	lines_put(o, "reason", f[6]);
	return o;
}

static void
add_line(void *arg, char *const *f)
{
	struct list *l = arg;

	if (f[0][0] == 'M' && f[3][0] != '\0')
		json_object_array_add(l->all, mailq_json_message(f, &l->rcpts));
	else if (f[0][0] == 'R' && l->rcpts != NULL)
		json_object_array_add(l->rcpts, mailq_json_recipient(f));
}

int
mailq_print_json(FILE *from, FILE *to)
{
	struct list l = { .all = json_object_new_array() };

	return lines_end_json(lines_read(from, false, add_line, &l), l.all, to);
}
