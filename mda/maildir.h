/*
 * Writes one message into one Maildir, as whoever the process is: a child that has become the recipient, or a test.
 */
#ifndef MDA_MAILDIR_H
#define MDA_MAILDIR_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/job.h"

struct maildir_mail {
	const char	*base;		/* existing directory; symbolic links on the way to it are root's business */
	const char	*maildir;	/* below it, without ".."; made where it is missing; links are refused */
	uid_t		 owner;		/* what is found must be owned by him */
	const char	*hostname;	/* for the file's name */
	const char	*sender;	/* Return-Path */
	const char	*recipient;	/* Delivered-To */
	const char	*head;		/* fields to put in front, CRLF-ended */
	int		 content_fd;	/* read with pread: several deliveries share it */
	uint64_t	 size;
};

struct maildir_result {
	enum job_outcome outcome;
	char		 enhanced[12];
	char		 text[400];
};

/*
 * JOB_DELIVERED only when the file is in new/ and it and the directory are synced; otherwise nothing is in new/.
 * A message that has been delivered to this recipient before (Delivered-To) fails: it goes in circles.
 */
void	maildir_deliver(const struct maildir_mail *, struct maildir_result *);

#endif
