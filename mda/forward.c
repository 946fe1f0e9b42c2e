/*
 * ~/.forward (mda/forward.h). Decides which file is believed, and what its entries mean as recipients; nothing is
 * delivered here. A file that is not believed is as if there were none, with a word in the log: mail is not lost, and
 * who may write to another's home gets nothing by it.
 */
#include "mda/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"

#define FILE_NAME	".forward"
#define SIZE_MAX_BYTES	(16 * 1024)
#define TARGETS_MAX	100

static enum forward_result	ignore(char note[FORWARD_NOTE_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static enum forward_result
ignore(char note[FORWARD_NOTE_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(note, FORWARD_NOTE_MAX, fmt, ap);
	va_end(ap);
	return FORWARD_NONE;
}

/* A group that has the user's own number is his alone, as Debian makes them. */
static bool
others_may_write(const struct stat *st, uid_t uid, gid_t gid)
{
	return (st->st_mode & S_IWOTH) != 0 || ((st->st_mode & S_IWGRP) != 0 && (st->st_gid != gid || gid != (gid_t)uid));
}

static bool
is_his(const struct stat *st, uid_t uid)
{
	return st->st_uid == uid || st->st_uid == 0;
}

static enum forward_result
check(int home, int fd, uid_t uid, gid_t gid, char note[FORWARD_NOTE_MAX])
{
	struct stat dir, st;

	if (fstat(home, &dir) != 0 || fstat(fd, &st) != 0)
		return ignore(note, FILE_NAME " ignored: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return ignore(note, FILE_NAME " ignored: it is not a regular file");
	if (!is_his(&st, uid) || !is_his(&dir, uid))
		return ignore(note, FILE_NAME " ignored: it, or the home directory, belongs to somebody else");
	if (others_may_write(&st, uid, gid) || others_may_write(&dir, uid, gid))
		return ignore(note, FILE_NAME " ignored: others may write to it, or to the home directory (chmod go-w)");
	if (st.st_size > SIZE_MAX_BYTES)
		return ignore(note, FILE_NAME " ignored: it is larger than 16 KiB");
	return FORWARD_FOUND;
}

static enum forward_result
parse(int fd, struct alias_list *list, char note[FORWARD_NOTE_MAX])
{
	char text[SIZE_MAX_BYTES + 1];
	ssize_t n, len = 0;

	while ((n = read(fd, text + len, sizeof(text) - (size_t)len)) > 0 && len + n < (ssize_t)sizeof(text))
		len += n;
	if (n != 0) {
		ignore(note, FILE_NAME ": %s", n < 0 ? strerror(errno) : "it grows while it is read");
		return FORWARD_LATER;
	}
	alias_list_parse(list, FILE_NAME, text, (size_t)len, ALIAS_USERS);
	if (list->error == NULL && list->n > 0)
		return FORWARD_FOUND;
	if (list->error != NULL)
		ignore(note, "ignored: %s", list->error);
	alias_list_free(list);
	return FORWARD_NONE;
}

enum forward_result
forward_read(const char *home_path, uid_t uid, gid_t gid, struct alias_list *list, char note[FORWARD_NOTE_MAX])
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int home = open(home_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	enum forward_result result = FORWARD_NONE;

	note[0] = '\0';
	if (home != -1)
		fd = (int)syscall(SYS_openat2, home, FILE_NAME, &how, sizeof(how));
	if (fd != -1) {
		if ((result = check(home, fd, uid, gid, note)) == FORWARD_FOUND)
			result = parse(fd, list, note);
	} else if (errno == ELOOP || errno == EACCES || errno == ENXIO) {
		ignore(note, FILE_NAME " ignored: %s", errno == ELOOP ? "a symbolic link" : strerror(errno));
	} else if (errno != ENOENT && errno != ENOTDIR) {
		ignore(note, FILE_NAME ": %s", strerror(errno));
		result = FORWARD_LATER;
	}
	if (fd != -1)
		close(fd);
	if (home != -1)
		close(home);
	return result;
}

/* ---- what it means ---- */

/* This name alone, or in the domain that begins at `at`. */
static bool
is_name(const char *target, const char *name, size_t len, const char *at)
{
	return strncasecmp(target, name, len) == 0 && (target[len] == '\0' || strcasecmp(target + len, at) == 0);
}

/* "anna" or what is in front of his address's @, which may have a tag: "anna+news". */
static bool
is_himself(const char *target, const char *address, const char *user)
{
	const char *at = strrchr(address, '@');

	if (at == NULL)
		at = address + strlen(address);
	return is_name(target, user, strlen(user), at) || is_name(target, address, (size_t)(at - address), at);
}

/* A local name is in the domain that the mail was for. */
static char *
whole_address(const char *target, const char *address)
{
	const char *at = strrchr(address, '@');
	struct address a;
	char *whole, *text;

	if (strrchr(target, '@') != NULL || at == NULL)
		return alloc_text(target);
	whole = alloc_printf("%s%s", target, at);
	text = alloc_text(address_parse(&a, whole, ADDRESS_UTF8, NULL) == ADDRESS_OK ? a.text : whole);
	free(whole);
	return text;
}

static struct envelope_rcpt
target_of(const struct alias_target *t, const char *address, const char *user)
{
	struct envelope_rcpt r = { .part = ENVELOPE_WHOLE };

	if (t->kind == ALIAS_COMMAND || t->kind == ALIAS_FILE) {
		r.part = t->kind == ALIAS_COMMAND ? ENVELOPE_FORWARD_COMMAND : ENVELOPE_FORWARD_FILE;
		r.part_id = alias_target_id(t);
	} else if (is_himself(t->text, address, user)) {
		r.part = ENVELOPE_MAILBOX;
	}
	r.local = r.final = r.part != ENVELOPE_WHOLE;
	r.address = r.local ? alloc_text(address) : whole_address(t->text, address);
	return r;
}

uint32_t
forward_targets(const struct alias_list *list, const char *address, const char *user, struct envelope_rcpt **targets_r,
    char note[FORWARD_NOTE_MAX])
{
	struct envelope_rcpt *targets;
	uint32_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (list->targets[i].kind == ALIAS_DOMAIN || list->n > TARGETS_MAX) {
			ignore(note, FILE_NAME " ignored: it names %s", list->n > TARGETS_MAX ? "more than 100 targets" :
			    "a domain, which is for aliases");
			return 0;
		}
	targets = alloc_new(list->n, sizeof(*targets));
	for (; n < list->n; n++)
		targets[n] = target_of(&list->targets[n], address, user);
	*targets_r = targets;
	return n;
}

const char *
forward_find(const struct alias_list *list, enum alias_kind kind, uint64_t id)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->targets[i].kind == kind && alias_target_id(&list->targets[i]) == id)
			return list->targets[i].text;
	return NULL;
}
