/*
 * The records of the queue's log: what each kind holds, and its form in bytes (minimta-queue(5)). Pure.
 *
 * A record is a line of text for people, a payload for us, and a checksum that segment.c puts in when its place is
 * known. All kinds but BATCH share one layout of payload, of which each uses a part; what they mean is index.c's business.
 */
#ifndef QUEUE_RECORD_H
#define QUEUE_RECORD_H

#include "lib/envelope.h"
#include "queue/log.h"

#define RECORD_LINE_MAX		512U
#define RECORD_PAYLOAD_MAX	(16U * 1024 * 1024)	/* a hundred thousand recipients */
#define RECORD_TEXT_MAX		2048U		/* of an outcome's text */
#define RECORD_PAST_MAX		4096U		/* of what was before it */
#define RECORD_CHUNK		(64U * 1024)	/* of a large file, with a checksum each */

enum record_kind {
	RECORD_BATCH,		/* begins what one fdatasync made durable */
	RECORD_ACCEPT,		/* a new message; may settle recipients of its parent */
	RECORD_COPY,		/* a message as it stands, all of it: replaces everything before */
	RECORD_STATE,		/* the same without sender, head and content: replaces all but those */
	RECORD_OUTCOME,		/* what became of some recipients */
	RECORD_EXPAND,		/* one recipient settled, others added */
	RECORD_ADMIN,		/* as OUTCOME, by an administrator's hand */
	RECORD_END,		/* the message is gone; always after all its recipients are settled */
	RECORD_KINDS,
};

/* Bytes with a count of owners; the count is touched by the loop alone. */
struct blob {
	uint32_t	refs;
	enum record_kind kind;
	size_t		len;
	size_t		content;	/* where content begins in data, 0: none; up to the end */
	uint8_t		data[];
};

struct record {
	enum record_kind	 kind;
	uint64_t		 id;
	/* ACCEPT, COPY */
	int64_t			 arrived;
	uint64_t		 size;		/* of the content */
	bool			 in_file;	/* large/ID */
	struct envelope_sender	 sender;
	char			*head;
	/* ACCEPT, COPY, EXPAND, STATE: recipients with the indexes first to first + n_added - 1 */
	uint32_t		 first, n_added;
	struct envelope_rcpt	*added;
	/* all but END; of an ACCEPT with a parent: the parent's recipients' */
	uint32_t		 n_outcomes;
	struct log_outcome	*outcomes;
	/* ACCEPT; the parent's recipients that it settles as failed were listed so in format 1 */
	uint64_t		 parent;
	uint32_t		 n_parent;
	uint32_t		*parent_rcpts;
	char			*parent_text;
	/* of a large file, one for each RECORD_CHUNK */
	uint32_t		 n_sums;
	uint64_t		*sums;
	/* ACCEPT, COPY of a message that is not in a file; borrowed from the bytes decoded */
	const uint8_t		*content;
	size_t			 content_len;
};

const char	*record_kind_name(enum record_kind);
/* RECORD_KINDS for a word that is none. */
enum record_kind record_kind_find(const char *word, size_t len);

/* New bytes: line, payload. NULL: larger than RECORD_PAYLOAD_MAX. */
struct blob	*record_encode(const struct record *);
/* From a payload; `brief`: its content was left out (an index file). 0, or -1: not one (nothing to free). */
int		 record_decode(struct record *, enum record_kind, const void *payload, size_t len, bool brief);
/* How many bytes at the start of a payload are not content. */
size_t		 record_brief(const void *payload, size_t len);
void		 record_free(struct record *);		/* what record_decode made */

struct blob	*blob_new(size_t len);
struct blob	*blob_ref(struct blob *);
void		 blob_unref(struct blob *);		/* NULL is fine */

#endif
