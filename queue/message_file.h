/*
 * A message of the queue as a file of its own, for `queue --export` and `--import`: lines that a person can read, an empty line,
 * and the content. minimta-queue(5) describes it. Pure.
 */
#ifndef QUEUE_MESSAGE_FILE_H
#define QUEUE_MESSAGE_FILE_H

#include <stdio.h>

#include "queue/log.h"

#define MESSAGE_FILE_HEADER_MAX	(64U * 1024 * 1024)	/* a hundred thousand recipients with all that was tried */

struct message_file {
	int64_t			 arrived;
	uint64_t		 size;		/* of the content, which follows the header */
	struct envelope_sender	 sender;
	char			*head;
	struct envelope_rcpt	*rcpts;
	struct log_outcome	*outcomes;	/* one for each; text and past are theirs */
	uint32_t		 n;
};

/* The header, with its empty line: open recipients only. */
void	message_file_write(FILE *, const struct log_envelope *);
/* From a header, which ends at the first empty line; text ends with NUL. 0, or -1 with what is wrong, "line N: …". */
int	message_file_parse(struct message_file *, char *text, char *why, size_t size);
void	message_file_free(struct message_file *);

#endif
