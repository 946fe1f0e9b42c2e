/*
 * A look at a message's header while it streams by: how long it and its longest field are, and how many hops it has taken. Pure.
 */
#ifndef SMTPD_HEADSCAN_H
#define SMTPD_HEADSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct headscan {
	uint64_t	 size;		/* bytes of the header so far */
	uint64_t	 field;		/* where in it the field under way began */
	uint64_t	 longest;	/* field, with its folded lines */
	uint32_t	 hops;		/* Received fields */
	bool		 eight_bit;	/* some value has bytes above 0x7f */
	int		 state;
	unsigned	 match;		/* letters of "received" that this line began with */
};

void	headscan_init(struct headscan *);
/* Content as wire_in_take makes it, in any pieces. Costs nothing once the header is over. */
void	headscan_take(struct headscan *, const uint8_t *, size_t);
bool	headscan_over(const struct headscan *);

#endif
