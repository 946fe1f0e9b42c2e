/*
 * `minimtactl session` and `sendmail -bh`: a session with the running server as if from another address, on standard input and
 * output.
 */
#ifndef TOOLS_SESSION_H
#define TOOLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

struct session_wish {
	const char	*ip;		/* as whom */
	const char	*helo;		/* said first, with EHLO; NULL: nothing is */
	bool		 wait;		/* delays are real */
};

/* A code of sysexits(3), with why unless that is 0. path is the control socket's. */
int	session_hold(const char *path, const struct session_wish *, char *why, size_t size);
/* minimtactl's: argv[0] is "session". */
int	session_main(int argc, char **argv, const char *config);

#endif
