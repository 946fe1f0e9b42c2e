/*
 * The answer to a change made readable (tools/changes.h). Used by minimtactl queue hold and the like, and by sendmail -q.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tools/changes.h"
#include "tools/lines.h"

#define FIELDS	5

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

int
changes_print(FILE *from, FILE *to)
{
	char *line = NULL, *f[LINES_FIELDS_MAX];
	size_t room = 0;
	int rc = -1;

	while (rc != 0 && getline(&line, &room, from) > 0) {
		lines_tame(line);
		lines_cut(line, f, FIELDS);
		if (f[0][0] == 'K') {
			fprintf(to, "%-14s %s\n", f[1], f[3]);
		} else if (f[0][0] == 'X') {
			fprintf(to, "%-14s not changed: %s\n", f[1], f[2]);
		} else if (f[0][0] == 'E') {
			rc = 0;
			print_end(f, to);
		}
	}
	free(line);
	return rc;
}

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

int
changes_print_json(FILE *from, FILE *to)
{
	struct json_object *o = json_object_new_object(), *changed = json_object_new_array(), *problems = json_object_new_array();
	char *line = NULL, *f[LINES_FIELDS_MAX];
	size_t room = 0;
	int rc = -1;

	while (rc != 0 && getline(&line, &room, from) > 0) {
		lines_cut(line, f, FIELDS);
		if (f[0][0] == 'K') {
			add_one(changed, f);
		} else if (f[0][0] == 'X') {
			add_one(problems, f);
		} else if (f[0][0] == 'E') {
			rc = 0;
			put_end(o, f);
		}
	}
	json_object_object_add(o, "changed", changed);
	json_object_object_add(o, "not_changed", problems);
	free(line);
	if (rc == 0)
		lines_print_json(o, to);
	else
		json_object_put(o);
	return rc;
}
