/*
 * mbox delivery. Decides what is too strange to be written to, how it is locked, and what is cut off again.
 *
 * Locked as Debian's policy wants it: fcntl() first, then NAME.lock. Neither waits: who finds it locked is told "busy" and
 * comes again. The lock file says how large the mbox was. It is on the disk before the first byte of a message, so that
 * after a death or a power cut, when it is still there and nobody has the fcntl() lock, the mbox is cut back to that. Its
 * removal is on the disk before anybody hears of the delivery: a lock that came back would cut off what was delivered.
 */
#include "mda/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/killpoint.h"

#define STALE_S		300		/* another program's lock that is older is nobody's */
#define LOCK_FORM	"%ld\nminimta %llu\n"
#define RESOLVE		(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct box {
	const struct mbox_place	*place;
	const struct mail	*mail;
	struct mail_result	*result;
	int			 dir, file;	/* -1: not open */
	bool			 locked;	/* lock is there and ours */
	uint64_t		 size;		/* before */
	char			 name[NAME_MAX + 1], lock[NAME_MAX + 8];
};

static int
open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int
refuse(struct box *b, const char *what)
{
	return mail_fail(b->result, JOB_DEFERRED, "4.3.5", "%s/%s %s", b->place->base, b->place->path, what);
}

static int
busy(struct box *b, const char *who)
{
	b->result->busy = true;
	return mail_fail(b->result, JOB_DEFERRED, "4.2.0", "%s/%s is locked (%s)", b->place->base, b->place->path, who);
}

/* ---- opening ---- */

static int
open_folder(struct box *b)
{
	const char *path = b->place->path, *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int base = open(b->place->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (base == -1)
		return mail_fail_errno(b->result, "open", b->place->base);
	snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
	b->dir = open_beneath(base, folder, O_RDONLY | O_DIRECTORY, 0);
	close(base);
	if (b->dir == -1)
		return mail_fail_errno(b->result, "open the folder of", path);
	path = slash != NULL ? slash + 1 : path;
	if (path[0] == '\0' || strlen(path) > NAME_MAX - strlen(".lock"))
		return refuse(b, "is no name for a file");
	snprintf(b->name, sizeof(b->name), "%s", path);
	snprintf(b->lock, sizeof(b->lock), "%s.lock", path);
	return 0;
}

/* A second name for it could lie where somebody wants to read or to write (hard links need no right to the file). */
static int
check_file(struct box *b)
{
	struct stat st;

	if (fstat(b->file, &st) != 0)
		return mail_fail_errno(b->result, "stat", b->name);
	if (!S_ISREG(st.st_mode))
		return refuse(b, "is not a regular file");
	if (st.st_nlink != 1)
		return refuse(b, "has further names (hard links), or is being removed");
	if (st.st_uid != b->place->owner)
		return refuse(b, "belongs to somebody else");
	if ((st.st_mode & (S_IWOTH | S_ISUID | S_ISGID | S_ISVTX | S_IXUSR | S_IXGRP | S_IXOTH)) != 0)
		return refuse(b, "has odd permissions (everybody may write to it, or it is executable)");
	b->size = (uint64_t)st.st_size;
	return 0;
}

static int
open_file(struct box *b)
{
	umask(0777 & ~b->place->mode);
	KILLPOINT("open", "mbox");
	b->file = open_beneath(b->dir, b->name, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, b->place->mode);
	umask(077);
	if (b->file == -1 && errno == ENXIO)
		return refuse(b, "is not a regular file");
	return b->file == -1 ? mail_fail_errno(b->result, "open", b->name) : check_file(b);
}

/* ---- locking ---- */

static int
lock_by_fcntl(struct box *b)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(b->file, F_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? busy(b, "fcntl") : mail_fail_errno(b->result, "lock", b->name);
}

/* A lock that is in the way. 0: it has been removed, try again; -1: it holds, or cannot be removed. */
static int
look_at_lock(struct box *b)
{
	unsigned long long size = 0;
	char text[64] = "";
	struct stat st;
	long pid;
	int fd = open_beneath(b->dir, b->lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);

	if (fd == -1)
		return errno == ENOENT ? 0 : mail_fail_errno(b->result, "open", b->lock);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || read(fd, text, sizeof(text) - 1) < 0) {
		close(fd);
		return refuse(b, "has a lock that is no file");
	}
	close(fd);
	/* Ours, and the fcntl() lock is free: who made it is dead. */
	if (st.st_uid == b->place->owner && sscanf(text, LOCK_FORM, &pid, &size) == 2) {
		KILLPOINT("truncate", "mbox");
		if (size < b->size && (ftruncate(b->file, (off_t)size) != 0 || fsync(b->file) != 0))
			return mail_fail_errno(b->result, "cut back", b->name);
		b->size = size < b->size ? size : b->size;
	} else if (clock_wall() - st.st_mtime < STALE_S) {
		return busy(b, b->lock);
	}
	return unlinkat(b->dir, b->lock, 0) == 0 || errno == ENOENT ? 0 : mail_fail_errno(b->result, "remove", b->lock);
}

