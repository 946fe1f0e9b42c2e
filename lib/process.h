/*
 * How every process starts, meets its peers and ends. Master forks and executes PREFIX/libexec/minimta/<name> with its
 * channel as descriptor 3; main() is then the same five steps everywhere:
 *
 *	process_init(&p, PROC_LOOKUP, handlers, arg);	CONFIG, SECRET, LISTENER and PEER are read until GO
 *	... open what must be opened as root, from p->conf
 *	process_sandbox(&p, SANDBOX_LOOKUP);		user, chroot, seccomp
 *	... start threads, if any
 *	return process_run(&p);				says READY; the loop, until STOP or master is gone
 *
 * A process that is to be replaced (another configuration, another version of the program) is told DRAIN once its successor
 * runs. It asks its peers to turn to that one (RETIRE), goes on with what it has, and ends when all peers have agreed and
 * nothing is left; after PROCESS_DRAIN_MS it stops as with STOP.
 */
#ifndef LIB_PROCESS_H
#define LIB_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/ipc.h"

struct event_base;

#define PROCESS_CHANNEL_FD	3
#define PROCESS_PEERS_MAX	128
#define PROCESS_VERSION_ENV	"MINIMTA_MESSAGES"	/* master's msg_fingerprint(), in hexadecimal */
#define PROCESS_DRAIN_MS	(5 * 60 * 1000)

struct process_listener {
	int	fd;
	char	name[300];
};

struct process {
	enum proc		 self;
	struct event_base	*base;
	struct conf		*conf;
	struct ipc		*master;
	struct ipc		*peers[PROCESS_PEERS_MAX];	/* unordered; holes are NULL */
	uint8_t			 secret[32];			/* lookup and queue; else zero */
	bool			 has_secret;
	struct process_listener	*listeners;			/* smtpd */
	size_t			 n_listeners;
	bool			 stopping;
	bool			 draining;

	/* Filled in by the process before process_init; each may be NULL. All are called from the loop with `arg`. */
	const struct ipc_handler *handlers;	/* for peers, and for what master sends beyond the common ones */
	void			(*on_peer)(void *arg, struct ipc *);		/* a channel came up */
	void			(*on_peer_down)(void *arg, struct ipc *);	/* it is gone: forget what hung on it */
	void			(*on_stop)(void *arg);	/* finish, then process_quit(); NULL: quit at once */
	void			(*on_status)(void *arg, char *to, size_t size);	/* "key=value ..." */
	/* p->conf is the new one; the old one stays until the next change. */
	void			(*on_reconfigure)(void *arg, const struct conf *old);
	void			(*on_drain)(void *arg);		/* take nothing new from outside */
	bool			(*is_drained)(void *arg);	/* nothing is left; NULL: there never is anything */
	void			*arg;

	void			*private;	/* of process.c */
};

/* Exits with a message when not started by master. Ignores SIGPIPE, no core dumps, dumpable off. */
void		 process_init(struct process *, enum proc self);
/* As root: chroot and change to the process' own user; always: no new privileges and seccomp. Exits on failure. */
void		 process_sandbox(struct process *);
int		 process_run(struct process *);
void		 process_quit(struct process *);	/* leave the loop after this turn; sends what is pending */

/* The channel to a peer, or NULL while it is away. Where there are several, the one that was started last. */
struct ipc	*process_peer(const struct process *, enum proc);

#endif
