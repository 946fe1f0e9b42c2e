/*
 * sendmail's command line, as programs have used it for forty years: what it asks for. Pure.
 */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGS_ENVID_MAX	100	/* RFC 3461, 4.4 */

enum args_mode {
	ARGS_SEND,			/* -bm: a message on standard input */
	ARGS_SMTP,			/* -bs: SMTP on standard input and output */
	ARGS_LIST,			/* -bp, mailq */
	ARGS_ALIASES,			/* -bi, newaliases */
	ARGS_RETRY,			/* -q: try queued mail now */
	ARGS_VERIFY,			/* -bv, -bt: what would become of addresses */
	ARGS_HOPS,			/* hoststat */
	ARGS_TRY,			/* -bh: a session as if from an address */
	ARGS_DAEMON,			/* -bd, -bl: start the server */
	ARGS_DAEMON_FOREGROUND,		/* -bD */
	ARGS_HELP,			/* --help: how the name it was called by is used */
};

enum args_when {
	ARGS_BACKGROUND,		/* -odb: as soon as the server can */
	ARGS_QUEUE,			/* -odq, -odd: not before the queue is run */
	ARGS_INTERACTIVE,		/* -odi: now, and sendmail ends with the result */
};

struct args {
	enum args_mode	 mode;
	bool		 from_header;	/* -t: recipients from To, Cc and Bcc too */
	bool		 dots;		/* -i: a line with a lone dot is data */
	bool		 verbose;	/* -v */
	enum args_when	 when;		/* -od: when it is to be delivered */
	bool		 utf8;		/* -O smtputf8=yes: only to servers with SMTPUTF8, where it matters */
	bool		 require_tls;	/* -O requiretls=yes: only by TLS that was verified (RFC 8689) */
	const char	*sender;	/* -f, -r; "" is the null reverse-path; NULL: the caller */
	const char	*full_name;	/* -F; NULL: from the password file */
	const char	*config;	/* -C; NULL: the usual one */
	bool		 json;		/* -j, of a list */
	bool		 rmail;		/* the sender is in the message's first line, if anywhere */
	const char	*retry_by;	/* of -q: "", "to=" or "from=" … */
	const char	*retry;		/* … and "all", an id, "@domain" or a part of an address */
	/* RFC 3461, in the form that MAIL and RCPT take; NULL: not given, or not in order */
	const char	*dsn_notify, *dsn_return;
	char		 dsn_envid[ARGS_ENVID_MAX + 1];		/* xtext; "" likewise */
	char		 warning[256];	/* what was given and is ignored for it is wrong; "" none */
	char		**rcpts;	/* the rest of argv */
	int		 n_rcpts;
};

/* 0, or a code of sysexits(3) with a sentence in why. argv may be reordered in no way; borrowed. */
int	args_parse(struct args *, int argc, char **argv, char *why, size_t size);

#endif
