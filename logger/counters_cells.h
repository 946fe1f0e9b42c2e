/*
 * How the counters lie in memory: shared by counters.c, which counts, and counters_text.c, which writes and reads them.
 * Each number stands in a cell with the hour or day that it is of; a cell whose time is over is taken by the next one, so
 * that nothing has to be moved or thrown away by a clock. Days are local ones.
 */
#ifndef LOGGER_COUNTERS_CELLS_H
#define LOGGER_COUNTERS_CELLS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "logger/counters.h"

#define COUNTERS_NAME_MAX	80
#define COUNTERS_BUCKETS	168	/* four for each doubling, from a millisecond to many years */

enum count { SESSIONS, ACCEPTED, REFUSED, PUT_OFF, QUARANTINED, DELIVERED, DEFERRED, FAILED, BOUNCES, COUNTS };
enum kind { BY_FILTER, BY_DOMAIN, BY_REASON, KINDS };
enum { F_REFUSED, F_PUT_OFF, F_QUARANTINED, F_OBSERVED, F_EXEMPT };	/* the columns of BY_FILTER */
enum { D_ACCEPTED, D_REFUSED, D_DELIVERED, D_DEFERRED, D_FAILED };	/* and of BY_DOMAIN; BY_REASON has one */
#define COLUMNS		5
enum spread { WAITED, DELAY, SPREADS };		/* of clients in a session; from arrival to delivery */

extern const char *const counters_names[COUNTS], *const counters_kinds[KINDS], *const counters_columns[KINDS][COLUMNS],
    *const counters_spreads[SPREADS];

struct cell { int64_t at; uint64_t n[COUNTS]; };
struct row_cell { int64_t at; uint32_t n[COLUMNS]; };
struct spread_cell { int64_t at; uint32_t n[COUNTERS_BUCKETS]; };

struct row {
	char		 name[COUNTERS_NAME_MAX];
	struct row_cell	 days[COUNTERS_ROW_DAYS];
	UT_hash_handle	 hh;
};

struct counters {
	time_t		 since;
	time_t		 now;		/* of the last line, … */
	int64_t		 today;		/* … and its day: to ask for it once a second is enough */
	bool		 marked;	/* the last decision marked a message as spam: a finding behind it says for which filter */
	struct cell	 hours[COUNTERS_HOURS], days[COUNTERS_DAYS];
	struct row	*rows[KINDS];
	struct spread_cell spreads[SPREADS][COUNTERS_ROW_DAYS];
};

int64_t		 counters_day(time_t);		/* the local day, counted from 1970 */
void		 counters_clear(struct counters *);
/* The cell of that hour or day, emptied if it was another one's. */
struct cell	*counters_cell(struct cell *cells, int64_t n, int64_t at);
struct row_cell	*counters_row_cell(struct row *, int64_t day);
struct spread_cell *counters_spread_cell(struct spread_cell *cells, int64_t day);
struct row	*counters_row(struct counters *, enum kind, const char *name);

#endif
