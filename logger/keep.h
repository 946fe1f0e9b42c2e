/*
 * What logger keeps: the journal of sessions and messages, and the counters. One folder below `state`, which is logger's own
 * (logger/journal.h, tallies.h); lines come from main.c, and who asks is answered here.
 */
#ifndef LOGGER_KEEP_H
#define LOGGER_KEEP_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct event_base;
struct keep;

/* Before the sandbox: makes and enters the folder. Where that cannot be, it is said and nothing is kept. */
struct keep	*keep_open(const struct conf *);
/* In the sandbox: reads what there is. */
void		 keep_start(struct keep *, struct event_base *);
void		 keep_free(struct keep *);		/* all is written */
void		 keep_limit(struct keep *, const struct conf *);
void		 keep_save(struct keep *);

/* A line of another process' log: "process: key=value …". Kept when it is about a session or a message. */
void		 keep_line(struct keep *, const char *process, const char *line);
/* A record of a decision. 0, or -1: it is none. */
int		 keep_record(struct keep *, const char *, size_t);
/* "explain<tab>what[<tab>since]" or "stats". Takes over fd. */
void		 keep_answer(struct keep *, int fd, bool may_read, char *line);
void		 keep_status(const struct keep *, char *to, size_t size);

#endif
