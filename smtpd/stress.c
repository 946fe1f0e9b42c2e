/*
 * The steps in which limits tighten. Decides what a level is and what it does to a number; which numbers those are, and
 * who is spared, crowd.c and its callers know.
 */
#include "smtpd/stress.h"

#define FALLS_BELOW	10		/* per cent under its threshold a level ends: no flutter at the edge */
#define LEAST_MS	5000		/* a time limit that may be tightened is left this much */

static const struct {
	unsigned	 from;		/* per cent */
	unsigned	 divide_time, divide_count;
} steps[STRESS_MOST + 1] = {
	{ 0, 1, 1 },			/* 5 minutes for a command, 20 errors */
	{ 60, 5, 2 },			/* 1 minute, 10 */
	{ 80, 15, 4 },			/* 20 seconds, 5 */
	{ 95, 30, 10 },			/* 10 seconds, 2 */
};

static unsigned
per_cent(const struct stress_share *s)
{
	if (s->limit == 0)
		return 0;
	if (s->used >= s->limit)
		return 100;
	return (unsigned)(s->limit > UINT64_MAX / 100 ? s->used / (s->limit / 100) : s->used * 100 / s->limit);
}

unsigned
stress_level(unsigned level, const struct stress_share *shares, size_t n)
{
	unsigned most = 0, rises = 0, share;

	for (size_t i = 0; i < n; i++)
		if ((share = per_cent(&shares[i])) > most)
			most = share;
	while (rises < STRESS_MOST && most >= steps[rises + 1].from)
		rises++;
	if (rises >= level)
		return rises;
	while (level > rises && most + FALLS_BELOW < steps[level].from)
		level--;
	return level;
}

int64_t
stress_time(unsigned level, int64_t ms)
{
	int64_t less = ms / steps[level].divide_time;

	return less >= LEAST_MS ? less : ms < LEAST_MS ? ms : LEAST_MS;
}

uint32_t
stress_count(unsigned level, uint32_t count)
{
	uint32_t less = count / steps[level].divide_count;

	return less > 0 ? less : 1;
}
