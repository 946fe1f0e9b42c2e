/*
 * master: the process that starts the others and owns what they may not: configuration, ports, the control socket.
 * It parses nothing that comes from the network. Its parts share this struct; main.c makes the only one.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/ipc.h"

#define MASTER_VERSION "0.1"

struct event;
struct event_base;
struct control;

enum child_state {
	CHILD_AWAY,		/* not running; `restart` may be */
	CHILD_STARTING,		/* executed, READY not seen */
	CHILD_READY,
};

struct child {
	struct master	*master;
	enum proc	 proc;
	enum child_state state;
	pid_t		 pid;
	struct ipc	*ipc;
	uint32_t	 instance;	/* counts its starts */
	int64_t		 started_ms;
	int64_t		 pause_ms;	/* before the next restart */
	struct timer	 restart;
};

struct listener {
	int	fd;
	char	name[80];		/* with the port that the kernel chose, where 0 was asked for */
};

struct master {
	struct event_base *base;
	struct conf	*conf;
	char		 programs[4096];	/* folder of the children's executables */
	bool		 foreground, test_clock;
	int64_t		 clock_offset_ms;
	struct child	 children[PROC_COUNT];
	struct listener	*listeners;
	size_t		 n_listeners;
	uint8_t		 secret[32];		/* key of lookup's tokens, made at each start */
	int		 spool_lock;
	int		 stray[2];		/* children's standard error in the background; -1 in the foreground */
	struct control	*control;
	bool		 was_ready;		/* all were ready once */
	int		 ready_pipe;		/* to the waiting parent in the background; -1 */
	int64_t		 started_ms;
	int		 stop_group;		/* -1: not stopping */
	struct timer	 stop_deadline;
	int		 exit_code;
};

/* children.c */
void	children_start(struct master *);
/* SIGCHLD: takes note of who ended, and restarts it or goes on stopping. */
void	children_reap(struct master *);
/* Ends all in order; the loop is left when the last is gone. May be called again. */
void	children_stop(struct master *, int exit_code);
void	children_shift_clock(struct master *, int64_t offset_ms, bool queue);	/* for queue alone, or for all but it */

/* control.c: 0, or -1 with a reason in err. */
int	control_open(struct master *, char *err, size_t size);
void	control_close(struct master *);
/* A child's answer to STATUS_ASK. */
int	control_on_status(void *master, struct ipc *, struct ipc_message *);

/* places.c: what must exist before the children do. 0, or -1 with a reason in err. */
int	places_make(const struct conf *, char *err, size_t size);
/* One master per spool: a lock on the directory, held until exit. The descriptor, or -1. */
int	places_lock_spool(const struct conf *, char *err, size_t size);
int	places_listen(struct master *, char *err, size_t size);

#endif
