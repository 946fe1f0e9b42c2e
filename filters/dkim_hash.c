/*
 * The hashes that signatures are made of and compared with. Decides which fields h= means and how much of a body l= covers;
 * whether a hash is the right one is decided by dkim.c, arc.c and the signers.
 */
#include "filters/dkim_hash.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/header.h"
#include "lib/log.h"

#define NAME_MAX_LEN	256		/* a longer name of a field is one that no signature can mean */
#define NONE		UINT32_MAX

/* ---- SHA-256 ---- */

EVP_MD_CTX *
dkim_hash_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		log_fatal("event=out-of-memory what=sha256");
	return ctx;
}

void
dkim_hash_put(void *ctx, const void *bytes, size_t len)
{
	EVP_DigestUpdate(ctx, bytes, len);
}

void
dkim_hash_end(EVP_MD_CTX *ctx, uint8_t hash[DKIM_HASH_BYTES])
{
	EVP_DigestFinal_ex(ctx, hash, NULL);
	EVP_MD_CTX_free(ctx);
}

/* ---- fields ---- */

/* All fields of one name, in lower case. */
struct name {
	UT_hash_handle	 hh;
	uint32_t	 last;		/* the lowest of them in the header */
	uint32_t	 next;		/* which comes next for the signature of this round */
	unsigned	 round;
	char		 text[];
};

struct dkim_fields {
	char		*header;
	struct header_field *fields;
	uint32_t	*above;		/* the next one upwards with the same name */
	size_t		 n, room;
	struct name	*names;
	unsigned	 round;
};

static void
lower(char *to, const char *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] - 'A' + 'a') : from[i];
}

static struct name *
find(struct dkim_fields *f, const char *text, size_t len)
{
	char key[NAME_MAX_LEN];
	struct name *name = NULL;

	if (len > sizeof(key))
		return NULL;
	lower(key, text, len);
	HASH_FIND(hh, f->names, key, len, name);
	return name;
}

/* Notes a field under its name. */
static void
index_field(struct dkim_fields *f, size_t at)
{
	const struct header_field *field = &f->fields[at];
	struct name *name = find(f, field->name, field->name_len);

	f->above[at] = name != NULL ? name->last : NONE;
	if (name == NULL && field->name_len <= NAME_MAX_LEN) {
		name = alloc_new(1, sizeof(*name) + field->name_len);
		lower(name->text, field->name, field->name_len);
		HASH_ADD_KEYPTR(hh, f->names, name->text, field->name_len, name);
	}
	if (name != NULL)
		name->last = (uint32_t)at;
}

struct dkim_fields *
dkim_fields_new(const char *header, size_t len)
{
	struct dkim_fields *f = alloc_new(1, sizeof(*f));
	struct header_field field;

	f->header = alloc_raw(len + 1);
	memcpy(f->header, header, len);
	for (size_t at = 0; f->n < NONE && header_next_any(f->header, len, &at, &field); f->n++) {
		if (f->n == f->room) {
			f->room = f->room == 0 ? 32 : f->room * 2;
			f->fields = alloc_resize(f->fields, f->room, sizeof(*f->fields));
			f->above = alloc_resize(f->above, f->room, sizeof(*f->above));
		}
		f->fields[f->n] = field;
		index_field(f, f->n);
	}
	return f;
}

void
dkim_fields_free(struct dkim_fields *f)
{
	struct name *name, *next;

	if (f == NULL)
		return;
	HASH_ITER(hh, f->names, name, next) {
		HASH_DEL(f->names, name);
		free(name);
	}
	free(f->above);
	free(f->fields);
	free(f->header);
	free(f);
}

size_t
dkim_fields_count(const struct dkim_fields *f)
{
	return f->n;
}

const struct header_field *
dkim_fields_get(const struct dkim_fields *f, size_t at)
{
	return &f->fields[at];
}

void
dkim_hash_own(const struct dkim_signature *s, const struct header_field *own, bool relaxed, dkim_put_fn *put, void *arg)
{
	struct header_field field = *own;
	size_t before = (size_t)(own->value - own->name), rest = own->value_len - s->b_end;
	char *copy = alloc_raw(before + own->value_len);

	memcpy(copy, own->name, before + s->b_at);
	memcpy(copy + before + s->b_at, own->value + s->b_end, rest);
	field.name = copy;
	field.value = copy + before;
	field.value_len = s->b_at + rest;
	dkim_canon_field(&field, relaxed, false, put, arg);
	free(copy);
}

