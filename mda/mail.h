/*
 * A message as it is delivered here, and what all kinds of delivery share: the text as it is written, the fields in front
 * of it, whether it has been here before, and how a failure is told. For maildir.c, mbox.c and the commands.
 */
#ifndef MDA_MAIL_H
#define MDA_MAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/job.h"

struct mail {
	const char	*hostname;	/* ours, for a file's name */
	const char	*sender;	/* Return-Path */
	const char	*recipient;	/* Delivered-To */
	const char	*head;		/* fields to put in front, CRLF-ended */
	uint32_t	 flags;		/* enum envelope_flags */
	int		 content_fd;	/* read with pread: several deliveries share it */
	uint64_t	 size;
	uint64_t	 mailbox_size;	/* that the mailbox may have with it; 0: any */
};

struct mail_result {
	enum job_outcome outcome;
	bool		 busy;		/* deferred because somebody else has locked it: in a moment again */
	char		 enhanced[12];
	char		 text[400];
	char		 note[300];	/* for the log beside it, "" nothing */
};

enum mail_form {
	MAIL_PLAIN,			/* LF at the ends of lines */
	MAIL_MBOX,			/* and a From_ line, quoted ones in the text, an empty line at the end */
	MAIL_COMMAND,			/* and a From_ line */
};

/* The result, in words. Always -1. */
int	mail_fail(struct mail_result *, enum job_outcome, const char *enhanced, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* What errno means for a mailbox: "what which: …". Always -1. */
int	mail_fail_errno(struct mail_result *, const char *what, const char *which);
/* RFC 5321, 6.3: 0, or -1 with JOB_FAILED when it has been delivered to this recipient before, or forwarded by him. */
int	mail_check_loop(const struct mail *, struct mail_result *);
/* All of it to a file. 0, or -1 with a result. */
int	mail_write(const struct mail *, int fd, enum mail_form, struct mail_result *);

#endif
