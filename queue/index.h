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

/* An open recipient: as little as a record that comes later is judged by. */
struct index_rcpt {
	uint64_t	index:24;
	uint64_t	slot:24;	/* where its last outcome is; INDEX_BASE: in the base */
	uint64_t	changes:13;	/* counts what was said of it */
	uint64_t	state:3;	/* LOG_OPEN or LOG_HELD */
};
#define INDEX_BASE	((1U << 24) - 1)
#define INDEX_RCPTS_MOST ((1U << 22) - 1)	/* of a message, ever: more than a record can list */
#define INDEX_SIZE_MOST	((UINT64_C(1) << 40) - 1)

/* A record other than the base that says something of a live message that no later one does. */
struct index_slot {
	struct place	at;
	uint32_t	refs;		/* recipients whose last word it is, and 1 if it adds recipients; 0: free */
};

struct index_slots {
	uint32_t		n;
	struct index_slot	at[];
};

/* 72 bytes: a single recipient, and the record that deferred him, stand in it. */
struct message {
	uint64_t		 id;
	uint32_t		 link;		/* idmap's */
	struct place		 base;		/* ACCEPT or COPY */
	int64_t			 arrived:40;
	uint64_t		 n_rcpts:24;	/* ever */
	uint64_t		 size:40;
	uint64_t		 n_open:24;
	uint64_t		 base_rcpts:24;	/* how many the base lists */
	uint64_t		 pending:20;	/* changes not yet placed */
	uint64_t		 flags:12;	/* enum envelope_flags */
	bool			 in_file:1;
	bool			 announced:1;	/* the caller knows of it */
	bool			 ending:1;	/* an end was appended: it is no longer found */
	bool			 moving:1;	/* reclaim is copying it */
	bool			 changed:1;	/* something was said of it since `moving` began */
	bool			 broken:1;	/* could not be read: left where it is */
	bool			 many_slots:1;
	union {
		struct index_rcpt	 one;
		struct index_rcpt	*many;	/* if n_open > 1; by index */
	} open;
	union {
		struct index_slot	 one;
		struct index_slots	*many;	/* if many_slots */
	} slots;
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
	struct idmap		 messages;	/* those that are ending, too */
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

void		 index_init(struct index *);
void		 index_free(struct index *);
struct segment	*index_segment(const struct index *, uint32_t number);	/* NULL: none */
struct segment	*index_segment_add(struct index *, const struct segment_header *);	/* numbers only grow */
void		 index_segment_remove(struct index *, struct segment *);	/* and what its graves needed */
/* Whether its file may go. */
bool		 index_segment_free(const struct index *, const struct segment *);

struct message	*index_find(const struct index *, uint64_t id);
/* Walks: start with *at 0; NULL at the end. Nothing may be added, forgotten or placed meanwhile. */
struct message	*index_next(const struct index *, uint32_t *at);
/* A message from its ACCEPT or COPY, its place not yet known. NULL: there is one with this id. */
struct message	*index_add(struct index *, const struct record *);
/* Forgets one that was added and whose acceptance failed. */
void		 index_forget(struct index *, struct message *);
/* OUTCOME, EXPAND, ADMIN, STATE, COPY of m, or the ACCEPT of its child. What does not fit m's state is left out. */
void		 index_change(struct message *, const struct record *, struct change *);
/* Places of records beside the base; of those that are free refs is 0. */
struct index_slot *index_slots(const struct message *, uint32_t *n_r);
/* A recipient that is open; NULL: it is settled, or there never was one. */
const struct index_rcpt *index_rcpt(const struct message *, uint32_t index);
/* m is no longer found; it is gone when this is placed. */
void		 index_end(struct index *, struct message *, struct change *);
/* A new message's base. */
void		 index_placed_base(struct index *, struct message *, struct place);
void		 index_placed(struct index *, struct change *, struct place, int64_t now);
/* A change that will never be durable, for the log is being closed. */
void		 index_abandon(struct change *);
/* A grave's later record is now in another segment. */
void		 index_grave_move(struct index *, struct index_grave *, uint32_t by);
/* Adds all of `from`, whose segments are all older, and empties it. */
void		 index_merge(struct index *, struct index *from);

#endif
