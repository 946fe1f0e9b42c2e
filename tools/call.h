/*
 * The way of a tool to the running server: its control socket, one line of words out, an answer back. minimtactl(8)
 * describes the lines.
 */
#ifndef TOOLS_CALL_H
#define TOOLS_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#define CALL_PATH_SIZE	sizeof(((struct sockaddr_un *)0)->sun_path)
#define CALL_WAIT_MS	30000		/* for a server that is away: it may be starting again */

/*
 * The socket's path: MINIMTA_CONTROL in the environment, else `control` of the configuration (NULL: the usual file, which
 * need not be readable), else the usual one. 0, or a code of sysexits(3) with why.
 */
int	call_path(char to[CALL_PATH_SIZE], const char *config, char *why, size_t size);
/* The configuration (NULL: the usual file), for the caller to free. NULL with why. */
struct conf;
struct conf *call_config(const char *config, char *why, size_t size);
/* Connects; while nobody listens, again for up to wait_ms, which `waiting` (may be NULL) is told once. The descriptor, or
 * -1 with a code of sysexits(3) in *code_r and why. */
int	call_open(const char *path, int wait_ms, void (*waiting)(const char *why), int *code_r, char *why, size_t size);
/* Sends the words as a line and reads "ok": what follows is the answer's body. NULL with a code and why: after "error: ",
 * "denied: " (EX_NOPERM) or "later: " (EX_TEMPFAIL) the server says it. words ends with NULL. */
FILE	*call_command(const char *path, const char *const *words, int *code_r, char *why, size_t size);
/* What follows may take as long as a delivery: half an hour for each line, where it is a minute otherwise. */
void	call_wait_long(FILE *);

#endif
