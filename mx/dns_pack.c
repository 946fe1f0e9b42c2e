/*
 * Answers as they travel between processes (MSG_DNS) and lie in the cache. The reader believes nothing: what it takes
 * could also have come out of dns_answer_parse().
 */
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/pack.h"
#include "mx/dns_answer.h"

enum { FLAG_SECURE = 1, FLAG_CUT = 2, FLAGS_ALL = 3 };

/* The phrase itself does not travel: the other side has the same table. */
static uint8_t
why_number(const char *why)
{
	if (why != NULL)
		for (unsigned i = 1; i < DNS_WHY_COUNT; i++)
			if (strcmp(why, dns_why_text((enum dns_why)i)) == 0)
				return (uint8_t)i;
	return DNS_WHY_NONE;
}

void
dns_pack_answer(struct pack *p, const struct dns_answer *a)
{
	pack_u8(p, (uint8_t)a->result);
	pack_u8(p, (uint8_t)a->type);
	pack_u8(p, (a->secure ? FLAG_SECURE : 0) | (a->cut ? FLAG_CUT : 0));
	pack_u8(p, why_number(a->why));
	pack_u32(p, a->ttl);
	pack_str(p, a->canonical);
	pack_u8(p, (uint8_t)a->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct dns_record *r = &a->records[i];

		pack_u32(p, r->ttl);
		pack_u16(p, r->preference);
		if (a->type == DNS_A || a->type == DNS_LIST)
			pack_blob(p, &r->a, sizeof(r->a));
		else if (a->type == DNS_AAAA)
			pack_blob(p, &r->aaaa, sizeof(r->aaaa));
		else
			pack_blob(p, r->bytes, r->len);
	}
}

static int
unpack_record(struct unpack *u, enum dns_type type, struct dns_record *r)
{
	const void *bytes;
	size_t len;

	r->ttl = unpack_u32(u);
	r->preference = unpack_u16(u);
	bytes = unpack_blob(u, &len);
	if (!unpack_ok(u))
		return -1;
	if (type == DNS_A || type == DNS_AAAA || type == DNS_LIST) {
		if (len != (type == DNS_AAAA ? sizeof(r->aaaa) : sizeof(r->a)))
			return -1;
		memcpy(&r->aaaa, bytes, len);
		return 0;
	}
	r->bytes = alloc_new(1, len + 1);
	if (len > 0)
		memcpy(r->bytes, bytes, len);
	r->len = len;
	return 0;
}

/* What callers rely on without looking: results have records or none, and names are names. */
static bool
record_is_sound(enum dns_type type, const struct dns_record *r)
{
	if (type == DNS_MX && r->len == 0)
		return true;
	if (type != DNS_MX && type != DNS_PTR)
		return true;
	return strlen(r->bytes) == r->len && (type == DNS_MX ? dns_name_is_plain(r->bytes) : dns_name_is_host(r->bytes));
}

int
dns_unpack_answer(struct unpack *u, struct dns_answer *a)
{
	unsigned result = unpack_u8(u), type = unpack_u8(u), flags = unpack_u8(u), why = unpack_u8(u), n;

	*a = (struct dns_answer){ .result = (enum dns_result)result, .type = (enum dns_type)type };
	a->secure = flags & FLAG_SECURE;
	a->cut = flags & FLAG_CUT;
	a->why = dns_why_text((enum dns_why)why);
	a->ttl = unpack_u32(u);
	a->canonical = unpack_str(u);
	n = unpack_u8(u);
	if (!unpack_ok(u) || result > DNS_INVALID || !dns_type_known(type) || flags > FLAGS_ALL ||
	    why >= DNS_WHY_COUNT || n > DNS_RECORDS_MAX || (result == DNS_OK) != (n > 0) ||
	    (result == DNS_OK) != (why == DNS_WHY_NONE) || strlen(a->canonical) > DNS_NAME_MAX)
		goto fail;
	a->records = alloc_new(n + 1, sizeof(*a->records));
	for (; a->n < n; a->n++)
		if (unpack_record(u, a->type, &a->records[a->n]) == -1)
			goto fail;
	for (size_t i = 0; i < n; i++)
		if (!record_is_sound(a->type, &a->records[i]))
			goto fail;
	return 0;
fail:
	dns_free_answer(a);
	return -1;
}
