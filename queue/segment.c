/*
 * Segments (segment.h): the header, the checksum, and the scan that finds every record that can be believed. It does
 * not decide what a record means. Called by writer.c to write; recover.c, read.c, segindex.c and check.c to read.
 */
#include "queue/segment.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

#define SUM_AT		1U		/* "@", then 16 digits */
#define SUM_DIGITS	16U
#define REST_AT		(SUM_AT + SUM_DIGITS)
#define LENGTH_AT	(REST_AT + 1)	/* " ", then 8 digits */
#define LENGTH_DIGITS	8U
#define WORD_AT		(LENGTH_AT + LENGTH_DIGITS + 1)
#define HEADER_TEXT	512U
#define WINDOW		(1U << 20)	/* bytes a scan reads at once */
#define MAGIC		"minimta-log "

static uint64_t
sum(const struct segment_header *h, uint64_t offset, const void *data, size_t len)
{
	uint64_t place[2] = { htole64(h->number), htole64(offset) };
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, h->key, sizeof(h->key));
	XXH3_64bits_update(&state, place, sizeof(place));
	XXH3_64bits_update(&state, data, len);
	return XXH3_64bits_digest(&state);
}

static void
digits_put(uint8_t *to, uint64_t v, unsigned n)
{
	while (n-- > 0) {
		to[n] = (uint8_t)"0123456789abcdef"[v & 15];
		v >>= 4;
	}
}

/* Exactly n digits as digits_put writes them. */
static int
digits_get(const uint8_t *from, unsigned n, uint64_t *r)
{
	*r = 0;
	for (; n > 0; n--, from++) {
		if (*from >= '0' && *from <= '9')
			*r = *r << 4 | (uint64_t)(*from - '0');
		else if (*from >= 'a' && *from <= 'f')
			*r = *r << 4 | (uint64_t)(*from - 'a' + 10);
		else
			return -1;
	}
	return 0;
}

