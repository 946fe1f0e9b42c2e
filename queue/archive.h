/*
 * The archive address (always_bcc): one more recipient of every message that comes in. Pure.
 */
#ifndef QUEUE_ARCHIVE_H
#define QUEUE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct envelope_rcpt;

/*
 * What is to be added to these; false: nothing, for none is configured or it is among them. Nobody hears of it when it cannot be
 * delivered but the log. Free it with envelope_free_rcpt().
 */
bool	archive_rcpt(const struct conf *, const struct envelope_rcpt *, uint32_t n, struct envelope_rcpt *to);

#endif
