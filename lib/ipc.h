/*
 * One end of a channel between two processes: a stream socketpair carrying the messages of lib/messages.h.
 *
 * Sending gathers: what is sent in one turn of the event loop leaves in one sendmsg at its end. Receiving checks every
 * message against the table and calls the handler for its type. What is wrong (unknown, wrong direction or size, no
 * handler now, a handler that said no) ends this peer, never this process: `on_down` is called once, from the loop, and
 * the channel is dead. A peer that lets more than IPC_OUT_MAX pile up is ended likewise: nobody waits for it.
 */
#ifndef LIB_IPC_H
#define LIB_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/messages.h"

struct event_base;
struct ipc;

#define IPC_OUT_MAX	(64U * 1024 * 1024)

struct ipc_message {
	enum msg	 type;
	uint64_t	 id;
	const uint8_t	*data;		/* borrowed until the handler returns */
	size_t		 len;
	/* The handler owns it. -1 without one, and where this process had no number free for it: the kernel drops it then. */
	int		 fd;
};

/* 0, or -1 when the message is not acceptable now: the peer is ended (call ipc_fail first to say why). */
typedef int	ipc_handler_fn(void *arg, struct ipc *, struct ipc_message *);

/* A process' table: what it understands. Ends with { MSG_NONE, NULL }. */
struct ipc_handler {
	enum msg	 type;
	ipc_handler_fn	*run;
};

/* The peer is gone (reason "closed") or was ended (reason says why). The ipc is freed after this returns. */
typedef void	ipc_down_fn(void *arg, struct ipc *, const char *reason);

/* Takes over fd. Handlers get `arg` as their first argument. Aborts on out of memory only. */
struct ipc	*ipc_new(struct event_base *, int fd, enum proc self, enum proc peer, uint32_t instance,
		    const struct ipc_handler *, ipc_down_fn *, void *arg);
/* A second table with an argument of its own, asked after the first. */
void		 ipc_add_handlers(struct ipc *, const struct ipc_handler *, void *arg);
/* What handlers get, where it is not what on_down gets. */
void		 ipc_set_arg(struct ipc *, void *arg);
/* A channel begins in MSG_PHASE_RUN; a child's channel to master is in MSG_PHASE_START until GO. */
void		 ipc_set_phase(struct ipc *, enum msg_phase);
/* Closes at once; what was not sent is lost; no on_down. NULL is fine. Not from inside its own handler or on_down. */
void		 ipc_free(struct ipc *);

enum proc	 ipc_peer(const struct ipc *);
uint32_t	 ipc_instance(const struct ipc *);
#ifdef PUPPET
int		 ipc_fd(const struct ipc *);
#endif

/* Copies the payload; takes over fd (-1: none), closed when sent. To a dead channel it is dropped in silence. */
void		 ipc_send(struct ipc *, enum msg, uint64_t id, const void *data, size_t len, int fd);
/* The payload of a pack, which is emptied for the next use. */
struct pack;
void		 ipc_send_pack(struct ipc *, enum msg, uint64_t id, struct pack *, int fd);
/* Without hurry: leaves with what is sent next, or after a few milliseconds, so that one wake-up serves many. */
void		 ipc_send_idly(struct ipc *, enum msg, uint64_t id, const void *data, size_t len);
/* Bytes not yet taken by the kernel. */
size_t		 ipc_pending(const struct ipc *);
/* Writes what is pending, waiting up to timeout_ms: for the last words before an exit. */
void		 ipc_flush(struct ipc *, int timeout_ms);

/* Marks the peer as having said something impossible; on_down follows from the loop. Always returns -1. */
int		 ipc_fail(struct ipc *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
