/*
 * Commands that get mail: what is run, as whom, and what its exit means. Pure, but for command_start.
 */
#ifndef MDA_COMMAND_H
#define MDA_COMMAND_H

#include <sys/types.h>

#include "lib/pack.h"
#include "mda/mail.h"

#define COMMAND_OUTPUT_MAX	4096	/* of what it says that is kept */

struct command {
	uid_t		 uid;
	gid_t		 gid;
	char		*user, *home;	/* its groups, HOME and working directory */
	char		*text;		/* what is run; "": the entry with this id in home/.forward */
	uint64_t	 id;
	char		*state;		/* a directory for its input, where that is large */
	char		*extension;	/* the recipient's tag */
	uint32_t	 seconds;	/* of processor time that it may take */
	struct mail	 mail;		/* content_fd comes beside it */
};

void	command_pack(struct pack *, const struct command *);
int	command_unpack(struct unpack *, struct command *);	/* 0 or -1; strings are new */
void	command_free(struct command *);

/* What an exit (wait(2)'s status) and what it said mean. */
void	command_result(int status, const char *output, size_t len, struct mail_result *);
/* "NAME=value" with all that a shell may make something of replaced by '_'. New. */
char	*command_variable(const char *name, const char *value);
/*
 * In a process of its own: becomes the user and executes it, with this input and output; never returns. What hinders it
 * before the program runs is said by status_fd, for child_read.
 */
void	command_exec(const struct command *, int input_fd, int output_fd, int status_fd) __attribute__((noreturn));

#endif
