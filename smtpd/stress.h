/*
 * How much there is too much of, as a level, and what becomes of limits at each level. Pure. Private to smtpd/.
 */
#ifndef SMTPD_STRESS_H
#define SMTPD_STRESS_H

#include <stddef.h>
#include <stdint.h>

#define STRESS_MOST	3U

/* Of something that can run out: connections, descriptors, memory. limit 0: it cannot. */
struct stress_share {
	uint64_t	used, limit;
};

/* 0 (plenty) to STRESS_MOST, by the share that is used most. `level` is the one so far: it falls later than it rises. */
unsigned	stress_level(unsigned level, const struct stress_share *, size_t n);
/* A time limit, and a number of errors or the like, at a level. */
int64_t		stress_time(unsigned level, int64_t ms);
uint32_t	stress_count(unsigned level, uint32_t count);

#endif