/* What it says must be on the disk before the mbox grows. */
static int
write_lock(struct box *b, int fd)
{
	char text[64];
	int len = snprintf(text, sizeof(text), LOCK_FORM, (long)getpid(), (unsigned long long)b->size);

	KILLPOINT("write", "lock");
	if (write(fd, text, (size_t)len) != len || fsync(fd) != 0 || fsync(b->dir) != 0)
		return mail_fail_errno(b->result, "write", b->lock);
	return 0;
}

static int
lock_by_file(struct box *b)
{
	int fd = -1, rc;

	for (int tries = 0; fd == -1 && tries < 3; tries++) {
		KILLPOINT("open", "lock");
		fd = open_beneath(b->dir, b->lock, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (fd == -1 && errno == EEXIST && look_at_lock(b) != 0)
			return -1;
	}
	if (fd == -1 && !b->place->needs_dotlock && (errno == EACCES || errno == EPERM || errno == EROFS))
		return 0;
	if (fd == -1)
		return mail_fail_errno(b->result, "create", b->lock);
	b->locked = true;
	rc = write_lock(b, fd);
	close(fd);
	return rc;
}

/* A mail reader may have put another file in its place before we had the lock. */
static int
check_still_there(struct box *b)
{
	struct stat open, now;

	if (fstat(b->file, &open) != 0 || fstatat(b->dir, b->name, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
	    open.st_dev != now.st_dev || open.st_ino != now.st_ino)
		return busy(b, "it was replaced");
	b->size = (uint64_t)open.st_size;
	return 0;
}

static int
lock(struct box *b)
{
	if (lock_by_fcntl(b) != 0 || lock_by_file(b) != 0)
		return -1;
	return check_still_there(b);
}

/* ---- writing ---- */

/* Somebody else's last message may lack its end; a From_ line must begin one. */
static int
mend_end(struct box *b)
{
	char last = '\n';

	if (b->size > 0 && pread(b->file, &last, 1, (off_t)b->size - 1) != 1)
		return mail_fail_errno(b->result, "read", b->name);
	if (last != '\n' && write(b->file, "\n\n", 2) != 2)
		return mail_fail_errno(b->result, "write", b->name);
	return 0;
}

static int
append(struct box *b)
{
	uint64_t most = b->mail->mailbox_size;

	if (most > 0 && (b->mail->size > most || b->size > most - b->mail->size))
		return mail_fail(b->result, JOB_DEFERRED, "4.2.2", "mailbox full: it may hold %llu bytes", (unsigned long long)most);
	if (mend_end(b) != 0 || mail_write(b->mail, b->file, MAIL_MBOX, b->result) != 0)
		goto cut;
	KILLPOINT("fsync", "mbox");
	if (fsync(b->file) == 0 && (b->size > 0 || fsync(b->dir) == 0))
		return 0;
	mail_fail_errno(b->result, "sync", b->name);
cut:
	/* Where that fails, the lock must stay: it is what tells the next one. */
	if (ftruncate(b->file, (off_t)b->size) != 0 || fsync(b->file) != 0)
		b->locked = false;
	return -1;
}

static int
unlock(struct box *b)
{
	if (!b->locked)
		return 0;
	KILLPOINT("unlink", "lock");
	if (unlinkat(b->dir, b->lock, 0) != 0 && errno != ENOENT)
		return mail_fail_errno(b->result, "remove", b->lock);
	KILLPOINT("fsync", "unlock");
	if (fsync(b->dir) != 0)
		return mail_fail_errno(b->result, "sync the removal of", b->lock);
	b->locked = false;
	return 0;
}

static void
clean_up(struct box *b)
{
	struct mail_result first = *b->result;

	if (unlock(b) != 0)
		*b->result = first;	/* the first reason is the one to tell */
	if (b->file != -1)
		close(b->file);
	if (b->dir != -1)
		close(b->dir);
}

void
mbox_deliver(const struct mbox_place *place, const struct mail *mail, struct mail_result *result)
{
	struct box b = { .place = place, .mail = mail, .result = result, .dir = -1, .file = -1 };

	memset(result, 0, sizeof(*result));
	if (open_folder(&b) == 0 && open_file(&b) == 0 && lock(&b) == 0 && append(&b) == 0 &&
	    unlock(&b) == 0) {
		result->outcome = JOB_DELIVERED;
		snprintf(result->enhanced, sizeof(result->enhanced), "2.0.0");
		snprintf(result->text, sizeof(result->text), "appended to %.150s/%.150s", place->base, place->path);
	}
	clean_up(&b);
}
