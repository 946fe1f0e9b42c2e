/*
 * DNS messages: builds queries, reads answers with libresolv's ns_parserr. Pure; called by mx/resolver.c.
 *
 * Nothing in an answer is believed but what belongs to the question: its owner name, or where the answer's CNAMEs lead
 * from it. Names that could not be host names are dropped here, so that no caller meets control bytes or escapes.
 */
#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "mx/dns_answer.h"

#define ALIASES_MAX	12	/* CNAMEs in a row; public resolvers stop between 8 and 16 */

const char *
dns_why_text(enum dns_why why)
{
	static const char *const texts[DNS_WHY_COUNT] = {
		[DNS_WHY_TIMED_OUT] = "timed out",
		[DNS_WHY_SERVFAIL] = "SERVFAIL",
		[DNS_WHY_REFUSED] = "REFUSED",
		[DNS_WHY_FORMERR] = "FORMERR",
		[DNS_WHY_NOTIMP] = "NOTIMP",
		[DNS_WHY_RCODE] = "unknown response code",
		[DNS_WHY_NONSENSE] = "answer cannot be read",
		[DNS_WHY_REFERRAL] = "referral from a server without recursion",
		[DNS_WHY_ALIAS_LOOP] = "CNAME loop",
		[DNS_WHY_ALIAS_NAME] = "CNAME to an impossible name",
		[DNS_WHY_NAMES] = "answer holds only impossible names",
		[DNS_WHY_NO_NAME] = "no such domain",
		[DNS_WHY_NO_RECORD] = "no such record",
		[DNS_WHY_BAD_NAME] = "not a domain name",
		[DNS_WHY_UNREACHABLE] = "no DNS server could be reached",
		[DNS_WHY_NO_SERVER] = "no DNS server gave an answer",
		[DNS_WHY_AWAY] = "the resolver process is away",
		[DNS_WHY_TOO_MANY] = "too many DNS questions at once",
		[DNS_WHY_NO_MEMORY] = "there is no memory for a DNS question now",
		[DNS_WHY_LIBRARY] = "the DNS library asks for no such name",
	};

	return (unsigned)why < DNS_WHY_COUNT ? texts[why] : NULL;
}

/* -- names and queries -- */

static size_t
length_without_dot(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

/* The labels' shape; what bytes are in them the caller has seen to. The root ("") is not a name here. */
static bool
name_has_labels(const char *name)
{
	size_t label = 0, len = length_without_dot(name);

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		label = name[i] == '.' ? 0 : label + 1;
		if (label > 63 || (label == 0 && (i == 0 || i + 1 == len || name[i + 1] == '.')))
			return false;
	}
	return true;
}

static bool
name_is_made_of(const char *name, const char *others)
{
	for (const char *p = name; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p, lower = c | 0x20;

		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && strchr(others, c) == NULL)
			return false;
	}
	return name_has_labels(name);
}

bool
dns_name_is_host(const char *name)
{
	return name_is_made_of(name, ".-_");
}

/* What a name in presentation form has a backslash in front of, or is written as \ddd (ns_name_ntop). */
#define ESCAPED		"\"();@$\\"

bool
dns_name_is_plain(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr(ESCAPED, *p) != NULL)
			return false;
	return name_has_labels(name);
}

bool
dns_name_askable(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '\\')
			return false;
	return name_has_labels(name);
}

/* As ns_parserr() writes the name of a record, so that the two can be compared. */
static void
present_name(char to[NS_MAXDNAME], const char *name)
{
	size_t len = length_without_dot(name), n = 0;

	for (size_t i = 0; i < len && n + 5 < NS_MAXDNAME; i++) {
		if (name[i] == ' ') {
			memcpy(to + n, "\\032", 4);
			n += 4;
			continue;
		}
		if (strchr(ESCAPED, name[i]) != NULL)
			to[n++] = '\\';
		to[n++] = name[i];
	}
	to[n] = '\0';
}

static uint8_t *
put16(uint8_t *to, unsigned v)
{
	*to++ = (uint8_t)(v >> 8);
	*to++ = (uint8_t)v;
	return to;
}

static uint8_t *
put_name(uint8_t *to, const char *name)
{
	while (*name != '\0') {
		size_t label = strcspn(name, ".");

		*to++ = (uint8_t)label;
		memcpy(to, name, label);
		to += label;
		name += label + (name[label] == '.');
	}
	*to++ = 0;
	return to;
}

