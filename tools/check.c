/*
 * The frame of `minimtactl check NAME …` and `minimtactl sign NAME …`: finds the one that is meant, reads the options that all
 * share, asks DNS directly, and prints results for people or as JSON. What is checked is decided elsewhere: tools/check_NAME.c
 * reads the words, filters/ judges.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/util.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "mx/dns.h"
#include "tools/check.h"
#include "tools/lines.h"

/* ---- the table ---- */

struct entry {
	const char	*verb;			/* "check" or "sign" */
	const char	*name;
	int		(*run)(int argc, char **argv);
	const char	*usage;			/* what stands behind the name */
	const char	*help;			/* a line */
	const char	*example;
};

static const struct entry entries[] = {
	{ "check", "address", check_address, "ADDRESS", "whether it is an address by RFC 5321 and 6531",
	    "minimtactl check address 'jose@example.com'" },
	{ "check", "spf", check_spf, "--ip ADDRESS --helo NAME [--from ADDRESS] [--receiver NAME]",
	    "whether a client may send for a domain, by SPF (RFC 7208)",
	    "minimtactl check spf --ip 192.0.2.1 --helo mail.example.com --from someone@example.com" },
	{ "check", "greylist", check_greylist, "--ip ADDRESS --helo NAME --from ADDRESS --to ADDRESS [--config FILE]",
	    "whether a mail would have to wait, by what the running server remembers",
	    "minimtactl check greylist --ip 192.0.2.1 --helo mail.example.com --from someone@example.com --to me@example.org" },
	{ "check", "mail", check_mail, "--ip ADDRESS --helo NAME --from ADDRESS --to ADDRESS [--to ADDRESS …] [--again] [--config FILE]\n"
	    "           < MESSAGE",
	    "what all filters together would say to a message, and why",
	    "minimtactl check mail --ip 192.0.2.1 --helo mail.example.com --from someone@example.com --to anna@example.org < message.eml" },
	{ "check", "srs", check_srs, "forward|reverse --secret TEXT [--secret TEXT] [--domain DOMAIN] ADDRESS",
	    "what forwarding makes of a sender, and a bounce of that",
	    "minimtactl check srs forward --secret s3cret --domain example.org someone@example.com" },
	{ "check", "dmarc", check_dmarc, "--header-from DOMAIN [--spf RESULT:DOMAIN] [--dkim RESULT:DOMAIN] …",
	    "what a domain wants done with mail in its name, by DMARC (RFC 9989)",
	    "minimtactl check dmarc --header-from example.com --spf pass:example.net --dkim pass:mail.example.com" },
	{ "check", "dnsbl", check_dnsbl, "--ip ADDRESS | --domain DOMAIN | --test [--domains]  --list ZONE[=CODES][*WEIGHT] …",
	    "whether DNS lists have an address or a domain, and whether the lists work (RFC 5782)",
	    "minimtactl check dnsbl --ip 192.0.2.1 --list 'list.example.com=127.0.0.2-11*5' --list other.example.net" },
	{ "check", "iprev", check_iprev, "--ip ADDRESS [--helo NAME]", "whether the reverse name of an address leads back to it (RFC 8601)",
	    "minimtactl check iprev --ip 192.0.2.1 --helo mail.example.com" },
	{ "check", "sender", check_sender, "[--config FILE] ADDRESS, or --dns HOST:PORT [--helo NAME] [--port NUMBER] [--private] ADDRESS",
	    "whether a sender's own mail server would take an answer to it (callback)", "minimtactl check sender someone@example.com" },
	{ "check", "dkim", check_dkim, "< MESSAGE", "whether the DKIM signatures of a message are right (RFC 6376)",
	    "minimtactl check dkim < message.eml" },
	{ "check", "arc", check_arc, "< MESSAGE", "whether the ARC chain of a message is right (RFC 8617)",
	    "minimtactl check arc < message.eml" },
	{ "sign", "dkim", sign_dkim, "--key FILE --domain DOMAIN --selector NAME [--algorithm A] [--canon C/C] [--headers A:B:…]\n"
	    "           [--timestamp SECONDS] < MESSAGE", "put a DKIM signature on top of a message",
	    "minimtactl sign dkim --key example.pem --domain example.com --selector mail < message.eml" },
	{ "sign", "arc", sign_arc, "--key FILE --domain DOMAIN --selector NAME --authserv-id NAME [--algorithm A] [--canon C/C]\n"
	    "           [--headers A:B:…] [--timestamp SECONDS] < MESSAGE", "put an ARC set on top of a message",
	    "minimtactl sign arc --key example.pem --domain example.com --selector mail --authserv-id mx.example.com < message.eml" },
};