void
segment_header_write(uint8_t block[SEGMENT_BLOCK], const struct segment_header *h)
{
	char key[2 * SEGMENT_KEY + 1], good[24] = "-";
	char *text = (char *)block;
	int n;

	memset(block, 0, SEGMENT_BLOCK);
	for (unsigned i = 0; i < SEGMENT_KEY; i++)
		snprintf(key + 2 * i, 3, "%02x", h->key[i]);
	if (h->good != SEGMENT_UNKNOWN)
		snprintf(good, sizeof(good), "%" PRIu64, h->good);
	n = snprintf(text, HEADER_TEXT, MAGIC "%d\nsegment %" PRIu32 "\nkey %s\nsize %" PRIu64 "\nprior %" PRIu32
	    "\ngood %s\nrefused %s\nsum ", SEGMENT_FORMAT, h->number, key, h->size, h->prior, good,
	    h->refused ? "yes" : "no");
	snprintf(text + n, HEADER_TEXT - (size_t)n, "%016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, (size_t)n));
}

static int
key_read(uint8_t key[SEGMENT_KEY], const char *text)
{
	uint64_t v;

	for (unsigned i = 0; i < SEGMENT_KEY; i++) {
		if (digits_get((const uint8_t *)text + 2 * i, 2, &v) != 0)
			return -1;
		key[i] = (uint8_t)v;
	}
	return 0;
}

enum segment_result
segment_header_read(struct segment_header *h, const uint8_t *block, size_t len, unsigned *format_r)
{
	char text[HEADER_TEXT + 1], key[2 * SEGMENT_KEY + 1], good[24], refused[4];
	char *end;
	uint64_t found;
	int at = 0;

	memset(h, 0, sizeof(*h));
	len = len < HEADER_TEXT ? len : HEADER_TEXT;
	memcpy(text, block, len);
	text[len] = '\0';
	if (sscanf(text, MAGIC "%u\n", format_r) != 1)
		return SEGMENT_DAMAGED;
	if (*format_r > SEGMENT_FORMAT && (end = strstr(text, "\nsum ")) != NULL &&
	    digits_get((uint8_t *)end + 5, 16, &found) == 0 && found == XXH3_64bits(text, (size_t)(end + 5 - text)))
		return SEGMENT_NEWER;
	if (*format_r != SEGMENT_FORMAT && *format_r != SEGMENT_FORMAT_BEFORE)
		return SEGMENT_DAMAGED;
	if (sscanf(text, MAGIC "%*u\nsegment %" SCNu32 "\nkey %32[0-9a-f]\nsize %" SCNu64 "\nprior %" SCNu32
	    "\ngood %23[-0-9]\nrefused %3[a-z]\nsum %n", &h->number, key, &h->size, &h->prior, good, refused, &at) != 6 ||
	    at == 0 || digits_get((uint8_t *)text + at, 16, &found) != 0 || found != XXH3_64bits(text, (size_t)at) ||
	    strlen(key) != 2 * SEGMENT_KEY || key_read(h->key, key) != 0)
		return SEGMENT_DAMAGED;
	h->good = good[0] == '-' ? SEGMENT_UNKNOWN : strtoull(good, NULL, 10);
	h->refused = refused[0] == 'y';
	return h->size >= SEGMENT_LEAST && h->size <= SEGMENT_MOST && h->number > 0 ? SEGMENT_OK : SEGMENT_DAMAGED;
}

int
segment_frame(struct segment_frame *f, const uint8_t *p, size_t len)
{
	size_t most = len < RECORD_LINE_MAX ? len : RECORD_LINE_MAX;
	const uint8_t *end, *space;
	uint64_t ignored, payload;

	if (len <= WORD_AT || p[0] != '@' || p[REST_AT] != ' ' || p[WORD_AT - 1] != ' ' ||
	    digits_get(p + SUM_AT, SUM_DIGITS, &ignored) != 0 || digits_get(p + LENGTH_AT, LENGTH_DIGITS, &payload) != 0)
		return -1;
	end = memchr(p + WORD_AT, '\n', most - WORD_AT);
	if (end == NULL || payload > RECORD_PAYLOAD_MAX)
		return -1;
	space = memchr(p + WORD_AT, ' ', (size_t)(end - p) - WORD_AT);
	f->kind = record_kind_find((const char *)p + WORD_AT, (size_t)((space ? space : end) - p) - WORD_AT);
	f->line = (size_t)(end - p) + 1;
	f->payload = (size_t)payload;
	return f->kind < RECORD_KINDS ? 0 : -1;
}

void
segment_seal(const struct segment_header *h, uint64_t offset, uint8_t *record, size_t len)
{
	digits_put(record + SUM_AT, sum(h, offset, record + REST_AT, len - REST_AT), SUM_DIGITS);
}

bool
segment_sealed(const struct segment_header *h, uint64_t offset, const uint8_t *record, size_t len)
{
	uint64_t found;

	return len > REST_AT && digits_get(record + SUM_AT, SUM_DIGITS, &found) == 0 &&
	    found == sum(h, offset, record + REST_AT, len - REST_AT);
}

void
segment_batch(uint8_t to[SEGMENT_BATCH_SIZE], uint64_t durable, uint64_t length)
{
	uint64_t payload[2] = { htole64(durable), htole64(length) };
	int n;

	memset(to, 0, SEGMENT_BATCH_SIZE);
	n = snprintf((char *)to, SEGMENT_BATCH_SIZE, "@%016x %08zx batch\n", 0, sizeof(payload));
	memcpy(to + n, payload, sizeof(payload));
}

size_t
segment_batch_len(const uint8_t *record)
{
	struct segment_frame f;

	return segment_frame(&f, record, SEGMENT_BATCH_SIZE) == 0 ? f.line + f.payload : 0;
}

/* A scan under way. */
struct scan {
	const struct segment_header	*h;
	const struct segment_source	*source;
	const struct segment_events	*events;
	void				*arg;
	uint8_t				*window;	/* bytes of the segment from window_at on */
	uint64_t			 window_at;
	size_t				 window_len, window_room;
	uint64_t			 limit, durable;
	uint64_t			 batch_end;	/* of the batch that we are in, without padding */
	uint64_t			 from;		/* where belief ended; SEGMENT_UNKNOWN: it did not */
	uint64_t			 after;		/* behind the last record */
	uint64_t			 patience;	/* bytes that may still be summed up in vain */
	struct { uint64_t from, to; }	*damage;
	size_t				 n_damage;
};

/* Reads the window; blocks that cannot be read are zeros, in which no record is found. */
static void
window_load(struct scan *s, uint64_t at, size_t len)
{
	size_t n;

	if (len > s->window_room) {
		free(s->window);
		s->window = alloc_raw(len);
		s->window_room = len;
	}
	s->window_at = at;
	s->window_len = len;
	if (s->source->read(s->source->arg, s->window, len, at) == 0)
		return;
	for (size_t i = 0; i < len; i += n) {
		n = SEGMENT_BLOCK - (at + i) % SEGMENT_BLOCK;
		n = n < len - i ? n : len - i;
		if (s->source->read(s->source->arg, s->window + i, n, at + i) != 0)
			memset(s->window + i, 0, n);
	}
}

/* len bytes at offset at; NULL past the limit. */
static const uint8_t *
window_at(struct scan *s, uint64_t at, size_t len)
{
	uint64_t load = WINDOW;

	if (at > s->limit || len > s->limit - at)
		return NULL;
	if (at < s->window_at || at + len > s->window_at + s->window_len || s->window_len == 0) {
		if (load < len)
			load = len;
		if (load > s->limit - at)
			load = s->limit - at;
		window_load(s, at, (size_t)load);
	}
	return s->window + (at - s->window_at);
}

static void
damage_add(struct scan *s, uint64_t from, uint64_t to)
{
	s->damage = alloc_resize(s->damage, s->n_damage + 1, sizeof(*s->damage));
	s->damage[s->n_damage].from = from;
	s->damage[s->n_damage++].to = to;
}

/* A record at `at` that can be believed: its bytes, or NULL. */
static const uint8_t *
record_at(struct scan *s, uint64_t at, struct segment_frame *f)
{
	size_t most = s->limit - at < RECORD_LINE_MAX ? (size_t)(s->limit - at) : RECORD_LINE_MAX;
	const uint8_t *p = window_at(s, at, most);

	if (p == NULL || segment_frame(f, p, most) != 0)
		return NULL;
	if (f->line + f->payload > s->patience || (p = window_at(s, at, f->line + f->payload)) == NULL)
		return NULL;
	if (segment_sealed(s->h, at, p, f->line + f->payload))
		return p;
	s->patience -= f->line + f->payload;
	return NULL;
}

/* Whether what we passed was only a batch's padding: its own first record, which says so, was lost. */
static bool
is_padding(struct scan *s, uint64_t at, enum record_kind kind)
{
	const uint8_t *p;

	if (kind != RECORD_BATCH || s->from % SEGMENT_BLOCK == 0 || at - s->from >= SEGMENT_BLOCK ||
	    (p = window_at(s, s->from, (size_t)(at - s->from))) == NULL)
		return false;
	for (uint64_t i = 0; i < at - s->from; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* What a batch's first record says. */
static void
batch_take(struct scan *s, uint64_t at, const uint8_t *payload)
{
	uint64_t durable, length;

	memcpy(&durable, payload, sizeof(durable));
	memcpy(&length, payload + sizeof(durable), sizeof(length));
	durable = le64toh(durable);
	if (durable <= at && durable > s->durable)
		s->durable = durable;
	s->batch_end = at + le64toh(length);
}

/* Takes a believed record; returns where the next one is to be expected. */
static uint64_t
record_take(struct scan *s, uint64_t at, const uint8_t *p, const struct segment_frame *f)
{
	uint64_t next = segment_align(at + f->line + f->payload, SEGMENT_ALIGN);

	if (s->from != SEGMENT_UNKNOWN) {
		if (!is_padding(s, at, f->kind))
			damage_add(s, s->from, at);
		p = window_at(s, at, f->line + f->payload);	/* the window may have moved */
	}
	s->from = SEGMENT_UNKNOWN;
	s->after = at + f->line + f->payload;
	if (f->kind != RECORD_BATCH)
		s->events->on_record(s->arg, f->kind, at, p, f->line + f->payload, f->line);
	else if (f->payload == 2 * sizeof(uint64_t))
		batch_take(s, at, p + f->line);
	return at < s->batch_end && next >= s->batch_end ? segment_align(next, SEGMENT_BLOCK) : next;
}

/* At the beginning of a block: past what was allocated and never written, which is most of a segment that was just begun. */
static uint64_t
skip_hole(struct scan *s, uint64_t at)
{
	uint64_t data;

	if (s->source->next_data == NULL || at % SEGMENT_BLOCK != 0)
		return at;
	data = s->source->next_data(s->source->arg, at);
	if (data >= s->limit)
		return s->limit;
	return data > at ? data - data % SEGMENT_BLOCK : at;
}

/*
 * The next place from `at` on where a record could stand. Everything that is not believed is searched at every
 * multiple of SEGMENT_ALIGN; zeros are skipped quickly.
 */
static uint64_t
search(struct scan *s, uint64_t at)
{
	const uint8_t *p;

	for (at += SEGMENT_ALIGN; (at = skip_hole(s, at)) < s->limit; at += SEGMENT_ALIGN) {
		p = window_at(s, at, 1);
		if (p == NULL || *p == '@')
			break;
	}
	return at;
}

/* Behind the last byte of [from, limit) that is not zero; from when there is none. */
static uint64_t
written_to(struct scan *s, uint64_t from)
{
	uint64_t last = from;
	const uint8_t *p;
	size_t n;

	for (uint64_t at = from; (at = skip_hole(s, at)) < s->limit; at += n) {
		n = SEGMENT_BLOCK - at % SEGMENT_BLOCK;
		n = n < s->limit - at ? n : (size_t)(s->limit - at);
		p = window_at(s, at, n);
		for (size_t i = n; p && i > 0; i--)
			if (p[i - 1] != 0) {
				last = at + i;
				break;
			}
	}
	return last;
}

static void
scan_finish(struct scan *s, uint64_t wanted)
{
	uint64_t to;

	if (s->from != SEGMENT_UNKNOWN) {
		to = written_to(s, s->from);
		if (to < s->durable)
			to = s->durable;
		if (to > s->from)
			damage_add(s, s->from, to);
	}
	if (wanted > s->source->size)			/* cut off */
		damage_add(s, s->source->size, wanted);
	for (size_t i = 0; i < s->n_damage; i++)
		s->events->on_damage(s->arg, s->damage[i].from, s->damage[i].to, s->damage[i].from >= s->durable);
}

uint64_t
segment_scan(const struct segment_header *h, const struct segment_source *source, uint64_t limit, uint64_t known,
    const struct segment_events *events, void *arg)
{
	struct scan s = { .h = h, .source = source, .events = events, .arg = arg, .durable = known };
	uint64_t wanted = h->size - SEGMENT_BLOCK < limit ? h->size - SEGMENT_BLOCK : limit;
	uint64_t at = SEGMENT_BLOCK;
	struct segment_frame f;
	const uint8_t *p;

	s.limit = wanted < source->size ? wanted : source->size;
	s.from = SEGMENT_UNKNOWN;
	s.after = SEGMENT_BLOCK;
	s.patience = 16 * h->size;
	while (at < s.limit) {
		if ((p = record_at(&s, at, &f)) != NULL) {
			at = record_take(&s, at, p, &f);
			continue;
		}
		if (s.from == SEGMENT_UNKNOWN)
			s.from = at;
		at = search(&s, at);
	}
	scan_finish(&s, wanted);
	free(s.damage);
	free(s.window);
	return s.after;
}
