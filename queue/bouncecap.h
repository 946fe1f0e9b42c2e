/*
 * How many reports strangers' mail may cause: to one address, and in all. Whoever forges senders must not be able to have us
 * flood somebody. Pure; time is an argument.
 */
#ifndef QUEUE_BOUNCECAP_H
#define QUEUE_BOUNCECAP_H

#include <stdbool.h>
#include <stdint.h>

#define BOUNCECAP_ADDRESSES	4096	/* remembered at a time */
#define BOUNCECAP_IN_ALL	50	/* times as many in all as to one address */

struct bouncecap;

struct bouncecap *bouncecap_new(void);
void		 bouncecap_free(struct bouncecap *);		/* NULL is fine */
/* Whether one more may go to this address now; counts it. per_hour: to one address, 0 as many as there are. */
bool		 bouncecap_take(struct bouncecap *, const char *address, uint32_t per_hour, int64_t now_ms);

#endif
