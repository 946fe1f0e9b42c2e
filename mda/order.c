/*
 * From a recipient to what is to be done (mda/order.h): whose mailbox it is, or which command or file of an alias, and
 * with whose rights. Asks the password file and root's aliases; a user's own ~/.forward is read with his rights only.
 */
#include "mda/order.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alias_file.h"
#include "lib/alloc.h"

/* The mailbox of an address. 0 or -1. */
static int
find_mailbox(const struct mda *m, const struct address *a, struct mailbox *mb, struct mail_result *why)
{
	const struct conf *conf = m->process.conf;

	switch (mailbox_find_tagged(conf, m->started_by, a->local, a->domain[0] != '\0' ? a->domain : conf->domains[0], mb)) {
	case MAILBOX_FOUND:
		return 0;
	case MAILBOX_NONE:
		return mail_fail(why, JOB_FAILED, "5.1.1", "no such mailbox here");
	case MAILBOX_TEMPORARY:
		break;
	}
	return mail_fail(why, JOB_DEFERRED, "4.3.0", "the mailbox cannot be looked up now");
}

/* ---- commands and files of aliases ---- */

/* Started by an ordinary user, all is his. */
static int
find_command_user(const struct mda *m, struct mailbox *mb, struct mail_result *why)
{
	const char *name = m->process.conf->command_user;
	struct passwd *pw = m->started_by == 0 ? getpwnam(name) : getpwuid(m->started_by);

	memset(mb, 0, sizeof(*mb));
	if (pw == NULL || pw->pw_uid == 0)
		return mail_fail(why, JOB_DEFERRED, "4.3.5", "command_user %s: %s", name, pw == NULL ? "no such user" :
		    "root runs no commands, and writes no files, for aliases");
	mb->uid = pw->pw_uid;
	mb->gid = pw->pw_gid;
	snprintf(mb->user, sizeof(mb->user), "%s", pw->pw_name);
	snprintf(mb->home, sizeof(mb->home), "%s", pw->pw_dir);
	return 0;
}

/* The aliases that may have brought it here, in the order in which lookup tries them; NULL: no such one. */
static const struct alias *
nth_alias(const struct aliases *all, const struct conf *conf, const struct address *a, int n)
{
	char base[ADDRESS_LOCAL_MAX + 1];

	if (n == 2)
		return aliases_find_catch_all(all, a->domain);
	if (n == 1)
		return mailbox_untag(conf, a->local, base) ? aliases_find_in(all, base, a->domain) : NULL;
	return aliases_find_in(all, a->local, a->domain);
}

/* The text of a command or file. New; or NULL. */
static char *
find_in_aliases(const struct delivery *d, const struct address *a, enum alias_kind kind, struct mail_result *why)
{
	const struct mda *m = d->job->mda;
	const struct aliases *all = alias_file_get(m->aliases);
	const struct alias *alias;
	char err[256], *text;
	bool later = false;

	if (all == NULL) {
		mail_fail(why, JOB_DEFERRED, "4.3.0", "the aliases cannot be read now");
		return NULL;
	}
	mail_fail(why, JOB_FAILED, "5.3.0", "the alias does not name this any more");
	for (int n = 0; n < 3; n++) {
		if ((alias = nth_alias(all, m->process.conf, a, n)) == NULL)
			continue;
		text = alias_file_target(alias, kind, d->rcpt.part_id, m->started_by, &later, err, sizeof(err));
		if (text != NULL)
			return text;
		if (later)
			mail_fail(why, JOB_DEFERRED, "4.3.0", "%s", err);
	}
	return NULL;
}

/* ---- what to do ---- */

static void
fill_command(const struct delivery *d, const struct mailbox *mb, const struct address *a, char *text, struct command *c)
{
	const struct local_job *job = d->job;
	const struct conf *conf = job->mda->process.conf;
	char base[ADDRESS_LOCAL_MAX + 1];
	bool tagged = mailbox_untag(conf, a->local, base);

	*c = (struct command){ .uid = mb->uid, .gid = mb->gid, .user = alloc_text(mb->user), .home = alloc_text(mb->home),
	    .text = text, .id = d->rcpt.part_id, .state = alloc_text(conf->state), .seconds = (uint32_t)(conf->command_time_ms / 1000) + 1,
	    .extension = alloc_text(tagged ? a->local + strlen(base) + strlen(conf->delimiter) : "") };
	c->mail = (struct mail){ .hostname = conf->hostname, .sender = job->begin.sender, .recipient = d->rcpt.address,
	    .head = job->begin.head, .flags = job->begin.flags, .size = job->begin.size };
}

static enum order_kind
find_alias_part(const struct delivery *d, const struct address *a, struct child_order *child, struct command *command,
    struct mail_result *why)
{
	bool is_command = d->rcpt.part == ENVELOPE_ALIAS_COMMAND;
	char *text = find_in_aliases(d, a, is_command ? ALIAS_COMMAND : ALIAS_FILE, why);

	if (text == NULL)
		return ORDER_NONE;
	if (find_command_user(d->job->mda, &child->mailbox, why) != 0) {
		free(text);
		return ORDER_NONE;
	}
	if (is_command) {
		fill_command(d, &child->mailbox, a, text, command);
		return ORDER_COMMAND;
	}
	child->file = text;
	return ORDER_CHILD;
}

enum order_kind
order_find(const struct delivery *d, struct child_order *child, struct command *command, struct mail_result *why)
{
	const struct mda *m = d->job->mda;
	struct address a;

	memset(child, 0, sizeof(*child));
	memset(command, 0, sizeof(*command));
	memset(why, 0, sizeof(*why));
	child->part = (enum envelope_part)d->rcpt.part;
	child->file_id = d->rcpt.part_id;
	if (address_parse(&a, d->rcpt.address, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK ||
	    (a.domain[0] != '\0' && !conf_is_local(m->process.conf, a.domain))) {
		mail_fail(why, JOB_FAILED, "5.1.2", "not an address of ours any more");
		return ORDER_NONE;
	}
	if (d->rcpt.part == ENVELOPE_ALIAS_COMMAND || d->rcpt.part == ENVELOPE_ALIAS_FILE)
		return find_alias_part(d, &a, child, command, why);
	if (find_mailbox(m, &a, &child->mailbox, why) != 0)
		return ORDER_NONE;
	if (d->rcpt.part != ENVELOPE_FORWARD_COMMAND)
		return ORDER_CHILD;
	fill_command(d, &child->mailbox, &a, alloc_text(""), command);
	return ORDER_COMMAND;
}

void
order_free(struct child_order *child, struct command *command)
{
	free(child->file);
	free(command->user);
	free(command->home);
	free(command->text);
	free(command->state);
	free(command->extension);
	memset(child, 0, sizeof(*child));
	memset(command, 0, sizeof(*command));
}
