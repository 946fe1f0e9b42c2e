/*
 * Maildir delivery: tmp, fsync, new, fsync of the directory. Decides what is too strange to be written to (links, other
 * people's directories), into which folder a message goes, and how much a Maildir may hold. No path is walked twice:
 * every step is relative to a directory that is open and checked.
 */
#include "mda/maildir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/killpoint.h"

#define NAME_SIZE	400
#define SIZE_WORD	",S="		/* in a name, so that who adds up sizes needs not look at the file */

struct writer {
	const struct maildir_place	*place;
	const struct mail		*mail;
	struct mail_result		*result;
	int				 dir, tmp, new, file, lock;	/* -1: not open */
	char				 name[NAME_SIZE];	/* in tmp, while it is there; "" before */
	char				 final[NAME_SIZE + 32];	/* in new */
	bool				 in_new;
};

/* ---- directories ---- */

static int
check_owner(struct writer *w, int fd, const char *which)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return mail_fail_errno(w->result, "stat", which);
	if (st.st_uid != w->place->owner)
		return mail_fail(w->result, JOB_DEFERRED, "4.3.5", "%s is owned by uid %u, expected %u", which,
		    (unsigned)st.st_uid, (unsigned)w->place->owner);
	return 0;
}

/* A directory in another, made if it is missing. Its descriptor, or -1. */
static int
open_directory(struct writer *w, int at, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd = openat(at, name, flags);

	if (fd == -1 && errno == ENOENT) {
		KILLPOINT("mkdir", name);
		if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
			return mail_fail_errno(w->result, "make directory", name);
		if (fsync(at) != 0)
			return mail_fail_errno(w->result, "sync the directory of", name);
		fd = openat(at, name, flags);
	}
	if (fd == -1)
		return mail_fail_errno(w->result, "open directory", name);
	if (check_owner(w, fd, name) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Down from base, name by name. */
static int
open_maildir(struct writer *w)
{
	char part[256];
	const char *p = w->place->maildir;
	size_t len;
	int next;

	w->dir = open(w->place->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir == -1)
		return mail_fail_errno(w->result, "open", w->place->base);
	for (; *p != '\0'; p += len + (p[len] == '/')) {
		len = strcspn(p, "/");
		if (len == 0)
			continue;
		if (len >= sizeof(part) || (len == 2 && strncmp(p, "..", 2) == 0))
			return mail_fail(w->result, JOB_DEFERRED, "4.3.5", "%s is no name for a Maildir", w->place->maildir);
		memcpy(part, p, len);
		part[len] = '\0';
		if ((next = open_directory(w, w->dir, part)) == -1)
			return -1;
		close(w->dir);
		w->dir = next;
	}
	return 0;
}

/* ---- folders ---- */

/* A Maildir++ folder has a file that says so. */
static int
mark_folder(struct writer *w, int folder)
{
	int fd = openat(folder, "maildirfolder", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return mail_fail_errno(w->result, "create", "maildirfolder");
	close(fd);
	return 0;
}

static int
enter_folder(struct writer *w)
{
	const char *name = w->place->folder;
	struct stat st;
	int folder;

	if (name[0] == '\0' || (!w->place->make_folder && fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT))
		return 0;
	if ((folder = open_directory(w, w->dir, name)) == -1)
		return -1;
	close(w->dir);
	w->dir = folder;
	return w->place->make_folder ? mark_folder(w, folder) : 0;
}

static int
open_all(struct writer *w)
{
	int cur;

	if ((cur = open_directory(w, w->dir, "cur")) == -1)
		return -1;
	close(cur);
	if ((w->new = open_directory(w, w->dir, "new")) == -1 || (w->tmp = open_directory(w, w->dir, "tmp")) == -1)
		return -1;
	return 0;
}

/* ---- how much there is ---- */

static uint64_t
size_of_file(int dir, const char *name)
{
	const char *said = strstr(name, SIZE_WORD);
	struct stat st;

	if (said != NULL && isdigit((unsigned char)said[strlen(SIZE_WORD)]))
		return strtoull(said + strlen(SIZE_WORD), NULL, 10);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static DIR *
list_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;

	if (fd != -1 && d == NULL)
		close(fd);
	return d;
}

static uint64_t
size_of_files(int at, const char *name)
{
	DIR *d = list_directory(at, name);
	uint64_t sum = 0;
	struct dirent *e;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			sum += size_of_file(dirfd(d), e->d_name);
	closedir(d);
	return sum;
}

/* The Maildir and its folders. */
static uint64_t
size_of_maildir(int dir)
{
	uint64_t sum = size_of_files(dir, "cur") + size_of_files(dir, "new");
	DIR *d = list_directory(dir, ".");
	char path[300];
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.' || e->d_name[1] == '\0' || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/cur", e->d_name);
		sum += size_of_files(dir, path);
		snprintf(path, sizeof(path), "%s/new", e->d_name);
		sum += size_of_files(dir, path);
	}
	if (d != NULL)
		closedir(d);
	return sum;
}

/*
 * Held until the message lies in the Maildir, where others of ours that come to the same one count it. Where the file system
 * has no such locks, a few at once may exceed the size, as mail readers' copies may anyway.
 */
static int
lock_size(struct writer *w)
{
	if ((w->lock = fcntl(w->dir, F_DUPFD_CLOEXEC, 0)) == -1 || flock(w->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	w->result->busy = true;
	return mail_fail(w->result, JOB_DEFERRED, "4.2.0", "another delivery to %s is under way", w->place->maildir);
}

static int
check_size(struct writer *w)
{
	uint64_t most = w->mail->mailbox_size;

	if (most == 0)
		return 0;
	if (lock_size(w) != 0)
		return -1;
	if (w->mail->size > most || size_of_maildir(w->dir) > most - w->mail->size)
		return mail_fail(w->result, JOB_DEFERRED, "4.2.2", "mailbox full: it may hold %llu bytes", (unsigned long long)most);
	return 0;
}

/* ---- the steps ---- */

/* Unique on this host: time, process and chance; and on others by the host's name. No '/', no ':'. */
static int
open_file(struct writer *w)
{
	int64_t now_ms = clock_wall_ms();
	char host[256];
	uint64_t chance = 0;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return mail_fail_errno(w->result, "get", "random bytes");
	snprintf(host, sizeof(host), "%s", w->mail->hostname);
	for (char *p = host; *p != '\0'; p++)
		if (*p == '/' || *p == ':' || *p == ',')
			*p = '_';
	snprintf(w->name, sizeof(w->name), "%lld.M%dP%ldR%llx.%s", (long long)(now_ms / 1000), (int)(now_ms % 1000 * 1000),
	    (long)getpid(), (unsigned long long)chance, host);
	KILLPOINT("open", "message");
	w->file = openat(w->tmp, w->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->file == -1) {
		mail_fail_errno(w->result, "create", w->name);
		w->name[0] = '\0';
		return -1;
	}
	return 0;
}

static int
write_file(struct writer *w)
{
	off_t size;
	int rc;

	if (mail_write(w->mail, w->file, MAIL_PLAIN, w->result) != 0)
		return -1;
	KILLPOINT("fsync", "message");
	if (fsync(w->file) != 0 || (size = lseek(w->file, 0, SEEK_CUR)) < 0)
		return mail_fail_errno(w->result, "sync", "the message");
	snprintf(w->final, sizeof(w->final), "%s" SIZE_WORD "%lld", w->name, (long long)size);
	rc = close(w->file);
	w->file = -1;
	return rc == 0 ? 0 : mail_fail_errno(w->result, "close", "the message");
}

static int
move_to_new(struct writer *w)
{
	KILLPOINT("rename", "message");
	if (renameat(w->tmp, w->name, w->new, w->final) != 0)
		return mail_fail_errno(w->result, "move to", "new");
	w->in_new = true;
	KILLPOINT("fsync", "new");
	if (fsync(w->new) != 0)
		return mail_fail_errno(w->result, "sync", "new");
	return 0;
}

/* Whatever was not delivered leaves nothing behind. */
static void
clean_up(struct writer *w)
{
	if (w->name[0] != '\0' && w->result->outcome != JOB_DELIVERED)
		unlinkat(w->in_new ? w->new : w->tmp, w->in_new ? w->final : w->name, 0);
	if (w->file != -1)
		close(w->file);
	if (w->tmp != -1)
		close(w->tmp);
	if (w->new != -1)
		close(w->new);
	if (w->dir != -1)
		close(w->dir);
	if (w->lock != -1)
		close(w->lock);
}

void
maildir_deliver(const struct maildir_place *place, const struct mail *mail, struct mail_result *result)
{
	struct writer w = { .place = place, .mail = mail, .result = result, .dir = -1, .tmp = -1, .new = -1, .file = -1,
	    .lock = -1 };

	memset(result, 0, sizeof(*result));
	if (open_maildir(&w) == 0 && check_size(&w) == 0 && enter_folder(&w) == 0 && open_all(&w) == 0 && open_file(&w) == 0 &&
	    write_file(&w) == 0 && move_to_new(&w) == 0) {
		result->outcome = JOB_DELIVERED;
		snprintf(result->enhanced, sizeof(result->enhanced), "2.0.0");
		snprintf(result->text, sizeof(result->text), "stored as %s%snew/%.250s", place->folder,
		    place->folder[0] != '\0' ? "/" : "", w.final);
	}
	clean_up(&w);
}
