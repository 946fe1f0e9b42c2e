/*
 * Stops a process at a chosen call to the disk (killpoint.h). Its state is static and read before main(), because the
 * file named in the environment cannot be opened from inside a chroot. Empty in all but test builds.
 */
#include "lib/killpoint.h"

#ifdef TEST_KILL

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	unsigned long	at;		/* 0: never */
	const char	*only;		/* "call kind"; NULL: any */
	int		fd;
	atomic_ulong	passed;
} state = { .fd = -1 };

__attribute__((constructor)) static void
killpoint_start(void)
{
	const char *proc = getenv("MINIMTA_KILL_PROC"), *at = getenv("MINIMTA_KILL_AT");
	const char *path = getenv("MINIMTA_KILL_LOG");

	state.only = getenv("MINIMTA_KILL_KIND");

	if (proc && strcmp(proc, program_invocation_short_name) != 0)
		return;
	if (at)
		state.at = strtoul(at, NULL, 10);
	if (path)
		state.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

/* Whether it counts: kind may be several ("accept+outcome"). */
static bool
counts(const char *call, const char *kind)
{
	size_t len = strlen(call), n;

	if (state.only == NULL)
		return true;
	if (strncmp(state.only, call, len) != 0 || state.only[len] != ' ')
		return false;
	for (; *kind != '\0'; kind += n + (kind[n] == '+')) {
		n = strcspn(kind, "+");
		if (strncmp(kind, state.only + len + 1, n) == 0 && state.only[len + 1 + n] == '\0')
			return true;
	}
	return false;
}

bool
killpoint_due(const char *call, const char *kind)
{
	bool due = counts(call, kind) && atomic_fetch_add(&state.passed, 1) + 1 == state.at;
	char line[200];
	int n;

	if (state.fd >= 0) {
		n = snprintf(line, sizeof(line), "%s %s %s%s\n", program_invocation_short_name, call, kind,
		    due ? " killed" : "");
		if (write(state.fd, line, (size_t)n) < 0)
			state.fd = -1;
	}
	return due;
}

void
killpoint_read(const char *where, uint64_t id)
{
	char kind[64];

	snprintf(kind, sizeof(kind), "%s-%" PRIx64, where, id);
	KILLPOINT("read", kind);
}

void
killpoint_die(void)
{
	kill(getpid(), SIGKILL);	/* where the sandbox forbids it: */
	_exit(137);
}

#else
typedef int killpoint_nothing;
#endif
