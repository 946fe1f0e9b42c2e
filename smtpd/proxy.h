/*
 * The PROXY protocol, versions 1 and 2: who a load balancer says that the client is. And XCLIENT's arguments, by which
 * test programs and filters in front say the same. Parsed here, believed elsewhere. Pure.
 */
#ifndef SMTPD_PROXY_H
#define SMTPD_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROXY_V1_MAX	107		/* a line with its CRLF, as the protocol's text has it */
#define PROXY_V2_MAX	(16 + 1024)	/* more of addresses and extensions nobody needs here */

enum proxy_result {
	PROXY_MORE,			/* not complete */
	PROXY_ADDRESS,			/* the client is there */
	PROXY_ITSELF,			/* UNKNOWN, LOCAL, or a family that is none of ours: the proxy is the client */
	PROXY_BAD,
};

/* A header at the start of what came. *used_r is its length, unless there is more to come or it is none. */
enum proxy_result proxy_header(const uint8_t *, size_t len, struct sockaddr_storage *client_r, size_t *used_r);

#define PROXY_WORD_MAX	255		/* of a name or HELO in XCLIENT */

struct proxy_xclient {			/* what was given; "" and family 0: was not */
	struct sockaddr_storage client;
	char	 name[PROXY_WORD_MAX + 1];
	char	 helo[PROXY_WORD_MAX + 1];
	bool	 esmtp;
};

/* ATTRIBUTE=VALUE …, values in xtext (RFC 3461, 4). 0, or -1 with a phrase in why. */
int	proxy_xclient(const char *arguments, struct proxy_xclient *, const char **why_r);

#endif
