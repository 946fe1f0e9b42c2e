/*
 * Envelopes as packed fields, for messages between processes and for the queue's records. Decides the order of the
 * fields and that no string in an envelope may hold a control character; whether an address is valid is not decided
 * here (lib/address.h). Called by smtpd, queue, delivery and mda.
 */
#include "lib/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/dsn.h"

#define ENVELOPE_FLAGS	(ENVELOPE_8BIT | ENVELOPE_UTF8 | ENVELOPE_DOTS | ENVELOPE_TRUSTED | ENVELOPE_LONG_LINES | \
	ENVELOPE_HEADER_8BIT | ENVELOPE_SPF_FAIL | ENVELOPE_JUNK | ENVELOPE_LATER)
#define SENDER_HAS_MORE	0x80000000U	/* with the flags: RET and ENVID follow */
#define RCPT_IS_LOCAL	1
#define RCPT_IS_FINAL	2
#define RCPT_HAS_MORE	4		/* NOTIFY, ORCPT and a next hop follow; before format 2 of the log there was none */
#define RCPT_IS_FORWARDED 8
#define RCPT_HAS_PART	16		/* which, and its id; likewise */

void
envelope_pack_sender(struct pack *p, const struct envelope_sender *s)
{
	pack_str(p, s->address);
	pack_str(p, s->client);
	pack_str(p, s->session);
	pack_u64(p, s->session_id);
	pack_u64(p, s->size);
	pack_u32(p, s->flags | (s->ret != 0 || s->envid != NULL ? SENDER_HAS_MORE : 0));
	if (s->ret != 0 || s->envid != NULL) {
		pack_u8(p, s->ret);
		pack_str(p, s->envid);
	}
}

void
envelope_pack_rcpt(struct pack *p, const struct envelope_rcpt *r)
{
	bool more = r->notify != 0 || r->orcpt != NULL || r->hop != NULL;

	pack_str(p, r->address);
	pack_u8(p, (uint8_t)((r->local ? RCPT_IS_LOCAL : 0) | (r->final ? RCPT_IS_FINAL : 0) | (more ? RCPT_HAS_MORE : 0) |
	    (r->forwarded ? RCPT_IS_FORWARDED : 0) | (r->part != ENVELOPE_WHOLE ? RCPT_HAS_PART : 0)));
	if (more) {
		pack_u8(p, r->notify);
		pack_str(p, r->orcpt);
		pack_str(p, r->hop);
	}
	if (r->part != ENVELOPE_WHOLE) {
		pack_u8(p, r->part);
		pack_u64(p, r->part_id);
	}
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

/* NULL for an empty one. */
static char *
unpack_optional(struct unpack *u)
{
	char *s = unpack_str(u);

	if (s[0] != '\0')
		return s;
	free(s);
	return NULL;
}

static bool
is_clean_optional(const char *s, size_t most)
{
	return s == NULL || (strlen(s) <= most && is_clean(s));
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
	if (r->flags & SENDER_HAS_MORE) {
		r->flags &= ~SENDER_HAS_MORE;
		r->ret = unpack_u8(u);
		r->envid = unpack_optional(u);
	}
	if (!unpack_ok(u) || (r->flags & ~(uint32_t)ENVELOPE_FLAGS) != 0 || r->ret > DSN_RET_HDRS ||
	    !is_clean(r->address) || !is_clean(r->client) || !is_clean(r->session) ||
	    !is_clean_optional(r->envid, DSN_ENVID_MAX)) {
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
	if (class & RCPT_HAS_MORE) {
		r->notify = unpack_u8(u);
		r->orcpt = unpack_optional(u);
		r->hop = unpack_optional(u);
	}
	r->forwarded = (class & RCPT_IS_FORWARDED) != 0;
	if (class & RCPT_HAS_PART) {
		r->part = unpack_u8(u);
		r->part_id = unpack_u64(u);
	}
	if (!unpack_ok(u) || class >= 2 * RCPT_HAS_PART || r->part > ENVELOPE_FORWARD_FILE || r->address[0] == '\0' ||
	    !is_clean(r->address) || r->notify > (DSN_SUCCESS | DSN_FAILURE | DSN_DELAY) ||
	    ((r->notify & DSN_NEVER) && r->notify != DSN_NEVER) ||
	    !is_clean_optional(r->orcpt, DSN_ORCPT_MAX) || !is_clean_optional(r->hop, SIZE_MAX)) {
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
	free(s->envid);
	memset(s, 0, sizeof(*s));
}

void
envelope_free_rcpt(struct envelope_rcpt *r)
{
	free(r->address);
	free(r->orcpt);
	free(r->hop);
	memset(r, 0, sizeof(*r));
}

void
envelope_copy_rcpt(struct envelope_rcpt *to, const struct envelope_rcpt *from)
{
	*to = *from;
	to->address = alloc_text(from->address);
	to->orcpt = alloc_text(from->orcpt);
	to->hop = alloc_text(from->hop);
}
