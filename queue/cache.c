/*
 * The cache of base records (cache.h). Decides only what is let go when there is too much. Called by append.c, log.c and read.c.
 */
#include "queue/cache.h"

#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/hash.h"

struct cached {
	uint64_t	 message;
	struct blob	*blob;
	UT_hash_handle	 hh;
};

void
cache_init(struct cache *c, size_t most)
{
	*c = (struct cache){ .most = most };
}

static struct cached *
find(const struct cache *c, uint64_t message)
{
	struct cached *e;

	HASH_FIND(hh, c->entries, &message, sizeof(message), e);
	return e;
}

static void
forget(struct cache *c, struct cached *e)
{
	HASH_DEL(c->entries, e);
	c->bytes -= e->blob->len;
	blob_unref(e->blob);
	free(e);
}

void
cache_free(struct cache *c)
{
	while (c->entries != NULL)
		forget(c, c->entries);
}

void
cache_drop(struct cache *c, uint64_t message)
{
	struct cached *e = find(c, message);

	if (e != NULL)
		forget(c, e);
}

void
cache_put(struct cache *c, uint64_t message, struct blob *b)
{
	struct cached *e = alloc_new(1, sizeof(*e));

	cache_drop(c, message);
	e->message = message;
	e->blob = blob_ref(b);
	HASH_ADD(hh, c->entries, message, sizeof(e->message), e);
	c->bytes += b->len;
	while (c->bytes > c->most)
		forget(c, c->entries);
}

struct blob *
cache_get(struct cache *c, uint64_t message)
{
	struct cached *e = find(c, message);

	if (e == NULL)
		return NULL;
	HASH_DEL(c->entries, e);
	HASH_ADD(hh, c->entries, message, sizeof(e->message), e);
	return e->blob;
}
