/*
 * What is in memory of the log: every live message with its open recipients and the places of its records, and every
 * segment with what keeps it from going (rule 6). Without I/O; the scan of a start and the running log use the same
 * functions, so that both come to the same state.
 *
 * A change has two halves. Its effect on states counts from the moment it is appended (index_change, index_end), where
 * its record stands only once that is durable (index_placed). Until then what it replaces is still held.
 */
#ifndef QUEUE_INDEX_H
#define QUEUE_INDEX_H

#include "queue/commit.h"
#include "queue/idmap.h"

/* An open recipient. */
struct index_rcpt {
	uint32_t	index;
	uint32_t	attempts;
	int64_t		next_try;
	uint32_t	slot;		/* where its last outcome is; INDEX_BASE: in the base */
	uint8_t		state;		/* LOG_OPEN or LOG_HELD */
	uint16_t	changes;	/* counts what was said of it */
};
#define INDEX_BASE	UINT32_MAX

/* A record other than the base that says something of a live message that no later one does. */
struct index_slot {
	struct place	at;
	uint32_t	refs;		/* recipients whose last word it is, and 1 if it adds recipients; 0: free */
};

struct cached;			/* cache.c */

struct message {
	uint64_t		 id;
	int64_t			 arrived;
	uint64_t		 size;
	uint32_t		 flags;
	uint32_t		 n_rcpts;
	struct place		 base;		/* ACCEPT or COPY */
	uint32_t		 base_rcpts;	/* how many the base lists */
	uint32_t		 n_open, n_slots;
	struct index_rcpt	*open;		/* by index */
	struct index_slot	*slots;
	struct cached		*cached;
	uint32_t		 version;	/* counts changes of state */
	uint32_t		 pending;	/* changes not yet placed */
	bool			 in_file;
	bool			 announced;	/* the caller knows of it */
	bool			 ending;	/* an end was appended */
	bool			 moving;	/* reclaim is copying it */
	bool			 broken;	/* could not be read: left where it is */
};

/* Something in a segment that a later record replaces; while it is there that record must be. */
struct index_grave {
	uint64_t	id;
	uint32_t	by;		/* segment of the later record */
};

struct segment {
	struct segment_header	 header;
	uint64_t		 limit;		/* nothing above is to be believed; SEGMENT_UNKNOWN: no such bound */
	uint64_t		 known;		/* all below was acknowledged, as the next segment says; 0: unknown */
	bool			 open;		/* being written to */
	bool			 refused;	/* a sync failed in it: to be emptied, and the next one stays as long */
	bool			 damaged;	/* to be emptied as well */
	bool			 leaving;	/* its file is being removed */
	bool			 kept;		/* something in it cannot be read: it stays */
	uint32_t		 live;		/* records in it that count */
	uint64_t		 live_bytes;
	uint32_t		 needed;	/* graves in other segments that name this one */
	uint32_t		 pins;		/* reads under way */
	int64_t			 dead_since;	/* when the first thing in it ceased to count; 0: nothing did */
	struct index_grave	*graves;
	uint32_t		 n_graves, graves_room;
};

struct index {
	struct idmap		 messages;
	size_t			 n_messages;
	struct segment		**segments;	/* by number */
	size_t			 n_segments;
};

/* The half of a change that waits until it is durable. */
struct change {
	struct message	*message;	/* NULL: nothing to do */
	uint32_t	 slot;		/* the record's; INDEX_BASE: it becomes the base */
	bool		 end;
	uint32_t	*old;		/* slots that it takes recipients from */
	uint32_t	 n_old;
	bool		 all_old;	/* and takes all of them (COPY, STATE) */
};

void		 index_free(struct index *);
struct segment	*index_segment(const struct index *, uint32_t number);	/* NULL: none */
struct segment	*index_segment_add(struct index *, const struct segment_header *);	/* numbers only grow */
void		 index_segment_remove(struct index *, struct segment *);	/* and what its graves needed */
/* Whether its file may go. */
bool		 index_segment_free(const struct index *, const struct segment *);

struct message	*index_find(const struct index *, uint64_t id);
/* A message from its ACCEPT or COPY, its place not yet known. NULL: there is one with this id. */
struct message	*index_add(struct index *, const struct record *);
/* Forgets one that was added and whose acceptance failed. */
void		 index_forget(struct index *, struct message *);
/* OUTCOME, EXPAND, ADMIN, STATE, COPY of m, or the ACCEPT of its child. What does not fit m's state is left out. */
void		 index_change(struct message *, const struct record *, struct change *);
/* A recipient that is open; NULL: it is settled, or there never was one. */
const struct index_rcpt *index_rcpt(const struct message *, uint32_t index);
/* m is no longer found; it is freed when this is placed. */
void		 index_end(struct index *, struct message *, struct change *);
/* A new message's base. */
void		 index_placed_base(struct index *, struct message *, struct place);
void		 index_placed(struct index *, struct change *, struct place, int64_t now);
/* A change that will never be durable, for the log is being closed: an end's message is freed. */
void		 index_abandon(struct change *);
/* A grave's later record is now in another segment. */
void		 index_grave_move(struct index *, struct index_grave *, uint32_t by);
/* Adds all of `from`, whose segments are all older, and empties it. */
void		 index_merge(struct index *, struct index *from);

#endif
