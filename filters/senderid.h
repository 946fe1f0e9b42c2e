/*
 * The purported responsible address of a message: who is to blame for sending it, by its header (RFC 4407, 2). Historic; Pure.
 */
#ifndef FILTERS_SENDERID_H
#define FILTERS_SENDERID_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/address.h"

/* Canonical in to; *field_r is the field that it stands in, in lower case. False: the header names nobody, or several. */
bool	senderid_pra(char to[ADDRESS_MAX], const char **field_r, const char *header, size_t len);

#endif
