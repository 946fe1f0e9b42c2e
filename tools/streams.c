/*
 * What a tool prints is believed by whoever reads the file: a list that a full disk cut short must not look whole
 * (tools/streams.h).
 */
#include "tools/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Else the first file opened would be taken for standard output, or error. */
int
streams_begin(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR)) < 0)
			return -1;
	} while (fd <= 2);
	close(fd);
	return 0;
}

int
streams_end(const char *program, int code)
{
	bool lost = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) == 0 && !lost)
		return code;
	if (errno != EPIPE)		/* who does not read on knows it */
		fprintf(stderr, "%s: the output is not complete%s%s\n", program, errno != 0 ? ": " : "",
		    errno != 0 ? strerror(errno) : "");
	return code != 0 ? code : EX_IOERR;
}
