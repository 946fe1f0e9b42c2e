/*
 * Stories as JSON (tools/explain.h): what the journal has of each event, under its own names, for programs.
 */
#include <json-c/json.h>
#include <string.h>

#include "tools/explain.h"
#include "tools/lines.h"
#include "tools/story.h"

static struct json_object *
json_pairs(const struct pairs *ps)
{
	static const char *const numbers[] = { "t", "v", "score", "points", "code", "ms", "waited", "lasted", "would-wait", "nrcpt", "messages",
		"refused", "size", "attempt", "delay", "recipients", "commands", "errors" };
	struct json_object *o = json_object_new_object();

	for (unsigned i = 0; i < ps->n; i++) {
		const char *key = ps->list[i].key, *value = ps->list[i].value;
		bool number = false;

		for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
			number |= strcmp(key, numbers[k]) == 0 && value[0] != '\0' && strlen(value) < 18 &&
			    value[strspn(value, "-0123456789")] == '\0';
		if (number)
			lines_put_number(o, key, value);
		else
			lines_put(o, key, value);
	}
	return o;
}

static struct json_object *
json_event(const struct story_event *e)
{
	static const char *const kinds[] = { "decision", "session", "log" };
	struct json_object *o = json_pairs(e->pairs), *filters;

	json_object_object_add(o, "kind", json_object_new_string(kinds[e->letter == 'D' ? 0 : e->letter == 'S' ? 1 : 2]));
	if (e->letter == 'L')
		return o;
	filters = json_object_new_array();
	for (size_t i = 0; i < e->n_filters; i++)
		json_object_array_add(filters, json_pairs(&e->filters[i]));
	json_object_object_add(o, "filters", filters);
	return o;
}

int
explain_print_json(FILE *from, FILE *to)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array(), *one;
	struct stories s;
	int rc = stories_read(&s, from);

	for (unsigned i = 0; i < s.n; i++)
		json_object_array_add(list, json_object_new_array());
	for (size_t i = 0; i < s.n_events; i++) {
		one = json_object_array_get_idx(list, s.events[i].story);
		json_object_array_add(one, json_event(&s.events[i]));
	}
	json_object_object_add(all, "stories", list);
	json_object_object_add(all, "more", json_object_new_boolean(s.more));
	json_object_object_add(all, "since", json_object_new_int64(s.since));
	lines_print_json(all, to);
	stories_free(&s);
	return rc;
}