/* What stands on the wire. */
static unsigned
wire_type(enum dns_type type)
{
	return type == DNS_LIST ? DNS_A : type;
}

size_t
dns_query_build(uint8_t to[DNS_QUERY_MAX], uint16_t id, enum dns_type type, const char *name)
{
	uint8_t *p = to;

	p = put16(p, id);
	p = put16(p, 0x0120);		/* RD; AD: tell whether you validated it (RFC 6840, 5.7) */
	p = put16(p, 1);		/* one question */
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 1);		/* and one additional record: EDNS0 (RFC 6891, 6.1.2), which c-ares wants last */
	p = put_name(p, name);
	p = put16(p, wire_type(type));
	p = put16(p, ns_c_in);
	*p++ = 0;
	p = put16(p, ns_t_opt);
	p = put16(p, DNS_UDP_BYTES);
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 0);
	return (size_t)(p - to);
}

/* -- answers -- */

void
dns_answer_fail(struct dns_answer *a, enum dns_type type, enum dns_result result, enum dns_why why)
{
	*a = (struct dns_answer){ .type = type, .result = result, .why = dns_why_text(why) };
	a->canonical = alloc_text("");
}

static bool
type_has_bytes(enum dns_type type)
{
	return type != DNS_A && type != DNS_AAAA && type != DNS_LIST;
}

void
dns_free_answer(struct dns_answer *a)
{
	if (type_has_bytes(a->type))
		for (size_t i = 0; i < a->n; i++)
			free(a->records[i].bytes);
	free(a->records);
	free(a->canonical);
	*a = (struct dns_answer){ .result = DNS_TEMPORARY, .type = a->type };
}

/* Ends the reading of an answer that is not one; what was gathered goes. */
static void
answer_is(struct dns_answer *a, enum dns_result result, enum dns_why why)
{
	bool secure = a->secure;
	uint32_t ttl = a->ttl;
	char *canonical = a->canonical;

	a->canonical = NULL;
	dns_free_answer(a);
	a->result = result;
	a->why = dns_why_text(why);
	a->secure = secure;
	a->ttl = ttl;
	a->canonical = canonical;
}

/* RFC 2181, 8: a TTL with the first bit set is 0. */
static uint32_t
ttl_of(const ns_rr *rr)
{
	return ns_rr_ttl(*rr) > INT32_MAX ? 0 : ns_rr_ttl(*rr);
}

/* A name in rdata, all of it; "" for the root. */
static int
rdata_name(const ns_msg *m, const ns_rr *rr, size_t skip, char to[NS_MAXDNAME])
{
	const u_char *p = ns_rr_rdata(*rr);
	size_t len = ns_rr_rdlen(*rr);
	int used;

	if (len <= skip)
		return -1;
	used = ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), p + skip, to, NS_MAXDNAME);
	if (used < 0 || (size_t)used != len - skip)
		return -1;
	if (strcmp(to, ".") == 0)
		to[0] = '\0';
	return 0;
}

static void
record_bytes(struct dns_record *r, const void *bytes, size_t len)
{
	r->bytes = alloc_raw(len + 1);
	if (len > 0)
		memcpy(r->bytes, bytes, len);
	r->bytes[len] = '\0';
	r->len = len;
}

/* The strings of a TXT record without what separates them (RFC 7208, 3.3; RFC 6376, 3.6.2.2). */
static int
read_txt(struct dns_record *r, const ns_rr *rr)
{
	const u_char *p = ns_rr_rdata(*rr), *end = p + ns_rr_rdlen(*rr);
	size_t len = 0;

	for (const u_char *s = p; s < end; s += 1 + *s) {
		if (*s > end - s - 1)
			return -1;
		len += *s;
	}
	r->bytes = alloc_raw(len + 1);
	for (r->len = 0; p < end; p += 1 + *p) {
		memcpy(r->bytes + r->len, p + 1, *p);
		r->len += *p;
	}
	r->bytes[len] = '\0';
	return 0;
}

/* 0; -1: malformed; 1: a name that is none. */
static int
read_name(struct dns_record *r, const ns_msg *m, const ns_rr *rr, size_t skip, bool mx)
{
	char name[NS_MAXDNAME];

	if (rdata_name(m, rr, skip, name) == -1)
		return -1;
	if (mx ? name[0] != '\0' && !dns_name_is_plain(name) : !dns_name_is_host(name))
		return 1;
	record_bytes(r, name, strlen(name));
	return 0;
}

