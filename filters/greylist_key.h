/*
 * By what greylisting recognises a mail that is tried again: the network or domain that it comes from, its sender without what
 * changes from mail to mail, its recipient. Pure.
 */
#ifndef FILTERS_GREYLIST_KEY_H
#define FILTERS_GREYLIST_KEY_H

#include "filters/memory.h"
#include "filters/reverse.h"

/* "192.0.2.0/24", "2001:db8:1:2::/64". to: MEMORY_KEY_MAX bytes; returns to. */
char	*greylist_key_network(char *to, const struct reverse_address *);
/*
 * The sender in lower case: SRS and BATV undone, digits of tags folded ("bounce-1234-" and "bounce-1235-" are one), and for the
 * null sender who says so, by its HELO. A newline, and the recipient. to: MEMORY_OTHER_MAX bytes; returns to.
 */
char	*greylist_key_other(char *to, const char *sender, const char *helo, const char *recipient);

#endif
