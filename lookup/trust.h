/*
 * May the client at the other end of this descriptor relay?
 */
#ifndef LOOKUP_TRUST_H
#define LOOKUP_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/conf.h"

/* fd comes from smtpd, which is not believed: only what the kernel says of it counts. who: for the log. */
bool	trust_client(const struct conf *, int fd, const char *claimed, char *who, size_t size);

#endif
