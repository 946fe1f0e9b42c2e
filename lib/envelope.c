/*
 * Envelopes as packed fields, for messages between processes and for the queue's records. Decides the order of the
 * fields and that no string in an envelope may hold a control character; whether an address is valid is not decided
 * here (lib/address.h). Called by smtpd, queue, delivery and mda.
 */
#include "lib/envelope.h"

#include <stdlib.h>
#include <string.h>

#define ENVELOPE_FLAGS	(ENVELOPE_8BIT | ENVELOPE_UTF8 | ENVELOPE_DOTS | ENVELOPE_TRUSTED | ENVELOPE_LONG_LINES | \
	ENVELOPE_HEADER_8BIT)
#define RCPT_IS_LOCAL	1
#define RCPT_IS_FINAL	2

void
envelope_pack_sender(struct pack *p, const struct envelope_sender *s)
{
	pack_str(p, s->address);
	pack_str(p, s->client);
	pack_str(p, s->session);
	pack_u64(p, s->session_id);
	pack_u64(p, s->size);
	pack_u32(p, s->flags);
}

void
envelope_pack_rcpt(struct pack *p, const struct envelope_rcpt *r)
{
	pack_str(p, r->address);
	pack_u8(p, (uint8_t)((r->local ? RCPT_IS_LOCAL : 0) | (r->final ? RCPT_IS_FINAL : 0)));
}

/* An address that went through the parser has no controls; one that has them never did, and could break a header. */
static bool
is_clean(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

int
envelope_unpack_sender(struct unpack *u, struct envelope_sender *r)
{
	memset(r, 0, sizeof(*r));
	r->address = unpack_str(u);
	r->client = unpack_str(u);
	r->session = unpack_str(u);
	r->session_id = unpack_u64(u);
	r->size = unpack_u64(u);
	r->flags = unpack_u32(u);
	if (!unpack_ok(u) || (r->flags & ~(uint32_t)ENVELOPE_FLAGS) != 0 ||
	    !is_clean(r->address) || !is_clean(r->client) || !is_clean(r->session)) {
		envelope_free_sender(r);
		return -1;
	}
	return 0;
}

int
envelope_unpack_rcpt(struct unpack *u, struct envelope_rcpt *r)
{
	uint8_t class;

	memset(r, 0, sizeof(*r));
	r->address = unpack_str(u);
	class = unpack_u8(u);
	r->local = (class & RCPT_IS_LOCAL) != 0;
	r->final = (class & RCPT_IS_FINAL) != 0;
	if (!unpack_ok(u) || class > (RCPT_IS_LOCAL | RCPT_IS_FINAL) || r->address[0] == '\0' || !is_clean(r->address)) {
		envelope_free_rcpt(r);
		return -1;
	}
	return 0;
}

void
envelope_free_sender(struct envelope_sender *s)
{
	free(s->address);
	free(s->client);
	free(s->session);
	memset(s, 0, sizeof(*s));
}

void
envelope_free_rcpt(struct envelope_rcpt *r)
{
	free(r->address);
	memset(r, 0, sizeof(*r));
}
