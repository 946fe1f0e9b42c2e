/*
 * minimtactl spool: the mail of a stopped server, by queue's own program.
 */
#ifndef TOOLS_SPOOL_H
#define TOOLS_SPOOL_H

/* "check", "export" or "import" of the configuration's spool (config NULL: the usual one); folder NULL for check. Returns an exit
 * code only if the program could not be started. */
int	spool_run(const char *config, const char *what, const char *folder);

#endif
