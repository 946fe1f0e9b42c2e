/*
 * Where the counters are kept between two starts (logger/tallies.h). Nothing is synced: after a power cut it may be the
 * file before, which is a minute older.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "logger/tallies.h"

#define NAME		"counters"
#define NAME_BEFORE	"counters.before"
#define NAME_NEW	"counters.new"
#define SIZE_MAX_HERE	(32 * 1024 * 1024)

static int
load(struct counters *c, int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = -1;
	size_t len = 0, size;
	struct stat st;
	ssize_t n = -1;
	char *text;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SIZE_MAX_HERE) {
		size = (size_t)st.st_size;
		text = alloc_raw(size + 1);
		while (len < size && (n = read(fd, text + len, size - len)) > 0)
			len += (size_t)n;
		if (len == size && counters_read(c, text, len) == 0)
			rc = 1;
		free(text);
	}
	close(fd);
	return rc;
}

int
tallies_load(struct counters *c, int folder, const char **why)
{
	int rc = load(c, folder, NAME), before;

	if (rc == 1)
		return 1;
	before = load(c, folder, NAME_BEFORE);
	if (rc == 0 && before >= 0)	/* it ended between the two names */
		return before;
	*why = before == 1 ? "damaged; those of a minute before count" : "damaged; begun anew";
	return -1;
}

int
tallies_save(const struct counters *c, int folder)
{
	int fd = openat(folder, NAME_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), error;
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (f == NULL) {
		error = errno;
		if (fd >= 0)
			close(fd);
		errno = error;
		return -1;
	}
	counters_print(c, f);
	if (ferror(f) != 0 || fclose(f) != 0) {
		error = errno;
		unlinkat(folder, NAME_NEW, 0);
		errno = error;
		return -1;
	}
	renameat(folder, NAME, folder, NAME_BEFORE);
	return renameat(folder, NAME_NEW, folder, NAME);
}
