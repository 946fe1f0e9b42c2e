/*
 * Pages of counts by network (smtpd/tally.h). A page is a table of buckets; a network's place is any of its bucket, so
 * that looking one up is a fixed number of steps whatever stands there, and nothing ever moves. There is one writer to a
 * page and no lock: a reader looks whether the key has stayed the same while it read.
 *
 * A process that was taken over can write lies into its page and so keep clients of any network out, or let them in first.
 * It shares the listening sockets and could do that anyway; more it cannot: pages of others are mapped for reading, cannot be cut short
 * (master seals their size), and nothing in them is a length, an index or a pointer.
 */
#include "smtpd/tally.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT		UINT64_C(0x32796c6c61746d6d)	/* a program of another version may write otherwise */
#define BUCKETS		1024
#define WAYS		8

/* Written and read word by word; 0 in `net` and `kind` is an empty place. */
struct entry {
	uint64_t	net;		/* the key's last 8 bytes */
	uint32_t	kind;		/* its first */
	uint32_t	connections;
	int64_t		stamp_us[TALLY_STAMPS];
};

struct tally_page {
	uint64_t	format;
	uint32_t	sessions;
	struct entry	entries[BUCKETS][WAYS];
};

#define PUT(to, value)	__atomic_store_n(&(to), (value), __ATOMIC_RELEASE)
#define GET(from)	__atomic_load_n(&(from), __ATOMIC_ACQUIRE)

size_t
tally_page_size(void)
{
	return sizeof(struct tally_page);
}

void
tallies_set_own(struct tallies *all, uint64_t seed, struct tally_page *own)
{
	all->seed = seed;
	all->own = own;
	PUT(own->format, FORMAT);
}

int
tallies_add(struct tallies *all, uint32_t instance, const struct tally_page *page)
{
	if (all->n_others == TALLIES_MOST)
		return -1;
	all->others[all->n_others].instance = instance;
	all->others[all->n_others++].page = page;
	return 0;
}

const struct tally_page *
tallies_remove(struct tallies *all, uint32_t instance)
{
	const struct tally_page *page;

	for (size_t i = 0; i < all->n_others; i++) {
		if (all->others[i].instance != instance)
			continue;
		page = all->others[i].page;
		all->others[i] = all->others[--all->n_others];
		return page;
	}
	return NULL;
}

static unsigned
bucket_of(const struct tallies *all, const uint8_t key[TALLY_KEY])
{
	return (unsigned)(XXH64(key, TALLY_KEY, all->seed) % BUCKETS);
}

static uint64_t
net_of(const uint8_t key[TALLY_KEY])
{
	uint64_t net;

	memcpy(&net, key + 1, sizeof(net));
	return net;
}

/* ---- telling ---- */

static int64_t
latest(const int64_t stamp_us[TALLY_STAMPS])
{
	int64_t last = stamp_us[0];

	for (int i = 1; i < TALLY_STAMPS; i++)
		last = stamp_us[i] > last ? stamp_us[i] : last;
	return last;
}

/* The place of a network in its bucket, or one for it: empty, or where somebody without a connection stands who matters least. */
static struct entry *
place_for(struct entry *bucket, const uint8_t key[TALLY_KEY])
{
	struct entry *place = NULL;

	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *e = &bucket[i];

		if (e->kind == key[0] && e->net == net_of(key))
			return e;
		if (e->connections == 0 && (place == NULL || latest(e->stamp_us) < latest(place->stamp_us)))
			place = e;
	}
	return place;
}

/* Nobody is to find the new key with the old numbers. */
static void
take_place(struct entry *e, const uint8_t key[TALLY_KEY])
{
	PUT(e->kind, 0);
	for (int i = 0; i < TALLY_STAMPS; i++)
		PUT(e->stamp_us[i], 0);
	PUT(e->net, net_of(key));
	PUT(e->kind, key[0]);
}

