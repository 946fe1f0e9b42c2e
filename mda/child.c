/*
 * What a child of mda does (mda/child.h): gives up root, delivers, and tells its result through a pipe. Decides which
 * group it is and which folder a message goes to. Nothing of root's is left open here, and nothing may be logged: the
 * log's channel belongs to the parent.
 */
#include "mda/child.h"

#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mda/forward.h"
#include "mda/maildir.h"
#include "mda/mbox.h"

/* A folder of mailboxes that is root's and whose group may write to it, as /var/mail is, is for that group's members. */
static gid_t
group_for(const struct mailbox *mb)
{
	struct stat st;

	if (mb->mbox && strcmp(mb->base, mb->home) != 0 && stat(mb->base, &st) == 0 && st.st_uid == 0 && (st.st_mode & S_IWGRP) != 0)
		return st.st_gid;
	return mb->gid;
}

static int
become(const struct mailbox *mb)
{
	gid_t gid = group_for(mb);

	if (geteuid() == 0 && (setgroups(1, &mb->gid) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(mb->uid, mb->uid, mb->uid) != 0))
		return -1;
	if (geteuid() != mb->uid || getuid() != mb->uid)
		return -1;
	/* The way back must be shut, whatever the kernel or its configuration. */
	return mb->uid != 0 && setresuid(0, 0, 0) == 0 ? -1 : 0;
}

static void
close_all_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

#ifdef TEST_KILL
	return;		/* the kill points' log is among them */
#endif
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

void
child_say(int fd, const struct mail_result *from, const struct envelope_rcpt *targets, uint32_t n)
{
	struct job_result r = { .outcome = from->outcome, .enhanced = (char *)from->enhanced, .host = (char *)"",
	    .text = (char *)from->text, .targets = (struct envelope_rcpt *)(uintptr_t)targets, .n_targets = n };
	struct pack p;

	pack_init(&p);
	pack_u8(&p, from->busy);
	pack_str(&p, from->note);
	job_pack_result(&p, &r);
	if (write(fd, p.data, p.len) != (ssize_t)p.len)
		_exit(1);
}

int
child_read(int fd, struct job_result *r, bool *busy_r, char **note_r)
{
	uint8_t bytes[CHILD_RESULT_MAX];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct unpack u;

	unpack_init(&u, bytes, n > 0 ? (size_t)n : 0);
	*busy_r = unpack_u8(&u) == 1;
	*note_r = unpack_str(&u);
	if (job_unpack_result(&u, r) == 0)
		return 0;
	free(*note_r);
	return -1;
}

/* ---- deliveries ---- */

static void
to_mbox(const struct mailbox *mb, const struct mail *mail, struct mail_result *result)
{
	struct mbox_place place = { .base = mb->base, .path = mb->maildir, .owner = mb->uid, .needs_dotlock = true,
	    .mode = strcmp(mb->base, mb->home) == 0 ? 0600 : 0660 };

	mbox_deliver(&place, mail, result);
}

/* One that an alias or a user names, by an absolute path. The folders on the way are theirs to know. */
static void
to_file(const struct mailbox *mb, const char *file, const struct mail *mail, struct mail_result *result)
{
	const char *slash = strrchr(file, '/');
	char folder[PATH_MAX];
	struct mbox_place place = { .base = folder, .path = slash + 1, .owner = mb->uid, .mode = 0600 };

	if (strcmp(file, "/dev/null") == 0) {
		mail_fail(result, JOB_DELIVERED, "2.0.0", "thrown away, as its alias says");
		return;
	}
	snprintf(folder, sizeof(folder), "%.*s", slash > file ? (int)(slash - file) : 1, file);
	mbox_deliver(&place, mail, result);
}

static void
to_maildir(const struct conf *conf, const struct mailbox *mb, const struct mail *mail, struct mail_result *result)
{
	char junk[MAILBOX_FOLDER_MAX];
	struct maildir_place place = { .base = mb->base, .maildir = mb->maildir, .owner = mb->uid, .folder = "" };

	if ((mail->flags & ENVELOPE_JUNK) != 0 && mailbox_folder(junk, conf->junk_folder)[0] != '\0') {
		place.folder = junk;
		place.make_folder = true;
	} else if (conf->tag_folders != CONF_TAGS_NO) {
		place.folder = mb->folder;
		place.make_folder = conf->tag_folders == CONF_TAGS_CREATE;
	}
	maildir_deliver(&place, mail, result);
}

