/*
 * A start: which segments there are, and what they say together. recover_list is called while the log is opened,
 * recover_run from a thread while new mail is already accepted into a fresh segment, check.c calls both.
 */
#ifndef QUEUE_RECOVER_H
#define QUEUE_RECOVER_H

#include "queue/index.h"
#include "queue/mark.h"

struct recover_damage {
	uint32_t	segment;
	uint64_t	from, to;	/* 0, 0: the whole file */
	bool		torn;		/* never acknowledged: the trace of a crash */
	bool		unsynced;	/* no damage: a sync failed, and what the disk has was read */
	bool		deadly;		/* a record of which queue has died too often: left out */
};

struct recover {
	int			 dirfd;		/* of the segments */
	int			 asidefd;	/* where damaged bytes are copied to; -1: nowhere, nothing is changed */
	bool			 all;		/* read segments even where there is an index */
	struct mark		*mark;		/* NULL: nothing is noted, nothing left out */
	struct index		 index;		/* filled with segments by recover_list, with messages by recover_run */
	struct recover_damage	*damage;
	size_t			 n_damage;
	uint64_t		 records, unknown;	/* read; and those of messages that are not there any more */
	bool			*indexed;		/* by place in index.segments */
	uint32_t		 newest;		/* number, 0: none; also of files without a good header */
	/* recover_run only; may be NULL */
	void			(*on_record)(void *arg, const struct segment *, const struct record *, uint64_t offset);
	void			*arg;
};

/* 0, or -1 with a reason in err: a format that is newer, or a folder that cannot be read. */
int	recover_list(struct recover *, char *err, size_t size);
void	recover_run(struct recover *);
void	recover_free(struct recover *);

#endif
