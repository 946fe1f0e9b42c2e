/*
 * The runner: a small process beside mda that runs commands for it. mda itself may execute nothing; what it can have done
 * here is no more than what it may do itself, which is to become any user but root.
 */
#ifndef MDA_RUNNER_H
#define MDA_RUNNER_H

#include "mda/command.h"

/* Before mda enters its sandbox. The descriptor for runner_ask, whose end is that of the runner; -1: errno. */
int	runner_start(void);
/*
 * Has a command run with this content. The descriptor of its leash: a message for child_read comes by it when the command
 * is done; whoever shuts its writing side, or closes it, has all processes of the command killed. -1: errno.
 */
int	runner_ask(int runner_fd, const struct command *, int content_fd);

#endif