static int
read_record(struct dns_record *r, const ns_msg *m, const ns_rr *rr)
{
	const u_char *data = ns_rr_rdata(*rr);
	size_t len = ns_rr_rdlen(*rr);

	*r = (struct dns_record){ .ttl = ttl_of(rr) };
	switch ((enum dns_type)ns_rr_type(*rr)) {
	case DNS_A:
		if (len != sizeof(r->a))
			return -1;
		memcpy(&r->a, data, len);
		return 0;
	case DNS_AAAA:
		if (len != sizeof(r->aaaa))
			return -1;
		memcpy(&r->aaaa, data, len);
		return 0;
	case DNS_MX:
		if (len < 3)
			return -1;
		r->preference = (uint16_t)(data[0] << 8 | data[1]);
		return read_name(r, m, rr, 2, true);
	case DNS_PTR:
		return read_name(r, m, rr, 0, false);
	case DNS_TXT:
		return read_txt(r, rr);
	case DNS_TLSA:
		record_bytes(r, data, len);
		return 0;
	case DNS_LIST:			/* on the wire it is DNS_A */
		break;
	}
	return -1;
}

/* Where a CNAME of `owner` leads: 1, `to` filled in; 0: there is none; -1: malformed. */
static int
find_alias(ns_msg *m, const char *owner, char to[NS_MAXDNAME], uint32_t *ttl_r)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_an); i++) {
		if (ns_parserr(m, ns_s_an, i, &rr) != 0)
			return -1;
		if (ns_rr_type(rr) != ns_t_cname || ns_rr_class(rr) != ns_c_in ||
		    strcasecmp(ns_rr_name(rr), owner) != 0)
			continue;
		if (rdata_name(m, &rr, 0, to) == -1)
			return -1;
		if (ttl_of(&rr) < *ttl_r)
			*ttl_r = ttl_of(&rr);
		return 1;
	}
	return 0;
}

/* Follows CNAMEs from the question's name; owner: where they end. */
static enum dns_why
follow_aliases(struct dns_answer *a, ns_msg *m, char owner[NS_MAXDNAME])
{
	/* RFC 2317 delegates parts of in-addr.arpa by names with a slash. */
	const char *others = a->type == DNS_PTR ? ".-_/" : ".-_";
	char next[NS_MAXDNAME];
	int found;

	for (int i = 0; (found = find_alias(m, owner, next, &a->ttl)) == 1; i++) {
		if (i == ALIASES_MAX)
			return DNS_WHY_ALIAS_LOOP;
		if (!name_is_made_of(next, others))
			return DNS_WHY_ALIAS_NAME;
		memcpy(owner, next, NS_MAXDNAME);
		free(a->canonical);
		a->canonical = alloc_text(next);
	}
	return found == -1 ? DNS_WHY_NONSENSE : DNS_WHY_NONE;
}

/* RFC 2308, 5: how long a negative answer holds is said by its SOA; without one it is not kept at all. */
static uint32_t
negative_ttl(ns_msg *m)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_ns); i++) {
		const u_char *p;
		uint32_t minimum;

		if (ns_parserr(m, ns_s_ns, i, &rr) != 0)
			return 0;
		if (ns_rr_type(rr) != ns_t_soa || ns_rr_rdlen(rr) < 22)
			continue;
		p = ns_rr_rdata(rr) + ns_rr_rdlen(rr) - 4;	/* the last of five numbers behind two names */
		minimum = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
		return minimum < ttl_of(&rr) ? minimum : ttl_of(&rr);
	}
	return 0;
}

/* RFC 2308, 2.2: nothing but name servers of another zone, from a server that is no authority. */
static bool
is_referral(ns_msg *m)
{
	bool ns = false;
	ns_rr rr;

	if (ns_msg_getflag(*m, ns_f_aa) || ns_msg_count(*m, ns_s_an) > 0)
		return false;
	for (int i = 0; i < ns_msg_count(*m, ns_s_ns) && ns_parserr(m, ns_s_ns, i, &rr) == 0; i++) {
		if (ns_rr_type(rr) == ns_t_soa)
			return false;
		ns |= ns_rr_type(rr) == ns_t_ns;
	}
	return ns;
}

