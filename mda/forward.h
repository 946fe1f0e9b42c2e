/*
 * ~/.forward: where a user wants his mail. Read as that user, in a child of mda or beside his command.
 */
#ifndef MDA_FORWARD_H
#define MDA_FORWARD_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/aliases.h"
#include "lib/job.h"

#define FORWARD_NOTE_MAX	300

enum forward_result {
	FORWARD_NONE,			/* there is none, it is empty, or (with a note) it is not believed: to the mailbox */
	FORWARD_FOUND,			/* *list_r, to be freed */
	FORWARD_LATER,			/* it cannot be read now; the note says why */
};

/* note: for the log, "" nothing to say. */
enum forward_result	 forward_read(const char *home, uid_t uid, gid_t gid, struct alias_list *list_r, char note[FORWARD_NOTE_MAX]);

/*
 * The recipients that stand for `address`, the user's own; user is his name. In *targets_r, to be freed one by one; their
 * number, or 0 with a note: too many. His own address, or name, is his mailbox.
 */
uint32_t		 forward_targets(const struct alias_list *, const char *address, const char *user,
			    struct envelope_rcpt **targets_r, char note[FORWARD_NOTE_MAX]);
/* The command or file with that id, in the list; NULL: it does not name it any more. */
const char		*forward_find(const struct alias_list *, enum alias_kind, uint64_t id);

#endif
