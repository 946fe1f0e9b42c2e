/*
 * Reads secrets that processes need and files of root's hold, and hands them out: those that sign rewritten senders (SRS)
 * go to lookup and queue. Called when one of them starts, and after a reload. What cannot be read is not believed to be
 * empty by mistake: the log says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/srs.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "master/master.h"

/* Up to size - 1 bytes, as a string. NULL: fine; otherwise why not. */
static const char *
read_secrets(const char *path, char *to, size_t size)
{
	const char *why = NULL;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = 0;

	to[0] = '\0';
	if (fd == -1)
		return strerror(errno);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		why = "it is not a regular file";
	else if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
		why = "others may read it, or write to it; chmod 600";
	else if ((n = read(fd, to, size - 1)) < 0)
		why = strerror(errno);
	close(fd);
	to[why == NULL ? n : 0] = '\0';
	return why;
}

/* The next line that is not empty, or "". */
static const char *
take_line(char **text)
{
	char *line = *text + strspn(*text, "\r\n");

	*text = line + strcspn(line, "\r\n");
	if (**text != '\0')
		*(*text)++ = '\0';
	return line;
}

void
secrets_give(const struct child *c)
{
	const char *path = c->master->conf->srs_secrets, *why = NULL, *lines[2] = { "", "" };
	char text[2 * SRS_SECRET_MAX] = "", *p = text;
	struct pack pk;

	if (path[0] != '\0')
		why = read_secrets(path, text, sizeof(text));
	for (int i = 0; i < 2; i++)
		lines[i] = take_line(&p);
	if (why == NULL && path[0] != '\0' && (lines[0][0] == '\0' || strlen(lines[0]) >= SRS_SECRET_MAX ||
	    strlen(lines[1]) >= SRS_SECRET_MAX))
		why = "expected one secret, or two, each in a line of up to 199 bytes";
	if (why != NULL)
		log_error("event=srs-off file=%s what=%s", logq(path), logq(why));
	pack_init(&pk);
	for (int i = 0; i < 2; i++)
		pack_str(&pk, why == NULL ? lines[i] : "");
	ipc_send_pack(c->ipc, MSG_SRS, 0, &pk, -1);
	pack_free(&pk);
	explicit_bzero(text, sizeof(text));
}
