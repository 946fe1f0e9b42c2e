/*
 * Maildir delivery: tmp, fsync, new, fsync of the directory. Decides what is too strange to be written to (links, other
 * people's directories) and what a failure means; nearly all are temporary, since an administrator can mend them. No
 * path is walked twice: every step is relative to a directory that is open and checked.
 */
#include "mda/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/header.h"
#include "lib/killpoint.h"

#define HEADER_LOOK	(1024U * 1024)	/* of content are searched for Delivered-To: above any header_size */
#define BUFFER_SIZE	(64U * 1024)
#define NAME_SIZE	400

struct writer {
	const struct maildir_mail	*mail;
	struct maildir_result		*result;
	int				 dir, tmp, new, file;	/* -1: not open */
	char				 name[NAME_SIZE];	/* in tmp, while it is there; "" before */
	bool				 in_new;
	bool				 held_cr;	/* a CR that may be half of a CRLF */
	size_t				 len;
	char				 buffer[BUFFER_SIZE];
};

static int	give_up(struct writer *, enum job_outcome, const char *enhanced, const char *fmt, ...)
		    __attribute__((format(printf, 4, 5)));

static int
give_up(struct writer *w, enum job_outcome outcome, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	w->result->outcome = outcome;
	snprintf(w->result->enhanced, sizeof(w->result->enhanced), "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(w->result->text, sizeof(w->result->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* What errno means for a mailbox: full (RFC 3463, 3.3), a full disk, or something to be mended. */
static int
fail_errno(struct writer *w, const char *what, const char *which)
{
	int why = errno;

	if (why == EDQUOT || why == EFBIG)
		return give_up(w, JOB_DEFERRED, "4.2.2", "mailbox full: %s %s: %s", what, which, strerror(why));
	if (why == ENOSPC)
		return give_up(w, JOB_DEFERRED, "4.3.1", "disk full: %s %s: %s", what, which, strerror(why));
	if (why == ELOOP || why == ENOTDIR)
		return give_up(w, JOB_DEFERRED, "4.3.5", "%s %s: a symbolic link or no directory", what, which);
	return give_up(w, JOB_DEFERRED, "4.3.0", "%s %s: %s", what, which, strerror(why));
}

/* ---- directories ---- */

static int
check_owner(struct writer *w, int fd, const char *which)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_errno(w, "stat", which);
	if (st.st_uid != w->mail->owner)
		return give_up(w, JOB_DEFERRED, "4.3.5", "%s is owned by uid %u, expected %u", which, (unsigned)st.st_uid,
		    (unsigned)w->mail->owner);
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
			return fail_errno(w, "make directory", name);
		if (fsync(at) != 0)
			return fail_errno(w, "sync the directory of", name);
		fd = openat(at, name, flags);
	}
	if (fd == -1)
		return fail_errno(w, "open directory", name);
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
	const char *p = w->mail->maildir;
	size_t len;
	int next;

	w->dir = open(w->mail->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir == -1)
		return fail_errno(w, "open", w->mail->base);
	for (; *p != '\0'; p += len + (p[len] == '/')) {
		len = strcspn(p, "/");
		if (len == 0)
			continue;
		if (len >= sizeof(part) || (len == 2 && strncmp(p, "..", 2) == 0))
			return give_up(w, JOB_DEFERRED, "4.3.5", "%s is no name for a Maildir", w->mail->maildir);
		memcpy(part, p, len);
		part[len] = '\0';
		if ((next = open_directory(w, w->dir, part)) == -1)
			return -1;
		close(w->dir);
		w->dir = next;
	}
	return 0;
}

static int
open_all(struct writer *w)
{
	int cur;

	if (open_maildir(w) != 0)
		return -1;
	if ((cur = open_directory(w, w->dir, "cur")) == -1)
		return -1;
	close(cur);
	if ((w->new = open_directory(w, w->dir, "new")) == -1 || (w->tmp = open_directory(w, w->dir, "tmp")) == -1)
		return -1;
	return 0;
}

/* Unique on this host: time, process and chance; and on others by the host's name. No '/', no ':'. */
static int
open_file(struct writer *w)
{
	int64_t now_ms = clock_wall_ms();
	char host[256];
	uint64_t chance = 0;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return fail_errno(w, "get", "random bytes");
	snprintf(host, sizeof(host), "%s", w->mail->hostname);
	for (char *p = host; *p != '\0'; p++)
		if (*p == '/' || *p == ':')
			*p = '_';
	snprintf(w->name, sizeof(w->name), "%lld.M%dP%ldR%llx.%s", (long long)(now_ms / 1000), (int)(now_ms % 1000 * 1000),
	    (long)getpid(), (unsigned long long)chance, host);
	KILLPOINT("open", "message");
	w->file = openat(w->tmp, w->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->file == -1) {
		fail_errno(w, "create", w->name);
		w->name[0] = '\0';
		return -1;
	}
	return 0;
}

/* ---- the text ---- */

