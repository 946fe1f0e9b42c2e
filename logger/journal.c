/*
 * The journal's files (logger/journal.h): appending, following one file by the next, and what goes. Nothing is synced: a
 * crash of the machine loses the last seconds, and a line that was cut is cut away when the file is next opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "logger/journal.h"

#define GATHER_BYTES	(256U * 1024)
#define PIECES		10		/* of all that is kept, so that a tenth goes at a time */
#define PIECE_LEAST	(64U * 1024)
#define PIECE_AGE_S	86400

struct journal {
	int		 folder, fd;
	uint64_t	 size_most;
	int64_t		 keep_s;
	struct journal_file files[JOURNAL_FILES_MAX];	/* oldest first; the last one is written to when fd is open */
	size_t		 n_files;
	char		*gathered;
	size_t		 len;
	uint64_t	 lost, lost_before;	/* lines; before this trouble */
	int		 error;			/* errno of the trouble that lasts; 0: none */
	bool		 told;
	bool		 troubled;
};

static char *
name_of(char to[40], uint64_t number)
{
	snprintf(to, 40, "journal.%" PRIu64, number);
	return to;
}

static bool
read_name(const char *name, uint64_t *number_r)
{
	char again[40];

	return sscanf(name, "journal.%" SCNu64, number_r) == 1 && strcmp(name_of(again, *number_r), name) == 0;
}