#define N_ENTRIES	(sizeof(entries) / sizeof(entries[0]))

static const char shared_help[] =
    "  --dns HOST:PORT  ask this DNS server and no other\n"
    "  --now SECONDS    as if it were that time, in seconds since 1970\n"
    "  -j, --json       the result as JSON\n";

static const struct entry *
find(const char *verb, const char *name)
{
	for (size_t i = 0; i < N_ENTRIES; i++)
		if (strcmp(entries[i].verb, verb) == 0 && strcmp(entries[i].name, name) == 0)
			return &entries[i];
	return NULL;
}

static void
print_usage(const struct entry *e, FILE *to)
{
	fprintf(to, "usage: minimtactl %s %s %s\n", e->verb, e->name, e->usage);
}

static void
print_help(const struct entry *e)
{
	print_usage(e, stdout);
	printf("\n%s.\n\n%s\nFor example:\n  %s\n", e->help, shared_help, e->example);
}

/* ---- options ---- */

enum { OPTION_DNS = 0x100, OPTION_NOW };

static const struct option shared[] = {
	{ "dns", required_argument, NULL, OPTION_DNS },
	{ "now", required_argument, NULL, OPTION_NOW },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Which of the two verbs it is stands in front of the name; check_main() leaves it there. */
static const struct entry *
entry_of(const struct check *c)
{
	return find(c->argv[-1], c->argv[0]);
}

void
check_begin(struct check *c, int argc, char **argv, const struct option *own)
{
	size_t n = 0;

	*c = (struct check){ .name = argv[0], .argc = argc, .argv = argv, .now = clock_wall() };
	for (; own != NULL && own->name != NULL && n < CHECK_OPTIONS_MAX - 4; own++)
		c->options[n++] = *own;
	for (const struct option *o = shared; o->name != NULL; o++)
		c->options[n++] = *o;
	optind = 0;			/* glibc: begin again */
	opterr = 0;
}

int
check_ip(struct check *c, const char *text, struct sockaddr_storage *to)
{
	struct sockaddr_in *four = (struct sockaddr_in *)to;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
		to->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1)
		to->ss_family = AF_INET6;
	else
		return check_usage(c, "--ip %s is no address; expected 192.0.2.1 or 2001:db8::1", logq(text));
	return 0;
}

int
check_number(const char *text, uint64_t least, uint64_t most, uint64_t *value_r)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || text[digits] != '\0')
		return -1;
	*value_r = strtoull(text, NULL, 10);
	return *value_r >= least && *value_r <= most ? 0 : -1;
}

/* Of an option that getopt did not like. */
static int
option_wrong(struct check *c, int letter)
{
	const char *word = optind > 0 && optind <= c->argc ? c->argv[optind - 1] : "";

	if (letter == ':')
		return check_usage(c, "%s needs an argument", logq(word));
	return check_usage(c, "there is no option %s here, or it takes no argument", logq(word));
}

/* An address: to look up a name, another server would have to be asked. */
static int
take_server(struct check *c, const char *text)
{
	static const char localhost[] = "localhost:";
	struct sockaddr_storage address;
	int len = sizeof(address);

	if (strncmp(text, localhost, strlen(localhost)) == 0)
		snprintf(c->dns_server, sizeof(c->dns_server), "127.0.0.1:%s", text + strlen(localhost));
	else
		snprintf(c->dns_server, sizeof(c->dns_server), "%s", text);
	return evutil_parse_sockaddr_port(c->dns_server, (struct sockaddr *)&address, &len);
}