static void
to_mailbox(const struct conf *conf, const struct mailbox *mb, const struct mail *mail, struct mail_result *result)
{
	if (mb->mbox)
		to_mbox(mb, mail, result);
	else
		to_maildir(conf, mb, mail, result);
}

/* ---- ~/.forward ---- */

/* Says what is to become of it and ends, where the user wants it elsewhere. */
static void
try_forward(const struct mailbox *mb, const struct mail *mail, int result_fd, struct mail_result *result)
{
	char note[FORWARD_NOTE_MAX] = "";
	struct envelope_rcpt *targets;
	struct alias_list list;
	uint32_t n;

	switch (forward_read(mb->home, mb->uid, mb->gid, &list, note)) {
	case FORWARD_FOUND:
		if ((n = forward_targets(&list, mail->recipient, mb->user, &targets, note)) > 0) {
			mail_fail(result, JOB_EXPANDED, "2.0.0", "goes on as ~/.forward says");
			child_say(result_fd, result, targets, n);
			_exit(0);
		}
		break;
	case FORWARD_LATER:
		mail_fail(result, JOB_DEFERRED, "4.3.0", "%s", note);
		child_say(result_fd, result, NULL, 0);
		_exit(0);
	case FORWARD_NONE:
		break;
	}
	snprintf(result->note, sizeof(result->note), "%s", note);
}

static void
to_forward_file(const struct child_order *o, const struct mail *mail, struct mail_result *result)
{
	char note[FORWARD_NOTE_MAX] = "";
	struct alias_list list;
	const char *file = NULL;
	enum forward_result found = forward_read(o->mailbox.home, o->mailbox.uid, o->mailbox.gid, &list, note);

	if (found == FORWARD_FOUND)
		file = forward_find(&list, ALIAS_FILE, o->file_id);
	if (file != NULL)
		to_file(&o->mailbox, file, mail, result);
	else if (found == FORWARD_LATER || note[0] != '\0')
		mail_fail(result, JOB_DEFERRED, "4.3.0", "%s", note);
	else
		mail_fail(result, JOB_FAILED, "5.3.0", "~/.forward does not name this file any more");
}

/* ---- all of it ---- */

static void
deliver(const struct child_order *o, const struct conf *conf, const struct mail *mail, int result_fd, struct mail_result *result)
{
	char note[sizeof(result->note)];

	/* What the user himself has put there is there already: it cannot be a loop. */
	if ((o->part == ENVELOPE_WHOLE || o->part == ENVELOPE_ALIAS_FILE) && mail_check_loop(mail, result) != 0)
		return;
	switch (o->part) {
	case ENVELOPE_ALIAS_FILE:
		to_file(&o->mailbox, o->file, mail, result);
		return;
	case ENVELOPE_FORWARD_FILE:
		to_forward_file(o, mail, result);
		return;
	case ENVELOPE_WHOLE:
		if (conf->forward_files && o->mailbox.home[0] != '\0')
			try_forward(&o->mailbox, mail, result_fd, result);
		break;
	default:
		break;
	}
	snprintf(note, sizeof(note), "%s", result->note);
	to_mailbox(conf, &o->mailbox, mail, result);
	snprintf(result->note, sizeof(result->note), "%s", note);
}

void
child_run(const struct delivery *d, const struct child_order *o, int result_fd)
{
	const struct local_job *job = d->job;
	const struct conf *conf = job->mda->process.conf;
	struct mail_result result = { .outcome = JOB_DEFERRED, .enhanced = "4.3.5", .text = "could not become the recipient" };
	struct mail mail = { .hostname = conf->hostname, .sender = job->begin.sender, .recipient = d->rcpt.address,
	    .head = job->begin.head, .flags = job->begin.flags, .content_fd = job->content_fd, .size = job->begin.size,
	    .mailbox_size = o->part == ENVELOPE_WHOLE || o->part == ENVELOPE_MAILBOX ? conf->mailbox_size : 0 };

	close_all_but(job->content_fd, result_fd);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	if (become(&o->mailbox) == 0) {
		/* Cleared by the change of user; without mda nobody would hear the result, and it would be delivered again. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 0);
		deliver(o, conf, &mail, result_fd, &result);
	}
	child_say(result_fd, &result, NULL, 0);
	_exit(0);
}
