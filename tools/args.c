/*
 * sendmail's command line. Options that other mailers know and that change nothing here are taken and ignored, for
 * callers die of an error and not of its absence; those that promise something we do not do are refused plainly.
 * Options end at the first address, so that no address that a program passes on can become an option. Pure.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "tools/args.h"

#define HELP	256		/* --help: -h is another mailer's "hops so far", with an argument */

/* With ':' an argument follows or is attached; with '::' it is attached or there is none. */
#define OPTIONS	"+:A::B:C:D::E::F:GIL:N:O:R:S:UV:X:b:cd::e:f:h:ijmno:p:q::r:stvx"

static int
set_mode(struct args *a, const char *mode, char *why, size_t size)
{
	static const struct { char letter; enum args_mode mode; } modes[] = {
		{ 'm', ARGS_SEND }, { 's', ARGS_SMTP }, { 'p', ARGS_LIST }, { 'i', ARGS_ALIASES }, { 'v', ARGS_VERIFY },
		{ 't', ARGS_VERIFY }, { 'h', ARGS_TRY }, { 'd', ARGS_DAEMON }, { 'l', ARGS_DAEMON }, { 'D', ARGS_DAEMON_FOREGROUND },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (mode[0] == modes[i].letter && mode[1] == '\0') {
			a->mode = modes[i].mode;
			return 0;
		}
	snprintf(why, size, "-b%.20s is not known; expected -bm, -bs, -bp, -bi, -bv, -bt, -bh, -bd, -bD or -bl", mode);
	return EX_USAGE;
}

static bool
is_daemon(const struct args *a)
{
	return a->mode == ARGS_DAEMON || a->mode == ARGS_DAEMON_FOREGROUND;
}

/* -q, -qf, -q15m: all; -qIid, -qRpart, -qSpart: those. Of a server that is to be started it says how often: its own affair. */
static void
set_retry(struct args *a, const char *which)
{
	if (is_daemon(a))
		return;
	a->mode = ARGS_RETRY;
	a->retry_by = "";
	a->retry = "all";
	while (which != NULL && *which == '!')		/* "not those": there is no such choice, so all */
		which = NULL;
	if (which == NULL || (which[0] != 'I' && which[0] != 'R' && which[0] != 'S'))
		return;
	a->retry = which + 1;
	/* A domain as a whole is a next hop; a part of an address is looked for. */
	if (which[0] == 'R' && which[1] != '@')
		a->retry_by = "to=";
	if (which[0] == 'S')
		a->retry_by = "from=";
}

/* ---- RFC 3461 ---- */

static void __attribute__((format(printf, 2, 3)))
warn(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->warning, sizeof(a->warning), fmt, ap);
	va_end(ap);
}

/* NEVER, or a list of the others without doubles (4.1). */
static void
set_notify(struct args *a, const char *value)
{
	static const char *const words[] = { "success", "failure", "delay" };
	unsigned seen = 0, found;
	const char *p = value;

	for (bool more = strcasecmp(value, "never") != 0; more; p++) {
		size_t len = strcspn(p, ",");

		found = 0;
		for (unsigned i = 0; i < 3; i++)
			if (strlen(words[i]) == len && strncasecmp(p, words[i], len) == 0)
				found = 1U << i;
		if (found == 0 || (seen & found) != 0) {
			warn(a, "-N %.40s is ignored; expected never, or a list of success, failure and delay", value);
			return;
		}
		seen |= found;
		p += len;
		more = *p == ',';
	}
	a->dsn_notify = value;
}

/* Printable, up to a hundred characters; sent as xtext (4.4 and 4). */
static void
set_envid(struct args *a, const char *value)
{
	size_t n = 0;

	for (const char *p = value; *p != '\0'; p++) {
		bool plain = *p > ' ' && *p < 0x7f && *p != '+' && *p != '=';

		if (*p < ' ' || *p >= 0x7f || n + (plain ? 1 : 3) > ARGS_ENVID_MAX) {
			warn(a, "-V is ignored; expected up to %d printable characters", ARGS_ENVID_MAX);
			a->dsn_envid[0] = '\0';
			return;
		}
		if (plain)
			a->dsn_envid[n++] = *p;
		else
			n += (size_t)snprintf(a->dsn_envid + n, 4, "+%02X", (unsigned)*p);
		a->dsn_envid[n] = '\0';
	}
}

/* With a message on its way -R is what a notice returns; alone, as with Exim, a part of recipients' addresses to be tried. */
static void
settle_return(struct args *a, const char *value)
{
	if (strcasecmp(value, "full") == 0 || strcasecmp(value, "hdrs") == 0)
		a->dsn_return = value;
	else if (a->mode == ARGS_SEND && a->n_rcpts == 0 && !a->from_header) {
		a->mode = ARGS_RETRY;
		a->retry_by = value[0] == '@' ? "" : "to=";
		a->retry = value;
	} else
		warn(a, "-R %.40s is ignored; expected full or hdrs", value);
}

/* ---- -o and -O ---- */

