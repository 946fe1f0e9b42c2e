/*
 * The sender rewriting scheme: a forwarder puts its own domain into the reverse-path, so that SPF passes at the next server,
 * and gets the bounces, which it sends back. What it puts there is signed and dated, so that it is no relay for others. Pure.
 *
 *	SRS0=HASH=DAY=example.com=user@forwarder		the first forwarder's
 *	SRS1=HASH=first.example==HASH=DAY=example.com=user@second	one behind it: bounces go past it to the first
 *
 * Reversing is for mail with the null reverse-path only, which its caller sees to: anybody may have seen the address.
 */
#ifndef FILTERS_SRS_H
#define FILTERS_SRS_H

#include <stddef.h>
#include <time.h>

#include "lib/address.h"

#define SRS_SECRET_MAX	200		/* bytes of a secret with its NUL, as it comes from a file */
#define SRS_DAYS	21		/* that an address is good for: mail waits for five in a queue, bounces for five more */
#define SRS_HASH_LEN	6		/* characters of base32: letters may change their case on the way */

struct srs_secrets {			/* the first one signs, each is believed: that one can be changed */
	const char	*list[2];	/* NULL: none */
};

enum srs_result {
	SRS_OK,
	SRS_UNCHANGED,			/* forward: the null reverse-path, or the domain is already ours; reverse: no such address */
	SRS_MALFORMED,			/* it looks like one and cannot be read, or what would come out is no address */
	SRS_TOO_LONG,			/* forward: a local part has no room for it */
	SRS_FORGED,			/* the hash is not ours */
	SRS_EXPIRED,
};

/* sender is canonical (lib/address.h), "" the null reverse-path; domain is ours. to is filled in for SRS_OK and SRS_UNCHANGED. */
enum srs_result	 srs_forward(char to[ADDRESS_MAX], const char *sender, const char *domain, const struct srs_secrets *, time_t now);
enum srs_result	 srs_reverse(char to[ADDRESS_MAX], const char *address, const struct srs_secrets *, time_t now);

const char	*srs_result_name(enum srs_result);	/* a word */

#endif
