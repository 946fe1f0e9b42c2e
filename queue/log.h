/*
 * The queue on disk: an append-only log with one writer. minimta-queue(5) describes the format and says for each state
 * that can be on disk what a start makes of it; ARCHITECTURE.md has the rules that it keeps.
 *
 * The log knows messages, their recipients' states and where everything lies; it does not know routes or times of
 * attempts (queue/schedule.c does). All functions are called from the loop and none waits for the disk: threads write,
 * sync and read, callbacks come from the loop. Ids are made by log_new_id() and never used twice in a spool.
 */
#ifndef QUEUE_LOG_H
#define QUEUE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/envelope.h"

struct event_base;
struct log;			/* the log of one spool */
struct log_file;		/* content of a large message, being written */

struct log_options {
	uint64_t segment_size;		/* bytes; allocated whole */
	unsigned readers;		/* threads; 0: two */
	bool	 stepwise;		/* tests: no threads, log_step() instead */
};

/* What became of a recipient; on disk these are letters (minimta-queue(5)). */
enum log_state {
	LOG_OPEN,			/* not tried yet, or deferred */
	LOG_DELIVERED,			/* settled */
	LOG_FAILED,			/* settled; its bounce, if any, is a message with this one as parent */
	LOG_EXPANDED,			/* settled by a record that added recipients */
	LOG_REMOVED,			/* settled by an administrator */
	LOG_HELD,			/* open, but not tried until released */
};

static inline bool
log_state_open(enum log_state s)
{
	return s == LOG_OPEN || s == LOG_HELD;
}

/* A new message. Everything is borrowed until log_accept returns, but for content (copied) and file (taken over). */
struct log_accept {
	uint64_t			 id;		/* from log_new_id */
	int64_t				 arrived;	/* seconds since the epoch */
	const struct envelope_sender	*sender;
	const struct envelope_rcpt	*rcpts;		/* indexes 0 to n_rcpts - 1 */
	uint32_t			 n_rcpts;
	const char			*head;		/* fields to put in front of the content, CRLF-ended; "" none */
	const void			*content;	/* up to MSG_INLINE_MAX bytes */
	size_t				 content_len;
	struct log_file			*file;		/* instead of content; NULL otherwise */
	/*
	 * Born of another message (a report of what became of its recipients): that one, and its recipients' outcomes, which
	 * this record says together with the new message. Without a parent they are its own recipients' (an import).
	 */
	uint64_t			 parent;
	const struct log_outcome	*outcomes;
	uint32_t			 n_outcomes;
};

enum log_mark {				/* what was done for a recipient and must not be done again */
	LOG_WARNED = 3,			/* so many delay warnings, up to three */
	LOG_TOLD_EXPANDED = 4,		/* the sender knows that it stands for others */
};

struct log_outcome {
	uint32_t	 index;
	enum log_state	 state;		/* LOG_OPEN: deferred; or a settled one */
	uint32_t	 attempts;	/* so far */
	int64_t		 next_try;	/* seconds since the epoch, of LOG_OPEN */
	const char	*text;		/* "host=… code=… reply", for mailq and the bounce; cut at 2 KiB */
	int64_t		 at;		/* when, seconds since the epoch; 0 unknown */
	uint8_t		 marks;		/* enum log_mark */
	const char	*past;		/* what was before it (queue/past.h); NULL or "" none; cut at 4 KiB */
};

/* How a message stands. */
struct log_message {
	uint64_t	 id;
	int64_t		 arrived;
	uint64_t	 size;		/* of the content */
	uint32_t	 flags;		/* enum envelope_flags */
	uint32_t	 n_rcpts;	/* ever, added ones included */
	uint32_t	 n_open;
};

/* An envelope read back: everything belongs to it and lives until the callback returns. */
struct log_envelope {
	struct log_message	 message;
	struct envelope_sender	 sender;
	const char		*head;
	struct log_envelope_rcpt {
		struct envelope_rcpt	 rcpt;
		enum log_state		 state;
		uint32_t		 attempts;
		int64_t			 next_try;
		const char		*text;	/* last outcome, "" none */
		const char		*past;	/* "" none */
		int64_t			 at;
		uint8_t			 marks;
	}			*rcpts;		/* all n_rcpts, by index */
};

struct log_events {
	/* Start: each live message once, then log_open's scan is done. */
	void	(*on_message)(void *arg, const struct log_envelope *);
	void	(*on_scanned)(void *arg, uint64_t messages);
	/* A sync failed, room ran out or came back, damage was found: for log and status. */
	void	(*on_trouble)(void *arg, const char *what);
};

