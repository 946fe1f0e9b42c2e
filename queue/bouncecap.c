/*
 * Paces of reports (queue/bouncecap.h). An address has a time stamp that each report to it moves on by its share of an hour;
 * as long as that is no more than an hour ahead there may be one more. So a burst of an hour's number is allowed, and an address whose
 * stamp lies in the past can be forgotten. Called by queue/tell.c.
 */
#include "queue/bouncecap.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/hash.h"

#define HOUR_MS	(INT64_C(3600) * 1000)

struct pace {
	UT_hash_handle	 hh;		/* in the order in which they were made */
	int64_t		 at;
	char		 address[];
};

struct bouncecap {
	struct pace	*paces;
	int64_t		 in_all;
};

struct bouncecap *
bouncecap_new(void)
{
	return alloc_new(1, sizeof(struct bouncecap));
}

static void
forget(struct bouncecap *b, struct pace *p)
{
	HASH_DEL(b->paces, p);
	free(p);
}

void
bouncecap_free(struct bouncecap *b)
{
	while (b != NULL && b->paces != NULL)
		forget(b, b->paces);
	free(b);
}

/* Those that lie in the past, or where there are none the oldest: what is forgotten may begin anew. */
static void
make_room(struct bouncecap *b, int64_t now)
{
	struct pace *p, *next;

	HASH_ITER(hh, b->paces, p, next)
		if (p->at <= now)
			forget(b, p);
	while (HASH_COUNT(b->paces) >= BOUNCECAP_ADDRESSES)
		forget(b, b->paces);
}

static struct pace *
pace_of(struct bouncecap *b, const char *address, int64_t now)
{
	size_t len = strlen(address);
	char *lower = alloc_text(address);
	struct pace *p;

	for (char *c = lower; *c != '\0'; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
	HASH_FIND(hh, b->paces, lower, len, p);
	if (p == NULL) {
		if (HASH_COUNT(b->paces) >= BOUNCECAP_ADDRESSES)
			make_room(b, now);
		p = alloc_new(1, sizeof(*p) + len + 1);
		memcpy(p->address, lower, len + 1);
		HASH_ADD_KEYPTR(hh, b->paces, p->address, len, p);
	}
	free(lower);
	return p;
}

static bool
may(int64_t at, int64_t now, int64_t step)
{
	return (at > now ? at : now) + step <= now + HOUR_MS;
}

static void
move(int64_t *at, int64_t now, int64_t step)
{
	*at = (*at > now ? *at : now) + step;
}

bool
bouncecap_take(struct bouncecap *b, const char *address, uint32_t per_hour, int64_t now)
{
	int64_t step = per_hour > 0 ? HOUR_MS / per_hour : 0;
	struct pace *p;

	if (per_hour == 0)
		return true;
	p = pace_of(b, address, now);
	if (!may(p->at, now, step) || !may(b->in_all, now, step / BOUNCECAP_IN_ALL))
		return false;
	move(&p->at, now, step);
	move(&b->in_all, now, step / BOUNCECAP_IN_ALL);
	return true;
}
