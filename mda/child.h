/*
 * The child that brings one message to one recipient: a fork of mda that becomes the recipient and touches his files.
 */
#ifndef MDA_CHILD_H
#define MDA_CHILD_H

#include "lib/mailbox.h"
#include "mda/mda.h"

#define CHILD_RESULT_MAX	4096	/* less than a pipe holds, so that a child never waits for us */

/* Right after the fork. Its result goes to result_fd, for child_read. */
void	child_run(const struct delivery *, const struct mailbox *, int result_fd) __attribute__((noreturn));

/* In the parent: what a child that ended by itself said; it was the recipient's then, and is checked like a stranger.
 * 0, with *busy_r: somebody else has locked the mailbox; or -1. Strings are new. */
int	child_read(int result_fd, struct job_result *r, bool *busy_r);

#endif
