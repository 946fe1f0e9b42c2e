/*
 * Reads names and passwords (lib/credentials.h). Says what is wrong with a line and never what stands in it. Called by master,
 * which checks that all that relays name is there, and by delivery.
 */
#include "lib/credentials.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

struct credentials {
	struct credential	*list;
	size_t			 n;
};

/* The next word of a line; false: there is none, or it is too long. */
static bool
take_word(const char **at, const char *end, const char **word_r, size_t *len_r)
{
	const char *p = *at;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	*word_r = p;
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	*len_r = (size_t)(p - *word_r);
	*at = p;
	return *len_r > 0 && *len_r <= CREDENTIALS_WORD_MAX;
}

/* NULL, or what is wrong with the line. */
static const char *
take_line(struct credentials *c, const char *at, const char *end)
{
	const char *name, *user;
	size_t name_len, user_len;

	for (const char *p = at; p < end; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return "a control character; write plain text";
	if (!take_word(&at, end, &name, &name_len) || !take_word(&at, end, &user, &user_len))
		return "words are missing, or are too long; write a name, a user and a password, with blanks between them";
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if (at == end || end - at > CREDENTIALS_WORD_MAX)
		return "the password is missing, or is too long; write it behind the user, to the end of the line";
	for (size_t i = 0; i < c->n; i++)
		if (strlen(c->list[i].name) == name_len && memcmp(c->list[i].name, name, name_len) == 0)
			return "this name is there before; keep one";
	c->list = alloc_resize(c->list, c->n + 1, sizeof(*c->list));
	c->list[c->n++] = (struct credential){ alloc_text_len(name, name_len), alloc_text_len(user, user_len), alloc_text_len(at, (size_t)(end - at)) };
	return NULL;
}

static bool
is_empty(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at == end || *at == '#';
}

struct credentials *
credentials_parse(const char *text, size_t len, char *err, size_t size)
{
	struct credentials *c = alloc_new(1, sizeof(*c));
	const char *end = text + len, *line_end, *next, *why;

	for (int line = 1; text < end; line++, text = next) {
		line_end = memchr(text, '\n', (size_t)(end - text));
		next = line_end != NULL ? line_end + 1 : end;
		if (line_end == NULL)
			line_end = end;
		if (line_end > text && line_end[-1] == '\r')
			line_end--;
		if (is_empty(text, line_end) || (why = take_line(c, text, line_end)) == NULL)
			continue;
		snprintf(err, size, "line %d: %s", line, why);
		credentials_free(c);
		return NULL;
	}
	return c;
}

static void
wipe(char *text)
{
	explicit_bzero(text, strlen(text));
	free(text);
}

void
credentials_free(struct credentials *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++) {
		free(c->list[i].name);
		wipe(c->list[i].user);
		wipe(c->list[i].password);
	}
	free(c->list);
	free(c);
}

const struct credential *
credentials_find(const struct credentials *c, const char *name)
{
	for (size_t i = 0; c != NULL && i < c->n; i++)
		if (strcmp(c->list[i].name, name) == 0)
			return &c->list[i];
	return NULL;
}
