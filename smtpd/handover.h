/*
 * A message's way from smtpd to queue: gathered content, envelope, credit, and what goes on top. Private to smtpd/; for
 * transaction.c.
 */
#ifndef SMTPD_HANDOVER_H
#define SMTPD_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

struct ipc;
struct session;
struct transaction;

/* More of what is gathered. 0, or -1 without memory. */
int	handover_gather(struct session *, const uint8_t *, size_t);
void	handover_forget(struct session *);

/* The envelope, and what was gathered, as far as there is credit. */
void	handover_begin(struct session *, struct ipc *queue);
/* After that: content; what there is no credit for is gathered. 0, or -1 without memory. */
int	handover_content(struct session *, struct ipc *queue, const uint8_t *, size_t);
/* There is more credit for what was gathered. */
void	handover_more(struct session *, struct ipc *queue);
/* How many bytes may come now. */
size_t	handover_room(const struct transaction *);
void	handover_end(struct session *, struct ipc *queue);
/* Queue need not wait for an end any more; after the end it does not, and what it has made safe stands. */
void	handover_abort(struct session *);

#endif
