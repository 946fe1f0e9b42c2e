/*
 * The counters, as logger tells them, for mailstat: read, added up over days, and made percentiles of. Reads a FILE, else
 * pure. minimta-journal(5) describes the lines.
 */
#ifndef TOOLS_STATS_H
#define TOOLS_STATS_H

#include <stdint.h>
#include <stdio.h>

#define STATS_DAYS_MAX	31
#define STATS_HOURS	48
#define STATS_COLUMNS	5
#define STATS_BUCKETS	168

enum stats_count { STATS_SESSIONS, STATS_ACCEPTED, STATS_REFUSED, STATS_PUT_OFF, STATS_QUARANTINED, STATS_DELIVERED,
	STATS_DEFERRED, STATS_FAILED, STATS_BOUNCES, STATS_COUNTS };
enum stats_kind { STATS_FILTER, STATS_DOMAIN, STATS_REASON, STATS_KINDS };
enum stats_spread { STATS_WAITED, STATS_DELAY, STATS_SPREADS };

extern const char *const stats_count_names[STATS_COUNTS];
extern const char *const stats_kind_names[STATS_KINDS];
extern const char *const stats_columns[STATS_KINDS][STATS_COLUMNS];	/* NULL behind the last */
extern const char *const stats_spread_names[STATS_SPREADS];

struct stats_row {
	char		*name;
	uint64_t	 n[STATS_COLUMNS];
};

struct stats {
	unsigned	 n_days;			/* that are added up */
	int64_t		 now, since, today;		/* seconds; since 0: nothing was counted yet; today in days from 1970 */
	uint64_t	 total[STATS_COUNTS], on_day[STATS_DAYS_MAX][STATS_COUNTS];	/* on_day[0] is today */
	uint64_t	 in_hour[STATS_HOURS][STATS_COUNTS];	/* in_hour[0] is this one */
	struct stats_row *rows[STATS_KINDS];		/* most first */
	size_t		 n_rows[STATS_KINDS];
	uint64_t	 spread[STATS_SPREADS][STATS_BUCKETS];
};

/* 0, or -1: cut short, or none. Free it either way. */
int	 stats_read(struct stats *, FILE *, unsigned days);
void	 stats_free(struct stats *);
/* How many there were, and the milliseconds that so much of a hundred had at most. 0 when there were none. */
uint64_t stats_spread_count(const struct stats *, enum stats_spread);
int64_t	 stats_percentile(const struct stats *, enum stats_spread, unsigned percent);
uint64_t stats_row_sum(const struct stats_row *);
/* "Sat 21 Nov"; 32 bytes. */
char	*stats_day_name(char to[32], int64_t day);
/* "0.5 s", "12m 5s"; 32 bytes. */
char	*stats_span(char to[32], int64_t ms);

/* In words and tables; as JSON; as one page of HTML with everything in it. */
void	 stats_print(const struct stats *, FILE *);
void	 stats_print_json(const struct stats *, FILE *);
void	 stats_print_html(const struct stats *, FILE *);

#endif
