/*
 * What is remembered of clients and mail (filters/memory_core.h): which tables a question looks into, and how long an entry
 * counts. Time stamps are in whole seconds; those in the future (the clock was set back) count as now.
 */
#include "filters/memory_core.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"

#define DAY_S		86400U
#define TOUCH_S		60U		/* a last use is written again only when it is this much later */
#define PASS_AGAIN_S	3600U		/* the same sender's passes count once in this time: one mail to many is one */
#define GREETED_S	DAY_S
#define TRAPPED_S	DAY_S		/* long enough to stop a run, short enough for a large provider's host */
#define CLIENT_KEEP_S	(36U * DAY_S)
#define PEOPLE_KEEP_S	(90U * DAY_S)
#define RATE_KEEP_S	DAY_S
#define COUNT_MAX	60000U		/* of good and bad: then both are halved, so that what is recent counts more */
#define ENTRIES_MANY	786432U		/* of a generation: 24 MiB */
#define ENTRIES		196608U

static const struct {
	size_t		 most;
	uint32_t	 period_s;
} kinds[MEMORY_TABLES] = {
	[MEMORY_WAITING] = { ENTRIES_MANY, MEMORY_WINDOW_S },
	[MEMORY_PASSED] = { ENTRIES_MANY, MEMORY_KEEP_S },
	[MEMORY_NETWORKS] = { ENTRIES, MEMORY_KEEP_S },
	[MEMORY_CLIENTS] = { ENTRIES, CLIENT_KEEP_S },
	[MEMORY_PEOPLE] = { ENTRIES, PEOPLE_KEEP_S },
	[MEMORY_RATES] = { ENTRIES, RATE_KEEP_S },
};

/* What stands in v[1] and further. */
enum { NETWORK_PASSES = 1, NETWORK_COUNTED, NETWORK_SENDER };
enum { CLIENT_COUNTS = 1, CLIENT_GREETED, CLIENT_TRAPPED };	/* good in the upper half of counts, bad in the lower */
enum { RATE_COUNT = 1, RATE_BEFORE, RATE_WINDOW };
enum { PASSED_COUNTED = 1 };

struct memory_core {
	struct memory_table	*tables[MEMORY_TABLES];
	uint32_t		 wait_s, window_s, keep_s, passes;
};

struct memory_core *
memory_core_new(const struct memory_events *events)
{
	struct memory_core *m = alloc_new(1, sizeof(*m));

	for (unsigned t = 0; t < MEMORY_TABLES; t++)
		m->tables[t] = memory_table_new(t, kinds[t].most, kinds[t].period_s, events);
	m->wait_s = MEMORY_WAIT_S;
	m->window_s = MEMORY_WINDOW_S;
	m->keep_s = MEMORY_KEEP_S;
	m->passes = MEMORY_PASSES;
	return m;
}

void
memory_core_free(struct memory_core *m)
{
	if (m == NULL)
		return;
	for (unsigned t = 0; t < MEMORY_TABLES; t++)
		memory_table_free(m->tables[t]);
	free(m);
}

void
memory_core_expire(struct memory_core *m, time_t now)
{
	for (unsigned t = 0; t < MEMORY_TABLES; t++)
		memory_table_expire(m->tables[t], now);
}

struct memory_table *
memory_core_table(struct memory_core *m, enum memory_tables t)
{
	return m->tables[t];
}

const char *
memory_grey_name(enum memory_grey g)
{
	static const char *const names[] = { "new", "early", "passed", "known" };

	return (unsigned)g < sizeof(names) / sizeof(names[0]) ? names[g] : "?";
}

/* ---- keys and stamps ---- */

/*
 * Of two texts of any letter case, with a byte between them that no text has. Half a SHA-256's half: that two keys are
 * the same by chance is one in a billion with all tables full, and cannot be brought about.
 */
static uint64_t
hash(const char *a, const char *b)
{
	uint8_t text[MEMORY_KEY_MAX + MEMORY_OTHER_MAX], digest[EVP_MAX_MD_SIZE];
	size_t n = 0;
	uint64_t key;

	for (size_t i = 0; a[i] != '\0' && i < MEMORY_KEY_MAX - 1; i++)
		text[n++] = (uint8_t)a[i];
	text[n++] = '\0';
	for (size_t i = 0; b[i] != '\0' && i < MEMORY_OTHER_MAX - 1; i++)
		text[n++] = (uint8_t)b[i];
	for (size_t i = 0; i < n; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] |= 0x20;
	if (EVP_Digest(text, n, digest, NULL, EVP_sha256(), NULL) != 1)
		log_fatal("event=bug what=\"no SHA-256\"");
	memcpy(&key, digest, sizeof(key));
	return key;
}

