/*
 * Files of large messages: large/ID in the spool. They are written before the acceptance that names them, in pieces of
 * RECORD_CHUNK, and removed after the message's end.
 */
#ifndef QUEUE_LARGE_H
#define QUEUE_LARGE_H

#include <stdint.h>

#define LARGE_NAME_MAX	20

void	large_name(char to[LARGE_NAME_MAX], uint64_t id);	/* sixteen digits */

#endif
