/*
 * A message's content on its way through delivery: the head that queue put in front, what came with the job, and what
 * is pulled piece by piece. Never more than MSG_INLINE_MAX and MSG_CREDIT bytes of it are held.
 */
#ifndef DELIVERY_BODY_H
#define DELIVERY_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct body;

typedef void	body_pull_fn(void *arg, uint32_t bytes);	/* ask queue for so many more */
typedef void	body_ready_fn(void *arg);			/* there is something to take again */

/* size: of the content without head. head is copied. pull may come from inside body_peek() and body_skip(). */
struct body	*body_new(const char *head, uint64_t size, body_pull_fn *, void *arg);
void		 body_free(struct body *);
/* Content arrived. 0, or -1: more than the message has, or than was asked for. Calls ready. */
int		 body_put(struct body *, const void *, size_t);

/* Who is told of new content; NULL: nobody. */
void		 body_set_ready(struct body *, body_ready_fn *, void *arg);
/* The next bytes, borrowed until the next call; 0: none at hand now (asked for, if there are to be more), or the end. */
size_t		 body_peek(struct body *, const uint8_t **);
void		 body_skip(struct body *, size_t);
bool		 body_at_end(const struct body *);
/* Whether all that remains can be taken without waiting. */
bool		 body_is_here(const struct body *);
/* Head and content together. */
uint64_t	 body_total(const struct body *);
/* Back to the beginning, for another host. False: what was pulled is gone. */
bool		 body_rewind(struct body *);

#endif
