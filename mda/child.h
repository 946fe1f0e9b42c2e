/*
 * The child that brings one message to one recipient: a fork of mda that becomes the recipient and touches his files.
 */
#ifndef MDA_CHILD_H
#define MDA_CHILD_H

#include "lib/mailbox.h"
#include "mda/mail.h"
#include "mda/mda.h"

#define CHILD_RESULT_MAX	61440	/* less than a pipe holds, so that a child never waits for us */

/* What it is to do. */
struct child_order {
	struct mailbox	 mailbox;	/* whose rights, and where his mail is */
	enum envelope_part part;	/* WHOLE, MAILBOX, ALIAS_FILE, FORWARD_FILE */
	char		*file;		/* of ALIAS_FILE */
	uint64_t	 file_id;	/* of FORWARD_FILE */
};

/* Right after the fork. Its result goes to result_fd, for child_read. */
void	child_run(const struct delivery *, const struct child_order *, int result_fd) __attribute__((noreturn));

/* In a child of any kind: the result, with the recipients of JOB_EXPANDED. */
void	child_say(int fd, const struct mail_result *, const struct envelope_rcpt *targets, uint32_t n);

/*
 * In the parent: what a child said; it was the recipient's, and is checked like a stranger. 0, with *busy_r: somebody
 * else has locked the mailbox, and a new string *note_r for the log; or -1. Strings are new; r->index is not filled in.
 */
int	child_read(int fd, struct job_result *r, bool *busy_r, char **note_r);

#endif