static uint32_t
age(uint32_t stamp, time_t now)
{
	return (time_t)stamp < now ? (uint32_t)(now - (time_t)stamp) : 0;
}

/* Whether there is one that is younger than so many seconds. Else it is a fresh one. */
static bool
recall(struct memory_core *m, enum memory_tables t, uint64_t key, uint32_t keep_s, time_t now, struct memory_entry *e)
{
	if (memory_table_get(m->tables[t], key, e) && age(e->v[0], now) < keep_s) {
		if ((time_t)e->v[0] > now)
			e->v[0] = (uint32_t)now;
		return true;
	}
	*e = (struct memory_entry){ .key = key, .v = { (uint32_t)now } };
	return false;
}

static void
keep(struct memory_core *m, enum memory_tables t, const struct memory_entry *e, time_t now)
{
	memory_table_put(m->tables[t], e, now);
}

/* It was used: said again only now and then, for a busy client is one write a minute. */
static void
touch(struct memory_core *m, enum memory_tables t, struct memory_entry *e, time_t now)
{
	if (age(e->v[0], now) < TOUCH_S)
		return;
	e->v[0] = (uint32_t)now;
	keep(m, t, e, now);
}

/* ---- greylisting ---- */

static uint32_t
or_usual(uint32_t asked, uint32_t usual)
{
	return asked != 0 ? asked : usual;
}

static void
learn_times(struct memory_core *m, const struct memory_question *q)
{
	m->wait_s = q->wait_s;
	m->window_s = or_usual(q->window_s, MEMORY_WINDOW_S);
	m->keep_s = or_usual(q->keep_s, MEMORY_KEEP_S);
	m->passes = q->passes;
	memory_table_keep(m->tables[MEMORY_WAITING], m->window_s);
	memory_table_keep(m->tables[MEMORY_PASSED], m->keep_s);
	memory_table_keep(m->tables[MEMORY_NETWORKS], m->keep_s);
}

/* A mail that waited speaks for the network or domain that it came from; one mail to many recipients once. */
static void
count_pass(struct memory_core *m, struct memory_entry *network, const struct memory_question *q, time_t now)
{
	size_t len = strcspn(q->other, "\n");
	char sender[MEMORY_OTHER_MAX];
	uint32_t who;

	snprintf(sender, sizeof(sender), "%.*s", (int)(len < sizeof(sender) ? len : sizeof(sender) - 1), q->other);
	who = (uint32_t)hash(sender, "");
	if (network->v[NETWORK_PASSES] > 0 && network->v[NETWORK_SENDER] == who &&
	    age(network->v[NETWORK_COUNTED], now) < PASS_AGAIN_S)
		return;
	if (network->v[NETWORK_PASSES] < UINT32_MAX)
		network->v[NETWORK_PASSES]++;
	network->v[NETWORK_SENDER] = who;
	network->v[NETWORK_COUNTED] = network->v[0] = (uint32_t)now;
	keep(m, MEMORY_NETWORKS, network, now);
}

static enum memory_grey
pass_again(struct memory_core *m, struct memory_entry *triplet, struct memory_entry *network,
    const struct memory_question *q, time_t now)
{
	if (q->peek)
		return MEMORY_GREY_PASSED;
	if (age(triplet->v[PASSED_COUNTED], now) >= PASS_AGAIN_S) {
		count_pass(m, network, q, now);
		triplet->v[PASSED_COUNTED] = triplet->v[0] = (uint32_t)now;
		keep(m, MEMORY_PASSED, triplet, now);
	} else
		touch(m, MEMORY_PASSED, triplet, now);
	return MEMORY_GREY_PASSED;
}

static enum memory_grey
pass_first(struct memory_core *m, uint64_t key, struct memory_entry *network, const struct memory_question *q, time_t now)
{
	struct memory_entry passed = { .key = key, .v = { (uint32_t)now, (uint32_t)now } };

	if (q->peek)
		return MEMORY_GREY_PASSED;
	memory_table_delete(m->tables[MEMORY_WAITING], key);
	keep(m, MEMORY_PASSED, &passed, now);
	count_pass(m, network, q, now);
	return MEMORY_GREY_PASSED;
}