/* The next field of that name, upwards; NONE when there is no more: then it is signed that there is none. */
static uint32_t
choose(struct dkim_fields *f, const char *text, size_t len, size_t own_at)
{
	struct name *name = find(f, text, len);
	uint32_t at;

	if (name == NULL)
		return NONE;
	if (name->round != f->round) {
		name->round = f->round;
		name->next = name->last;
	}
	if (name->next != NONE && name->next == own_at)
		name->next = f->above[name->next];
	at = name->next;
	if (at != NONE)
		name->next = f->above[at];
	return at;
}

void
dkim_fields_hash(struct dkim_fields *f, const struct dkim_signature *s, const struct header_field *own, size_t own_at,
    uint8_t hash[DKIM_HASH_BYTES])
{
	EVP_MD_CTX *ctx = dkim_hash_new();
	const char *name;
	size_t at = 0, len;

	f->round++;
	while (dkim_signature_name(s, &at, &name, &len)) {
		uint32_t chosen = choose(f, name, len, own_at);

		if (chosen != NONE)
			dkim_canon_field(&f->fields[chosen], s->relaxed_header, true, dkim_hash_put, ctx);
	}
	dkim_hash_own(s, own, s->relaxed_header, dkim_hash_put, ctx);
	dkim_hash_end(ctx, hash);
}

/* ---- bodies ---- */

/* Canonical bytes, to all hashes of one kind. */
static void
put_canonical(struct dkim_bodies *b, bool relaxed, const void *bytes, size_t len)
{
	for (size_t i = 0; i < b->n; i++) {
		struct dkim_body_hash *h = &b->hashes[i];
		uint64_t left = !h->limited ? UINT64_MAX : h->limit > h->size ? h->limit - h->size : 0;

		if (h->relaxed != relaxed)
			continue;
		dkim_hash_put(h->ctx, bytes, left < len ? (size_t)left : len);
		h->size += len;
	}
}

static void
put_simple(void *arg, const void *bytes, size_t len)
{
	put_canonical(arg, false, bytes, len);
}

static void
put_relaxed(void *arg, const void *bytes, size_t len)
{
	put_canonical(arg, true, bytes, len);
}

size_t
dkim_bodies_want(struct dkim_bodies *b, const struct dkim_signature *s)
{
	struct dkim_body_hash *h;
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->hashes[i].relaxed == s->relaxed_body && b->hashes[i].limited == s->limited &&
		    b->hashes[i].limit == s->limit)
			return i;
	if (i == DKIM_BODIES_MAX)
		log_fatal("event=dkim-bodies reason=\"more than %d hashes\"", DKIM_BODIES_MAX);
	h = &b->hashes[b->n++];
	*h = (struct dkim_body_hash){ .ctx = dkim_hash_new(), .relaxed = s->relaxed_body, .limited = s->limited,
	    .limit = s->limit };
	if (b->canons[h->relaxed] == NULL) {
		b->canons[h->relaxed] = alloc_raw(sizeof(struct dkim_canon));
		dkim_canon_init(b->canons[h->relaxed], h->relaxed, h->relaxed ? put_relaxed : put_simple, b);
	}
	return i;
}

void
dkim_bodies_put(struct dkim_bodies *b, const void *bytes, size_t len)
{
	for (int i = 0; i < 2; i++)
		if (b->canons[i] != NULL)
			dkim_canon_body(b->canons[i], bytes, len);
}

void
dkim_bodies_end(struct dkim_bodies *b)
{
	for (int i = 0; i < 2; i++)
		if (b->canons[i] != NULL)
			dkim_canon_finish(b->canons[i]);
	for (size_t i = 0; i < b->n; i++) {
		dkim_hash_end(b->hashes[i].ctx, b->hashes[i].hash);
		b->hashes[i].ctx = NULL;
	}
}

void
dkim_bodies_clear(struct dkim_bodies *b)
{
	for (size_t i = 0; i < b->n; i++)
		EVP_MD_CTX_free(b->hashes[i].ctx);
	free(b->canons[0]);
	free(b->canons[1]);
	*b = (struct dkim_bodies){ .n = 0 };
}
