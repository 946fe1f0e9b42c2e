/*
 * Past outcomes as one text (queue/past.h). Decides what is cut when there is too much of it: answers at PAST_TEXT_MAX, then the
 * oldest times. Called by queue/outcome.c and admin.c to make it, by show.c to take it apart.
 */
#include "queue/past.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

/* How much of an answer is kept: no half character at its end. */
static size_t
text_length(const char *text)
{
	size_t len = strcspn(text, "\t\n");

	if (len <= PAST_TEXT_MAX)
		return len;
	for (len = PAST_TEXT_MAX; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

/* Cuts whole lines off the end, and off the last one whole times. */
static void
cut(char *text, size_t most)
{
	char *last, *tab, *space;

	while (strlen(text) > most) {
		for (last = text + strlen(text) - 1; last > text && last[-1] != '\n'; last--)
			;
		if (last > text) {
			*last = '\0';
			continue;
		}
		tab = text + strcspn(text, "\t");
		for (space = tab; space > text && *space != ' '; space--)
			;
		if (space == text)
			*text = '\0';
		else
			memmove(space, tab, strlen(tab) + 1);
	}
}

char *
past_add(const char *past, int64_t at, const char *text, size_t most)
{
	size_t len = text_length(text), times;
	const char *rest = past == NULL ? "" : past, *tab = strchr(rest, '\t');
	char *r;

	if (at == 0 || len == 0) {
		r = alloc_text(rest);
	} else if (tab != NULL && strncmp(tab + 1, text, len) == 0 && tab[1 + len] == '\n') {
		times = (size_t)(tab - rest);
		r = alloc_printf("%" PRId64 " %.*s%s", at, (int)times, rest, tab);
	} else {
		r = alloc_printf("%" PRId64 "\t%.*s\n%s", at, (int)len, text, rest);
	}
	cut(r, most);
	return r;
}

void
past_each(const char *past, void (*fn)(void *, int64_t, const char *, size_t), void *arg)
{
	const char *tab, *eol;
	char *end;

	for (; (eol = strchr(past, '\n')) != NULL; past = eol + 1) {
		if ((tab = memchr(past, '\t', (size_t)(eol - past))) == NULL)
			continue;
		while (past < tab) {
			int64_t at = strtoll(past, &end, 10);

			if (end == past || end > tab)
				break;
			fn(arg, at, tab + 1, (size_t)(eol - tab - 1));
			past = end + (*end == ' ');
		}
	}
}
