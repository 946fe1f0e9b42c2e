/*
 * Addresses and domains of SMTP: RFC 5321, 4.1.2 and 4.1.3, with RFC 6531 and 5890 for what is not ASCII. Pure.
 * A parsed address is canonical: route stripped, quoted local part unquoted and quoted again only if it must be,
 * domain in lower case A-labels (xn--…) without a final dot; literals as inet_ntop writes them; the local part keeps its
 * case and its UTF-8. A domain whose last label is a number is refused: an IP address belongs in brackets.
 */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_LOCAL_MAX	64	/* RFC 5321, 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX	255	/* RFC 5321, 4.5.3.1.2 */
#define ADDRESS_MAX		(2 * ADDRESS_LOCAL_MAX + 2 + 1 + ADDRESS_DOMAIN_MAX + 1)	/* quoted, with NUL */

enum address_result {
	ADDRESS_OK,
	ADDRESS_SYNTAX,			/* 501 5.1.3 (recipient), 5.1.7 (sender) */
	ADDRESS_TOO_LONG,		/* 501; local part, domain or label */
	ADDRESS_NEEDS_UTF8,		/* not ASCII and SMTPUTF8 was not asked for: 553 5.6.7 */
};

struct address {
	char	text[ADDRESS_MAX];	/* canonical, "" for the null reverse-path */
	char	local[ADDRESS_LOCAL_MAX + 1];	/* unquoted */
	char	domain[ADDRESS_DOMAIN_MAX + 1];	/* lower case A-labels; "[192.0.2.1]" or "[IPv6:…]" for a literal; "" none */
	bool	literal;		/* the domain is an address literal */
	bool	utf8;			/* the local part is not ASCII: the next hop must offer SMTPUTF8 */
};

enum address_flags {
	ADDRESS_UTF8 = 1,		/* RFC 6531 forms are allowed */
	ADDRESS_NULL = 2,		/* "<>" is allowed (reverse-path) */
	ADDRESS_BARE = 4,		/* no domain is allowed: "<postmaster>", local submission, aliases */
	/*
	 * RFC 5321, 4.1.2 to the letter. Without it a domain may have underscores and a final dot, for there is honest mail
	 * from such, but its last label is no number, and the local part is never empty.
	 */
	ADDRESS_GRAMMAR = 8,
};

/*
 * A Path: "<…>" at the start of text, up to and with its '>'. *end_r is where it ended (parameters follow).
 * Strict: CR, LF, NUL and other controls are syntax errors. why (may be NULL) gets a phrase for the client.
 */
enum address_result address_parse_path(struct address *, const char *text, int flags, const char **end_r,
		    const char **why_r);
/* A mailbox without brackets, all of text: aliases, configuration, sendmail's arguments. */
enum address_result address_parse(struct address *, const char *text, int flags, const char **why_r);
/* A domain name or address literal: EHLO's argument, configuration. to: ADDRESS_DOMAIN_MAX + 1 bytes. 0 or -1. */
int		 address_domain(char *to, const char *text, int flags);

#endif
