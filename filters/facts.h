/*
 * What is known of a client and its mail at each stage: some of it said by the client and seen by smtpd (or given on
 * the command line), some of it found by filters. Filters are given this and nothing else. Strings are borrowed from
 * whoever runs the chain, and stay until the chain is told that their stage begins anew. Pure data.
 */
#ifndef FILTERS_FACTS_H
#define FILTERS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "filters/dkim.h"
#include "filters/dmarc.h"
#include "filters/iprev.h"
#include "filters/reverse.h"
#include "filters/spf.h"

enum facts_stage {
	STAGE_CONNECT,			/* the client's address */
	STAGE_HELO,
	STAGE_MAIL,			/* the sender */
	STAGE_RCPT,			/* one recipient, which exists and may be written to */
	STAGE_DATA,			/* all recipients; nothing of the content yet */
	STAGE_HEADER,			/* the whole header */
	STAGE_END,			/* the whole message */
	STAGE_COUNT,
};

enum fact {				/* what filters find for each other */
	FACT_STANDING = 1 << 0,
	FACT_REVERSE = 1 << 1,
	FACT_BLOCKLISTS = 1 << 2,
	FACT_WHITELISTS = 1 << 3,
	FACT_SPF = 1 << 4,
	FACT_DKIM = 1 << 5,
	FACT_ARC = 1 << 6,
	FACT_DMARC = 1 << 7,
	FACT_SENDER_ID = 1 << 8,
	FACT_SENDER = 1 << 9,
};

/* How a host or domain has behaved, as memory (filters/memory.h) has it. */
struct facts_standing {
	bool		 passed;		/* the banner delay, within a day */
	bool		 known;			/* mail of it has been taken before: waits for nothing */
	bool		 trapped;		/* it has written to a trap */
	uint32_t	 good, bad;		/* messages taken, refusals */
};

struct facts_spf {
	enum spf_code	 code, helo_code;	/* of MAIL FROM (or HELO for the null sender), and of HELO */
	char		 domain[SPF_NAME_MAX + 1];	/* of the former */
	char		 reason[320];
	bool		 tried;			/* false: nobody asked (off, exempt), code means nothing */
};

struct facts_dkim {
	struct { enum dkim_result result; char domain[DKIM_NAME_MAX + 1], selector[64], why[96]; bool limited; }
			 signatures[DKIM_SIGNATURES_MAX];
	unsigned	 n;
};

struct facts {
	/* ---- given ---- */
	time_t		 now;			/* when the session began */
	const char	*hostname;		/* ours */
	char *const	*domains;		/* ours, NULL-terminated */
	struct reverse_address own;		/* the address that the client connected to; len 0 when it is not known */
	/* CONNECT */
	struct sockaddr_storage client;
	struct reverse_address address;
	char		 client_text[56];
	bool		 early;			/* it spoke before the greeting was complete */
	/* HELO */
	const char	*helo;			/* NULL: none yet */
	bool		 pipelined;		/* sent ahead where it had to wait */
	/* MAIL */
	const char	*sender;		/* canonical; "" the null sender */
	bool		 source_route;
	/* RCPT */
	const char	*recipient;		/* the one that is judged now, canonical */
	unsigned	 n_recipients;		/* taken before it; at DATA and later: all */
	const char	*first_recipient;	/* DATA and later: of those that were taken */
	/* HEADER; the block with its empty line */
	const char	*header;
	size_t		 header_len;
	/* END */
	uint64_t	 size;
	bool		 long_lines;
	const char	*content;		/* of a message that is small enough to be at hand whole, else NULL */
	size_t		 content_len;

	/* ---- found: each counts when its bit is in `known`; there is none for a filter that was off, exempt or late ---- */
	unsigned	 known;			/* enum fact */
	struct facts_standing standing;
	struct { enum iprev_result result; enum iprev_look look; char name[DNS_NAME_MAX + 1]; } reverse;
	struct { unsigned listed; bool enough; } blocklists, whitelists;	/* enough: of lists or points */
	struct facts_spf spf;
	struct facts_dkim *dkim;		/* lent by the filter's run of this message */
	struct { char result[12]; unsigned sets; char sealer[DKIM_NAME_MAX + 1]; bool believed; } arc;
	struct { enum dmarc_result result; enum dmarc_policy policy; char domain[DNS_NAME_MAX + 1]; } dmarc;
	struct { enum spf_code code; char domain[SPF_NAME_MAX + 1]; const char *field; } sender_id;
	struct { bool written_to; } sender_standing;	/* local people write to this sender */
};

const char	*facts_stage_name(enum facts_stage);	/* "connect", "helo", "mail", "rcpt", "data", "header", "end" */
/* Whether something vouches for the client, so that it waits for nothing: known, or on a white list. */
bool		 facts_is_vouched_for(const struct facts *);
/* Whether HELO gave the name that the address leads to and back: a fact, and no reason to refuse (RFC 5321, 4.1.4). */
bool		 facts_helo_is_reverse(const struct facts *);
/* What stands behind the last @ of an address; "" for the null sender. */
const char	*facts_domain(const char *address);

#endif
