/*
 * The commands of SMTP: one table of verbs, the states in which each is allowed, handlers and help. Private to smtpd/.
 */
#ifndef SMTPD_COMMANDS_H
#define SMTPD_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMANDS_LINE_MAX	2048	/* with CRLF: RFC 5321, 4.5.3.1.4 has 512, extensions add to it */

struct session;

enum command_flags {
	COMMAND_LAST = 1,		/* nothing may be sent ahead of its reply: RFC 2920, 3.1 */
	COMMAND_JUNK = 2,		/* brings no mail: a hundred in a row are enough */
	COMMAND_BARE = 4,		/* takes no argument */
	COMMAND_HIDDEN = 8,		/* not in HELP: known, and not offered */
};

struct command {
	const char	*verb;
	unsigned	 states;	/* enum session_state */
	unsigned	 flags;
	void		(*run)(struct session *, const char *argument);
	const char	*syntax, *help;
};

/* Takes what there is of a line; runs the command when it is complete. Returns the bytes used, 0 for more. */
size_t	commands_take(struct session *, uint8_t *, size_t);

/* The command that a line begins with, NULL for none; *argument_r is what follows it without the blanks between. Pure. */
const struct command *commands_find(const char *line, const char **argument_r);
/* Whether a line is HTTP's: a browser made to talk to port 25 (ALPACA). Pure. */
bool	commands_is_http(const char *line);

#endif
