/*
 * master: the process that starts the others and owns what they may not: configuration, ports, the control socket.
 * It parses nothing that comes from the network. Its parts share this struct; main.c makes the only one.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/ipc.h"

#define MASTER_VERSION "0.1"

struct change;
struct control;
struct event;
struct event_base;
struct pack;

enum child_state {
	CHILD_AWAY,		/* not running; `restart` may be */
	CHILD_STARTING,		/* executed, READY not seen */
	CHILD_READY,
};

/* A process, or the place of one that has died and will be restarted. Of smtpd and, while one replaces another, of the
 * others too there may be several. */
struct child {
	TAILQ_ENTRY(child) next;
	struct master	*master;
	enum proc	 proc;
	enum child_state state;
	bool		 candidate;	/* of a change that is not decided yet */
	bool		 draining;	/* has a successor: nothing new is for it, and it is not restarted */
	bool		 leaving;	/* draining, and has not said yet that it knows */
	bool		 replaced;	/* told to stop only to be started again at once */
	bool		 fresh;		/* being launched: has no peers yet */
	pid_t		 pid;
	struct ipc	*ipc;
	uint32_t	 instance;	/* counts the starts of its kind */
	uint32_t	 starts;	/* its own: more than one has died before */
	struct stat	 program;	/* what was executed; zero when that could not be seen */
	int64_t		 started_ms;
	int64_t		 pause_ms;	/* before the next restart */
	int		 page;		/* smtpd's counts by network (pages.c); -1 */
	struct timer	 restart;
	struct timer	 patience;	/* for its end, once that was asked for */
	bool		 asked;		/* STATUS_ASK was sent, and not answered since */
	unsigned	 silent;	/* how often in a row watch.c has found it so */
};

TAILQ_HEAD(child_list, child);

struct listener {
	int		fd;
	struct conf_listen at;		/* as configured */
	char		name[80];	/* with the port that the kernel chose, where 0 was asked for */
};

struct master {
	struct event_base *base;
	char		*conf_path;		/* absolute */
	struct conf	*conf;
	char		 own_path[4000];	/* of this program; "" when that could not be found out */
	struct stat	 own_program;		/* as it was at the start */
	char		 programs[4096];	/* folder of the children's executables */
	bool		 foreground, test_clock;
	int64_t		 clock_offset_ms, clock_wall_ms;
	struct child_list children;		/* in the order in which they were started */
	uint32_t	 instances[PROC_COUNT];
	unsigned	 turn;			/* whose it is, where there are several */
	struct listener	*listeners;
	size_t		 n_listeners;
	uint8_t		 secret[32];		/* key of lookup's tokens, made at each start */
	uint64_t	 tally_seed;		/* for smtpd's counts by network */
	int		 spool_lock;
	int		 stray[2];		/* children's standard error in the background; -1 in the foreground */
	struct control	*control;
	struct change	*change;		/* reload.c: NULL when none is under way */
	bool		 reload_again;		/* asked for by a signal while one was under way */
	struct timer	 watch;
	unsigned	 watch_turn;
	struct stat	 resolv_conf;		/* as it was when the resolver was started */
	bool		 was_ready;		/* all were ready once */
	int		 ready_pipe;		/* to the waiting parent in the background; -1 */
	int64_t		 started_ms;
	int		 stop_group;		/* -1: not stopping */
	struct timer	 stop_deadline;
	int		 exit_code;
};

/* main.c: where the log goes when the configuration leaves it open. */
void	master_choose_log(const struct master *, struct conf *);

/* children.c */
void	children_start(struct master *);
/* SIGCHLD: takes note of who ended, and restarts it or goes on stopping. */
void	children_reap(struct master *);
/* Ends all in order; the loop is left when the last is gone. May be called again. */
void	children_stop(struct master *, int exit_code);
void	children_shift_clock(struct master *, int64_t offset_ms, int64_t wall_ms, bool queue);	/* queue alone, or all but it */
/* The one to whom something new is given; of several the next in turn. NULL while there is none that is ready. */
struct child *children_find(struct master *, enum proc);
bool	children_include(struct master *, pid_t);	/* whether this is one of them */
/* Starts candidates under m->conf: as many as it says of each in `procs` (a bit for each). 0, or -1 when one cannot be. */
int	children_add_generation(struct master *, unsigned procs);
/* Ends it as when its successor runs; nothing is lost. */
void	children_drain(struct child *);
void	children_end(struct child *, const char *why);	/* at once */
/* STOP, and a new one as soon as it has ended. */
void	children_replace(struct child *);
/* m->conf to all that are not candidates. */
void	children_reconfigure(struct master *);
/* Whether the file that it was started from is another one now. */
bool	children_program_changed(const struct child *);