void
tallies_tell(struct tallies *all, const uint8_t key[TALLY_KEY], const struct tally *t, int64_t now_us)
{
	struct entry *e;

	if (all->own == NULL || (e = place_for(all->own->entries[bucket_of(all, key)], key)) == NULL)
		return;
	if (e->kind != key[0] || e->net != net_of(key)) {
		if (t->connections == 0 && latest(t->stamp_us) <= now_us)
			return;
		take_place(e, key);
	}
	PUT(e->connections, t->connections);
	for (int i = 0; i < TALLY_STAMPS; i++)
		PUT(e->stamp_us[i], t->stamp_us[i]);
}

void
tallies_tell_sessions(struct tallies *all, uint32_t n)
{
	if (all->own != NULL)
		PUT(all->own->sessions, n);
}

/* ---- asking ---- */

static bool
read_entry(const struct entry *e, const uint8_t key[TALLY_KEY], struct tally *to)
{
	if (GET(e->kind) != key[0] || GET(e->net) != net_of(key))
		return false;
	to->connections = GET(e->connections);
	for (int i = 0; i < TALLY_STAMPS; i++)
		to->stamp_us[i] = GET(e->stamp_us[i]);
	return GET(e->kind) == key[0] && GET(e->net) == net_of(key);
}

static void
add(struct tally *sum, const struct tally *t, int64_t most_us)
{
	sum->connections = t->connections > UINT32_MAX - sum->connections ? UINT32_MAX : sum->connections + t->connections;
	for (int i = 0; i < TALLY_STAMPS; i++)
		if (t->stamp_us[i] > sum->stamp_us[i] && t->stamp_us[i] <= most_us)
			sum->stamp_us[i] = t->stamp_us[i];
}

void
tallies_ask(const struct tallies *all, const uint8_t key[TALLY_KEY], int64_t most_us, struct tally *to)
{
	unsigned bucket = bucket_of(all, key);

	*to = (struct tally){ 0 };
	for (size_t i = 0; i < all->n_others; i++) {
		const struct tally_page *page = all->others[i].page;
		struct tally t;

		if (GET(page->format) != FORMAT)
			continue;
		for (unsigned w = 0; w < WAYS; w++)
			if (read_entry(&page->entries[bucket][w], key, &t)) {
				add(to, &t, most_us);
				break;
			}
	}
}

/* ---- what is left of others ---- */

static void
inherit_entry(struct tallies *all, const struct entry *from, int64_t now_us, int64_t most_us)
{
	uint64_t net = GET(from->net);
	uint8_t key[TALLY_KEY] = { (uint8_t)GET(from->kind) };
	struct tally t;
	struct entry *e;

	memcpy(key + 1, &net, sizeof(net));
	if (key[0] == 0 || !read_entry(from, key, &t) || latest(t.stamp_us) <= now_us || latest(t.stamp_us) > most_us ||
	    (e = place_for(all->own->entries[bucket_of(all, key)], key)) == NULL)
		return;
	if (e->kind != key[0] || e->net != net) {
		if (latest(e->stamp_us) >= latest(t.stamp_us))
			return;
		take_place(e, key);
	}
	for (int i = 0; i < TALLY_STAMPS; i++)
		if (t.stamp_us[i] > e->stamp_us[i])
			PUT(e->stamp_us[i], t.stamp_us[i]);
}

void
tallies_inherit(struct tallies *all, const struct tally_page *gone, int64_t now_us, int64_t most_us)
{
	if (all->own == NULL || GET(gone->format) != FORMAT)
		return;
	for (unsigned b = 0; b < BUCKETS; b++)
		for (unsigned w = 0; w < WAYS; w++)
			inherit_entry(all, &gone->entries[b][w], now_us, most_us);
}

void
tallies_recall(const struct tallies *all, const uint8_t key[TALLY_KEY], struct tally *to)
{
	const struct entry *bucket = all->own != NULL ? all->own->entries[bucket_of(all, key)] : NULL;

	*to = (struct tally){ 0 };
	for (unsigned w = 0; bucket != NULL && w < WAYS; w++)
		if (read_entry(&bucket[w], key, to))
			return;
}

uint64_t
tallies_sessions(const struct tallies *all)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < all->n_others; i++)
		if (GET(all->others[i].page->format) == FORMAT)
			sum += GET(all->others[i].page->sessions);
	return sum;
}