int
check_option(struct check *c)
{
	uint64_t seconds;
	int letter;

	while ((letter = getopt_long(c->argc, c->argv, ":jh", c->options, NULL)) != -1)
		switch (letter) {
		case OPTION_DNS:
			if (take_server(c, optarg) != 0)
				return check_usage(c, "--dns %s is no server; expected 192.0.2.1:53, [2001:db8::1]:53 or "
				    "localhost:53", logq(optarg));
			break;
		case OPTION_NOW:
			if (check_number(optarg, 0, INT32_MAX * UINT64_C(1000), &seconds) != 0)
				return check_usage(c, "--now %s is no time; expected seconds since 1970, like 1795291200",
				    logq(optarg));
			c->now = (time_t)seconds;
			break;
		case 'j':
			c->json = true;
			break;
		case 'h':
			print_help(entry_of(c));
			return CHECK_HELP;
		case '?':
		case ':':
			return option_wrong(c, letter);
		default:
			return letter;
		}
	c->args = c->argv + optind;
	c->n_args = c->argc - optind;
	return -1;
}

/* ---- what is wrong ---- */

static void
complain(struct check *c, const char *fmt, va_list args)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "minimtactl: %s %s: %s\n", c->argv[-1], c->name, text);
}

int
check_usage(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(c, fmt, args);
	va_end(args);
	print_usage(entry_of(c), stderr);
	return EX_USAGE;
}

int
check_unable(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(c, fmt, args);
	va_end(args);
	return EX_TEMPFAIL;
}

/* ---- what a check runs on ---- */

int
check_dns(struct check *c)
{
	char err[256], *servers[] = { c->dns_server, NULL };

	if ((c->base = event_base_new()) == NULL) {
		check_unable(c, "cannot make an event loop");
		return -1;
	}
	clock_init(c->base);
	c->dns = dns_new_direct(c->base, c->dns_server[0] != '\0' ? servers : NULL, err, sizeof(err));
	if (c->dns == NULL)
		check_unable(c, "%s", err);
	return c->dns != NULL ? 0 : -1;
}

void
check_wait(struct check *c, const bool *finished)
{
	while (!*finished)
		if (event_base_loop(c->base, EVLOOP_ONCE) != 0)
			log_fatal("the check waits for nothing");
}

/* A lone LF becomes CRLF, a CR before it is kept; to has room for twice the length. */
static size_t
make_crlf(char *to, const char *from, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (from[i] == '\n' && (i == 0 || from[i - 1] != '\r'))
			to[n++] = '\r';
		to[n++] = from[i];
	}
	return n;
}

/* Up to one byte more than most. */
static char *
read_all(FILE *in, size_t most, size_t *len_r)
{
	size_t size = 0, len = 0, n;
	char *bytes = NULL;

	do {
		size = size == 0 ? 65536 : size * 2;
		if (size > most + 1)
			size = most + 1;
		bytes = realloc(bytes, size);
		if (bytes == NULL)
			log_fatal("out of memory");
		n = fread(bytes + len, 1, size - len, in);
		len += n;
	} while (n > 0 && len <= most);
	*len_r = len;
	return bytes;
}

char *
check_input(struct check *c, size_t most, size_t *len_r)
{
	char *raw = read_all(stdin, most, len_r);

	if (!ferror(stdin) && *len_r <= most)
		return raw;
	if (*len_r > most)
		check_unable(c, "the message has more than %zu bytes", most);
	else
		check_unable(c, "cannot read the message from standard input");
	free(raw);
	return NULL;
}

