/*
 * A table of texts with an expiry (lookup/state_cache.h). A record is the expiry in 8 bytes, then kind, key and value, each
 * with a NUL.
 */
#include "lookup/state_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lookup/state.h"

struct entry {
	UT_hash_handle	 hh;
	int64_t		 expires;
	char		*value;
	char		 name[];	/* "kind\0key", with the NUL behind it; only the key's letters are folded */
};

struct state_cache {
	struct entry	*entries;	/* the one put first at the head */
};

#define NAME_MAX_HERE	(32 + STATE_KEY_MAX)

struct state_cache *
state_cache_new(void)
{
	struct state_cache *c = alloc_new(1, sizeof(*c));

	return c;
}

static void
entry_free(struct state_cache *c, struct entry *e)
{
	HASH_DEL(c->entries, e);
	free(e->value);
	free(e);
}

void
state_cache_free(struct state_cache *c)
{
	struct entry *e, *next;

	if (c == NULL)
		return;
	HASH_ITER(hh, c->entries, e, next)
		entry_free(c, e);
	free(c);
}

/* Length with the last NUL; 0: too long. */
static size_t
name_of(char to[NAME_MAX_HERE], const char *kind, const char *key)
{
	size_t kind_len = strlen(kind) + 1, key_len = strlen(key) + 1;

	if (kind_len > 32 || key_len > STATE_KEY_MAX)
		return 0;
	memcpy(to, kind, kind_len);
	for (size_t i = 0; i < key_len; i++)
		to[kind_len + i] = (char)(key[i] >= 'A' && key[i] <= 'Z' ? key[i] | 0x20 : key[i]);
	return kind_len + key_len;
}

static struct entry *
find(const struct state_cache *c, const char *name, size_t len)
{
	struct entry *e;

	HASH_FIND(hh, c->entries, name, len, e);
	return e;
}

static void
set(struct state_cache *c, const char *name, size_t len, const char *value, int64_t expires)
{
	struct entry *e = find(c, name, len);

	if (e != NULL)
		entry_free(c, e);
	else if (HASH_COUNT(c->entries) >= CACHE_ENTRIES)
		entry_free(c, c->entries);
	e = alloc_new(1, sizeof(*e) + len);
	e->value = alloc_text(value);
	memcpy(e->name, name, len);
	e->expires = expires;
	HASH_ADD_KEYPTR(hh, c->entries, e->name, len, e);
}

bool
state_cache_get(const struct state_cache *c, const char *kind, const char *key, time_t now, char *value, size_t size)
{
	char name[NAME_MAX_HERE];
	size_t len = name_of(name, kind, key);
	const struct entry *e = len > 0 ? find(c, name, len) : NULL;

	if (e == NULL || e->expires <= now)
		return false;
	snprintf(value, size, "%s", e->value);
	return true;
}

static size_t
record_of(char record[CACHE_BYTES_MAX], const char *name, size_t len, const char *value, int64_t expires)
{
	size_t value_len = strlen(value) + 1;

	if (sizeof(expires) + len + value_len > CACHE_BYTES_MAX)
		return 0;
	memcpy(record, &expires, sizeof(expires));
	memcpy(record + sizeof(expires), name, len);
	memcpy(record + sizeof(expires) + len, value, value_len);
	return sizeof(expires) + len + value_len;
}

size_t
state_cache_put(struct state_cache *c, const char *kind, const char *key, const char *value, time_t expires,
    char record[CACHE_BYTES_MAX], uint64_t *number_r)
{
	char name[NAME_MAX_HERE];
	size_t len = name_of(name, kind, key), record_len;

	if (len == 0 || strlen(value) >= STATE_VALUE_MAX ||
	    (record_len = record_of(record, name, len, value, expires)) == 0)
		return 0;
	set(c, name, len, value, expires);
	*number_r = XXH3_64bits(name, len);
	return record_len;
}

int
state_cache_load(struct state_cache *c, const void *record, size_t len, time_t now)
{
	const char *kind = (const char *)record + sizeof(int64_t), *end = (const char *)record + len, *key, *value;
	const struct entry *there;
	int64_t expires;

	if (len < sizeof(expires) + 3 || end[-1] != '\0')
		return -1;
	memcpy(&expires, record, sizeof(expires));
	key = kind + strlen(kind) + 1;
	value = key < end ? key + strlen(key) + 1 : end;
	if (value >= end || value + strlen(value) + 1 != end || strlen(value) >= STATE_VALUE_MAX)
		return -1;
	there = find(c, kind, (size_t)(value - kind));
	if (expires > now && (there == NULL || there->expires < expires))
		set(c, kind, (size_t)(value - kind), value, expires);
	return 0;
}

void
state_cache_expire(struct state_cache *c, time_t now)
{
	struct entry *e, *next;

	HASH_ITER(hh, c->entries, e, next)
		if (e->expires <= now)
			entry_free(c, e);
}

size_t
state_cache_count(const struct state_cache *c)
{
	return HASH_COUNT(c->entries);
}

void
state_cache_walk(const struct state_cache *c, void (*each)(void *arg, uint64_t number, const void *record, size_t len), void *arg)
{
	char record[CACHE_BYTES_MAX];
	struct entry *e;

	for (e = c->entries; e != NULL; e = e->hh.next) {
		size_t len = record_of(record, e->name, e->hh.keylen, e->value, e->expires);

		each(arg, XXH3_64bits(e->name, e->hh.keylen), record, len);
	}
}
