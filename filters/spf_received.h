/*
 * The field that tells later readers of a message what SPF found: Received-SPF (RFC 7208, 9.1). Pure; written by whoever
 * accepts a message, on top of it.
 */
#ifndef FILTERS_SPF_RECEIVED_H
#define FILTERS_SPF_RECEIVED_H

#include <stddef.h>

#include "filters/spf.h"

#define SPF_RECEIVED_MAX	2560	/* with its NUL */

struct spf_received {
	enum spf_code	 code;
	bool		 helo;		/* the identity was HELO */
	const char	*reason;	/* of the result */
	const char	*client;	/* address in text */
	const char	*sender, *helo_name;
	const char	*receiver;	/* our name */
};

/* The field in folded lines that end with CRLF. Values of strangers are quoted and cut; what is not printable ASCII becomes
 * '?'. Returns the length. */
size_t	spf_received_write(char to[SPF_RECEIVED_MAX], const struct spf_received *);

#endif