static int
flush(struct writer *w)
{
	ssize_t n;

	for (size_t at = 0; at < w->len; at += (size_t)n) {
		KILLPOINT("write", "message");
		if ((n = write(w->file, w->buffer + at, w->len - at)) < 0)
			return fail_errno(w, "write", "the message");
	}
	w->len = 0;
	return 0;
}

static int
put(struct writer *w, char c)
{
	if (w->len == sizeof(w->buffer) && flush(w) != 0)
		return -1;
	w->buffer[w->len++] = c;
	return 0;
}

/* CRLF becomes LF, which is what readers of a Maildir expect; any other byte stays. */
static int
put_text(struct writer *w, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (w->held_cr && text[i] != '\n' && put(w, '\r') != 0)
			return -1;
		w->held_cr = text[i] == '\r';
		if (!w->held_cr && put(w, text[i]) != 0)
			return -1;
	}
	return 0;
}

static int
put_string(struct writer *w, const char *text)
{
	return put_text(w, text, strlen(text));
}

static int
put_fields(struct writer *w)
{
	if (put_string(w, "Return-Path: <") != 0 || put_string(w, w->mail->sender) != 0 ||
	    put_string(w, ">\nDelivered-To: ") != 0 || put_string(w, w->mail->recipient) != 0 || put_string(w, "\n") != 0)
		return -1;
	return put_string(w, w->mail->head);
}

static int
put_content(struct writer *w)
{
	char piece[BUFFER_SIZE];
	uint64_t at = 0;
	size_t most;
	ssize_t n;

	for (; at < w->mail->size; at += (uint64_t)n) {
		most = w->mail->size - at < sizeof(piece) ? (size_t)(w->mail->size - at) : sizeof(piece);
		n = pread(w->mail->content_fd, piece, most, (off_t)at);
		if (n <= 0)
			return give_up(w, JOB_DEFERRED, "4.3.0", "the message could not be read");
		if (put_text(w, piece, (size_t)n) != 0)
			return -1;
	}
	return w->held_cr ? put(w, '\r') : 0;
}

/* ---- the steps ---- */

/* RFC 5321, 6.3: it has been here. The header may be large, but never larger than HEADER_LOOK (smtpd's bound). */
static int
check_loop(struct writer *w)
{
	size_t len = w->mail->size < HEADER_LOOK ? (size_t)w->mail->size : HEADER_LOOK, at = 0;
	char *text = malloc(len + 1);
	struct header_field f;
	ssize_t n;
	int rc = 0;

	if (text == NULL)
		return give_up(w, JOB_DEFERRED, "4.3.0", "out of memory");
	n = pread(w->mail->content_fd, text, len, 0);
	while (rc == 0 && n > 0 && header_next(text, (size_t)n, &at, &f)) {
		char *value;

		if (!header_is(&f, "Delivered-To"))
			continue;
		value = header_value(f.name, (size_t)(f.value - f.name) + f.value_len, "Delivered-To");
		if (value != NULL && strcasecmp(value, w->mail->recipient) == 0)
			rc = give_up(w, JOB_FAILED, "5.4.6", "mail loop: it has been delivered to %.200s before", value);
		free(value);
	}
	free(text);
	return rc;
}

static int
write_file(struct writer *w)
{
	int rc;

	if (put_fields(w) != 0 || put_content(w) != 0 || flush(w) != 0)
		return -1;
	KILLPOINT("fsync", "message");
	if (fsync(w->file) != 0)
		return fail_errno(w, "sync", "the message");
	rc = close(w->file);
	w->file = -1;
	return rc == 0 ? 0 : fail_errno(w, "close", "the message");
}

static int
move_to_new(struct writer *w)
{
	KILLPOINT("rename", "message");
	if (renameat(w->tmp, w->name, w->new, w->name) != 0)
		return fail_errno(w, "move to", "new");
	w->in_new = true;
	KILLPOINT("fsync", "new");
	if (fsync(w->new) != 0)
		return fail_errno(w, "sync", "new");
	return 0;
}

/* Whatever was not delivered leaves nothing behind. */
static void
clean_up(struct writer *w)
{
	if (w->name[0] != '\0' && w->result->outcome != JOB_DELIVERED)
		unlinkat(w->in_new ? w->new : w->tmp, w->name, 0);
	if (w->file != -1)
		close(w->file);
	if (w->tmp != -1)
		close(w->tmp);
	if (w->new != -1)
		close(w->new);
	if (w->dir != -1)
		close(w->dir);
}

void
maildir_deliver(const struct maildir_mail *mail, struct maildir_result *result)
{
	struct writer w = { .mail = mail, .result = result, .dir = -1, .tmp = -1, .new = -1, .file = -1 };

	memset(result, 0, sizeof(*result));
	if (check_loop(&w) == 0 && open_all(&w) == 0 && open_file(&w) == 0 && write_file(&w) == 0 && move_to_new(&w) == 0) {
		result->outcome = JOB_DELIVERED;
		snprintf(result->enhanced, sizeof(result->enhanced), "2.0.0");
		snprintf(result->text, sizeof(result->text), "stored as new/%.300s", w.name);
	}
	clean_up(&w);
}
