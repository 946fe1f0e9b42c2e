/*
 * One segment of the log: its header, how records stand in it, and reading it whatever has happened to it
 * (minimta-queue(5)). Pure but for segment_scan's source, which reads.
 *
 * Records begin at multiples of SEGMENT_ALIGN, batches at multiples of SEGMENT_BLOCK. A record's checksum is over the
 * segment's random key and number, the record's offset, its line and its payload: neither content of mail, nor a block
 * of an older segment, nor one that landed in another place can pass for it.
 */
#ifndef QUEUE_SEGMENT_H
#define QUEUE_SEGMENT_H

#include "queue/record.h"

#define SEGMENT_FORMAT		2
#define SEGMENT_FORMAT_BEFORE	1	/* is read: its records are ours without what they may have more since */
#define SEGMENT_BLOCK		4096U
#define SEGMENT_ALIGN		16U
#define SEGMENT_KEY		16U
#define SEGMENT_LEAST		(8U * SEGMENT_BLOCK)
#define SEGMENT_MOST		(UINT64_C(2) << 30)
#define SEGMENT_UNKNOWN		UINT64_MAX

struct segment_header {
	uint32_t	number;
	uint8_t		key[SEGMENT_KEY];
	uint64_t	size;
	uint32_t	prior;		/* the segment written before this one; 0: none */
	uint64_t	good;		/* what stands in prior below this offset was acknowledged; SEGMENT_UNKNOWN */
	bool		refused;	/* and what stands above it is not to be believed (a sync failed) */
};

enum segment_result {
	SEGMENT_OK,
	SEGMENT_DAMAGED,
	SEGMENT_NEWER,			/* of a format that we do not know; `format` says which */
};

/* A line and a payload found somewhere, their checksum not yet looked at. */
struct segment_frame {
	enum record_kind kind;
	size_t		 line;		/* length of the line, with its end */
	size_t		 payload;
};

void		 segment_header_write(uint8_t block[SEGMENT_BLOCK], const struct segment_header *);
enum segment_result segment_header_read(struct segment_header *, const uint8_t *block, size_t len, unsigned *format_r);

/* The line of a record at p. -1: there is none. */
int		 segment_frame(struct segment_frame *, const uint8_t *p, size_t len);
/* Fills in the checksum of a record (line and payload, len bytes) that will stand at offset. */
void		 segment_seal(const struct segment_header *, uint64_t offset, uint8_t *record, size_t len);
bool		 segment_sealed(const struct segment_header *, uint64_t offset, const uint8_t *record, size_t len);

#define SEGMENT_BATCH_SIZE	64U	/* of the record that begins a batch, with its padding */
/* The record that begins a batch of `length` bytes, itself included, not yet sealed. */
void		 segment_batch(uint8_t to[SEGMENT_BATCH_SIZE], uint64_t durable, uint64_t length);
/* Bytes of it that count (the rest is padding). */
size_t		 segment_batch_len(const uint8_t *);

static inline uint64_t
segment_align(uint64_t offset, uint64_t to)
{
	return (offset + to - 1) / to * to;
}

/* Where a scan reads: 0, or -1 when these bytes cannot be read (each block of them will be tried once alone). */
struct segment_source {
	int	(*read)(void *arg, void *to, size_t len, uint64_t offset);
	void	*arg;
	uint64_t size;			/* bytes that there are; fewer than the header's size: cut off */
	/* Where something was written next, at or behind `at`; what lies between reads as zeros. NULL: not known. */
	uint64_t (*next_data)(void *arg, uint64_t at);
};

struct segment_events {
	void	(*on_record)(void *arg, enum record_kind, uint64_t offset, const uint8_t *record, size_t len,
		    size_t line);
	/* A stretch in which nothing can be believed: above what was durable (torn), or corruption. In order, at the end. */
	void	(*on_damage)(void *arg, uint64_t from, uint64_t to, bool torn);
};

/*
 * Every valid record below `limit` (SEGMENT_UNKNOWN: to the end), in order, and then what was damaged. known: durable
 * up to here as far as others know (0: nothing known). Returns the offset behind the last record.
 */
uint64_t	 segment_scan(const struct segment_header *, const struct segment_source *, uint64_t limit, uint64_t known,
		    const struct segment_events *, void *arg);

#endif
