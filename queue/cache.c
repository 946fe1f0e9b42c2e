/*
 * The cache of base records (cache.h). Decides only what is let go when there is too much. Called by log.c and read.c.
 */
#include "queue/cache.h"

#include <stdlib.h>

#include "lib/alloc.h"
#include "queue/index.h"

void
cache_init(struct cache *c, size_t most)
{
	TAILQ_INIT(&c->list);
	c->bytes = 0;
	c->most = most;
}

void
cache_free(struct cache *c)
{
	struct cached *e;

	while ((e = TAILQ_FIRST(&c->list)) != NULL)
		cache_drop(c, e->message);
}

void
cache_drop(struct cache *c, struct message *m)
{
	struct cached *e = m->cached;

	if (e == NULL)
		return;
	TAILQ_REMOVE(&c->list, e, link);
	c->bytes -= e->blob->len;
	blob_unref(e->blob);
	free(e);
	m->cached = NULL;
}

void
cache_put(struct cache *c, struct message *m, struct blob *b)
{
	struct cached *e = alloc_raw(sizeof(*e));

	cache_drop(c, m);
	*e = (struct cached){ .message = m, .blob = blob_ref(b) };
	TAILQ_INSERT_TAIL(&c->list, e, link);
	m->cached = e;
	c->bytes += b->len;
	while (c->bytes > c->most)
		cache_drop(c, TAILQ_FIRST(&c->list)->message);
}

struct blob *
cache_get(struct cache *c, struct message *m)
{
	struct cached *e = m->cached;

	if (e == NULL)
		return NULL;
	TAILQ_REMOVE(&c->list, e, link);
	TAILQ_INSERT_TAIL(&c->list, e, link);
	return e->blob;
}
