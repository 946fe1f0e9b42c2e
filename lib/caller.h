/*
 * The other end of a tool's connection: output as fast as it is read, in bounded memory. For processes that answer at the control socket.
 */
#ifndef LIB_CALLER_H
#define LIB_CALLER_H

#include <stdbool.h>
#include <stddef.h>

struct caller;
struct event_base;

/* Takes over fd. more (may be NULL) is called from the loop when there is room again; gone once, from the loop, when the
 * caller is: it read all to the end, left, or stopped reading. The caller is freed after that. */
struct caller	*caller_new(struct event_base *, int fd, void (*more)(void *), void (*gone)(void *), void *arg);
/* Appends. Sent at the end of the turn. */
void		 caller_say(struct caller *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void		 caller_put(struct caller *, const void *, size_t);
/* Whether it should read what it has before there is more. */
bool		 caller_is_full(const struct caller *);
/* Nothing will follow: closes when all is sent. */
void		 caller_end(struct caller *);
/* At once, without a callback. NULL is fine. */
void		 caller_free(struct caller *);

#endif
