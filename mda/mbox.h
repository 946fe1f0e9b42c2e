/*
 * Appends one message to one mbox, or to a file that an alias or a user names, which gets the same form.
 */
#ifndef MDA_MBOX_H
#define MDA_MBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "mda/mail.h"

struct mbox_place {
	const char	*base;		/* existing directory; symbolic links on the way to it are root's business */
	const char	*path;		/* below it, without ".."; links are refused; made where only the file is missing */
	uid_t		 owner;		/* whose it must be */
	mode_t		 mode;		/* of a new one */
	bool		 needs_dotlock;	/* a mailbox; other files lie where no lock can be made, too */
};

/*
 * JOB_DELIVERED when the message is in the file and synced. Otherwise the file is as it was; a delivery that was killed
 * leaves its lock, by which the next one cuts the file back.
 */
void	mbox_deliver(const struct mbox_place *, const struct mail *, struct mail_result *);

#endif
