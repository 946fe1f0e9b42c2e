/*
 * DNS messages as bytes, without any I/O: queries to send, answers to read. For mx/ and its tests; the contract that
 * others use is mx/dns.h.
 */
#ifndef MX_DNS_ANSWER_H
#define MX_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mx/dns.h"

#define DNS_QUERY_MAX	(12 + DNS_NAME_MAX + 1 + 4 + 11)
#define DNS_UDP_BYTES	1232		/* said in EDNS0: fits IPv6's least MTU, so that nothing is fragmented */

enum dns_why {				/* phrases for the log, in dns_answer.c */
	DNS_WHY_NONE,
	DNS_WHY_TIMED_OUT,
	DNS_WHY_SERVFAIL,
	DNS_WHY_REFUSED,
	DNS_WHY_FORMERR,
	DNS_WHY_NOTIMP,
	DNS_WHY_RCODE,			/* another response code */
	DNS_WHY_NONSENSE,		/* does not parse, or answers another question */
	DNS_WHY_REFERRAL,		/* a server that does not do recursion for us */
	DNS_WHY_ALIAS_LOOP,
	DNS_WHY_ALIAS_NAME,		/* a CNAME to what is no host name */
	DNS_WHY_NAMES,			/* records, but none with a possible name */
	DNS_WHY_NO_NAME,		/* NXDOMAIN */
	DNS_WHY_NO_RECORD,		/* NODATA */
	DNS_WHY_BAD_NAME,		/* the question's */
	DNS_WHY_UNREACHABLE,		/* no server could be reached */
	DNS_WHY_NO_SERVER,		/* every server was unreachable or refused to answer */
	DNS_WHY_AWAY,			/* the resolver process */
	DNS_WHY_TOO_MANY,		/* questions at once */
	DNS_WHY_NO_MEMORY,
	DNS_WHY_LIBRARY,
	DNS_WHY_COUNT
};

const char	*dns_why_text(enum dns_why);	/* NULL for NONE */

/* Whether it can be asked: labels of 1 to 63 bytes, 253 in all, printable and no backslash. SPF makes names of what strangers
 * say, spaces and all. */
bool		 dns_name_askable(const char *);
/* And none that zone files escape: what an MX may name, which is still no host. */
bool		 dns_name_is_plain(const char *);
/* Letters, digits, hyphen, underscore, dot: what may stand in an answer that is used or logged. */
bool		 dns_name_is_host(const char *);

/* A query with recursion desired, the AD bit and EDNS0. The name is askable. Returns its length. */
size_t		 dns_query_build(uint8_t to[DNS_QUERY_MAX], uint16_t id, enum dns_type, const char *name);

/*
 * Reads the answer to this question; always fills in *answer (free it), with a result for everything that can be
 * wrong. `secure` is the message's AD bit; whether it can be trusted the caller knows.
 */
void		 dns_answer_parse(struct dns_answer *, const uint8_t *message, size_t len, enum dns_type,
		    const char *name);
void		 dns_answer_fail(struct dns_answer *, enum dns_type, enum dns_result, enum dns_why);

#endif
