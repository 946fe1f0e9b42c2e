/*
 * "Try again in five minutes": how long a server's reply asks to be left alone. Pure; the text is a stranger's.
 */
#ifndef QUEUE_PATIENCE_H
#define QUEUE_PATIENCE_H

#include <stdint.h>

#define PATIENCE_MOST_MS	(INT64_C(7) * 86400 * 1000)

/* Milliseconds, up to PATIENCE_MOST_MS; 0: it says nothing of the kind. How far it is believed the scheduler decides. */
int64_t	 patience_asked(const char *text);

#endif