char *
check_crlf(const char *raw, size_t len, size_t *len_r)
{
	char *message = alloc_raw(len * 2 + 1);

	*len_r = make_crlf(message, raw, len);
	message[*len_r] = '\0';
	return message;
}

char *
check_message(struct check *c, size_t most, size_t *len_r)
{
	size_t len;
	char *raw = check_input(c, most, &len), *message = NULL;

	if (raw != NULL)
		message = check_crlf(raw, len, len_r);
	free(raw);
	return message;
}

/* ---- results ---- */

/* Control characters as \xNN; the rest as it is, for addresses may be UTF-8. */
static void
print_safe(const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			printf("\\x%02x", (unsigned char)*p);
		else
			putchar(*p);
}

static struct json_object *
last_result(struct check *c)
{
	size_t n = c->results != NULL ? json_object_array_length(c->results) : 0;

	return n > 0 ? json_object_array_get_idx(c->results, n - 1) : NULL;
}

void
check_result(struct check *c, const char *result, const char *text)
{
	struct json_object *o;

	if (!c->json) {
		print_safe(result);
		if (text[0] != '\0')
			putchar(' ');
		print_safe(text);
		putchar('\n');
		return;
	}
	if (c->results == NULL)
		c->results = json_object_new_array();
	o = json_object_new_object();
	lines_put(o, "result", result);
	lines_put(o, "text", text);
	json_object_array_add(c->results, o);
}

void
check_more(struct check *c, const char *key, const char *value)
{
	if (c->json) {
		lines_put(last_result(c), key, value);
		return;
	}
	printf("%s: ", key);
	print_safe(value);
	putchar('\n');
}

int
check_end(struct check *c, int code)
{
	if (c->results != NULL && c->list)
		lines_print_json(json_object_get(c->results), stdout);
	else if (c->results != NULL)
		lines_print_json(json_object_get(last_result(c)), stdout);
	json_object_put(c->results);
	dns_free(c->dns);
	if (c->base != NULL) {
		clock_init(NULL);
		event_base_free(c->base);
	}
	return code == CHECK_HELP ? 0 : code;
}

/* ---- for minimtactl ---- */

void
check_list(FILE *to)
{
	char line[80];

	for (size_t i = 0; i < N_ENTRIES; i++) {
		snprintf(line, sizeof(line), "%s %s", entries[i].verb, entries[i].name);
		fprintf(to, "  %-28s  %s\n", line, entries[i].help);
	}
}

static int
say_expected(const char *verb, const char *wrong)
{
	const char *gap = "";

	if (wrong == NULL)
		fprintf(stderr, "minimtactl: %s needs another word; expected ", verb);
	else
		fprintf(stderr, "minimtactl: %s %s is not known; expected ", verb, logq(wrong));
	for (size_t i = 0; i < N_ENTRIES; i++)
		if (strcmp(entries[i].verb, verb) == 0) {
			fprintf(stderr, "%s%s", gap, entries[i].name);
			gap = ", ";
		}
	fprintf(stderr, "; minimtactl %s NAME -h explains one\n", verb);
	return EX_USAGE;
}

/* -j may have stood in front of the verb: the check finds it behind its name. */
static int
run_json(const struct entry *e, int argc, char **argv)
{
	char **longer = alloc_new((size_t)argc + 2, sizeof(*longer)), json[] = "--json";
	int code;

	memcpy(longer, argv, 2 * sizeof(*argv));
	longer[2] = json;
	memcpy(longer + 3, argv + 2, (size_t)(argc - 2) * sizeof(*argv));
	code = e->run(argc, longer + 1);
	free(longer);
	return code;
}

int
check_main(int argc, char **argv, bool json)
{
	const struct entry *e;

	if (argc < 2)
		return say_expected(argv[0], NULL);
	e = find(argv[0], argv[1]);
	if (e == NULL && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		check_list(stdout);
		return 0;
	}
	if (e == NULL)
		return say_expected(argv[0], argv[1]);
	return json ? run_json(e, argc, argv) : e->run(argc - 1, argv + 1);
}
