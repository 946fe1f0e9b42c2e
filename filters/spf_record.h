/*
 * SPF records (RFC 7208) as text: their terms read one by one, their macros expanded. Pure; what terms mean is decided in
 * filters/spf.c. Nothing is allocated: what comes out points into the record, which stays the caller's.
 */
#ifndef FILTERS_SPF_RECORD_H
#define FILTERS_SPF_RECORD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define SPF_NAME_MAX		253	/* RFC 7208, 7.3 */
#define SPF_SENDER_MAX		512	/* bytes of a sender, a HELO name: more is no identity */
#define SPF_EXPLANATION_MAX	500	/* bytes; it goes into a reply */

struct spf_slice {
	const char	*text;		/* NULL: there is none */
	size_t		 len;
};

enum spf_kind {
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
};

struct spf_term {			/* a mechanism */
	enum spf_kind	 kind;
	char		 qualifier;	/* '+', '-', '~' or '?' */
	struct spf_slice domain;	/* domain-spec with its macros */
	struct spf_slice text;		/* all of the term, as written */
	uint8_t		 address[16];	/* of ip4 (4 bytes) and ip6 */
	unsigned	 prefix4, prefix6;	/* 32 and 128 where none is given */
};

struct spf_record {
	const char	*text;		/* behind the version */
	size_t		 len;
	struct spf_slice redirect, exp;	/* domain-specs */
};

/* Whether a TXT record is one of SPF, which its beginning decides (RFC 7208, 4.5). */
bool	 spf_record_is(const char *text, size_t len);
/* Whether it is one of Sender ID for the purported responsible address: "spf2.0/pra", "spf2.0/mfrom,pra" (RFC 4406, 3.1). */
bool	 spf_record_is_pra(const char *text, size_t len);
/* Looks at all of it, so that an error anywhere is found (4.6). 0, or -1 with the term that is wrong. */
int	 spf_record_read(struct spf_record *, const char *text, size_t len, struct spf_slice *wrong_r);
/* The next mechanism of a record that was read; *at begins with 0. False at the end. */
bool	 spf_record_next(const struct spf_record *, size_t *at, struct spf_term *);

/* What macros stand for (7.2). */
struct spf_macros {
	const char	*local, *sender_domain;	/* of the sender */
	const char	*domain;		/* whose record it is */
	const char	*helo;
	const char	*validated;		/* %{p}, "unknown" too */
	const char	*receiver;		/* %{r} */
	time_t		 now;			/* %{t} */
	int		 family;		/* AF_INET, AF_INET6 */
	uint8_t		 address[16];
};

/* Whether it needs a validated name, which costs lookups. */
bool	 spf_macros_need_name(struct spf_slice);
/* A domain-spec, at most SPF_NAME_MAX bytes: labels on the left go when there are more. */
void	 spf_macros_domain(char to[SPF_NAME_MAX + 1], struct spf_slice, const struct spf_macros *);
/* An explanation, cut where it is too long. 0, or -1: syntax, or something other than printable ASCII. */
int	 spf_macros_explanation(char to[SPF_EXPLANATION_MAX + 1], const char *text, size_t len, const struct spf_macros *);

#endif
