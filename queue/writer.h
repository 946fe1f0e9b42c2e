/*
 * The writer of the log: lays records out in batches, writes and syncs them, goes from segment to segment, keeps a spare
 * one, and after a failed sync goes on elsewhere. It belongs to one thread (commit.c) and calls back from there.
 */
#ifndef QUEUE_WRITER_H
#define QUEUE_WRITER_H

#include "queue/commit.h"

struct writer {
	int			 dirfd;		/* of the segments */
	int			 fd;		/* of the segment written to; -1: a new one is needed */
	struct segment_header	 header;	/* its header, or that of the last one */
	uint64_t		 segment_size;
	uint64_t		 at;		/* where the next batch begins: all below is durable */
	uint64_t		 zeroed;	/* up to where the file has been written, be it with zeros */
	uint64_t		 good;		/* for the next header; SEGMENT_UNKNOWN at the start */
	bool			 refused;	/* a write or sync failed in the last segment */
	bool			 spare;
	bool			 stalled;	/* there is no segment to write to and none could be made */
	unsigned		 failed;	/* writes and syncs in a row */
	struct work_list	 unsure;	/* what failed with them, until it is on the disk that it did */
	uint8_t			*batch;
	size_t			 batch_room;
	struct commit_counts	 counts;

	void			(*on_done)(void *arg, struct append *);
	void			(*on_segment)(void *arg, const struct segment_header *);
	void			(*on_room)(void *arg, bool spare, bool stalled);
	void			(*on_trouble)(void *arg, const char *what);
	void			*arg;
};

/* Numbers begin after `last`. Makes nothing yet. */
void	writer_init(struct writer *, int dirfd, uint64_t segment_size, uint32_t first, uint32_t prior);
void	writer_free(struct writer *);
/* Goes to a new segment. 0, or -1: stalled, as on_trouble said. */
int	writer_rotate(struct writer *);
/* Makes the spare if it is missing. */
void	writer_spare(struct writer *);
/* Writes what is in the list; what cannot be written now and cannot fail stays in it. */
void	writer_run(struct writer *, struct work_list *);
/* Fails what can fail (or all) with this reason. */
void	writer_fail(struct writer *, struct work_list *, bool all, const char *error);

#define WRITER_SPARE	"spare"
#define WRITER_NAME_MAX	16
void	writer_name(char to[WRITER_NAME_MAX], uint32_t number, const char *suffix);	/* "00000012.seg" */

#endif
