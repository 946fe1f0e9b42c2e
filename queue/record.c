/*
 * Records to bytes and back (record.h). Decides what a well-formed record is, and that only by its form: whether a
 * recipient's index exists or a message is known, index.c finds. Called by append.c and reclaim.c to write, in the loop; by
 * recover.c, read.c and check.c to read, from threads too: no static buffers there.
 */
#include "queue/record.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"

#define OUTCOME_HAS_MORE	0x80	/* with the state: time, marks and past follow; before format 2 there was none */

static const char *const kind_names[RECORD_KINDS] = {
	[RECORD_BATCH] = "batch",
	[RECORD_ACCEPT] = "accept",
	[RECORD_COPY] = "copy",
	[RECORD_STATE] = "state",
	[RECORD_OUTCOME] = "outcome",
	[RECORD_EXPAND] = "expand",
	[RECORD_ADMIN] = "admin",
	[RECORD_END] = "end",
};

const char *
record_kind_name(enum record_kind kind)
{
	return (unsigned)kind < RECORD_KINDS ? kind_names[kind] : "?";
}

enum record_kind
record_kind_find(const char *word, size_t len)
{
	unsigned kind = 0;

	while (kind < RECORD_KINDS && (strlen(kind_names[kind]) != len || memcmp(kind_names[kind], word, len) != 0))
		kind++;
	return kind;
}

struct blob *
blob_new(size_t len)
{
	struct blob *b = alloc_raw(sizeof(*b) + len);

	*b = (struct blob){ .refs = 1, .len = len };
	return b;
}

struct blob *
blob_ref(struct blob *b)
{
	b->refs++;
	return b;
}

void
blob_unref(struct blob *b)
{
	if (b && --b->refs == 0)
		free(b);
}

static void
encode_outcome(struct pack *p, const struct log_outcome *o)
{
	size_t len = o->text ? strnlen(o->text, RECORD_TEXT_MAX) : 0;
	size_t past = o->past ? strnlen(o->past, RECORD_PAST_MAX) : 0;
	bool more = o->at != 0 || o->marks != 0 || past > 0;

	pack_u32(p, o->index);
	pack_u8(p, (uint8_t)(o->state | (more ? OUTCOME_HAS_MORE : 0)));
	pack_u32(p, o->attempts);
	pack_i64(p, o->next_try);
	pack_blob(p, o->text, len);
	if (more) {
		pack_i64(p, o->at);
		pack_u8(p, o->marks);
		pack_blob(p, o->past, past);
	}
}

static void
encode_lists(struct pack *p, const struct record *r)
{
	pack_u32(p, r->first);
	pack_u32(p, r->n_added);
	for (uint32_t i = 0; i < r->n_added; i++)
		envelope_pack_rcpt(p, &r->added[i]);
	pack_u32(p, r->n_outcomes);
	for (uint32_t i = 0; i < r->n_outcomes; i++)
		encode_outcome(p, &r->outcomes[i]);
	pack_u64(p, r->parent);
	pack_u32(p, r->n_parent);
	for (uint32_t i = 0; i < r->n_parent; i++)
		pack_u32(p, r->parent_rcpts[i]);
	pack_blob(p, r->parent_text, r->parent_text ? strnlen(r->parent_text, RECORD_TEXT_MAX) : 0);
	pack_u32(p, r->n_sums);
	for (uint32_t i = 0; i < r->n_sums; i++)
		pack_u64(p, r->sums[i]);
}

/* The payload without content, from its own length on. */
static void
encode_brief(struct pack *p, const struct record *r)
{
	uint32_t len;

	pack_u32(p, 0);
	pack_u64(p, r->id);
	pack_i64(p, r->arrived);
	pack_u64(p, r->size);
	pack_u8(p, r->in_file);
	envelope_pack_sender(p, &r->sender);
	pack_str(p, r->head);
	encode_lists(p, r);
	len = htole32((uint32_t)(p->len - sizeof(len)));
	memcpy(p->data, &len, sizeof(len));
}

