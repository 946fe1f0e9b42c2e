/*
 * What each process gives up, in one table (sandbox.c): its user, where it is chrooted, which files it can open, which
 * system calls it keeps.
 *
 * seccomp answers a call that is not allowed with ENOSYS and one log line naming it; with MINIMTA_SECCOMP=kill in the
 * environment (tests) the process is killed instead. Started by an ordinary user there is neither user nor chroot.
 */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

#include <stdbool.h>

#include "lib/conf.h"
#include "lib/messages.h"

/* The user a process runs as ("_minimta_smtpd"); NULL for mda and master, which stay root. */
const char	*sandbox_user(enum proc);
/* Whether all users exist; otherwise says in err which command creates the missing ones. */
bool		 sandbox_users_exist(char *err, size_t size);
/*
 * Enters it. 0, or -1 with a reason in err. Only when root: user and chroot (queue: the spool; others: conf's empty), and
 * mda's capabilities; always, where the kernel can: lib/landlock.h.
 */
int		 sandbox_enter(enum proc, const struct conf *, char *err, size_t size);

/*
 * For mda's runner, which executes other programs and so cannot have seccomp: no new privileges for any of them, and of
 * root's capabilities what mda keeps. 0, or -1 with a reason in err.
 */
int		 sandbox_runner(char *err, size_t size);

#endif
