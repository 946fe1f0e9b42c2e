/*
 * The cache of DNS answers: packed as for a message, least recently used out first. Called by mx/resolver.c.
 *
 * Names come from strangers, so the hash is keyed with random bytes: nobody can choose names that all fall together.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "mx/dns_cache.h"

#define SALT_BYTES	8

struct key {
	uint8_t		salt[SALT_BYTES];
	uint16_t	type;
	char		name[DNS_NAME_MAX + 1];	/* lower case, no final dot; only its length counts */
};

struct entry {
	UT_hash_handle		 hh;
	TAILQ_ENTRY(entry)	 use;
	int64_t			 stored_ms, until_ms;
	uint8_t			*answer;
	size_t			 len, bytes;
	struct key		 key;
};

struct dns_cache {
	struct entry		*entries;
	TAILQ_HEAD(, entry)	 by_use;	/* the longest unused first */
	size_t			 bytes, bytes_max;
	uint8_t			 salt[SALT_BYTES];
};

struct dns_cache *
dns_cache_new(size_t bytes_max)
{
	struct dns_cache *c = alloc_new(1, sizeof(*c));

	c->bytes_max = bytes_max;
	TAILQ_INIT(&c->by_use);
	if (getrandom(c->salt, sizeof(c->salt), 0) != (ssize_t)sizeof(c->salt))
		log_fatal("getrandom failed");
	return c;
}

static void
entry_free(struct dns_cache *c, struct entry *e)
{
	HASH_DEL(c->entries, e);
	TAILQ_REMOVE(&c->by_use, e, use);
	c->bytes -= e->bytes;
	free(e->answer);
	free(e);
}

void
dns_cache_free(struct dns_cache *c)
{
	struct entry *e;

	if (c == NULL)
		return;
	while ((e = TAILQ_FIRST(&c->by_use)) != NULL)
		entry_free(c, e);
	free(c);
}

void
dns_cache_shrink(struct dns_cache *c)
{
	c->bytes_max = c->bytes / 2;
	while (c->bytes > c->bytes_max)
		entry_free(c, TAILQ_FIRST(&c->by_use));
}

/* Returns the length that counts, 0 for a name that is too long. */
static size_t
key_make(const struct dns_cache *c, struct key *key, enum dns_type type, const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len > DNS_NAME_MAX)
		return 0;
	memcpy(key->salt, c->salt, sizeof(key->salt));
	key->type = (uint16_t)type;
	for (size_t i = 0; i < len; i++)
		key->name[i] = (char)tolower((unsigned char)name[i]);
	return offsetof(struct key, name) + len;
}

static struct entry *
find(struct dns_cache *c, const struct key *key, size_t key_len)
{
	struct entry *e = NULL;

	HASH_FIND(hh, c->entries, key, key_len, e);
	return e;
}

/* How long an answer is kept, of what it says itself. */
static uint32_t
bounded(const struct dns_answer *a, uint32_t ttl)
{
	uint32_t most = a->result == DNS_OK ? DNS_CACHE_TTL_MAX : DNS_CACHE_NEGATIVE_MAX;

	if (a->type == DNS_LIST)
		most = DNS_CACHE_LIST_MAX;
	if (a->type == DNS_LIST && ttl < DNS_CACHE_LIST_MIN)
		return DNS_CACHE_LIST_MIN;
	return ttl < most ? ttl : most;
}

void
dns_cache_put(struct dns_cache *c, const char *name, const struct dns_answer *a, int64_t now_ms)
{
	uint32_t ttl = bounded(a, a->ttl);
	struct pack packed;
	struct entry *e;
	struct key key;
	size_t key_len = key_make(c, &key, a->type, name);

	if (key_len == 0 || ttl == 0 || a->result == DNS_TEMPORARY)
		return;
	if ((e = find(c, &key, key_len)) != NULL)
		entry_free(c, e);
	pack_init(&packed);
	dns_pack_answer(&packed, a);
	e = calloc(1, sizeof(*e));
	if (e == NULL || (e->answer = malloc(packed.len)) == NULL) {	/* then it will be asked again */
		free(e);
		pack_free(&packed);
		return;
	}
	memcpy(e->answer, packed.data, packed.len);
	e->len = packed.len;
	pack_free(&packed);
	e->stored_ms = now_ms;
	e->until_ms = now_ms + (int64_t)ttl * 1000;
	e->bytes = sizeof(*e) + e->len;
	memcpy(&e->key, &key, key_len);
	HASH_ADD(hh, c->entries, key, key_len, e);
	TAILQ_INSERT_TAIL(&c->by_use, e, use);
	c->bytes += e->bytes;
	while (c->bytes > c->bytes_max)
		entry_free(c, TAILQ_FIRST(&c->by_use));
}

static uint32_t
ttl_left(const struct dns_answer *a, uint32_t ttl, uint32_t age)
{
	ttl = bounded(a, ttl);
	return ttl > age ? ttl - age : 0;
}

bool
dns_cache_get(struct dns_cache *c, enum dns_type type, const char *name, int64_t now_ms, struct dns_answer *a)
{
	struct unpack u;
	struct entry *e;
	struct key key;
	size_t key_len = key_make(c, &key, type, name);
	uint32_t age;

	if (key_len == 0 || (e = find(c, &key, key_len)) == NULL)
		return false;
	if (now_ms >= e->until_ms || now_ms < e->stored_ms) {
		entry_free(c, e);
		return false;
	}
	TAILQ_REMOVE(&c->by_use, e, use);
	TAILQ_INSERT_TAIL(&c->by_use, e, use);
	unpack_init(&u, e->answer, e->len);
	if (dns_unpack_answer(&u, a) == -1)
		log_fatal("a cached DNS answer cannot be read");
	age = (uint32_t)((now_ms - e->stored_ms) / 1000);
	a->ttl = ttl_left(a, a->ttl, age);
	for (size_t i = 0; i < a->n; i++)
		a->records[i].ttl = ttl_left(a, a->records[i].ttl, age);
	return true;
}

size_t
dns_cache_count(const struct dns_cache *c)
{
	return HASH_COUNT(c->entries);
}

size_t
dns_cache_bytes(const struct dns_cache *c)
{
	return c->bytes;
}
