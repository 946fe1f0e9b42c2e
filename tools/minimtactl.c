/*
 * minimtactl: what an administrator asks of a running server and tells it. It checks the words, sends them to the control
 * socket and shows the answer; who may do what is decided by the server, which sees its caller's user.
 */
#include <getopt.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tools/call.h"
#include "tools/changes.h"
#include "tools/check.h"
#include "tools/explain.h"
#include "tools/lines.h"
#include "tools/mailq.h"
#include "tools/report.h"
#include "tools/select.h"
#include "tools/spool.h"
#include "tools/session.h"
#include "tools/streams.h"
#include "tools/verify.h"

struct command {
	const char	*words[2];
	const char	*argument;		/* its name in the usage, "[…]" where it may be left out; NULL: none */
	int		(*print)(FILE *, FILE *);
	int		(*print_json)(FILE *, FILE *);	/* NULL: not as JSON */
	const char	*help;			/* a line; NULL: for tests */
	const char	*more;			/* what else is worth knowing, in lines of its own */
	const char	*example;
};

static int	print_all(FILE *, FILE *);
static int	print_awaited(FILE *, FILE *);
static int	print_said_json(FILE *, FILE *);

#define ID_HELP		"ID is the first word of each message in the list; capitals do not matter.\n"
#define FILTER_HELP	"FILTER is one or more ids, or any of these, which all have to fit:\n" \
	"  --to PATTERN, --from PATTERN   address of a recipient, of the sender (\"\" is the null sender)\n" \
	"  --reason PATTERN               the last answer\n" \
	"  --hop PATTERN                  the next hop, as \"queue hops\" lists it\n" \
	"  --state NAME                   open, deferred, active, paused or held\n" \
	"  --older 1h, --newer 2d         since it arrived\n" \
	"  @domain                        a recipient in that domain\n" \
	"A PATTERN with * or ? is all of the text, another one stands somewhere in it; capitals do not matter.\n"
#define CHANGE_HELP	FILTER_HELP "\"all\" is all mail. What is asked of recipients holds for them and not for others of the same message.\n" \
	"--dry-run says what would be changed, and changes nothing.\n"

