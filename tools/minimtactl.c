/*
 * minimtactl: what an administrator asks of a running server and tells it. It checks the words, sends them to the control
 * socket and shows the answer; who may do what is decided by the server, which sees its caller's user.
 */
#include <getopt.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "lib/log.h"
#include "tools/call.h"
#include "tools/mailq.h"

struct command {
	const char	*words[2];
	const char	*argument;		/* its name in the usage; NULL: none */
	int		(*print)(FILE *, FILE *);
	int		(*print_json)(FILE *, FILE *);
	const char	*help;
};

static int	print_all(FILE *, FILE *);
static int	print_status_json(FILE *, FILE *);

static const struct command commands[] = {
	{ { "status", NULL }, NULL, print_all, print_status_json,
	    "each process: whether it runs, since when, and what it counts" },
	{ { "queue", "list" }, NULL, mailq_print, mailq_print_json,
	    "all messages with the recipients that are still open, and why they are" },
	{ { "queue", "show" }, "ID", print_all, NULL, "one message: its envelope, and what became of each recipient" },
	{ { "queue", "retry" }, "ID|@DOMAIN|all", print_all, NULL, "try now instead of at the planned time" },
	{ { "queue", "hold" }, "ID", print_all, NULL, "keep it, but do not try to deliver it" },
	{ { "queue", "release" }, "ID", print_all, NULL, "the end of a hold" },
	{ { "queue", "remove" }, "ID", print_all, NULL, "forget it; its sender is not told" },
	{ { "aliases", NULL }, NULL, print_all, NULL, "read the aliases again and say what is wrong with them" },
	{ { "stop", NULL }, NULL, print_all, NULL, "finish what is under way and end" },
	{ { "clock", NULL }, "MS", print_all, NULL, NULL },	/* for tests, under minimta -T */
};

#define N_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static int
print_all(FILE *from, FILE *to)
{
	int c;

	while ((c = getc(from)) != EOF)
		putc(c, to);
	return 0;
}

static const char *
second(const struct command *c)
{
	return c->words[1] != NULL ? c->words[1] : "";
}

static void
print_help(FILE *to)
{
	char line[80];

	fprintf(to, "usage: minimtactl [-hj] [-c file] command\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (c->help == NULL)
			continue;
		snprintf(line, sizeof(line), "%s %s%s%s", c->words[0], second(c), c->words[1] != NULL ? " " : "",
		    c->argument != NULL ? c->argument : "");
		fprintf(to, "  %-28s  %s\n", line, c->help);
	}
	fprintf(to, "\n  -c file   the configuration that names the control socket\n"
	    "  -j        status and queue list as JSON\n"
	    "\nAn ID is the first word of each message in the list; capitals do not matter. minimtactl(8) has examples.\n");
}

/* ---- status ---- */

/* Takes one "key=value" off *p, the value quoted or not; false when there is none. */
static bool
next_pair(char **p, char **key, char **value)
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

static bool
is_number(const char *s)
{
	return s[0] != '\0' && strlen(s) < 18 && s[strspn(s, "0123456789")] == '\0';
}

static int
print_status_json(FILE *from, FILE *to)
{
	struct json_object *all = json_object_new_object(), *one;
	char *line = NULL, *p, *key, *value;
	size_t room = 0;

	while (getline(&line, &room, from) > 0) {
		p = line + strcspn(line, " \n");
		if (*p != '\0')
			*p++ = '\0';
		one = json_object_new_object();
		json_object_object_add(all, line, one);
		while (next_pair(&p, &key, &value))
			json_object_object_add(one, key, is_number(value) ? json_object_new_int64(strtoll(value, NULL, 10)) :
			    json_object_new_string(value));
	}
	free(line);
	fprintf(to, "%s\n", json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
	return 0;
}

/* ---- finding the command ---- */

/* What could have stood after the words that were right. */
static int
say_expected(const char *first, const char *wrong)
{
	const char *gap = "";

	if (wrong == NULL)
		fprintf(stderr, "minimtactl: %s needs another word; expected ", first);
	else
		fprintf(stderr, "minimtactl: %s%s%s is not known; expected ", first != NULL ? first : "",
		    first != NULL ? " " : "", logq(wrong));
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *word = first != NULL ? commands[i].words[1] : commands[i].words[0];

		if (commands[i].help == NULL || (first != NULL && strcmp(commands[i].words[0], first) != 0) ||
		    (first == NULL && i > 0 && strcmp(word, commands[i - 1].words[0]) == 0))
			continue;
		fprintf(stderr, "%s%s", gap, word);
		gap = ", ";
	}
	fprintf(stderr, "; minimtactl -h explains them\n");
	return EX_USAGE;
}

static const struct command *
find(char **words, int n, int *code_r)
{
	bool first_right = false;
	int len;

	*code_r = EX_USAGE;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->words[0], words[0]) != 0)
			continue;
		first_right = true;
		len = c->words[1] != NULL ? 2 : 1;
		if (len == 2 && (n < 2 || strcmp(c->words[1], words[1]) != 0))
			continue;
		if (n == len + (c->argument != NULL))
			return c;
		fprintf(stderr, "minimtactl: expected: minimtactl %s %s%s%s\n", c->words[0], second(c),
		    len == 2 && c->argument != NULL ? " " : "", c->argument != NULL ? c->argument : "");
		return NULL;
	}
	if (first_right && n < 2)
		*code_r = say_expected(words[0], NULL);
	else
		*code_r = first_right ? say_expected(words[0], words[1]) : say_expected(NULL, words[0]);
	return NULL;
}

static int
run(const struct command *c, const char *const *words, const char *config, bool json)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)], why[8192];
	FILE *f = NULL;
	int code;

	if ((code = call_path(path, config, why, sizeof(why))) == 0)
		f = call_command(path, words, &code, why, sizeof(why));
	if (f == NULL) {
		fprintf(stderr, "minimtactl: %s\n", why);
		return code;
	}
	code = 0;
	if ((json && c->print_json != NULL ? c->print_json : c->print)(f, stdout) != 0) {
		fprintf(stderr, "minimtactl: the answer is cut short\n");
		code = EX_TEMPFAIL;
	}
	fclose(f);
	return code;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	const char *config = NULL, *words[4] = { NULL };
	const struct command *c;
	bool json = false;
	int letter, code;

	log_init("minimtactl");
	while ((letter = getopt_long(argc, argv, "c:hj", longs, NULL)) != -1)
		switch (letter) {
		case 'c':
			config = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			print_help(stdout);
			return 0;
		default:
			fprintf(stderr, "minimtactl -h explains the options\n");
			return EX_USAGE;
		}
	if (optind >= argc) {
		print_help(stderr);
		return EX_USAGE;
	}
	if ((c = find(argv + optind, argc - optind, &code)) == NULL)
		return code;
	if (json && c->print_json == NULL) {
		fprintf(stderr, "minimtactl: -j is for status and queue list\n");
		return EX_USAGE;
	}
	for (int i = optind, n = 0; i < argc && n < 3; i++)
		words[n++] = argv[i];
	return run(c, words, config, json);
}
