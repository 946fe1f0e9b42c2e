/*
 * The file of paused next hops (queue/pauses.h): written whole under another name, synced and renamed, by a thread of the log's.
 * Decides nothing. Called by queue's main and admin.c.
 */
#include "queue/pauses.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "queue/disk.h"
#include "queue/log_private.h"

#define FILE_NAME	"paused"
#define FILE_NEW	"paused.new"
#define FILE_MAX	(16U * 1024 * 1024)

struct keeping {
	struct work	 work;		/* first */
	int		 dirfd;
	log_done_fn	*done;
	void		*arg;
	int		 error;
	char		 names[];
};

char *
pauses_read(int spool)
{
	int fd = disk_open(spool, FILE_NAME, O_RDONLY, "paused");
	uint64_t size = 0;
	char *names;

	if (fd < 0 || disk_size(fd, &size) != 0 || size > FILE_MAX)
		size = 0;
	names = alloc_new(1, (size_t)size + 1);
	if (size > 0 && disk_read(fd, names, (size_t)size, 0) != 0)
		*names = '\0';
	disk_close(fd);
	return names;
}

static int
replace(const struct keeping *k)
{
	int fd = disk_open(k->dirfd, FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC, "paused"), rc;

	if (fd < 0)
		return -1;
	rc = disk_write(fd, k->names, strlen(k->names), 0, "paused");
	if (rc == 0)
		rc = disk_sync(fd, "paused");
	disk_close(fd);
	if (rc != 0 || disk_rename(k->dirfd, FILE_NEW, FILE_NAME, "paused") != 0)
		return -1;
	return disk_sync_dir(k->dirfd, "paused");
}

static void
run(void *w)
{
	struct keeping *k = w;

	k->error = replace(k) == 0 ? 0 : errno;
}

static void
finished(void *w)
{
	struct keeping *k = w;

	k->done(k->arg, k->error == 0 ? NULL : strerror(k->error));
	free(k);
}

void
pauses_write(struct log *l, const char *names, log_done_fn *done, void *arg)
{
	size_t len = strlen(names) + 1;
	struct keeping *k = alloc_new(1, sizeof(*k) + len);

	k->dirfd = l->dirfd;
	k->done = done;
	k->arg = arg;
	memcpy(k->names, names, len);
	commit_work(l->commit, &k->work, run, finished);
}
