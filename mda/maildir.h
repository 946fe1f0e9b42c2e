/*
 * Writes one message into one Maildir, as whoever the process is: a child that has become the recipient, or a test.
 */
#ifndef MDA_MAILDIR_H
#define MDA_MAILDIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "mda/mail.h"

struct maildir_place {
	const char	*base;		/* existing directory; symbolic links on the way to it are root's business */
	const char	*maildir;	/* below it, without ".."; made where it is missing; links are refused */
	uid_t		 owner;		/* what is found must be owned by him */
	const char	*folder;	/* of Maildir++, as in ".Junk"; "" the Maildir itself */
	bool		 make_folder;	/* where it is missing; otherwise such mail goes to the Maildir itself */
};

/* JOB_DELIVERED only when the file is in new/ and it and the directory are synced; otherwise nothing is in new/. */
void	maildir_deliver(const struct maildir_place *, const struct mail *, struct mail_result *);

#endif
