/*
 * The server's answers taken apart and written (tools/lines.h). Nothing here knows what a field means.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/alloc.h"
#include "lib/utf8.h"
#include "tools/lines.h"

int
lines_cut(char *line, char *fields[LINES_FIELDS_MAX], int most)
{
	static char none[] = "";
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (line != NULL && n < most) {
		char *tab = n < most - 1 ? strchr(line, '\t') : NULL;

		fields[n++] = line;
		if (tab != NULL)
			*tab++ = '\0';
		line = tab;
	}
	for (int i = n; i < LINES_FIELDS_MAX; i++)
		fields[i] = none;
	return n;
}

int64_t
lines_number(const char *text)
{
	return strtoll(text, NULL, 10);
}

bool
lines_pair(char **p, char **key, char **value)
{
	char *q = *p + strspn(*p, " \n"), *equals = strchr(q, '=');

	if (*q == '\0' || equals == NULL)
		return false;
	*equals = '\0';
	*key = q;
	if (equals[1] == '"') {
		*value = equals + 2;
		for (q = *value; *q != '\0' && *q != '"'; q++)
			if (*q == '\\' && q[1] != '\0')
				q++;
	} else {
		*value = equals + 1;
		q = *value + strcspn(*value, " \n");
	}
	*p = *q != '\0' ? q + 1 : q;
	*q = '\0';
	return true;
}

char *
lines_span(char *to, size_t size, int64_t s)
{
	long long n = s;

	if (n < 60)
		snprintf(to, size, "%llds", n);
	else if (n < 3600)
		snprintf(to, size, n % 60 != 0 ? "%lldm %llds" : "%lldm", n / 60, n % 60);
	else if (n < 86400)
		snprintf(to, size, n / 60 % 60 != 0 ? "%lldh %lldm" : "%lldh", n / 3600, n / 60 % 60);
	else
		snprintf(to, size, n / 3600 % 24 != 0 ? "%lldd %lldh" : "%lldd", n / 86400, n / 3600 % 24);
	return to;
}

char *
lines_when(char *to, size_t size, int64_t when, int64_t now)
{
	time_t t = (time_t)when;
	char date[64], span[32];
	struct tm tm;

	if (when == 0) {
		to[0] = '\0';
	} else if (when <= now) {
		snprintf(to, size, "now");
	} else {
		strftime(date, sizeof(date), when - now < 12 * 3600 ? "%H:%M:%S" : "%a %d %b %H:%M", localtime_r(&t, &tm));
		snprintf(to, size, "%s (in %s)", date, lines_span(span, sizeof(span), when - now));
	}
	return to;
}

/* ---- UTF-8 ---- */

/* The bytes of the character at s; 0 where there is none, or a control above 0x7f. */
static size_t
character(const char *s, uint32_t *value_r)
{
	*value_r = (unsigned char)*s;
	return *value_r < 0x80 ? 1 : utf8_take(s, 4, value_r);
}

/* ASCII's controls, and those that set the direction of what follows or begin a line. */
static bool
is_control(uint32_t c)
{
	return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f || c == 0x61c || c == 0x200e || c == 0x200f ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void
lines_tame(char *text)
{
	uint32_t c;
	char *to;
	size_t n;

	while (*text == '\t' || *text == '\n' || (*text >= 0x20 && *text < 0x7f))	/* mostly all of it */
		text++;
	for (to = text; *text != '\0'; text += n > 0 ? n : 1) {
		if ((n = character(text, &c)) == 0 || is_control(c)) {
			*to++ = '?';
			continue;
		}
		memmove(to, text, n);
		to += n;
	}
	*to = '\0';
}

int
lines_read(FILE *from, bool for_people, lines_take_fn *take, void *arg)
{
	char *line = NULL, *f[LINES_FIELDS_MAX];
	size_t room = 0;
	bool end = false;

	while (!end && getline(&line, &room, from) > 0) {
		if (for_people)
			lines_tame(line);
		lines_cut(line, f, line[0] == 'T' ? 2 : LINES_FIELDS_MAX);
		end = f[0][0] == 'E';
		take(arg, f);
	}
	free(line);
	return end ? 0 : -1;
}

/* ---- JSON ---- */

struct json_object *
lines_json(const char *text)
{
	static const char unknown[] = "\xef\xbf\xbd";
	char *clean = alloc_raw(strlen(text) * (sizeof(unknown) - 1) + 1), *to = clean;
	struct json_object *o;
	uint32_t c;
	size_t n;

	while (*text != '\0') {
		n = character(text, &c);
		memcpy(to, n > 0 ? text : unknown, n > 0 ? n : sizeof(unknown) - 1);
		to += n > 0 ? n : sizeof(unknown) - 1;
		text += n > 0 ? n : 1;
	}
	*to = '\0';
	o = json_object_new_string(clean);
	free(clean);
	return o;
}

void
lines_put(struct json_object *o, const char *name, const char *value)
{
	json_object_object_add(o, name, lines_json(value));
}

void
lines_put_number(struct json_object *o, const char *name, const char *value)
{
	json_object_object_add(o, name, json_object_new_int64(lines_number(value)));
}

void
lines_print_json(struct json_object *o, FILE *to)
{
	fprintf(to, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

int
lines_end_json(int rc, struct json_object *o, FILE *to)
{
	if (rc == 0)
		lines_print_json(o, to);
	else
		json_object_put(o);
	return rc;
}