/* error NULL: it is on stable storage. Otherwise a phrase why not; nothing of it will be seen after a restart, unless
 * `unsure`: a failed sync, of which the next start may or may not find the record (rule 7 makes the log say so first). */
typedef void	log_done_fn(void *arg, const char *error);
#define LOG_NO_ROOM	"no room on the disk"	/* the error that means this and nothing else */
typedef void	log_envelope_fn(void *arg, const struct log_envelope *, const char *error);
/* len 0 at the end of the content. */
typedef void	log_content_fn(void *arg, const void *data, size_t len, const char *error);

/*
 * Opens the spool at dirfd (borrowed), creating what is missing; starts the threads; the scan runs from then on and new
 * messages may be accepted at once. NULL with a reason in err: not a spool, a newer format, locked by another.
 */
struct log	*log_open(struct event_base *, int dirfd, const struct log_options *, const struct log_events *, void *arg,
		    char *err, size_t size);
/* Waits for what was appended; callbacks for it are run. */
void		 log_close(struct log *);

uint64_t	 log_new_id(struct log *);
/* Room for a message of `bytes` (0: unknown, counted as inline): true and counted until log_release or log_accept. */
bool		 log_reserve(struct log *, uint64_t bytes);
void		 log_release(struct log *, uint64_t bytes);
/* Whether there is room for outcomes: otherwise no attempt should start. */
bool		 log_room(const struct log *);

struct log_file	*log_file_new(struct log *, uint64_t id);
/* Copies; done when written (not synced): for flow control. At most MSG_CREDIT under way makes sense. */
void		 log_file_write(struct log_file *, const void *, size_t, log_done_fn *, void *arg);
void		 log_file_discard(struct log_file *);	/* NULL is fine; writes under way are still called back */

/* Appends; done is called from the loop when durable or failed. `reserved` as given to log_reserve. */
void		 log_accept(struct log *, const struct log_accept *, uint64_t reserved, log_done_fn *, void *arg);
/* All outcomes of one attempt; settles; the last one ends the message in the same batch. done may be NULL. */
void		 log_outcomes(struct log *, uint64_t id, const struct log_outcome *, size_t n, log_done_fn *, void *arg);
/* Settles recipient `index` as LOG_EXPANDED and adds others, whose indexes begin at the message's n_rcpts. */
void		 log_expand(struct log *, uint64_t id, uint32_t index, const struct envelope_rcpt *added, uint32_t n,
		    log_done_fn *, void *arg);
/* An administrator's hand, or an expansion: outcomes of some recipients and others added, in one record. Indexes as above. */
void		 log_edit(struct log *, uint64_t id, const struct log_outcome *, size_t n, const struct envelope_rcpt *added,
		    uint32_t n_added, log_done_fn *, void *arg);

enum log_flight {
	LOG_BEGUN,			/* an attempt is under way */
	LOG_ENDED,			/* it came to an end in order: what was counted before is forgotten */
	LOG_PUT_BACK,			/* it was not made after all: neither forgotten nor counted */
	LOG_CRASHED,			/* the process that ran it died: counts */
};

/* What becomes of attempts, noted so that it survives this process' own death, which counts for those under way. */
void		 log_attempt(struct log *, uint64_t id, enum log_flight);
/* How many deaths in a row: after two it should be tried alone, after three held. */
uint32_t	 log_crashes(struct log *, uint64_t id);

/* Reads. A message that ended in between gives an error "no such message". Exactly one callback, from the loop. */
void		 log_read_envelope(struct log *, uint64_t id, log_envelope_fn *, void *arg);
/* The same for several, which costs less: in their order, but for those that are being changed at this moment. */
void		 log_read_envelopes(struct log *, const uint64_t *ids, size_t n, log_envelope_fn *, void *arg);
/* One piece from offset, of up to MSG_CHUNK_MAX bytes; straight from memory while the message has just come in. */
void		 log_read_content(struct log *, uint64_t id, uint64_t offset, size_t most, log_content_fn *, void *arg);
/* Every live message, oldest first; fn returns false to stop. Only what is in memory: no disk. */
void		 log_each(struct log *, bool (*fn)(void *arg, const struct log_message *), void *arg);
bool		 log_find(struct log *, uint64_t id, struct log_message *r);
/* Whether it is one of the message's recipients, and LOG_OPEN or LOG_HELD; what was appended counts. */
bool		 log_is_open(struct log *, uint64_t id, uint32_t index, enum log_state *state_r);

/* For status: segments, bytes on disk, live messages, syncs. Returns to. */
char		*log_status(struct log *, char *to, size_t size);

/* `queue --check`: reads a stopped spool, prints what it finds, one line each. 0 clean, 1 damage, 2 could not read. */
int		 log_check(int dirfd, void *out_FILE);

#endif
