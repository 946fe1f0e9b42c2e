/*
 * What came, went, was refused, put off and bounced: counted from the lines that logger sees, by hour and day, by filter,
 * domain and reason, and how long it took. Pure; logger/tallies.c keeps them on disk. minimta-journal(5) has the text form,
 * which is what is on disk and what `mailstat` is told.
 */
#ifndef LOGGER_COUNTERS_H
#define LOGGER_COUNTERS_H

#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "lib/pairs.h"

#define COUNTERS_VERSION	1
#define COUNTERS_HOURS		192	/* eight days */
#define COUNTERS_DAYS		400
#define COUNTERS_ROW_DAYS	31
#define COUNTERS_ROWS_MAX	400	/* of a kind; the least are put together as "others" */

struct counters;

struct counters	*counters_new(void);
void		 counters_free(struct counters *);	/* NULL is fine */
/* A line of the journal, as filters/decision.h and journal lines ('L') have them. An F belongs to the last D. */
void		 counters_line(struct counters *, time_t now, char letter, const struct pairs *);
void		 counters_print(const struct counters *, FILE *);
/* What counters_print() made, taken apart in place. 0, or -1: damaged, or of another version; then they are empty. */
int		 counters_read(struct counters *, char *text, size_t len);
/* For `minimtactl status`: " refused_spf=3 refused_spf_today=1 observed_spf=2", those that are not 0, of 31 days. */
void		 counters_status(const struct counters *, time_t now, char *to, size_t size);

#endif
