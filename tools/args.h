/*
 * sendmail's command line, as programs have used it for forty years: what it asks for. Pure.
 */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

enum args_mode {
	ARGS_SEND,			/* -bm: a message on standard input */
	ARGS_SMTP,			/* -bs: SMTP on standard input and output */
	ARGS_LIST,			/* -bp, mailq */
	ARGS_ALIASES,			/* -bi, newaliases */
	ARGS_RETRY,			/* -q: try queued mail now */
};

struct args {
	enum args_mode	 mode;
	bool		 from_header;	/* -t: recipients from To, Cc and Bcc too */
	bool		 dots;		/* -i: a line with a lone dot is data */
	bool		 verbose;	/* -v */
	const char	*sender;	/* -f, -r; "" is the null reverse-path; NULL: the caller */
	const char	*full_name;	/* -F; NULL: from the password file */
	const char	*config;	/* -C; NULL: the usual one */
	const char	*retry;		/* of -q: "all", an id, "@domain"; points into argv or is constant */
	char		**rcpts;	/* the rest of argv */
	int		 n_rcpts;
};

/* 0, or a code of sysexits(3) with a sentence in why. argv may be reordered in no way; borrowed. */
int	args_parse(struct args *, int argc, char **argv, char *why, size_t size);

#endif
