/*
 * What a child of mda does (mda/child.h): gives up root, delivers, and tells its result through a pipe. Decides which
 * group it is and which folder a message goes to. Nothing of root's is left open here, and nothing may be logged: the
 * log's channel belongs to the parent.
 */
#include "mda/child.h"

#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void
child_say(int fd, const struct mail_result *from, uint32_t index)
{
	struct job_result r = { .index = index, .outcome = from->outcome, .enhanced = (char *)from->enhanced,
	    .host = (char *)"", .text = (char *)from->text };
	struct pack p;

	pack_init(&p);
	pack_u8(&p, from->busy);
	job_pack_result(&p, &r);
	if (write(fd, p.data, p.len) != (ssize_t)p.len)
		_exit(1);
}

int
child_read(int fd, struct job_result *r, bool *busy_r)
{
	uint8_t bytes[CHILD_RESULT_MAX];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct unpack u;

	unpack_init(&u, bytes, n > 0 ? (size_t)n : 0);
	*busy_r = unpack_u8(&u) == 1;
	return job_unpack_result(&u, r);
}

/* ---- deliveries ---- */

static void
to_mbox(const struct conf *conf, const struct mailbox *mb, const struct mail *mail, struct mail_result *result)
{
	struct mbox_place place = { .base = mb->base, .path = mb->maildir, .owner = mb->uid, .needs_dotlock = true,
	    .mode = strcmp(mb->base, mb->home) == 0 ? 0600 : 0660 };

	(void)conf;
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

void
child_run(const struct delivery *d, const struct mailbox *mb, int result_fd)
{
	const struct local_job *job = d->job;
	const struct conf *conf = job->mda->process.conf;
	struct mail_result result = { .outcome = JOB_DEFERRED, .enhanced = "4.3.5", .text = "could not become the recipient" };
	struct mail mail = { .hostname = conf->hostname, .sender = job->begin.sender, .recipient = d->address,
	    .head = job->begin.head, .flags = job->begin.flags, .content_fd = job->content_fd, .size = job->begin.size,
	    .mailbox_size = conf->mailbox_size };

	close_all_but(job->content_fd, result_fd);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	if (become(mb) == 0) {
		/* Cleared by the change of user; without mda nobody would hear the result, and it would be delivered again. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 0);
		if (mail_check_loop(&mail, &result) == 0)
			(mb->mbox ? to_mbox : to_maildir)(conf, mb, &mail, &result);
	}
	child_say(result_fd, &result, d->index);
	_exit(0);
}
