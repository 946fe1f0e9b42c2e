/*
 * sendmail's command line. Options that other mailers know and that change nothing here are taken and ignored, for
 * callers die of an error and not of its absence; those that promise something we do not do are refused plainly.
 * Options end at the first address, so that no address that a program passes on can become an option. Pure.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tools/args.h"

/* With ':' an argument follows or is attached; with '::' it is attached or there is none. */
#define OPTIONS	"+:A::B:C:D::E::F:GIL:N:O:R:UV:X:b:cd::e:f:h:imno:p:q::r:stvx"

static int
set_mode(struct args *a, const char *mode, char *why, size_t size)
{
	static const struct {
		char		 letter;
		int		 mode;
		const char	*instead;
	} modes[] = {
		{ 'm', ARGS_SEND, NULL }, { 's', ARGS_SMTP, NULL }, { 'p', ARGS_LIST, NULL }, { 'i', ARGS_ALIASES, NULL },
		{ 'd', -1, "the server is started as minimta(8)" }, { 'D', -1, "the server is started as minimta(8) -f" },
		{ 'l', -1, "the server is started as minimta(8)" }, { 'v', -1, "addresses cannot be verified without sending" },
		{ 't', -1, "there is no address test mode" }, { 'h', -1, "there are no rehearsed sessions" },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (mode[0] == modes[i].letter && (mode[1] == '\0' || mode[0] == 'h')) {
			if (modes[i].mode < 0) {
				snprintf(why, size, "-b%c is not possible: %s", mode[0], modes[i].instead);
				return EX_USAGE;
			}
			a->mode = (enum args_mode)modes[i].mode;
			return 0;
		}
	snprintf(why, size, "-b%.20s is not known; expected -bm, -bs, -bp or -bi", mode);
	return EX_USAGE;
}

/* -q, -qf, -q15m: all; -qI id, -qR @domain: those. */
static int
set_retry(struct args *a, const char *which, char *why, size_t size)
{
	a->mode = ARGS_RETRY;
	a->retry = "all";
	if (which == NULL || (which[0] != 'I' && which[0] != 'R' && which[0] != 'S'))
		return 0;
	a->retry = which + 1;
	if (a->retry[0] == '\0' || which[0] == 'S' || (which[0] == 'R' && a->retry[0] != '@')) {
		snprintf(why, size, "-q%.40s is not possible; expected -q, -qIid or -qR@domain", which);
		return EX_USAGE;
	}
	return 0;
}

static int
option(struct args *a, int letter, const char *value, char *why, size_t size)
{
	switch (letter) {
	case 'b':
		return set_mode(a, value, why, size);
	case 'q':
		return set_retry(a, value, why, size);
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
	case 'o':
		a->dots |= strcmp(value, "i") == 0 || strcmp(value, "itrue") == 0;
		return 0;
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

static int
by_name(struct args *a, const char *path, char *why, size_t size)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	a->mode = ARGS_SEND;
	if (strcmp(name, "mailq") == 0)
		a->mode = ARGS_LIST;
	else if (strcmp(name, "newaliases") == 0)
		a->mode = ARGS_ALIASES;
	else if (strcmp(name, "rmail") == 0 || strcmp(name, "hoststat") == 0) {
		snprintf(why, size, "%s is not possible; expected the name sendmail, mailq or newaliases", name);
		return EX_USAGE;
	}
	return 0;
}

int
args_parse(struct args *a, int argc, char **argv, char *why, size_t size)
{
	int letter, rc;

	memset(a, 0, sizeof(*a));
	if (argc < 1 || argv[0] == NULL) {
		snprintf(why, size, "started without a name; expected sendmail, mailq or newaliases");
		return EX_USAGE;
	}
	if ((rc = by_name(a, argv[0], why, size)) != 0)
		return rc;
	optind = 0;			/* glibc: begin anew, forget all */
	while ((letter = getopt(argc, argv, OPTIONS)) != -1) {
		if (letter == ':' || letter == '?') {
			snprintf(why, size, letter == ':' ? "-%c needs an argument; sendmail(8) has the list" :
			    "-%c is not known; sendmail(8) has the list", optopt);
			return EX_USAGE;
		}
		if ((rc = option(a, letter, optarg, why, size)) != 0)
			return rc;
	}
	a->rcpts = argv + optind;
	a->n_rcpts = argc - optind;
	if (a->mode == ARGS_SEND && a->n_rcpts == 0 && !a->from_header) {
		snprintf(why, size, "no recipients; name them behind the options, or in the message's header with -t");
		return EX_USAGE;
	}
	return 0;
}
