/*
 * Addresses of senders of our own, in the envelope and in From, Sender and Reply-To: a missing domain is added, `canonical` maps
 * one to another, `masquerade` takes host names out of domains. For mail of local programs and trusted clients only. Pure.
 */
#ifndef SMTPD_REWRITE_H
#define SMTPD_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/address.h"

struct conf;

/* False: it stays as it is, as "" does. */
bool	rewrite_address(const struct conf *, const char *address, char to[ADDRESS_MAX]);
/* A header with the end of its block (or more behind it, which stays) as a new string; NULL: nothing in it changes. In To and
 * Cc a missing domain is added, too. */
char	*rewrite_header(const struct conf *, const char *header, size_t len, size_t *len_r);

#endif