/* The records of the type at `owner`. */
static enum dns_why
gather(struct dns_answer *a, ns_msg *m, const char *owner)
{
	size_t dropped = 0;
	ns_rr rr;

	a->records = alloc_new(DNS_RECORDS_MAX, sizeof(*a->records));
	for (int i = 0; i < ns_msg_count(*m, ns_s_an); i++) {
		if (ns_parserr(m, ns_s_an, i, &rr) != 0)
			return DNS_WHY_NONSENSE;
		if (ns_rr_type(rr) != wire_type(a->type) || ns_rr_class(rr) != ns_c_in ||
		    strcasecmp(ns_rr_name(rr), owner) != 0)
			continue;
		if (a->n == DNS_RECORDS_MAX) {
			a->cut = true;
			break;
		}
		switch (read_record(&a->records[a->n], m, &rr)) {
		case -1:
			return DNS_WHY_NONSENSE;
		case 1:
			dropped++;
			break;
		default:
			a->n++;
		}
		if (ttl_of(&rr) < a->ttl)
			a->ttl = ttl_of(&rr);
	}
	if (a->n > 0)
		return DNS_WHY_NONE;
	return dropped > 0 ? DNS_WHY_NAMES : DNS_WHY_NO_RECORD;
}

static void
read_positive(struct dns_answer *a, ns_msg *m, const char *name)
{
	char owner[NS_MAXDNAME];
	enum dns_why why;

	present_name(owner, name);
	a->ttl = UINT32_MAX;
	why = follow_aliases(a, m, owner);
	if (why == DNS_WHY_NONE && ns_msg_getflag(*m, ns_f_rcode) == ns_r_nxdomain)
		why = DNS_WHY_NO_NAME;
	else if (why == DNS_WHY_NONE)
		why = gather(a, m, owner);
	a->cut |= ns_msg_getflag(*m, ns_f_tc) != 0;

	if (why == DNS_WHY_NONE) {
		a->result = DNS_OK;
		a->why = NULL;
	} else if (why == DNS_WHY_NO_NAME || (why == DNS_WHY_NO_RECORD && !a->cut && !is_referral(m))) {
		a->ttl = negative_ttl(m);
		answer_is(a, why == DNS_WHY_NO_NAME ? DNS_NXDOMAIN : DNS_NODATA, why);
	} else if (why == DNS_WHY_NAMES || why == DNS_WHY_ALIAS_NAME) {
		answer_is(a, DNS_INVALID, why);
	} else {
		if (why == DNS_WHY_NO_RECORD)
			why = a->cut ? DNS_WHY_NONSENSE : DNS_WHY_REFERRAL;
		a->ttl = 0;
		answer_is(a, DNS_TEMPORARY, why);
	}
}

/* QR set, and the one question is ours. */
static bool
answers_question(ns_msg *m, enum dns_type type, const char *name)
{
	char asked[NS_MAXDNAME];
	ns_rr rr;

	present_name(asked, name);
	return ns_msg_getflag(*m, ns_f_qr) && ns_msg_getflag(*m, ns_f_opcode) == ns_o_query &&
	    ns_msg_count(*m, ns_s_qd) == 1 && ns_parserr(m, ns_s_qd, 0, &rr) == 0 &&
	    ns_rr_type(rr) == wire_type(type) && ns_rr_class(rr) == ns_c_in &&
	    strcasecmp(ns_rr_name(rr), asked) == 0;
}

void
dns_answer_parse(struct dns_answer *a, const uint8_t *message, size_t len, enum dns_type type, const char *name)
{
	ns_msg m;

	dns_answer_fail(a, type, DNS_TEMPORARY, DNS_WHY_NONSENSE);
	if (len > INT16_MAX * 2 + 1 || ns_initparse(message, (int)len, &m) != 0 || !answers_question(&m, type, name))
		return;
	a->secure = message[3] & 0x20;		/* AD; ns_msg_getflag knows it only under another name */
	switch (ns_msg_getflag(m, ns_f_rcode)) {
	case ns_r_noerror:
	case ns_r_nxdomain:
		read_positive(a, &m, name);
		break;
	case ns_r_servfail:
		a->why = dns_why_text(DNS_WHY_SERVFAIL);
		break;
	case ns_r_refused:
		a->why = dns_why_text(DNS_WHY_REFUSED);
		break;
	case ns_r_formerr:
		a->why = dns_why_text(DNS_WHY_FORMERR);
		break;
	case ns_r_notimpl:
		a->why = dns_why_text(DNS_WHY_NOTIMP);
		break;
	default:
		a->why = dns_why_text(DNS_WHY_RCODE);
	}
}
