/*
 * The answer to a change made readable (tools/changes.h). Used by minimtactl queue hold and the like, and by sendmail -q.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tools/changes.h"
#include "tools/lines.h"

static const char *
plural(int64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static void
print_end(char *const *f, FILE *to)
{
	int64_t messages = lines_number(f[1]), rcpts = lines_number(f[2]);

	fprintf(to, "%" PRId64 " recipient%s", rcpts, plural(rcpts, "", "s"));
	if (messages > 0 && strcmp(f[3], "due now") != 0)
		fprintf(to, " of %" PRId64 " message%s", messages, plural(messages, "", "s"));
	fprintf(to, " %s %s%s\n", f[4][0] != '\0' ? "would be" : plural(rcpts, "is", "are"), f[3],
	    f[4][0] != '\0' ? "; nothing was done" : "");
}

static void
print_line(void *arg, char *const *f)
{
	FILE *to = arg;

	if (f[0][0] == 'K')
		fprintf(to, "%-14s %s\n", f[1], f[3]);
	else if (f[0][0] == 'X')
		fprintf(to, "%-14s not changed: %s\n", f[1], f[2]);
	else if (f[0][0] == 'E')
		print_end(f, to);
}

int
changes_print(FILE *from, FILE *to)
{
	return lines_read(from, true, print_line, to);
}

struct changes {
	struct json_object	*all, *changed, *problems;
};

static void
add_one(struct json_object *list, char *const *f)
{
	struct json_object *o = json_object_new_object();

	lines_put(o, "id", f[1]);
	if (f[0][0] == 'K') {
		lines_put_number(o, "index", f[2]);
		lines_put(o, "address", f[3]);
	} else {
		lines_put(o, "reason", f[2]);
	}
	json_object_array_add(list, o);
}

static void
put_end(struct json_object *o, char *const *f)
{
	char text[200];
	FILE *to = fmemopen(text, sizeof(text), "w");

	json_object_object_add(o, "ok", json_object_new_boolean(true));
	lines_put_number(o, "messages", f[1]);
	lines_put_number(o, "recipients", f[2]);
	lines_put(o, "done", f[3]);
	json_object_object_add(o, "dry_run", json_object_new_boolean(f[4][0] != '\0'));
	if (to == NULL)
		return;
	print_end(f, to);
	fclose(to);
	text[strcspn(text, "\n")] = '\0';
	lines_put(o, "text", text);
}

static void
add_line(void *arg, char *const *f)
{
	struct changes *c = arg;

	if (f[0][0] == 'K')
		add_one(c->changed, f);
	else if (f[0][0] == 'X')
		add_one(c->problems, f);
	else if (f[0][0] == 'E')
		put_end(c->all, f);
}

int
changes_print_json(FILE *from, FILE *to)
{
	struct changes c = { json_object_new_object(), json_object_new_array(), json_object_new_array() };
	int rc = lines_read(from, false, add_line, &c);

	json_object_object_add(c.all, "changed", c.changed);
	json_object_object_add(c.all, "not_changed", c.problems);
	return lines_end_json(rc, c.all, to);
}
