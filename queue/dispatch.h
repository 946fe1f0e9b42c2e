/*
 * Attempts: asks the scheduler what to try, gives jobs to lookup (expansion), mda and delivery, and
 * records what came of them. Everything that is open in the queue is known here, or being read from the
 * log.
 */
#ifndef QUEUE_DISPATCH_H
#define QUEUE_DISPATCH_H

#include "queue/queue.h"
#include "queue/schedule.h"

struct dispatch	*dispatch_new(struct queue *);
void		 dispatch_free(struct dispatch *);		/* NULL is fine */

/* A message that has just been accepted, with indexes from 0 on. */
void		 dispatch_accepted(struct dispatch *, uint64_t id, const struct envelope_sender *, const struct envelope_rcpt *,
		    uint32_t n);
/* New recipients of an accepted message, with indexes from `first` on. arrived_ms: of the message, by clock_ms(). */
void		 dispatch_add(struct dispatch *, uint64_t id, int64_t arrived_ms, const char *sender, const struct envelope_rcpt *,
		    uint32_t first, uint32_t n);
/* A message that the log found at its start; one that is known already is left alone. */
void		 dispatch_found(struct dispatch *, const struct log_envelope *);

ipc_handler_fn	 dispatch_on_pull, dispatch_on_result, dispatch_on_done;
void		 dispatch_peer_up(struct dispatch *, struct ipc *);
void		 dispatch_peer_down(struct dispatch *, struct ipc *);

/* The configuration has changed: its limits and routes hold for what is in the queue too. */
void		 dispatch_reconfigure(struct dispatch *, const struct conf *old);

/* Takes recipients (SCHEDULE_ALL: all) out of the schedule and stops attempts for them; returns how many were known. */
uint32_t	 dispatch_drop(struct dispatch *, uint64_t id, uint32_t index);
/* Everything (id 0, hop NULL), a message, or what goes to a hop is due now; returns how many recipients. */
uint32_t	 dispatch_retry(struct dispatch *, uint64_t id, const char *hop);
#define HOP_LOCAL	"local"		/* mda, by the name that people know */
#define HOP_COMMAND	"command"	/* mda too: commands, which may be slow, hold up no mailbox */
bool		 dispatch_pause(struct dispatch *, const char *hop, enum schedule_agent, bool pause);
/* The next hop for a recipient of a message as of now; to: ROUTE_HOP_MAX. Says who goes there. */
enum schedule_agent dispatch_route(const struct dispatch *, const char *sender, const struct envelope_rcpt *, char *to);
/* No new attempts; `done` is called once none is under way any more, from the loop. */
void		 dispatch_stop(struct dispatch *, void (*done)(void *arg), void *arg);

#endif
