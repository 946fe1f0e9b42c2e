/*
 * A tool's connection to the control socket while master deals with it: shared by control.c (connections and lines) and
 * control_ask.c (questions to all processes). Private to those two.
 */
#ifndef MASTER_CONTROL_CALLER_H
#define MASTER_CONTROL_CALLER_H

#include "master/master.h"

/* Who was asked, and what it said of itself. */
struct said {
	enum proc	proc;
	uint32_t	instance;
	bool		awaited;
	char		*text;		/* NULL: nothing yet */
};

struct caller {
	LIST_ENTRY(caller)	next;
	struct control		*control;
	int			 fd;
	struct event		*readable;
	struct timer		 deadline;
	uid_t			 uid;
	char			*line;
	size_t			 len;
	/* while processes are asked */
	uint64_t		 question;
	unsigned		 waiting;
	bool			 reloads;	/* waits for reload.c */
	bool			 quiet;		/* the answer is "ok" alone */
	bool			 queue_waits;	/* for its new time, until all others have theirs */
	struct said		*answers;
	size_t			 n_answers;
};

struct control {
	struct master		*master;
	struct event		*accept;
	struct timer		 pause;
	int			 fd;
	unsigned		 n;
	uint64_t		 questions;
	LIST_HEAD(, caller)	 callers;
};

/* control.c: answers, closes, and frees the caller. */
void	control_answer(struct caller *, const char *text);
bool	control_may_change(const struct caller *);	/* root, or the user that runs master */

/* control_ask.c */
void	control_run_status(struct caller *);
void	control_run_clock(struct caller *);
void	control_ask_over(struct caller *);		/* all have answered, or had the time to */
void	control_ask_forget(struct caller *);

#endif
