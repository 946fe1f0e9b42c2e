/*
 * The answer to RCPT_ASK: is this a recipient here, or one whose mail is relayed, may this client relay; with the token that
 * makes queue believe it.
 */
#ifndef LOOKUP_JUDGE_H
#define LOOKUP_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"

struct calling;
struct ipc;
struct judge;
struct process;
struct recipients;

/* All is borrowed. */
struct judge	*judge_new(struct process *, struct recipients *, struct calling *);
/* Answers peer's question: at once, but where a callback has to be waited for. */
void		 judge_answer(struct judge *, struct ipc *peer, uint64_t id, uint64_t session, const struct address *, bool trusted);
void		 judge_peer_down(struct judge *, struct ipc *);

#endif
