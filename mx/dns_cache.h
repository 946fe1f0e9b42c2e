/*
 * Answers kept as long as their TTL says, within bounds: pure, time comes in. Names are compared without case.
 */
#ifndef MX_DNS_CACHE_H
#define MX_DNS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mx/dns.h"

#define DNS_CACHE_BYTES		(16U * 1024 * 1024)
#define DNS_CACHE_TTL_MAX	86400U	/* a day: what is wrong for longer than that should not be ours to keep */
#define DNS_CACHE_NEGATIVE_MAX	3600U	/* RFC 2308, 5 suggests one to three hours */
#define DNS_CACHE_LIST_MIN	60U	/* of DNS_LIST: who knocks again and again costs no more than one question … */
#define DNS_CACHE_LIST_MAX	3570U	/* … and who has been taken off is off within the hour, which is when lists are tested */

struct dns_cache;

struct dns_cache *dns_cache_new(size_t bytes_max);
void		 dns_cache_free(struct dns_cache *);
/* Keeps a copy, unless it is a temporary failure or lives 0 seconds; replaces an older one. */
void		 dns_cache_put(struct dns_cache *, const char *name, const struct dns_answer *, int64_t now_ms);
/* Whether there is one; *answer_r has what is left of the TTLs and is the caller's to free. */
bool		 dns_cache_get(struct dns_cache *, enum dns_type, const char *name, int64_t now_ms,
		    struct dns_answer *answer_r);
/* Half of it goes, what was used longest ago first, and it stays so small: the system has no memory for more. */
void		 dns_cache_shrink(struct dns_cache *);
size_t		 dns_cache_count(const struct dns_cache *);
size_t		 dns_cache_bytes(const struct dns_cache *);

#endif
