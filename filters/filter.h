/*
 * What a filter is: one file with one struct filter, named in filters/registry.c. A new one touches those two files.
 *
 * A filter is given facts, never a session, so that the same one serves a live client, `minimtactl check mail` and a unit
 * test. It runs once for each thing that it judges (its scope follows from its stage: the connection, a HELO, a
 * transaction, a recipient). run() returns FILTER_DONE with its finding filled in, or FILTER_PENDING, after which comes
 * exactly one filter_finish(), from the loop, or a call of cancel(), after which there is none. With that the run is over and
 * freed: sessions are many, and what they keep of a run is what it found.
 *
 * What a finding leads to is the chain's business (filters/chain.h): the filter says what it found, how many points that
 * is, and what it would do; the mode that the administrator gave it decides what of that counts.
 */
#ifndef FILTERS_FILTER_H
#define FILTERS_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/facts.h"

struct access;
struct conf_option;
struct dns;
struct filter;
struct filter_config;
struct filter_run;
struct memory;

enum filter_mode {
	FILTER_OFF,			/* not run */
	FILTER_OBSERVE,			/* run and recorded, with what it would have done */
	FILTER_SCORE,			/* its points count, its action does not */
	FILTER_ENFORCE,			/* both count */
};

enum filter_action {			/* what a filter asks for, once enforced */
	FILTER_PASS,			/* nothing */
	FILTER_ACCEPT,			/* and what stands behind it in the chain is passed over */
	FILTER_DEFER,			/* 4xx for this recipient; at DATA and later for all of the message */
	FILTER_REFUSE,			/* 5xx, likewise */
	FILTER_QUARANTINE,		/* taken and marked: local delivery files it as Junk */
};

#define FILTER_KEY_MAX	256
#define FILTER_TEXT_MAX	320

struct filter_finding {			/* begins as zeroes */
	enum filter_action action;
	int		 score;
	int		 code;			/* of the reply; 0: 450 or 550 */
	char		 enhanced[12];		/* "": 4.7.1, 5.7.1 */
	char		 text[FILTER_TEXT_MAX];	/* of the reply, one sentence without a dot; "": a general one */
	char		 result[24];		/* the term: "pass", "listed", "early", … Never "" after a run */
	char		 key[FILTER_KEY_MAX];	/* what was looked at: an address, a name */
	char		 value[FILTER_TEXT_MAX];	/* what was found: an answer of DNS, a count */
	char		 why[FILTER_TEXT_MAX];	/* a sentence for people who ask why; "" when the result says it */
	bool		 at_data;		/* of a recipient: its action is for DATA, where it is one for all of the message */
	bool		 at_end;		/* of others: what it found is for the end, though it decides before that in other cases */
};

enum filter_progress { FILTER_DONE, FILTER_PENDING };

struct filter_run {			/* one run; filters read what is here and keep what is theirs in `state` */
	const struct filter	*filter;
	const struct filter_config *config;
	struct facts		*facts;		/* writes those that it gives, nothing else */
	struct dns		*dns;
	struct memory		*memory;
	void			*state;		/* filter->state_size bytes, zeroes at first */
	struct filter_finding	 finding;
	uint32_t		 deadline_ms;	/* that it has from now */
	int			 score_so_far;	/* of those before it, for those that run last */
	int			 defer_score;	/* from how many on it is too much, as configured */
};

struct filter_config {			/* of one filter, as configured; lives as long as the process' filters */
	enum filter_mode	 mode;
	enum facts_stage	 stage, decides;	/* where it starts and its verdict falls: the filter's, unless configure() says
						 * otherwise */
	void			*options;	/* filter->options_size bytes, filled in by its table */
	void			*kept;		/* what configure() and start() made of them; release() frees it */
	const struct access	*access;	/* the lists of who is exempt, refused … (filters/access.h) */
};

struct filter {
	const char		*name;		/* in the configuration, the log, the record: "spf" */
	const char		*does;		/* a phrase for people: "may this host send for that domain" */
	enum facts_stage	 stage;		/* what it needs is known then: it starts */
	enum facts_stage	 decides;	/* its verdict falls then; STAGE_RCPT for most */
	unsigned		 needs;		/* enum fact: settled before it starts, also when who gives them is off */
	unsigned		 insists;	/* of those: without a filter that gives them it must not be on */
	unsigned		 gives;		/* enum fact: settled with its finding */
	bool			 last;		/* starts, with their score, when all before it that decide at the same stage are
						 * settled and none of them has decided */
	enum filter_mode	 mode, hermes;	/* by default, and with `hermes = yes` */
	uint32_t		 deadline_ms;	/* of a run; 0: it never waits */
	const struct conf_option *options;	/* what may stand in its section; offsets in its options struct */
	size_t			 n_options, options_size, state_size;
	bool			 lends;		/* facts point into its state: the run stays as long as its finding counts */
	const char *const	*hermes_values;	/* other defaults with `hermes = yes`: name, value, …, NULL */

	/* Optional. Once, after the options were read: derives, checks. 0, or -1 with a phrase in why, which stays. */
	int			(*configure)(struct filter_config *, const char **why_r);
	/* Optional. What a process keeps for it as long as it runs (not for those who only read the configuration). */
	void			(*start)(struct filter_config *, struct dns *, struct memory *);
	/* Optional. Frees what either of them made, also after a configure() that failed. */
	void			(*release)(struct filter_config *);
	/* Optional. Whether it has anything to say here; false: skipped, and not recorded. */
	bool			(*applies)(const struct filter_config *, const struct facts *);
	enum filter_progress	(*run)(struct filter_run *);
	void			(*cancel)(struct filter_run *);
	/*
	 * Optional. When its verdict is taken, once the facts in `weighs` are settled: they may change its finding. At every
	 * verdict of which it is a part, so that it must come to the same each time. Its run stays as long as its finding counts.
	 */
	unsigned		 weighs;
	void			(*weigh)(struct filter_run *);
	/* Optional, for those that run over the body (stage HEADER, no needs): it, behind the empty line, in any pieces, and its end.
	 * Their finding comes some time after `end`. */
	void			(*body)(struct filter_run *, const void *, size_t);
	void			(*end)(struct filter_run *);
};

/* After FILTER_PENDING, once, with run->finding filled in; never from inside run(), body() or end(). The run is gone then. */
void	filter_finish(struct filter_run *);

/* The finding in one call, for what most filters say. fmt is for `why`. */
enum filter_progress filter_say(struct filter_run *, const char *result, int score, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));

const char	*filter_mode_name(enum filter_mode);	/* "off", "observe", "score", "enforce" */
const char	*filter_action_name(enum filter_action);

#endif
