/*
 * From an address to a mailbox (lib/mailbox.h). Decides who counts as a person and which names may become part of a
 * path; does not know aliases (lookup) and does not open or make anything (mda).
 */
#include "lib/mailbox.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/log.h"

char *
mailbox_lower(char *s)
{
	for (char *p = s; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return s;
}

bool
mailbox_untag(const struct conf *conf, const char *local, char *to)
{
	const char *tag;
	size_t len;

	if (conf->delimiter[0] == '\0' || local[0] == '\0')
		return false;
	tag = strstr(local + 1, conf->delimiter);
	if (tag == NULL)
		return false;
	len = (size_t)(tag - local);
	memmove(to, local, len);
	to[len] = '\0';
	return true;
}

/* Letters that every reader of folders understands; a dot divides, so that nothing empty may be between two. */
char *
mailbox_folder(char to[MAILBOX_FOLDER_MAX], const char *name)
{
	size_t len = strlen(name);

	to[0] = '\0';
	if (len == 0 || len + 2 > MAILBOX_FOLDER_MAX || name[0] == '.' || name[len - 1] == '.' || strstr(name, "..") != NULL)
		return to;
	for (const char *p = name; *p != '\0'; p++)
		if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL))
			return to;
	snprintf(to, MAILBOX_FOLDER_MAX, ".%s", name);
	return to;
}

static int
fits(int n, size_t size)
{
	return n >= 0 && (size_t)n < size;
}

/* The password entry of a user by name. errno tells "no such user" apart from "cannot say" in several ways. */
static enum mailbox_result
find_user(const char *name, struct passwd **pw_r)
{
	errno = 0;
	if ((*pw_r = getpwnam(name)) != NULL)
		return MAILBOX_FOUND;
	if (errno == 0 || errno == ENOENT || errno == ESRCH || errno == EBADF || errno == EPERM)
		return MAILBOX_NONE;
	log_error("event=passwd-unreadable user=%s what=%s", logq(name), logq(strerror(errno)));
	return MAILBOX_TEMPORARY;
}

/* %u is the user. The part of the path before it is the administrator's, and exists. */
static bool
place_mbox(struct mailbox *r, const char *form, const char *name)
{
	const char *user = strstr(form, "%u"), *end;

	r->mbox = true;
	if (strncmp(form, "~/", 2) == 0)
		return fits(snprintf(r->base, sizeof(r->base), "%s", r->home), sizeof(r->base)) &&
		    fits(snprintf(r->maildir, sizeof(r->maildir), "%s", form + 2), sizeof(r->maildir));
	if (user == NULL || strchr(name, '/') != NULL || name[0] == '.')
		return false;
	for (end = user; end > form && end[-1] != '/'; end--)
		continue;
	return fits(snprintf(r->base, sizeof(r->base), "%.*s", (int)(end - form > 1 ? end - form - 1 : 1), form), sizeof(r->base)) &&
	    fits(snprintf(r->maildir, sizeof(r->maildir), "%.*s%s%s", (int)(user - end), end, name, user + 2), sizeof(r->maildir));
}

/* Where a system user's mail lies, by the password file and the configuration. */
static bool
place_user(struct mailbox *r, const struct conf *conf, const struct passwd *pw)
{
	if (pw->pw_dir[0] != '/' || !fits(snprintf(r->home, sizeof(r->home), "%s", pw->pw_dir), sizeof(r->home)))
		return false;
	if (strcmp(conf->mailbox, "maildir") != 0)
		return place_mbox(r, conf->mailbox, pw->pw_name);
	return fits(snprintf(r->base, sizeof(r->base), "%s", pw->pw_dir), sizeof(r->base)) &&
	    fits(snprintf(r->maildir, sizeof(r->maildir), "%s", conf->maildir), sizeof(r->maildir));
}

static enum mailbox_result
find_system(const struct conf *conf, uid_t started_by, const char *name, struct mailbox *r)
{
	enum mailbox_result result;
	struct passwd *pw;

	if ((result = find_user(name, &pw)) != MAILBOX_FOUND)
		return result;
	if (started_by != 0 ? pw->pw_uid != started_by : pw->pw_uid < MAILBOX_UID_MIN || pw->pw_uid == MAILBOX_UID_NOBODY)
		return MAILBOX_NONE;
	if (r == NULL)
		return MAILBOX_FOUND;
	r->uid = pw->pw_uid;
	r->gid = pw->pw_gid;
	if (!place_user(r, conf, pw)) {
		log_error("event=bad-home user=%s home=%s", logq(name), logq(pw->pw_dir));
		return MAILBOX_TEMPORARY;
	}
	snprintf(r->user, sizeof(r->user), "%s", name);
	return MAILBOX_FOUND;
}

