/*
 * The journal on disk: what happened to sessions and messages, kept for a size and a time. Files journal.NUMBER in one
 * folder, NUMBER the second at which each begins, so that their order is the order of what is in them; minimta-journal(5)
 * describes them. Appending never waits for the disk, and a full disk costs lines of the journal only.
 */
#ifndef LOGGER_JOURNAL_H
#define LOGGER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define JOURNAL_FIRST_LINE	"minimta-journal 1\n"
#define JOURNAL_FILES_MAX	512

struct journal;

struct journal_file {
	uint64_t	 number;
	uint64_t	 size;
};

/* folder: an open directory, which is borrowed; -1: nothing can be kept. */
struct journal	*journal_new(int folder, uint64_t size_most, int64_t keep_ms);
void		 journal_free(struct journal *);	/* writes what is left; NULL is fine */
/* From the next line on. size_most 0: nothing is kept, and what there is goes when its time is over. */
void		 journal_limit(struct journal *, uint64_t size_most, int64_t keep_ms);
/* Whole lines, each with its LF: kept in memory until journal_flush(), at most a little. False: it is off. */
bool		 journal_add(struct journal *, const char *lines, size_t len);
void		 journal_flush(struct journal *);
/* What is too old goes; a file that is old enough is followed by another one. Now and then. */
void		 journal_tidy(struct journal *, time_t now);
/* Why lines are being lost, once for each time that it begins; NULL: nothing new. *lost_r: how many were. */
const char	*journal_trouble(struct journal *, uint64_t *lost_r);

/* The files, oldest first. Returns how many. */
size_t		 journal_files(const struct journal *, struct journal_file files[JOURNAL_FILES_MAX]);
/* Opens one for reading; -1 with errno. */
int		 journal_open(const struct journal *, uint64_t number);
uint64_t	 journal_bytes(const struct journal *);

#endif