static int
compare(const void *a, const void *b)
{
	const struct journal_file *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void
find_files(struct journal *j)
{
	int fd = j->folder >= 0 ? openat(j->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct stat st;
	uint64_t number;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL && j->n_files < JOURNAL_FILES_MAX - 1)
		if (read_name(e->d_name, &number) && fstatat(j->folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			j->files[j->n_files++] = (struct journal_file){ number, (uint64_t)st.st_size };
	closedir(dir);
	qsort(j->files, j->n_files, sizeof(j->files[0]), compare);
}

struct journal *
journal_new(int folder, uint64_t size_most, int64_t keep_ms)
{
	struct journal *j = alloc_new(1, sizeof(*j));

	j->gathered = alloc_raw(GATHER_BYTES);
	j->folder = folder;
	j->fd = -1;
	journal_limit(j, size_most, keep_ms);
	find_files(j);
	return j;
}

void
journal_limit(struct journal *j, uint64_t size_most, int64_t keep_ms)
{
	j->size_most = size_most;
	j->keep_s = keep_ms / 1000;
}

void
journal_free(struct journal *j)
{
	if (j == NULL)
		return;
	journal_flush(j);
	if (j->fd >= 0)
		close(j->fd);
	free(j->gathered);
	free(j);
}

/* ---- files ---- */

static uint64_t
total(const struct journal *j)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < j->n_files; i++)
		sum += j->files[i].size;
	return sum;
}

static void
drop_oldest(struct journal *j)
{
	char name[40];

	if (j->n_files == 1 && j->fd >= 0) {
		close(j->fd);
		j->fd = -1;
	}
	unlinkat(j->folder, name_of(name, j->files[0].number), 0);
	memmove(j->files, j->files + 1, --j->n_files * sizeof(j->files[0]));
}

static void
make_room(struct journal *j)
{
	while (j->n_files > 1 && (total(j) > j->size_most || j->n_files >= JOURNAL_FILES_MAX))
		drop_oldest(j);
}

/* A line that a crash has cut goes: the next one must not become its end. 0 or -1. */
static int
cut_torn_line(int fd, uint64_t *size)
{
	char tail[8192];
	off_t at;
	ssize_t n;

	for (uint64_t end = *size; end > 0; end = (uint64_t)at) {
		at = end > sizeof(tail) ? (off_t)(end - sizeof(tail)) : 0;
		if ((n = pread(fd, tail, (size_t)(end - (uint64_t)at), at)) <= 0)
			return -1;
		while (n > 0 && tail[n - 1] != '\n')
			n--;
		if (n > 0 || at == 0) {
			if ((uint64_t)(at + n) == *size)
				return 0;
			*size = (uint64_t)(at + n);
			return ftruncate(fd, at + n);
		}
	}
	return 0;
}

/* Goes on with the newest, when it is one of this version and not full yet. */
static int
open_newest(struct journal *j, uint64_t piece)
{
	struct journal_file *f = j->files + j->n_files;
	char name[40], first[sizeof(JOURNAL_FIRST_LINE)] = "";
	int fd;

	if (j->n_files == 0 || (--f)->size >= piece)
		return -1;
	fd = openat(j->folder, name_of(name, f->number), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (pread(fd, first, sizeof(first) - 1, 0) != (ssize_t)sizeof(first) - 1 || strcmp(first, JOURNAL_FIRST_LINE) != 0 ||
	    cut_torn_line(fd, &f->size) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
open_new(struct journal *j)
{
	uint64_t last = j->n_files > 0 ? j->files[j->n_files - 1].number : 0, number = (uint64_t)clock_wall();
	static const char first[] = JOURNAL_FIRST_LINE;
	char name[40];
	int fd;

	if (number <= last)		/* the clock may have been set back: the order stays */
		number = last + 1;
	fd = openat(j->folder, name_of(name, number), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write(fd, first, sizeof(first) - 1) != (ssize_t)sizeof(first) - 1) {
		int error = errno;

		unlinkat(j->folder, name, 0);
		close(fd);
		errno = error;
		return -1;
	}
	j->files[j->n_files++] = (struct journal_file){ number, sizeof(first) - 1 };
	return fd;
}

/* The file to append to is open. 0, or -1 with errno. */
static int
be_open(struct journal *j)
{
	uint64_t piece = j->size_most / PIECES > PIECE_LEAST ? j->size_most / PIECES : PIECE_LEAST;

	if (j->fd >= 0 && j->files[j->n_files - 1].size >= piece) {
		close(j->fd);
		j->fd = -1;
	}
	if (j->fd >= 0)
		return 0;
	if ((j->fd = open_newest(j, piece)) < 0) {
		make_room(j);
		j->fd = open_new(j);
	}
	return j->fd >= 0 ? 0 : -1;
}

/* ---- lines ---- */

static uint64_t
count_lines(const char *p, size_t len)
{
	uint64_t n = 0;

	for (const char *end = p + len; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		n++;
	return n;
}

static void
lose(struct journal *j, int error)
{
	j->lost += count_lines(j->gathered, j->len);
	j->len = 0;
	if (!j->troubled)
		j->told = false;
	j->troubled = true;
	j->error = error;
}

void
journal_flush(struct journal *j)
{
	struct journal_file *f;
	ssize_t n;

	if (j->len == 0)
		return;
	if (be_open(j) != 0) {
		lose(j, errno);
		return;
	}
	f = &j->files[j->n_files - 1];
	n = write(j->fd, j->gathered, j->len);
	if (n != (ssize_t)j->len) {
		lose(j, n < 0 ? errno : ENOSPC);
		if (n > 0 && ftruncate(j->fd, (off_t)f->size) != 0) {	/* a part of a line stays: nothing more goes there */
			close(j->fd);
			j->fd = -1;
		}
		return;
	}
	f->size += j->len;
	j->len = 0;
	if (j->troubled)
		j->told = false;
	j->troubled = false;
	if (total(j) > j->size_most)
		make_room(j);
}

bool
journal_add(struct journal *j, const char *lines, size_t len)
{
	if (j->size_most == 0 || j->folder < 0 || len > GATHER_BYTES)
		return false;
	if (j->len + len > GATHER_BYTES)
		journal_flush(j);
	memcpy(j->gathered + j->len, lines, len);
	j->len += len;
	return true;
}

void
journal_tidy(struct journal *j, time_t now)
{
	int64_t age = j->keep_s / 4 < PIECE_AGE_S ? j->keep_s / 4 : PIECE_AGE_S, t = now;

	journal_flush(j);
	/* All in a file is older than the next one. */
	while (j->n_files > 1 && (int64_t)j->files[1].number < t - j->keep_s)
		drop_oldest(j);
	if (j->n_files == 0 || (int64_t)j->files[j->n_files - 1].number > t - age)
		return;
	if (j->size_most == 0) {	/* it is off: the last one goes, too */
		if ((int64_t)j->files[j->n_files - 1].number < t - j->keep_s)
			drop_oldest(j);
		return;
	}
	if (j->files[j->n_files - 1].size <= sizeof(JOURNAL_FIRST_LINE) - 1)
		return;
	if (j->fd >= 0)
		close(j->fd);
	make_room(j);
	j->fd = open_new(j);
}

const char *
journal_trouble(struct journal *j, uint64_t *lost_r)
{
	if (j->told || (!j->troubled && j->lost == j->lost_before))
		return NULL;
	j->told = true;
	*lost_r = j->lost - j->lost_before;
	if (j->troubled)
		return strerror(j->error);
	j->lost_before = j->lost;
	return "";
}

/* ---- reading ---- */

size_t
journal_files(const struct journal *j, struct journal_file files[JOURNAL_FILES_MAX])
{
	memcpy(files, j->files, j->n_files * sizeof(j->files[0]));
	return j->n_files;
}

int
journal_open(const struct journal *j, uint64_t number)
{
	char name[40];

	return openat(j->folder, name_of(name, number), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

uint64_t
journal_bytes(const struct journal *j)
{
	return total(j);
}