/* What a person reads: the id as everywhere else, then the most telling things. */
static size_t
encode_line(char *to, size_t size, const struct record *r, size_t payload)
{
	char address[128];
	int n = snprintf(to, size, "@%016x %08zx %s id=%s", 0, payload, kind_names[r->kind], id_text(r->id));

	if (r->kind == RECORD_ACCEPT || r->kind == RECORD_COPY) {
		log_escape(address, sizeof(address), r->sender.address, r->sender.address ? strlen(r->sender.address) : 0);
		n += snprintf(to + n, size - (size_t)n, " arrived=%lld from=<%s> rcpts=%u size=%llu%s",
		    (long long)r->arrived, address, r->n_added, (unsigned long long)r->size, r->in_file ? " file" : "");
	} else if (r->n_added > 0)
		n += snprintf(to + n, size - (size_t)n, " added=%u", r->n_added);
	if (r->n_outcomes > 0) {
		log_escape(address, sizeof(address), r->outcomes[0].text ? r->outcomes[0].text : "",
		    r->outcomes[0].text ? strnlen(r->outcomes[0].text, 100) : 0);
		n += snprintf(to + n, size - (size_t)n, " rcpt=%u state=%c n=%u text=\"%s\"", r->outcomes[0].index,
		    "ODFXRH"[r->outcomes[0].state], r->n_outcomes, address);
	}
	to[n++] = '\n';
	return (size_t)n;
}

struct blob *
record_encode(const struct record *r)
{
	char line[RECORD_LINE_MAX];
	struct blob *b = NULL;
	struct pack p;
	size_t n;

	pack_init_most(&p, RECORD_PAYLOAD_MAX);
	encode_brief(&p, r);
	if (!p.over && p.len + r->content_len <= RECORD_PAYLOAD_MAX) {
		n = encode_line(line, sizeof(line), r, p.len + r->content_len);
		b = blob_new(n + p.len + r->content_len);
		b->kind = r->kind;
		memcpy(b->data, line, n);
		memcpy(b->data + n, p.data, p.len);
		if (r->content_len > 0) {
			b->content = n + p.len;
			memcpy(b->data + b->content, r->content, r->content_len);
		}
	}
	pack_free(&p);
	return b;
}

size_t
record_brief(const void *payload, size_t len)
{
	struct unpack u;
	uint32_t n;

	unpack_init(&u, payload, len);
	n = unpack_u32(&u);
	return unpack_ok(&u) && n <= len - 4 ? n + 4U : len;
}

/* Room for n things of `size` bytes each, of which each takes at least `least` bytes of what is left to read. */
static void *
list_new(struct unpack *u, uint32_t n, size_t least, size_t size)
{
	void *list;

	if (u->bad || n > (size_t)(u->end - u->p) / least) {
		u->bad = true;
		return NULL;
	}
	list = alloc_new(n, size);
	return list;
}

static char *
decode_text(struct unpack *u, size_t most)
{
	size_t len;
	const void *at = unpack_blob(u, &len);
	char *text;

	if (len > most || memchr(at, '\0', len) != NULL) {
		u->bad = true;
		len = 0;
	}
	text = alloc_text_len(at, len);
	return text;
}

static void
decode_added(struct record *r, struct unpack *u)
{
	uint32_t n;

	r->first = unpack_u32(u);
	n = unpack_u32(u);
	if (n > UINT32_MAX - r->first)
		u->bad = true;
	r->added = list_new(u, n, 5, sizeof(*r->added));
	while (!u->bad && r->n_added < n) {
		if (envelope_unpack_rcpt(u, &r->added[r->n_added]) != 0)
			u->bad = true;
		else
			r->n_added++;
	}
}

