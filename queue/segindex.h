/*
 * The index beside a closed segment: its records without content, under one checksum, so that a start reads little. It
 * can always be made again from the segment. Called from threads.
 */
#ifndef QUEUE_SEGINDEX_H
#define QUEUE_SEGINDEX_H

#include "queue/segment.h"

/* A record as the scan of a start takes it; payload may lack its content. */
typedef void	segindex_fn(void *arg, enum record_kind, uint64_t offset, uint32_t length, const uint8_t *payload,
		    size_t payload_len);

/* Reads the segment and writes its index. 0; 1: the segment is damaged and gets none; -1 with errno. */
int	segindex_write(int dirfd, const struct segment_header *, uint64_t limit, uint64_t known);
/* Calls fn (if not NULL) for each record. 0, or -1: there is none that can be believed. */
int	segindex_load(int dirfd, const struct segment_header *, segindex_fn *, void *arg);

/* A source for segment_scan: an open file. */
int	segindex_source(struct segment_source *, int *fd, int dirfd, uint32_t number);

#endif