static enum memory_grey
ask_waiting(struct memory_core *m, uint64_t key, struct memory_entry *network, const struct memory_question *q, time_t now,
    uint32_t *left_r)
{
	struct memory_entry e;
	bool there = recall(m, MEMORY_WAITING, key, or_usual(q->window_s, MEMORY_WINDOW_S), now, &e);
	uint32_t waited = there ? age(e.v[0], now) : 0;

	if (waited >= q->wait_s)
		return pass_first(m, key, network, q, now);
	*left_r = q->wait_s - waited;
	if (there)
		return MEMORY_GREY_EARLY;
	if (!q->peek)
		keep(m, MEMORY_WAITING, &e, now);
	return MEMORY_GREY_NEW;
}

static void
ask_greylist(struct memory_core *m, const struct memory_question *q, time_t now, struct memory_answer *a)
{
	uint64_t key = hash(q->key, q->other);
	uint32_t keep_s = or_usual(q->keep_s, MEMORY_KEEP_S);
	struct memory_entry network, triplet;

	if (!q->peek)
		learn_times(m, q);
	recall(m, MEMORY_NETWORKS, hash(q->key, ""), keep_s, now, &network);
	a->count = network.v[NETWORK_PASSES];
	if (q->passes > 0 && network.v[NETWORK_PASSES] >= q->passes) {
		a->grey = MEMORY_GREY_KNOWN;
		if (!q->peek)
			touch(m, MEMORY_NETWORKS, &network, now);
	} else if (recall(m, MEMORY_PASSED, key, keep_s, now, &triplet))
		a->grey = pass_again(m, &triplet, &network, q, now);
	else
		a->grey = ask_waiting(m, key, &network, q, now, &a->left_s);
}

void
memory_core_times(const struct memory_core *m, struct memory_question *q)
{
	q->wait_s = m->wait_s;
	q->window_s = m->window_s;
	q->keep_s = m->keep_s;
	q->passes = m->passes;
}

/* ---- clients ---- */

static uint32_t
good_of(const struct memory_entry *e)
{
	return e->v[CLIENT_COUNTS] >> 16;
}

static uint32_t
bad_of(const struct memory_entry *e)
{
	return e->v[CLIENT_COUNTS] & 0xffff;
}

static void
ask_client(struct memory_core *m, const struct memory_question *q, time_t now, struct facts_standing *s)
{
	struct memory_entry e;

	if (!recall(m, MEMORY_CLIENTS, hash(q->key, ""), CLIENT_KEEP_S, now, &e))
		return;
	s->good = good_of(&e);
	s->bad = bad_of(&e);
	s->passed = e.v[CLIENT_GREETED] != 0 && age(e.v[CLIENT_GREETED], now) < GREETED_S;
	s->trapped = e.v[CLIENT_TRAPPED] != 0 && age(e.v[CLIENT_TRAPPED], now) < TRAPPED_S;
	s->known = s->good > s->bad && !s->trapped;
}

static void
note_client(struct memory_core *m, const struct memory_question *q, time_t now)
{
	struct memory_entry e;
	uint32_t good, bad;

	recall(m, MEMORY_CLIENTS, hash(q->key, ""), CLIENT_KEEP_S, now, &e);
	good = good_of(&e) + (q->note == MEMORY_GOOD);
	bad = bad_of(&e) + (q->note == MEMORY_BAD);
	if (good > COUNT_MAX || bad > COUNT_MAX) {
		good /= 2;
		bad /= 2;
	}
	e.v[CLIENT_COUNTS] = good << 16 | bad;
	if (q->note == MEMORY_GREETED)
		e.v[CLIENT_GREETED] = (uint32_t)now;
	if (q->note == MEMORY_TRAPPED)
		e.v[CLIENT_TRAPPED] = (uint32_t)now;
	e.v[0] = (uint32_t)now;
	keep(m, MEMORY_CLIENTS, &e, now);
}

/* ---- people ---- */

static bool
ask_sender(struct memory_core *m, const struct memory_question *q, time_t now)
{
	struct memory_entry e;

	return recall(m, MEMORY_PEOPLE, hash(q->key, ""), PEOPLE_KEEP_S, now, &e);
}

