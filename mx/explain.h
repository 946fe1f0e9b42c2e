/*
 * Which hosts mail for a domain would go to, told to a person: minimtactl verify, sendmail -bv and -bt.
 */
#ifndef MX_EXPLAIN_H
#define MX_EXPLAIN_H

#include "lib/conf.h"
#include "mx/dns.h"

#define EXPLAIN_MAX	32		/* at once */

struct explain;

struct explain	*explain_new(struct dns *);
bool		 explain_is_idle(const struct explain *);
/* Takes over fd and the question: "route<tab>domain". Answers "ok" and lines, or "error: why", and closes. */
void		 explain_domain(struct explain *, const struct conf *, int fd, const char *line);

#endif
