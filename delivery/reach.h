/*
 * What experience says of IPv4 and IPv6: which of them leads nowhere from here, and which next hops take no mail by IPv6.
 * In memory, for a while; time comes in. Pure.
 */
#ifndef DELIVERY_REACH_H
#define DELIVERY_REACH_H

#include <stddef.h>
#include <stdint.h>

struct mx_address;
struct reach;

#define REACH_HOPS_MAX	1000		/* remembered; the oldest goes first */

struct reach	*reach_new(void);
void		 reach_free(struct reach *);

/* A connection by this family was tried: error is 0 when somebody was there, else an errno. */
void		 reach_tried(struct reach *, int family, int error, int64_t now_ms);
/* This next hop refused mail because it came by IPv6. */
void		 reach_refused_ipv6(struct reach *, const char *hop, int64_t now_ms);
/* What experience speaks against goes last; otherwise the order stays. */
void		 reach_order(struct reach *, const char *hop, struct mx_address *, size_t n, int64_t now_ms);

#endif