static void
decode_outcomes(struct record *r, struct unpack *u)
{
	uint32_t n = unpack_u32(u);
	struct log_outcome *o;

	r->outcomes = list_new(u, n, 21, sizeof(*r->outcomes));
	while (!u->bad && r->n_outcomes < n) {
		o = &r->outcomes[r->n_outcomes];
		o->index = unpack_u32(u);
		o->state = unpack_u8(u);
		o->attempts = unpack_u32(u);
		o->next_try = unpack_i64(u);
		o->text = decode_text(u, RECORD_TEXT_MAX);
		if (o->state & OUTCOME_HAS_MORE) {
			o->state &= (unsigned)~OUTCOME_HAS_MORE;
			o->at = unpack_i64(u);
			o->marks = unpack_u8(u);
			o->past = decode_text(u, RECORD_PAST_MAX);
		}
		if (o->state > LOG_HELD)
			u->bad = true;
		r->n_outcomes++;
	}
}

static void
decode_rest(struct record *r, struct unpack *u)
{
	uint32_t n;

	r->parent = unpack_u64(u);
	n = unpack_u32(u);
	r->parent_rcpts = list_new(u, n, 4, sizeof(*r->parent_rcpts));
	for (; !u->bad && r->n_parent < n; r->n_parent++)
		r->parent_rcpts[r->n_parent] = unpack_u32(u);
	r->parent_text = decode_text(u, RECORD_TEXT_MAX);
	n = unpack_u32(u);
	r->sums = list_new(u, n, 8, sizeof(*r->sums));
	for (; !u->bad && r->n_sums < n; r->n_sums++)
		r->sums[r->n_sums] = unpack_u64(u);
}

/* What the fields of a kind must be, beyond their form. */
static bool
decode_sane(const struct record *r, bool brief)
{
	bool base = r->kind == RECORD_ACCEPT || r->kind == RECORD_COPY;
	uint64_t chunks = r->size / RECORD_CHUNK + (r->size % RECORD_CHUNK != 0);

	if (r->id == 0 || r->kind == RECORD_BATCH || r->kind >= RECORD_KINDS)
		return false;
	if (base && (r->first != 0 || r->n_added == 0))
		return false;
	if (base && r->in_file)
		return r->content_len == 0 && r->n_sums == chunks;
	if (base && !brief)
		return r->content_len == r->size && r->n_sums == 0;
	return r->content_len == 0 && r->n_sums == 0;
}

int
record_decode(struct record *r, enum record_kind kind, const void *payload, size_t len, bool brief)
{
	size_t skip = record_brief(payload, len);
	struct unpack u;

	*r = (struct record){ .kind = kind };
	unpack_init(&u, payload, skip);
	unpack_u32(&u);
	r->id = unpack_u64(&u);
	r->arrived = unpack_i64(&u);
	r->size = unpack_u64(&u);
	r->in_file = unpack_u8(&u) != 0;
	if (!unpack_ok(&u) || envelope_unpack_sender(&u, &r->sender) != 0)
		return -1;
	r->head = unpack_str(&u);
	decode_added(r, &u);
	decode_outcomes(r, &u);
	decode_rest(r, &u);
	r->content = (const uint8_t *)payload + skip;
	r->content_len = len - skip;
	if (!unpack_end(&u) || !decode_sane(r, brief)) {
		record_free(r);
		return -1;
	}
	return 0;
}

void
record_free(struct record *r)
{
	envelope_free_sender(&r->sender);
	free(r->head);
	for (uint32_t i = 0; i < r->n_added; i++)
		envelope_free_rcpt(&r->added[i]);
	free(r->added);
	for (uint32_t i = 0; i < r->n_outcomes; i++) {
		free((char *)r->outcomes[i].text);
		free((char *)r->outcomes[i].past);
	}
	free(r->outcomes);
	free(r->parent_rcpts);
	free(r->parent_text);
	free(r->sums);
	*r = (struct record){ 0 };
}