/* Whoever of us wrote: a colleague's correspondent is no stranger to the others. */
static void
note_wrote(struct memory_core *m, const struct memory_question *q, time_t now)
{
	struct memory_entry e;

	if (recall(m, MEMORY_PEOPLE, hash(q->other, ""), PEOPLE_KEEP_S, now, &e))
		touch(m, MEMORY_PEOPLE, &e, now);
	else
		keep(m, MEMORY_PEOPLE, &e, now);
}

/* ---- rates ---- */

/* The entry as it is now: a window that is over counts as the one before, by the share of it that still reaches into the
 * last window_s seconds. */
static void
rate_slide(struct memory_entry *e, uint32_t window_s, time_t now)
{
	uint32_t gone = age(e->v[0], now);

	if (e->v[RATE_WINDOW] != window_s || gone >= 2 * window_s)
		*e = (struct memory_entry){ .key = e->key, .v = { (uint32_t)now, 0, 0, window_s } };
	else if (gone >= window_s)
		*e = (struct memory_entry){ .key = e->key, .v = { e->v[0] + window_s, 0, e->v[RATE_COUNT], window_s } };
}

static uint64_t
rate_count(const struct memory_entry *e, uint32_t window_s, time_t now)
{
	uint64_t left = window_s - age(e->v[0], now);

	return e->v[RATE_COUNT] + (e->v[RATE_BEFORE] * left + window_s - 1) / window_s;
}

/* Until there is room for one more below `most`. */
static uint32_t
rate_wait(const struct memory_entry *e, uint32_t window_s, uint32_t most, time_t now)
{
	uint32_t in_window = window_s - age(e->v[0], now);
	uint64_t room, from;

	if (e->v[RATE_COUNT] < most) {		/* what was before must fade */
		room = most - 1 - e->v[RATE_COUNT];
		from = (uint64_t)window_s * room / e->v[RATE_BEFORE];
		return in_window > from ? (uint32_t)(in_window - from) : 1;
	}
	from = (uint64_t)window_s * (most - 1) / e->v[RATE_COUNT];
	return in_window + (uint32_t)(window_s - from);
}

static void
ask_rate(struct memory_core *m, const struct memory_question *q, time_t now, struct memory_answer *a)
{
	uint32_t window_s = q->window_s > 0 && q->window_s <= MEMORY_KEEP_S ? q->window_s : 60;
	struct memory_entry e;
	uint64_t count;

	memory_table_keep(m->tables[MEMORY_RATES], 2 * window_s);
	recall(m, MEMORY_RATES, hash(q->key, q->other), 2 * window_s, now, &e);
	rate_slide(&e, window_s, now);
	count = rate_count(&e, window_s, now) + 1;
	a->count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
	if (q->passes > 0 && count > q->passes)
		a->left_s = rate_wait(&e, window_s, q->passes, now);
	else if (!q->peek) {
		e.v[RATE_COUNT]++;
		keep(m, MEMORY_RATES, &e, now);
	}
}

/* ---- all ---- */

void
memory_core_ask(struct memory_core *m, const struct memory_question *q, time_t now, struct memory_answer *a)
{
	*a = (struct memory_answer){ 0 };
	switch (q->op) {
	case MEMORY_CLIENT:
		ask_client(m, q, now, &a->standing);
		break;
	case MEMORY_NOTE:
		note_client(m, q, now);
		break;
	case MEMORY_GREYLIST:
		ask_greylist(m, q, now, a);
		break;
	case MEMORY_SENDER:
		a->written_to = ask_sender(m, q, now);
		break;
	case MEMORY_WROTE:
		note_wrote(m, q, now);
		break;
	case MEMORY_RATE:
		ask_rate(m, q, now, a);
		break;
	case MEMORY_OPS:
	case MEMORY_CALLBACK:		/* nobody is called from here */
		a->failed = true;
		break;
	}
}

static unsigned
forget_in(struct memory_core *m, enum memory_tables t, uint64_t key)
{
	struct memory_entry e;

	if (!memory_table_get(m->tables[t], key, &e))
		return 0;
	memory_table_delete(m->tables[t], key);
	return 1;
}

unsigned
memory_core_forget(struct memory_core *m, const char *key, const char *other)
{
	uint64_t alone = hash(key, ""), both = hash(key, other);

	if (other[0] != '\0')
		return forget_in(m, MEMORY_WAITING, both) + forget_in(m, MEMORY_PASSED, both);
	return forget_in(m, MEMORY_NETWORKS, alone) + forget_in(m, MEMORY_CLIENTS, alone) + forget_in(m, MEMORY_PEOPLE, alone);
}
