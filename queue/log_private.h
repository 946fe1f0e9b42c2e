/*
 * What log.c, read.c, large.c, space.c and reclaim.c share: the log itself. Nobody else includes this but tests that
 * take its steps themselves. All of it belongs to the loop; threads see only the struct work that they are given.
 */
#ifndef QUEUE_LOG_PRIVATE_H
#define QUEUE_LOG_PRIVATE_H

#include "lib/clock.h"
#include "queue/cache.h"
#include "queue/commit.h"
#include "queue/index.h"
#include "queue/log.h"
#include "queue/recover.h"

#define LOG_DIR		"log"
#define LOG_LARGE	"large"
#define LOG_ASIDE	"damaged"
#define LOG_LOCK	"lock"
#define LOG_ERROR_MAX	200
#define ANNOUNCE_WINDOW	32U	/* messages being read at once to be told */
#define LOG_ID_BITS	25U	/* of a counter within a segment's number: five of the letters of an id */

struct read;
struct flight_slot;
TAILQ_HEAD(read_list, read);

/* What is known of the disk's room (space.c). */
struct space {
	uint64_t	bytes, inodes;		/* free, when last looked at */
	uint64_t	reserved;		/* promised to messages coming in */
	bool		spare, stalled;		/* as the writer said */
	uint64_t	used;			/* of the open segment, as far as is known */
	bool		looking;
	bool		short_of;		/* said so */
};

/* Copying forward and removing (reclaim.c). */
struct reclaim {
	uint32_t	segment;		/* being emptied; 0: none */
	int64_t		asked;			/* when the open one was to be closed because it is old */
	unsigned	under_way;		/* messages and ends being copied */
	uint64_t	bytes;			/* of those messages */
	uint64_t	moved, freed;		/* ever: messages, segments */
	struct timer	soon;
};

/* Telling the caller what a start found (announce.c). */
struct announce {
	uint64_t	*ids;			/* oldest first */
	size_t		 n, next;
	unsigned	 under_way;
	uint64_t	 told;
	struct telling {
		struct log	*log;		/* NULL: free */
		uint64_t	 id;
	}		 telling[ANNOUNCE_WINDOW];
};

struct log {
	struct event_base	*base;
	int			 dirfd, segfd, largefd, asidefd, lockfd;
	struct log_options	 options;
	struct log_events	 events;
	void			*arg;
	struct commit		*commit;
	struct index		 index;
	struct cache		 cache;
	struct space		 space;
	struct reclaim		 reclaim;
	struct announce		 announce;
	struct read_list	 waiting;	/* for a message's changes to be durable */
	struct timer		 tick;
	uint32_t		 run;		/* newest segment: ids are made from its number */
	uint64_t		 given;		/* ids made from it */
	uint64_t		 first_id;	/* none of this run is below */
	uint64_t		 record_max;	/* bytes of a record that fits into a segment */
	unsigned		 requests;	/* appended and not yet durable */
	bool			 scanned, closing;
	uint64_t		 told;		/* troubles */
	struct flight_slot	*flight;	/* NULL: nothing is counted */
	struct mark		*mark;		/* what the start reads; NULL likewise */
};

void	log_trouble(struct log *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* done(arg, error) from the loop. done may be NULL. */
void	log_later(struct log *, log_done_fn *, void *arg, const char *error);
/* A record of m that is no acceptance; done may be NULL. */
void	log_append_change(struct log *, struct message *, const struct record *, struct blob *, log_done_fn *, void *arg);
/* The end of m, which is no longer found from now on. */
void	log_append_end(struct log *, struct message *);
/* The end of one that ended before, said again: `placed` is told where, 0 if it failed. */
void	log_append_end_again(struct log *, uint64_t id, void (*placed)(struct log *, void *arg, uint32_t segment), void *arg);
/* The ids of all its messages, oldest first, for the caller to free. */
uint64_t *log_ids(const struct index *, size_t *n_r);
/* Work whose end is of no interest: removes a file of a folder. */
void	log_unlink(struct log *, int dirfd, const char *name, const char *kind);

/* read.c. A message as it stands; records[0] is its base. Borrowed by the callback. */
struct read_result {
	struct log_envelope	 envelope;
	struct record		*records;
	size_t			 n_records;
};
typedef void read_fn(void *arg, struct message *, const struct read_result *, const char *error);
/* Whether or not the caller has been told of the message. message is NULL if it is gone, with an error. */
void	read_message(struct log *, uint64_t id, read_fn *, void *arg);
void	read_retry_waiting(struct log *);	/* after something became durable */
void	read_fail_waiting(struct log *, const char *error);

/* large.c */
struct log_file_end {
	uint64_t	 size;
	uint64_t	*sums;
	uint32_t	 n_sums;
};
/* No more is written: what the acceptance says of it. Belongs to the file. */
void	large_finish(struct log_file *, struct log_file_end *r);
/* Syncs and closes it, and its folder; then done. The file is freed after it (on an error with what it wrote). */
void	large_sync(struct log_file *, log_done_fn *, void *arg);
void	large_remove(struct log *, uint64_t id);
/* After a start: removes files that no message names, of ids below this one. */
void	large_sweep(struct log *, uint64_t below);

/* space.c */
void	space_init(struct log *);
void	space_look(struct log *);
void	space_tick(struct log *);
void	space_room(struct log *, bool spare, bool stalled);

/* reclaim.c */
void	reclaim_init(struct log *);
void	reclaim_tick(struct log *);
void	reclaim_poke(struct log *);		/* something ceased to count: soon */
void	reclaim_stop(struct log *);

/* flight.c */
void	flight_open(struct log *);
void	flight_close(struct log *);
void	flight_sweep(struct log *);
void	flight_forget(struct log *, uint64_t id);

/* announce.c */
void	announce_start(struct log *, struct recover *);
void	announce_free(struct log *);

/* Tests: one step of the writer or of another thread (log_options.stepwise); results come by the loop. */
bool	log_step(struct log *, bool writer);

#endif
