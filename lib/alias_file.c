/*
 * Reads aliases and lists from disk. Decides when to read again and which files are not believed: what is no regular
 * file, what everybody may write to, what is absurdly large. Called by main.c and targets.c.
 */
#include "lib/alias_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"

#define FILE_MAX	(64L * 1024 * 1024)	/* a million addresses */
#define LOOK_AGAIN_MS	1000
#define LISTS_MAX	50		/* in lists */

struct alias_file {
	char		*path;
	struct aliases	*now;
	struct stat	 seen;		/* of what `now` was made; zero when there was no file */
	int64_t		 looked_ms;	/* 0: never */
	uid_t		 started_by;
	bool		 quiet;
	bool		 complained;	/* the log knows already that it cannot be read */
};

struct alias_file *
alias_file_new(const char *path, uid_t started_by, bool quiet)
{
	struct alias_file *f = alloc_new(1, sizeof(*f));

	f->path = alloc_text(path);
	f->started_by = started_by;
	f->quiet = quiet;
	if (path[0] == '\0')
		f->now = aliases_parse("", "", 0, ALIAS_OTHERS);
	return f;
}

void
alias_file_free(struct alias_file *f)
{
	if (f == NULL)
		return;
	aliases_free(f->now);
	free(f->path);
	free(f);
}

static int
refuse(int fd, const char *path, const char *what, char *err, size_t size)
{
	snprintf(err, size, "%s: %s", path, what);
	if (fd != -1)
		close(fd);
	errno = EINVAL;
	return -1;
}

/* An open file that may be believed, with its state. -1 and errno; ENOENT only where there is none. */
static int
open_checked(const char *path, struct stat *st, char *err, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1) {
		int why = errno;

		snprintf(err, size, "%s: %s", path, strerror(why));
		errno = why;
		return -1;
	}
	if (fstat(fd, st) != 0)
		return refuse(fd, path, strerror(errno), err, size);
	if (!S_ISREG(st->st_mode))
		return refuse(fd, path, "is not a regular file", err, size);
	if (st->st_mode & S_IWOTH)
		return refuse(fd, path, "everybody may write to it, so it is not believed (chmod o-w)", err, size);
	if (st->st_size > FILE_MAX)
		return refuse(fd, path, "is larger than 64 MiB", err, size);
	return fd;
}

/* Commands and files are root's to name, or theirs who started minimta: it is their rights that are used. */
static enum alias_source
source_of(const struct stat *st, uid_t started_by)
{
	bool trusted = (st->st_uid == 0 || st->st_uid == started_by) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;

	return trusted ? ALIAS_ROOTS : ALIAS_OTHERS;
}

/* All of it, as a new buffer; it may be shorter or longer than it was a moment ago. */
static char *
read_all(int fd, const struct stat *st, size_t *len_r)
{
	size_t room = (size_t)st->st_size + 1, len = 0;
	char *text = alloc_raw(room);
	ssize_t n = 0;

	while (len < room && (n = read(fd, text + len, room - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		free(text);
		return NULL;
	}
	*len_r = len;
	return text;
}

static char *
read_file(const char *path, struct stat *st, size_t *len_r, char *err, size_t size)
{
	int fd = open_checked(path, st, err, size), why;
	char *text;

	if (fd == -1)
		return NULL;
	text = read_all(fd, st, len_r);
	why = errno;
	if (text == NULL)
		snprintf(err, size, "%s: %s", path, strerror(why));
	close(fd);
	errno = why;
	return text;
}

static void
log_problems(const struct alias_file *f)
{
	for (unsigned i = 0; i < f->now->n_errors && i < ALIASES_ERRORS_MAX; i++)
		log_warn("event=alias-error what=%s", logq(f->now->errors[i]));
	log_info("event=aliases-read file=%s aliases=%zu errors=%u", logq(f->path), aliases_count(f->now), f->now->n_errors);
}

int
alias_file_read(struct alias_file *f, char *err, size_t size)
{
	struct stat st;
	size_t len = 0;
	char *text;

	if (f->path[0] == '\0')
		return 0;
	memset(&st, 0, sizeof(st));
	f->looked_ms = clock_ms();
	text = read_file(f->path, &st, &len, err, size);
	if (text == NULL && errno != ENOENT)
		return -1;
	if (text == NULL)
		memset(&st, 0, sizeof(st));
	aliases_free(f->now);
	f->now = aliases_parse(f->path, text != NULL ? text : "", len, source_of(&st, f->started_by));
	f->seen = st;
	f->complained = false;
	free(text);
	if (!f->quiet)
		log_problems(f);
	return 0;
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mode == b->st_mode &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

const struct aliases *
alias_file_get(struct alias_file *f)
{
	struct stat st;
	char err[512];

	if (f->path[0] == '\0' || (f->looked_ms != 0 && clock_ms() - f->looked_ms < LOOK_AGAIN_MS))
		return f->now;
	f->looked_ms = clock_ms();
	if (stat(f->path, &st) != 0)
		memset(&st, 0, sizeof(st));
	if (f->now != NULL && is_same_file(&st, &f->seen))
		return f->now;
	if (alias_file_read(f, err, sizeof(err)) != 0 && !f->complained && !f->quiet) {
		f->complained = true;
		log_error("event=aliases-unreadable what=%s using=%s", logq(err),
		    f->now != NULL ? "\"what was read before\"" : "nothing");
	}
	return f->now;
}

int
alias_file_include(struct alias_list *l, const char *path, uid_t started_by, char *err, size_t size)
{
	struct stat st;
	size_t len = 0;
	char *text = read_file(path, &st, &len, err, size);

	if (text == NULL)
		return -1;
	alias_list_parse(l, path, text, len, source_of(&st, started_by));
	free(text);
	return 0;
}

/* depth: a list may include itself. */
static char *
find_target(const struct alias_list *list, enum alias_kind kind, uint64_t id, uid_t started_by, unsigned depth, bool *later_r,
    char *err, size_t size)
{
	struct alias_list included;
	char *text = NULL;

	for (size_t i = 0; i < list->n && text == NULL; i++) {
		const struct alias_target *t = &list->targets[i];

		if (t->kind == kind && alias_target_id(t) == id) {
			text = alloc_text(t->text);
		} else if (t->kind == ALIAS_INCLUDE && depth < LISTS_MAX) {
			if (alias_file_include(&included, t->text, started_by, err, size) != 0) {
				*later_r = true;
				continue;
			}
			text = find_target(&included, kind, id, started_by, depth + 1, later_r, err, size);
			alias_list_free(&included);
		}
	}
	return text;
}

char *
alias_file_target(const struct alias *alias, enum alias_kind kind, uint64_t id, uid_t started_by, bool *later_r, char *err,
    size_t size)
{
	*later_r = false;
	snprintf(err, size, "the alias does not name this any more");
	return find_target(&alias->list, kind, id, started_by, 0, later_r, err, size);
}
