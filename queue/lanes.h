/*
 * Fairness between senders: whose mail a message counts as. The scheduler keeps what waits for a next hop in lanes, one for each
 * sender as far as LANES goes, and serves them in turn. Pure.
 */
#ifndef QUEUE_LANES_H
#define QUEUE_LANES_H

#include <stdint.h>

#define LANES	256

/*
 * The lane of a reverse-path. What mailing programs put into it for each message or recipient (a tag behind '+', '=' or
 * digits) makes no sender of its own.
 */
uint32_t	 lanes_key(const char *sender);

#endif
