/*
 * Splits commands (lib/command.h). Decides what is a word and what only a shell would understand; nothing is executed
 * here. Called when aliases are read, and by mda.
 */
#include "lib/command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

#define SHELL_ONLY	"|&;<>()$`*?[]{}~#"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One word from *p to *to, both moved. NULL, or what is wrong. */
static const char *
take_word(const char **p, char **to)
{
	char quote = '\0';

	for (; **p != '\0' && (quote != '\0' || !is_blank(**p)); (*p)++) {
		char c = **p;

		if (quote != '\0' && c == quote) {
			quote = '\0';
		} else if (quote == '\0' && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == '\\' && quote != '\'' && (quote == '\0' || (*p)[1] == '"' || (*p)[1] == '\\')) {
			if (*++(*p) == '\0')
				return "it ends with a backslash; write \\\\ for one";
			*(*to)++ = **p;
		} else if (quote == '\0' && strchr(SHELL_ONLY, c) != NULL) {
			return "no shell reads it; put such characters between single quotes, or write /bin/sh -c '…'";
		} else {
			*(*to)++ = c;
		}
	}
	*(*to)++ = '\0';
	return quote != '\0' ? "a quote is not closed" : NULL;
}

int
command_split(const char *text, char *argv[COMMAND_WORDS_MAX + 1], const char **why_r)
{
	char *to = alloc_raw(strlen(text) + 1), *first = to;
	int n = 0;

	for (*why_r = NULL; *why_r == NULL;) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			break;
		if (n == COMMAND_WORDS_MAX) {
			*why_r = "it has more than 64 words; write a script";
			break;
		}
		argv[n++] = to;
		*why_r = take_word(&text, &to);
	}
	if (*why_r == NULL && (n == 0 || argv[0][0] == '\0'))
		*why_r = "no program is named; write its path, as in /usr/local/bin/program";
	if (*why_r == NULL && strchr(argv[0], '/') != NULL && argv[0][0] != '/')
		*why_r = "the program's path is not absolute; begin it with a slash";
	if (*why_r != NULL) {
		free(first);
		return -1;
	}
	argv[n] = NULL;
	return n;
}
