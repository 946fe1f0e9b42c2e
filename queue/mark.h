/*
 * What a start is reading, noted in a small mapped file that survives the process (rule 10): a record of which queue dies
 * three times is left out the fourth time, so that a fault in the reading code costs one message and not all. Ends in order
 * (want of memory, a stop) are not counted. Never synced: after a power cut a count may begin again.
 */
#ifndef QUEUE_MARK_H
#define QUEUE_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define MARK_DEATHS_MOST	3

struct mark;

enum mark_kind {
	MARK_NOTHING,
	MARK_RECORD,		/* at an offset of a segment: by the scan, one at a time */
	MARK_MESSAGE,		/* by its id: all its records, read once more to be told; several at a time */
};

struct mark_place {
	uint32_t	kind;		/* enum mark_kind */
	uint32_t	segment;	/* of a record; 0 */
	uint64_t	what;		/* its offset, or the message's id */
};

/* Counts what the last start died of. NULL: the file cannot be had; nothing is counted, and all else works. */
struct mark	*mark_open(int dirfd);
void		 mark_close(struct mark *);
/* Whether the last start died so: what can be read one by one should be. */
bool		 mark_had_death(const struct mark *);
/* False: leave it out. Of true, mark_end() is told when it is over. */
bool		 mark_begin(struct mark *, struct mark_place);
void		 mark_end(struct mark *, struct mark_place);

#endif