static const struct command commands[] = {
	{ { "status", NULL }, NULL, report_status, report_status_json,
	    "which processes run, and how much mail comes and goes",
	    "As JSON it has all that the processes count.\n", "minimtactl -j status | jq '.processes[] | select(.name == \"queue\")'" },
	{ { "queue", "list" }, "[FILTER...]", mailq_print, mailq_print_json,
	    "messages with the recipients that are still open, and why they are",
	    FILTER_HELP "A * behind the id: being delivered now; a !: held.\n",
	    "minimtactl queue list --to '*@gmail.com' --reason '*quota*' --older 1h" },
	{ { "queue", "hops" }, NULL, report_hops, report_hops_json,
	    "where mail waits to go: each next hop, how much, and what is wrong with it", "", "minimtactl queue hops" },
	{ { "queue", "show" }, "ID", report_message, report_message_json,
	    "one message: its envelope and header, and each recipient with all attempts", ID_HELP, "minimtactl queue show 7K2QF" },
	{ { "queue", "cat" }, "ID", report_content, NULL, "one message as it is, header and body", ID_HELP,
	    "minimtactl queue cat 7K2QF > message.eml" },
	{ { "queue", "retry" }, "FILTER...", changes_print, changes_print_json, "try now instead of at the planned time",
	    CHANGE_HELP, "minimtactl queue retry @example.net" },
	{ { "queue", "deliver" }, "ID", print_awaited, print_said_json, "try one message now, and wait for what comes of it",
	    ID_HELP "A line for each recipient that is tried, its fields between tabs: what became of it, address, code, status, reply;\n"
	    "E is the end. Who has sent the message may do this, too.\n", "minimtactl queue deliver 7K2QF" },
	{ { "queue", "hold" }, "FILTER...", changes_print, changes_print_json, "keep mail, but do not try to deliver it", CHANGE_HELP,
	    "minimtactl queue hold 7K2QF" },
	{ { "queue", "release" }, "FILTER...", changes_print, changes_print_json, "the end of a hold",
	    CHANGE_HELP "A message that the server itself held, for a process died three times while delivering it, is released so too.\n",
	    "minimtactl queue release 7K2QF" },
	{ { "queue", "remove" }, "FILTER...", changes_print, changes_print_json, "forget mail; its sender is not told", CHANGE_HELP,
	    "minimtactl queue remove --from news@example.org --to '*@example.net' --dry-run" },
	{ { "queue", "bounce" }, "FILTER...", changes_print, changes_print_json, "return mail to its sender now",
	    CHANGE_HELP "--text \"words\" are what the sender reads as the reason.\n",
	    "minimtactl queue bounce @example.net --text 'example.net is gone'" },
	{ { "queue", "reroute" }, "HOST FILTER...", changes_print, changes_print_json, "send mail by another next hop",
	    CHANGE_HELP "HOST is host or host:port, a next hop as \"queue hops\" lists it, or \"normal\": by its domain again.\n",
	    "minimtactl queue reroute backup.example.org @example.net" },
	{ { "queue", "replace" }, "ADDRESS FILTER...", changes_print, changes_print_json, "another recipient in place of some",
	    CHANGE_HELP, "minimtactl queue replace anna@example.org --to ana@example.org" },
	{ { "queue", "add" }, "ADDRESS FILTER...", changes_print, changes_print_json, "one more recipient",
	    CHANGE_HELP, "minimtactl queue add archive@example.org 7K2QF" },
	{ { "queue", "pause" }, "HOP", print_all, print_said_json, "start no deliveries to a next hop; its mail waits",
	    "HOP is a domain, whose next hop is meant, or a next hop as \"queue hops\" lists it; \"local\" is all mailboxes here.\n"
	    "What is under way goes on. What waits does not expire. The pause lasts over starts, to \"resume\".\n",
	    "minimtactl queue pause example.net" },
	{ { "queue", "resume" }, "HOP", print_all, print_said_json, "the end of a pause", "HOP as with pause.\n",
	    "minimtactl queue resume example.net" },
	{ { "spool", "check" }, NULL, NULL, NULL, "what is in the queue's files, while the server is stopped",
	    "Nothing is changed. A line for each segment, record, stretch of damage, message and file; minimta-queue(5) explains them.\n"
	    "It ends with 0 if all is well, 1 if there is damage, 2 if it could not read.\n", "minimtactl spool check | tail" },
	{ { "spool", "export" }, "FOLDER", NULL, NULL, "all mail of a stopped server as files, one for each message",
	    "The spool is left as it is: what is to go elsewhere must not be delivered from here, too.\n"
	    "FOLDER is made if it is not there, and belongs to the queue's user then.\n", "minimtactl spool export /var/tmp/mail" },
	{ { "spool", "import" }, "FOLDER", NULL, NULL, "exported files as new messages, while the server is stopped",
	    "Each is on stable storage before its file is renamed to NAME.done; none is imported twice, also after a crash.\n"
	    "FOLDER must belong to the queue's user.\n", "minimtactl spool import /var/tmp/mail" },
	{ { "explain", NULL }, "WHAT", explain_print, explain_print_json,
	    "what was decided about a session or a message, why, and what became of it",
	    "WHAT is the code in a refusal (see 7K2QF), the id of a session or message, the address of a sender or recipient,\n"
	    "@domain, a Message-ID, or a client's IP address. --since 2h, 3d, 2026-11-21 or \"2026-11-21 14:30\": nothing older.\n",
	    "minimtactl explain 7K2QF" },
	{ { "verify", NULL }, "ADDRESS", verify_print, verify_print_json, "what would become of mail for an address; sends none",
	    "It shows the decision: is it ours, what aliases lead to, and which hosts would be tried.\n",
	    "minimtactl verify postmaster" },
	{ { "memory", "show" }, "KEY", print_all, print_said_json, "what filters remember of an address, network, domain or person",
	    "KEY is a host's address, a network (192.0.2.0/24), a domain or somebody's address.\n", "minimtactl memory show 192.0.2.1" },
	{ { "memory", "forget" }, "KEY", print_all, print_said_json, "let filters forget it, so that it is a stranger again",
	    "KEY as with show.\n", "minimtactl memory forget 192.0.2.1" },
	{ { "aliases", NULL }, NULL, print_all, print_said_json, "read the aliases again and say what is wrong with them", "",
	    "minimtactl aliases" },
	{ { "reload", NULL }, NULL, print_all, print_said_json, "read the configuration again, and start replaced programs",
	    "A mistake in it is named, and nothing changes. Sessions under way go on. What needs a restart is named too.\n",
	    "minimtactl reload" },
	{ { "log", "level" }, "[LEVEL]", print_all, print_said_json, "how much is logged: error, warn, info or debug",
	    "Without LEVEL it says which it is. It holds until the next reload or start, which go by the configuration.\n",
	    "minimtactl log level debug" },
	{ { "stop", NULL }, NULL, print_all, print_said_json, "finish what is under way and end the server", "", "minimtactl stop" },
	{ { "clock", NULL }, "MS", print_all, print_said_json, NULL, "", "" },	/* under minimta -T */
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

/* Lines as they come; the last one says that it is. */
static int
print_awaited(FILE *from, FILE *to)
{
	bool complete = false;
	char *line = NULL;
	size_t room = 0;

	while (!complete && getline(&line, &room, from) > 0) {
		complete = strcmp(line, "E\n") == 0;
		lines_tame(line);
		fputs(line, to);
		fflush(to);
	}
	free(line);
	return complete ? 0 : -1;
}

/* An answer that is words: { "ok": true, "text": "…" }. */
static int
print_said_json(FILE *from, FILE *to)
{
	struct json_object *o = json_object_new_object();
	char text[16384];
	size_t n = fread(text, 1, sizeof(text) - 1, from);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	json_object_object_add(o, "ok", json_object_new_boolean(true));
	lines_put(o, "text", text);
	lines_print_json(o, to);
	return 0;
}

/* To standard error, or as JSON where JSON is awaited. */
static int
fail(bool json, int code, const char *why)
{
	struct json_object *o;

	if (!json) {
		fprintf(stderr, "minimtactl: %s\n", why);
		return code;
	}
	o = json_object_new_object();
	json_object_object_add(o, "ok", json_object_new_boolean(false));
	lines_put(o, "error", why);
	json_object_object_add(o, "code", json_object_new_int(code));
	lines_print_json(o, stdout);
	return code;
}

/* ---- help ---- */

static char *
usage(const struct command *c, char *to, size_t size)
{
	snprintf(to, size, "%s%s%s%s%s", c->words[0], c->words[1] != NULL ? " " : "", c->words[1] != NULL ? c->words[1] : "",
	    c->argument != NULL ? " " : "", c->argument != NULL ? c->argument : "");
	return to;
}

static void
print_help(FILE *to)
{
	char line[80];

	fprintf(to, "usage: minimtactl [-hj] [-c file] command\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (commands[i].help != NULL)
			fprintf(to, "  %-28s  %s\n", usage(&commands[i], line, sizeof(line)), commands[i].help);
	fprintf(to, "  %-28s  %s\n", "session --ip ADDRESS", "SMTP as if from there, with what filters think; nothing is queued");
	check_list(to);
	fprintf(to, "\n  -c, --config file   the configuration that names the control socket\n"
	    "  -j, --json          the answer as JSON\n"
	    "      --since time    with explain: nothing older\n"
	    "  -h, --help          this; with a command, more about it and an example\n"
	    "\nTo begin with: minimtactl status, minimtactl queue list, minimtactl queue retry -h\n");
}

static void
print_command_help(const struct command *c, FILE *to)
{
	char line[80];

	fprintf(to, "usage: minimtactl %s\n\n%s.\n", usage(c, line, sizeof(line)), c->help);
	if (c->more[0] != '\0')
		fprintf(to, "\n%s", c->more);
	fprintf(to, "%s\nFor example:\n  %s\n", c->print_json != NULL ? "" : "\nIt has no form as JSON.\n", c->example);
}

/* The help of all commands that begin with the words. Those of none are an error of the caller. */
static int
help_for(char **words, int n)
{
	unsigned found = 0;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (c->help == NULL || strcmp(c->words[0], words[0]) != 0 ||
		    (n > 1 && c->words[1] != NULL && strcmp(c->words[1], words[1]) != 0))
			continue;
		if (found++ > 0)
			putchar('\n');
		print_command_help(c, stdout);
	}
	if (found > 0)
		return 0;
	fprintf(stderr, "minimtactl: there is no command %s%s%s; minimtactl -h lists them\n", logq(words[0]), n > 1 ? " " : "",
	    n > 1 ? logq(words[1]) : "");
	return EX_USAGE;
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
	fprintf(stderr, "%s; minimtactl -h explains them\n", first == NULL ? ", session, check, sign" : "");
	return EX_USAGE;
}

/* n words behind the command, and so many options that select. */
static bool
fits(const struct command *c, int n, int selecting)
{
	bool many = c->argument != NULL && strstr(c->argument, "...") != NULL;
	int least = c->argument == NULL || c->argument[0] == '[' ? 0 : strchr(c->argument, ' ') != NULL ? 2 : 1;

	if (many)
		return n + selecting >= least && (least < 2 || n > 0);
	return selecting == 0 && n <= (c->argument != NULL) && n >= least;
}

static const struct command *
find(char **words, int n, int selecting, int *code_r)
{
	bool first_right = false;
	char line[80];
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
		if (fits(c, n - len, selecting))
			return c;
		fprintf(stderr, "minimtactl: expected: minimtactl %s\n", usage(c, line, sizeof(line)));
		if (c->help != NULL)
			fprintf(stderr, "for example: %s\n", c->example);
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
	int (*print)(FILE *, FILE *) = json ? c->print_json : c->print;
	char path[CALL_PATH_SIZE], why[8192];
	FILE *f = NULL;
	int code;

	if (print == mailq_print && words[2] != NULL)
		print = mailq_print_chosen;
	if ((code = call_path(path, config, why, sizeof(why))) == 0) {
		if (c->print == verify_print)
			f = verify_ask(path, words[1], &code, why, sizeof(why));
		else if ((f = call_command(path, words, &code, why, sizeof(why))) != NULL)
			code = 0;
	}
	if (f == NULL)
		return fail(json, code, why);
	if (c->print == print_awaited)
		call_wait_long(f);
	if (print(f, stdout) != 0)
		code = fail(json, EX_TEMPFAIL, "the answer is cut short");
	fclose(f);
	return code;
}

static bool
is_check(const char *word)
{
	return strcmp(word, "check") == 0 || strcmp(word, "sign") == 0;
}

/* Where check or sign stands among the words: they have options of their own. 0: it is neither. */
static int
find_check(int argc, char **argv, bool *json_r)
{
	int i = 1;

	for (*json_r = false; i < argc && (strcmp(argv[i], "-j") == 0 || strcmp(argv[i], "--json") == 0); i++)
		*json_r = true;
	return i < argc && is_check(argv[i]) ? i : 0;
}

/* Likewise for session, which may have the configuration's name in front. */
static int
find_session(int argc, char **argv, const char **config_r)
{
	int i = 1;

	*config_r = NULL;
	if (i + 1 < argc && (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0)) {
		*config_r = argv[i + 1];
		i += 2;
	}
	return i < argc && strcmp(argv[i], "session") == 0 ? i : 0;
}

/* Behind the words of explain. 0, or EX_USAGE. */
static int
read_since(const char **words, const char *since, char *text, size_t size)
{
	int64_t at;

	if (strcmp(words[0], "explain") != 0 || explain_since(since, clock_wall(), &at) != 0)
		return EX_USAGE;
	snprintf(text, size, "%lld", (long long)at);
	words[2] = text;
	return 0;
}

/* What the options say. */
struct asked {
	const char	*config, *since;
	bool		 json, help;
	char		*selecting[SELECT_OPTIONS * 2];	/* words for the server */
	int		 n_selecting;
};

static int
read_options(struct asked *a, int argc, char **argv)
{
	struct option longs[5 + SELECT_OPTIONS] = { { "config", required_argument, NULL, 'c' }, { "json", no_argument, NULL, 'j' },
	    { "help", no_argument, NULL, 'h' }, { "since", required_argument, NULL, 's' } };
	char why[300];
	int letter;

	memcpy(longs + 4, select_options, sizeof(select_options));
	while ((letter = getopt_long(argc, argv, "c:hj", longs, NULL)) != -1)
		switch (letter) {
		case 'c':
			a->config = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'h':
			a->help = true;
			break;
		case 's':
			a->since = optarg;
			break;
		default:
			if (letter < SELECT_FIRST || a->n_selecting == SELECT_OPTIONS * 2) {
				fprintf(stderr, "minimtactl -h explains the options\n");
				return EX_USAGE;
			}
			if ((a->selecting[a->n_selecting] = select_word(letter, optarg, why, sizeof(why))) == NULL)
				return fail(a->json, EX_USAGE, why);
			a->n_selecting++;
		}
	return 0;
}

/* With -h, with help in front, or with no command. */
static int
give_help(const struct asked *a, char **words, int n)
{
	if (a->help && n > 0 && strcmp(words[0], "session") == 0)
		return session_main(2, (char *[]){ words[0], (char []){ "--help" }, NULL }, NULL);
	if (a->help && n > 1 && is_check(words[0]))
		return check_main(3, (char *[]){ words[0], words[1], (char []){ "--help" }, NULL }, a->json);
	if (a->help && n > 0)
		return help_for(words, n);
	print_help(a->help ? stdout : stderr);
	return a->help ? 0 : EX_USAGE;
}

/* The words of the command line and behind them those of the options. */
static int
obey(const struct asked *a, char **given, int n)
{
	const char **words = alloc_new((size_t)(n + a->n_selecting) + 4, sizeof(*words));
	const struct command *c;
	char since_text[24];
	int code;

	for (int i = 0; i < n; i++)
		words[i] = given[i];
	for (int i = 0; i < a->n_selecting; i++)
		words[n + i] = a->selecting[i];
	if ((c = find(given, n, a->n_selecting, &code)) == NULL)
		;
	else if (strcmp(c->words[0], "spool") == 0 && !a->json)
		code = spool_run(a->config, c->words[1], c->argument != NULL ? given[n - 1] : NULL);
	else if (a->json && c->print_json == NULL)
		code = fail(a->json, EX_USAGE, strcmp(c->words[0], "spool") == 0 ? "there is no JSON of a spool; leave out -j" :
		    "a message is no JSON; leave out -j");
	else if (a->since != NULL && (code = read_since(words, a->since, since_text, sizeof(since_text))) != 0)
		code = fail(a->json, code, "--since goes with explain, and takes 2h, 3d, 2026-11-21 or \"2026-11-21 14:30\"");
	else
		code = run(c, words, a->config, a->json);
	free(words);
	return code;
}

static int
do_all(int argc, char **argv)
{
	struct asked a = { 0 };
	const char *config = NULL;
	int code, at;

	if ((at = find_check(argc, argv, &a.json)) != 0)
		return check_main(argc - at, argv + at, a.json);
	if ((at = find_session(argc, argv, &config)) != 0)
		return session_main(argc - at, argv + at, config);
	a.json = false;
	if ((code = read_options(&a, argc, argv)) == 0) {
		if (optind < argc && strcmp(argv[optind], "help") == 0) {
			a.help = true;
			optind++;
		}
		code = a.help || optind >= argc ? give_help(&a, argv + optind, argc - optind) :
		    obey(&a, argv + optind, argc - optind);
	}
	for (int i = 0; i < a.n_selecting; i++)
		free(a.selecting[i]);
	return code;
}

int
main(int argc, char **argv)
{
	if (streams_begin() != 0)
		return EX_OSERR;
	log_init("minimtactl");
	return streams_end("minimtactl", do_all(argc, argv));
}
