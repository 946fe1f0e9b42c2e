/*
 * What the processes of smtpd tell each other: how many sessions each has, and of networks how many connections one has, how
 * far its paces are used up, and how long it is known. Each writes a page of its own and reads those of the others (other workers, and predecessors that still drain), so
 * that a limit by network holds for all of them together. Private to smtpd/; network.c asks and tells.
 */
#ifndef SMTPD_TALLY_H
#define SMTPD_TALLY_H

#include <stddef.h>
#include <stdint.h>

#define TALLY_KEY	9		/* as network.h's keys; the first byte is never 0 */
#define TALLY_STAMPS	4		/* three paces, and how long it is known */
#define TALLIES_MOST	128		/* pages of others */

struct tally_page;

/* What stands in a page, or in all pages of others together, about one network. */
struct tally {
	uint32_t	connections;
	int64_t		stamp_us[TALLY_STAMPS];
};

struct tallies {
	uint64_t		 seed;		/* where a network stands in a page; the same for all, and no client knows it */
	struct tally_page	*own;		/* NULL: nobody is told */
	size_t			 n_others;
	struct {
		uint32_t		 instance;
		const struct tally_page	*page;
	} others[TALLIES_MOST];
};

size_t	tally_page_size(void);

/* The memory stays the caller's: zeroed for `own`, and any bytes at any time for the pages of others. */
void	tallies_set_own(struct tallies *, uint64_t seed, struct tally_page *own);
/* 0, or -1 when there are too many. */
int	tallies_add(struct tallies *, uint32_t instance, const struct tally_page *);
/* The page that is left out from now on, or NULL. */
const struct tally_page *tallies_remove(struct tallies *, uint32_t instance);

/* How things stand here, for the others to read. Where a page has no room the network is known to this process only. */
void	tallies_tell(struct tallies *, const uint8_t key[TALLY_KEY], const struct tally *, int64_t now_us);
/*
 * What the others say: the sum of connections, the latest of each stamp. A stamp beyond `most_us` is impossible, and left
 * out. What is nonsense or being written this moment counts for nothing or once too often; it never takes longer.
 */
void	tallies_ask(const struct tallies *, const uint8_t key[TALLY_KEY], int64_t most_us, struct tally *to);

/*
 * The page of a process that has ended: its stamps that lie ahead go into our own, as far as there is room, but for those beyond
 * `most_us`, which are impossible.
 */
void	tallies_inherit(struct tallies *, const struct tally_page *, int64_t now_us, int64_t most_us);
/* The stamps in our own page of a network that is not in the table now. */
void	tallies_recall(const struct tallies *, const uint8_t key[TALLY_KEY], struct tally *to);

/* So many sessions are here; and so many are elsewhere. */
void	tallies_tell_sessions(struct tallies *, uint32_t);
uint64_t tallies_sessions(const struct tallies *);

#endif
