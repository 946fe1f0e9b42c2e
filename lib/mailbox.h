/*
 * Which mailbox an address names: a system user's Maildir, a virtual user's, or root's. lookup asks whether there is one,
 * mda where it is and who owns it; both derive it from the configuration and the password file, never from a message.
 */
#ifndef LIB_MAILBOX_H
#define LIB_MAILBOX_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/conf.h"

#define MAILBOX_UID_MIN		1000	/* people; what is below are services, whose mail goes by aliases */
#define MAILBOX_UID_NOBODY	65534
#define MAILBOX_FOLDER_MAX	128	/* of a folder's name, with its dot and NUL */

enum mailbox_result {
	MAILBOX_FOUND,
	MAILBOX_NONE,
	MAILBOX_TEMPORARY,		/* could not be looked up now; the reason is in the log */
};

struct mailbox {
	uid_t	uid;			/* the owner, whom mda becomes */
	gid_t	gid;
	bool	root;			/* root's mail, in the state directory */
	char	base[PATH_MAX];		/* an existing directory, where the walk to the Maildir begins */
	char	maildir[PATH_MAX];	/* below base; made where it is missing */
	bool	mbox;			/* it is no Maildir but one file */
	char	folder[MAILBOX_FOLDER_MAX];	/* of the Maildir, for the tag; "" none */
	char	home[PATH_MAX];		/* of a system user; "" of others */
	char	user[256];		/* for the log: "alice", "example.org/anna" */
};

/*
 * The mailbox of exactly this local part (any case) in a local domain, without a look at tags or aliases. started_by:
 * who started minimta; when that is not root, only this user's own mailbox exists (and root's), and owns all others.
 * r may be NULL: the question is only whether there is one, and the owner is not looked for.
 */
enum mailbox_result	 mailbox_find(const struct conf *, uid_t started_by, const char *local, const char *domain,
			    struct mailbox *r);
/* The same for a local part with a tag: as it stands, then without what follows the first delimiter. */
enum mailbox_result	 mailbox_find_tagged(const struct conf *, uid_t started_by, const char *local, const char *domain,
			    struct mailbox *r);
/* The part before the first delimiter in `to` (as large as local); false where there is none to take off. */
bool			 mailbox_untag(const struct conf *, const char *local, char *to);
/* The folder of a Maildir++ for a name: ".lists.abc" for "lists.abc"; "" for what is no good name of one. Returns to. */
char			*mailbox_folder(char to[MAILBOX_FOLDER_MAX], const char *name);
/* ASCII to lower case, in place: names of users and aliases are compared this way, and no other bytes are touched. */
char			*mailbox_lower(char *);

#endif
