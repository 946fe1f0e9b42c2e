/*
 * From a domain to the addresses to try, in order: RFC 5321, 5.1; null MX: RFC 7505.
 */
#ifndef MX_MX_H
#define MX_MX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "mx/dns.h"

#define MX_HOSTS_MAX		10
#define MX_ADDRESSES_MAX	20

enum mx_result {
	MX_OK,				/* addresses follow; there is at least one */
	MX_NO_DOMAIN,			/* the domain does not exist: 5.1.2 */
	MX_NO_HOST,			/* it has neither MX nor address, or none of its MXs has one: 5.4.4 */
	MX_NULL,			/* it says that it takes no mail (RFC 7505): 556 5.1.10 */
	MX_LOOP,			/* we are its best MX, yet it is not ours: 5.4.6 */
	MX_REFUSED,			/* only private, loopback or otherwise impossible addresses: 5.4.4 */
	MX_TEMPORARY,			/* no answer now: 4.4.3 */
};

struct mx_address {
	char			host[DNS_NAME_MAX + 1];
	uint16_t		preference;
	struct sockaddr_storage	address;	/* with the port */
	socklen_t		length;
};

struct mx_list {
	enum mx_result		 result;
	char			 why[256];	/* a sentence for log and bounce when it is not MX_OK */
	struct mx_address	 list[MX_ADDRESSES_MAX];	/* in the order to try */
	size_t			 n;
	uint32_t		 ttl;
	bool			 secure;
};

struct mx_options {
	const char	*hostname;	/* ours: MXs of this name and of higher preference are dropped */
	const struct sockaddr_storage *own;	/* our listeners' addresses and ports, for the loop test */
	size_t		 n_own;
	uint16_t	 port;
	int		 family;	/* AF_INET, AF_INET6: only such addresses; 0: both */
	bool		 allow_private;
	bool		 only_address;	/* a fixed host: no MX lookup, A and AAAA only */
	uint64_t	 seed;		/* of the shuffle of equal preferences; 0: random */
};

struct mx_lookup;
typedef void	mx_done_fn(void *arg, const struct mx_list *);	/* borrowed; exactly once, from the loop */

/* name: a domain, or an address literal "[…]". */
struct mx_lookup *mx_start(struct dns *, const char *name, const struct mx_options *, uint32_t deadline_ms, mx_done_fn *,
		    void *arg);
void		 mx_cancel(struct mx_lookup *);		/* NULL is fine */

#endif