/* What may become a part of a path: no way up, no hidden file, nothing that ends it early. */
static bool
is_safe_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) <= NAME_MAX;
}

static enum mailbox_result
find_virtual_owner(const struct conf *conf, uid_t started_by, struct mailbox *r)
{
	struct passwd *pw;

	r->uid = started_by;
	r->gid = getgid();
	if (started_by != 0)
		return MAILBOX_FOUND;
	if (find_user(conf->virtual_user, &pw) != MAILBOX_FOUND) {
		log_error("event=no-virtual-user user=%s what=\"virtual_user does not exist\"", logq(conf->virtual_user));
		return MAILBOX_TEMPORARY;
	}
	r->uid = pw->pw_uid;
	r->gid = pw->pw_gid;
	return MAILBOX_FOUND;
}

static enum mailbox_result
find_virtual(const struct conf *conf, uid_t started_by, const char *name, const char *domain, struct mailbox *r)
{
	char path[PATH_MAX];
	struct stat st;

	if (conf->virtual_directory[0] == '\0' || !is_safe_name(name) || !is_safe_name(domain) || domain[0] == '[')
		return MAILBOX_NONE;
	if (!fits(snprintf(path, sizeof(path), "%s/%s/%s", conf->virtual_directory, domain, name), sizeof(path)))
		return MAILBOX_NONE;
	if (lstat(path, &st) != 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
			return MAILBOX_NONE;
		log_error("event=virtual-unreadable path=%s what=%s", logq(path), logq(strerror(errno)));
		return MAILBOX_TEMPORARY;
	}
	if (!S_ISDIR(st.st_mode))
		return MAILBOX_NONE;
	if (r == NULL)
		return MAILBOX_FOUND;
	snprintf(r->base, sizeof(r->base), "%s/%s", conf->virtual_directory, domain);
	snprintf(r->maildir, sizeof(r->maildir), "%s", name);
	snprintf(r->user, sizeof(r->user), "%.120s/%.120s", domain, name);
	return find_virtual_owner(conf, started_by, r);
}

/* Root's own mail never lies in root's home: it is owned by whom mda is, below the state directory. */
static enum mailbox_result
find_root(const struct conf *conf, uid_t started_by, struct mailbox *r)
{
	if (r == NULL)
		return MAILBOX_FOUND;
	r->uid = started_by;
	r->gid = getgid();
	r->root = true;
	snprintf(r->user, sizeof(r->user), "root");
	snprintf(r->maildir, sizeof(r->maildir), "root/Maildir");
	return fits(snprintf(r->base, sizeof(r->base), "%s", conf->state), sizeof(r->base)) ? MAILBOX_FOUND : MAILBOX_TEMPORARY;
}

enum mailbox_result
mailbox_find(const struct conf *conf, uid_t started_by, const char *local, const char *domain, struct mailbox *r)
{
	char name[ADDRESS_LOCAL_MAX + 1];
	enum mailbox_result result;

	if (r != NULL)
		memset(r, 0, sizeof(*r));
	if (!fits(snprintf(name, sizeof(name), "%s", local), sizeof(name)))
		return MAILBOX_NONE;
	mailbox_lower(name);
	if (strcmp(name, "root") == 0)
		return find_root(conf, started_by, r);
	if ((result = find_virtual(conf, started_by, name, domain, r)) != MAILBOX_NONE)
		return result;
	if ((result = find_system(conf, started_by, name, r)) != MAILBOX_NONE || strcmp(name, local) == 0)
		return result;
	return find_system(conf, started_by, local, r);
}

enum mailbox_result
mailbox_find_tagged(const struct conf *conf, uid_t started_by, const char *local, const char *domain, struct mailbox *r)
{
	enum mailbox_result result = mailbox_find(conf, started_by, local, domain, r);
	char base[ADDRESS_LOCAL_MAX + 1];

	if (result != MAILBOX_NONE || strlen(local) > ADDRESS_LOCAL_MAX || !mailbox_untag(conf, local, base))
		return result;
	result = mailbox_find(conf, started_by, base, domain, r);
	if (result == MAILBOX_FOUND && r != NULL)
		mailbox_folder(r->folder, local + strlen(base) + strlen(conf->delimiter));
	return result;
}
