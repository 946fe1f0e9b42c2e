/*
 * sendmail -odi: a message that waits in the queue is tried now, and what came of it is the caller's exit code.
 */
#ifndef TOOLS_DELIVER_H
#define TOOLS_DELIVER_H

#include <stdio.h>

/*
 * Waits until each recipient was tried once. 0 when all have the message; else a code of sysexits(3), each failure told to
 * errors, a line, and where `results` is not NULL each success there. However it ends, the message is the queue's.
 */
int	deliver_now(const char *path, const char *id, FILE *results, FILE *errors);

#endif