/* -od and a letter, or DeliveryMode= and a word that begins with it. What is unknown is as if it were not there. */
static void
set_when(struct args *a, const char *how)
{
	switch (how[0]) {
	case 'b':
		a->when = ARGS_BACKGROUND;
		break;
	case 'i':
		a->when = ARGS_INTERACTIVE;
		break;
	case 'q':
	case 'd':
		a->when = ARGS_QUEUE;
		break;
	default:
		break;
	}
}

/* -O name=value. Of hundreds that there are, those that promise something. */
static int
set_option(struct args *a, const char *text, char *why, size_t size)
{
	const char *value = strchr(text, '=');
	size_t len = value != NULL ? (size_t)(value - text) : strlen(text);
	bool *to = NULL;

	value = value != NULL ? value + 1 : "";
	if (len == 12 && strncasecmp(text, "DeliveryMode", len) == 0)
		set_when(a, value);
	else if (len == 8 && strncasecmp(text, "smtputf8", len) == 0)
		to = &a->utf8;
	else if (len == 10 && strncasecmp(text, "requiretls", len) == 0)
		to = &a->require_tls;
	if (to == NULL)
		return 0;
	if (strcasecmp(value, "yes") != 0 && strcasecmp(value, "no") != 0) {
		snprintf(why, size, "-O %.40s is not understood; expected %.*s=yes or %.*s=no", text, (int)len, text, (int)len, text);
		return EX_USAGE;
	}
	*to = strcasecmp(value, "yes") == 0;
	return 0;
}

/* ---- the line ---- */

static int
option(struct args *a, int letter, const char *value, char *why, size_t size)
{
	switch (letter) {
	case 'b':
		return set_mode(a, value, why, size);
	case 'q':
		set_retry(a, value);
		return 0;
	case 'f':
	case 'r':
		a->sender = strcmp(value, "<>") == 0 ? "" : value;
		return 0;
	case 'F':
		a->full_name = value;
		return 0;
	case 'C':
		a->config = value;
		return 0;
	case 'I':
		a->mode = ARGS_ALIASES;
		return 0;
	case 'i':
		a->dots = true;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	case 'N':
		set_notify(a, value);
		return 0;
	case 'V':
		set_envid(a, value);
		return 0;
	case 'o':
		a->dots |= strcmp(value, "i") == 0 || strcmp(value, "itrue") == 0;
		if (value[0] == 'd')
			set_when(a, value + 1);
		return 0;
	case 'O':
		return set_option(a, value, why, size);
	case 't':
		a->from_header = true;
		return 0;
	case 'v':
		a->verbose = true;
		return 0;
	default:
		return 0;		/* taken and ignored: see OPTIONS */
	}
}

static void
by_name(struct args *a, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	a->mode = ARGS_SEND;
	if (strcmp(name, "mailq") == 0)
		a->mode = ARGS_LIST;
	else if (strcmp(name, "newaliases") == 0)
		a->mode = ARGS_ALIASES;
	else if (strcmp(name, "hoststat") == 0)
		a->mode = ARGS_HOPS;
	else if (strcmp(name, "rmail") == 0)
		a->rmail = a->dots = true;
}

/* What the options together mean, once the rest of the line is known. */
static int
settle(struct args *a, const char *returned, char *why, size_t size)
{
	if (returned != NULL)
		settle_return(a, returned);
	if (a->mode == ARGS_RETRY && a->retry[0] == '\0') {
		if (a->n_rcpts == 0) {
			snprintf(why, size, "-qI needs an id, -qR and -qS a part of an address");
			return EX_USAGE;
		}
		a->retry = a->rcpts[0];		/* "-qI id", in two words */
	}
	if (a->mode == ARGS_SEND && a->n_rcpts == 0 && !a->from_header) {
		snprintf(why, size, "no recipients; name them behind the options, or in the message's header with -t");
		return EX_USAGE;
	}
	return 0;
}

static int
not_known(int letter, const char *word, char *why, size_t size)
{
	const char *short_form = (char[]){ '-', (char)optopt, '\0' };

	snprintf(why, size, letter == ':' ? "%s needs an argument; sendmail(8) has the list" :
	    "%.40s is not known; --help shows the usual options, sendmail(8) all", optopt != 0 ? short_form : word);
	return EX_USAGE;
}

int
args_parse(struct args *a, int argc, char **argv, char *why, size_t size)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, HELP }, { 0 } };
	const char *returned = NULL;
	int letter, rc;

	memset(a, 0, sizeof(*a));
	if (argc < 1 || argv[0] == NULL) {
		snprintf(why, size, "started without a name; expected sendmail, mailq or newaliases");
		return EX_USAGE;
	}
	by_name(a, argv[0]);
	optind = 0;			/* glibc: begin anew, forget all */
	opterr = 0;
	while ((letter = getopt_long(argc, argv, OPTIONS, longs, NULL)) != -1) {
		if (letter == ':' || letter == '?')
			return not_known(letter, argv[optind - 1], why, size);
		if (letter == HELP) {
			a->mode = ARGS_HELP;
			return 0;
		}
		if (letter == 'R')
			returned = optarg;
		else if ((rc = option(a, letter, optarg, why, size)) != 0)
			return rc;
	}
	a->rcpts = argv + optind;
	a->n_rcpts = argc - optind;
	return settle(a, returned, why, size);
}
