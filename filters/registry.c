/*
 * The table of all filters. Their order is that in which findings are folded: what is cheap and certain first, what waits for
 * others last; where two would refuse, the upper one is named.
 */
#include "filters/registry.h"

#include "filters/adapters.h"
#include "filters/callback.h"
#include "filters/greet.h"

static const struct filter *const list[] = {
	/* from memory and lists */
	&filter_standing,
	&filter_correspondents,
	&filter_trap,
	&filter_rate,
	&filter_dnswl,
	&filter_early,
	&filter_throttle,
	&filter_penalty,
	&filter_pipelining,
	&filter_refuse,
	&filter_client_domains,
	/* from DNS */
	&filter_iprev,
	&filter_helo,
	&filter_spf,
	&filter_dnsbl,
	&filter_helo_lists,
	&filter_sender_lists,
	&filter_host_lists,
	/* from the message */
	&filter_from,
	&filter_dkim,
	&filter_arc,
	&filter_dmarc,
	&filter_senderid,
	&filter_conformity,
	/* after all that could be said against it */
	&filter_greylist,
	&filter_callback,
};

const struct registry filters_registry = { list, sizeof(list) / sizeof(list[0]) };
