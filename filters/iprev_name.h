/*
 * Whether a host name looks as if a provider had made it from the address, or says that it changes hands. A fact that
 * can be scored, never a proof. Pure.
 */
#ifndef FILTERS_IPREV_NAME_H
#define FILTERS_IPREV_NAME_H

#include "filters/reverse.h"

enum iprev_look {
	IPREV_OWN,			/* a name that somebody chose */
	IPREV_GENERIC,			/* made from the address: 203-0-113-7.example.net */
	IPREV_DYNAMIC,			/* speaks of dial-up, pools and the like, or is generic and does not say "static" */
};

enum iprev_look	 iprev_name_look(const char *name, const struct reverse_address *);
const char	*iprev_look_name(enum iprev_look);	/* "own", "generic", "dynamic" */

#endif
