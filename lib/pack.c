/*
 * Packing and unpacking of messages' payloads (lib/pack.h). Pure: no message is known here, only fields.
 * Every process calls it, for what it sends and for what an untrusted peer sent it.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/messages.h"
#include "lib/pack.h"

void
pack_init(struct pack *p)
{
	*p = (struct pack){ 0 };
}

void
pack_init_most(struct pack *p, size_t most)
{
	*p = (struct pack){ .most = most };
}

void
pack_free(struct pack *p)
{
	free(p->data);
	pack_init(p);
}

void
pack_raw(struct pack *p, const void *data, size_t len)
{
	size_t room = p->room ? p->room : 256;

	if (p->most == 0 && len > MSG_PAYLOAD_MAX - p->len)
		log_fatal("event=bug what=\"payload over %u bytes\"", MSG_PAYLOAD_MAX);
	if (p->most != 0 && len > p->most - p->len) {
		p->over = true;
		return;
	}
	while (room < p->len + len)
		room *= 2;
	if (room != p->room) {
		p->data = alloc_resize(p->data, room, 1);
		p->room = room;
	}
	if (len > 0)
		memcpy(p->data + p->len, data, len);
	p->len += len;
}

void
pack_u8(struct pack *p, uint8_t v)
{
	pack_raw(p, &v, sizeof(v));
}

void
pack_u16(struct pack *p, uint16_t v)
{
	v = htole16(v);
	pack_raw(p, &v, sizeof(v));
}

void
pack_u32(struct pack *p, uint32_t v)
{
	v = htole32(v);
	pack_raw(p, &v, sizeof(v));
}

void
pack_u64(struct pack *p, uint64_t v)
{
	v = htole64(v);
	pack_raw(p, &v, sizeof(v));
}

void
pack_i64(struct pack *p, int64_t v)
{
	pack_u64(p, (uint64_t)v);
}

void
pack_blob(struct pack *p, const void *data, size_t len)
{
	if (len > UINT32_MAX)
		log_fatal("event=bug what=\"blob of %zu bytes\"", len);
	pack_u32(p, (uint32_t)len);
	pack_raw(p, data, len);
}

void
pack_str(struct pack *p, const char *s)
{
	pack_blob(p, s ? s : "", s ? strlen(s) : 0);
}

void
unpack_init(struct unpack *u, const void *data, size_t len)
{
	u->p = data;
	u->end = u->p + len;
	u->bad = false;
}

/* The next len bytes, or NULL once anything was missing. */
static const uint8_t *
take(struct unpack *u, size_t len)
{
	const uint8_t *at = u->p;

	if (u->bad || len > (size_t)(u->end - u->p)) {
		u->bad = true;
		return NULL;
	}
	u->p += len;
	return at;
}

uint8_t
unpack_u8(struct unpack *u)
{
	const uint8_t *at = take(u, 1);

	return at ? *at : 0;
}

uint16_t
unpack_u16(struct unpack *u)
{
	const uint8_t *at = take(u, 2);
	uint16_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return le16toh(v);
}

uint32_t
unpack_u32(struct unpack *u)
{
	const uint8_t *at = take(u, 4);
	uint32_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

uint64_t
unpack_u64(struct unpack *u)
{
	const uint8_t *at = take(u, 8);
	uint64_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

int64_t
unpack_i64(struct unpack *u)
{
	return (int64_t)unpack_u64(u);
}

const void *
unpack_blob(struct unpack *u, size_t *len_r)
{
	size_t len = unpack_u32(u);
	const void *at = take(u, len);

	*len_r = at ? len : 0;
	return at ? at : "";
}

/* A blob that is to be a string: without NUL. */
static const char *
take_text(struct unpack *u, size_t *len_r)
{
	const char *s = unpack_blob(u, len_r);

	if (*len_r > 0 && memchr(s, '\0', *len_r) != NULL) {
		u->bad = true;
		*len_r = 0;
	}
	return s;
}

char *
unpack_str(struct unpack *u)
{
	size_t len;
	const char *s = take_text(u, &len);
	char *copy = alloc_text_len(s, len);

	return copy;
}

void
unpack_str_to(struct unpack *u, char *to, size_t size)
{
	size_t len;
	const char *s = take_text(u, &len);

	if (len >= size) {
		u->bad = true;
		len = 0;
	}
	memcpy(to, s, len);
	to[len] = '\0';
}

bool
unpack_ok(const struct unpack *u)
{
	return !u->bad;
}

bool
unpack_end(const struct unpack *u)
{
	return !u->bad && u->p == u->end;
}
