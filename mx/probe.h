/*
 * A callback: asks the servers of a domain whether they would take mail for an address, and sends none. MX, connection,
 * the dialog of mx/probe_steps.h, half a minute for all of it.
 */
#ifndef MX_PROBE_H
#define MX_PROBE_H

#include "lib/address.h"
#include "mx/mx.h"
#include "mx/probe_steps.h"

struct dns;
struct event_base;
struct probe;
struct route;

#define PROBE_MS	30000

struct probe_answer {
	enum probe_result result;
	uint16_t	 code;			/* of the reply that decided; 0: none */
	char		 host[320];		/* whose, "name [address]:port"; "": nobody was reached */
	char		 text[PROBE_TEXT_MAX];	/* why, for people */
};

typedef void	probe_done_fn(void *arg, const struct probe_answer *);	/* borrowed; exactly once, from the loop */

/*
 * The hosts of the route are asked in order until one has said something about mail at all. Of the options, port and
 * only_address come from the route; what its section says of source address and HELO name holds here too. hostname, own and
 * the section live as long as the probe; the rest is copied.
 */
struct probe	*probe_start(struct event_base *, struct dns *, const struct address *, const struct route *,
		    const struct mx_options *, probe_done_fn *, void *arg);
void		 probe_cancel(struct probe *);		/* NULL is fine */

#endif