/* launch.c: executes the program; its channel, or -1. launch_fresh equips what was spawned, introduces it, and lets it go. */
int	launch_spawn(struct child *);
void	launch_fresh(struct master *);
/* The same descriptor, moved above those which a child finds at fixed places; -1 when there is none left. */
int	launch_above(int fd);
/* The configuration as a sealed descriptor. */
int	launch_configuration(const struct master *);
/* Whether `to` differs from what stands at the path now; false when nothing is there. */
bool	launch_file_changed(const struct stat *to, const char *path);

/*
 * reload.c: leads to one done(), possibly at once, with the answer's text ("ok\n", or "error: ...\n", and further lines);
 * done may be NULL. reload_forget: nobody waits any more.
 */
typedef void	reload_done_fn(void *arg, const char *answer);
void	reload_start(struct master *, reload_done_fn *, void *arg);
void	reload_forget(struct master *, void *arg);
/* New processes of these kinds under the configuration that holds; nothing while another change is under way. */
void	reload_processes(struct master *, unsigned procs, const char *why);
/* A child was READY, or has ended. */
void	reload_on_child(struct master *, const struct child *, bool ended);
void	reload_cancel(struct master *);		/* all is being stopped */

/* endpoint.c: connects to a socket for delivery, which asks; arg is its struct child. */
ipc_handler_fn	endpoint_on_ask;

/* secrets.c: what signs rewritten senders, to lookup and queue. */
void	secrets_give(const struct child *);

/* pages.c: where the processes of smtpd read each other's counts. A new page, and one for reading only; -1. */
int	pages_make(void);
int	pages_for_reading(int page);
void	pages_give(struct child *);		/* its own, before GO */
void	pages_share(struct master *);		/* between those that are fresh and all */
void	pages_take_back(struct child *);	/* it has ended */

/*
 * logins.c: the file `credentials`. Whether it is as it should be and has what relays name: 0, or -1 with a reason in err. As a
 * sealed descriptor for delivery; -1: none is named, or it cannot be had (logged).
 */
int	logins_check(const struct conf *, char *err, size_t size);
int	logins_descriptor(const struct conf *);

/* watch.c: who does not answer, and whether resolv.conf has changed. */
void	watch_start(struct master *);
void	watch_answered(struct child *);
void	watch_saw_resolv_conf(struct master *);		/* a resolver has been started */
/* How long it has not answered, as text for `status`; "" when all is well. */
const char *watch_says(const struct child *, char to[64]);

/* notify.c: what systemd wants to hear; nothing happens without it. */
void	notify_systemd(const char *text);

/* control.c: 0, or -1 with a reason in err. */
int	control_open(struct master *, char *err, size_t size);
void	control_close(struct master *);
/* A child's answer to STATUS_ASK; and its end, after which there is none. */
int	control_on_status(struct master *, struct ipc *, struct ipc_message *);
void	control_on_exit(struct master *, const struct child *);

/* places.c: what must exist before the children do. 0, or -1 with a reason in err. */
int	places_make(const struct conf *, char *err, size_t size);
/* One master per spool: a lock on the directory, held until exit. The descriptor, or -1. */
int	places_lock_spool(const struct conf *, char *err, size_t size);
/* Sockets for conf's listen; those that are in `old` too are other descriptors for the same sockets. On failure all is as
 * before. */
int	places_listen(const struct conf *, const struct listener *old, size_t n_old, struct listener **new_r, char *err,
	    size_t size);
void	places_close(struct listener *, size_t n);

/* setup.c: `minimta --setup`. An exit code. */
int	setup_run(const char *conf_path);

#endif
