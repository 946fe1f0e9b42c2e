/*
 * What the files of the chain share and nobody else sees: the filters as configured, and one session's runs of them
 * (chain.c starts and ends them, chain_fold.c decides, chain_fields.c tells).
 */
#ifndef FILTERS_CHAIN_STATE_H
#define FILTERS_CHAIN_STATE_H

#include <stddef.h>

#include "filters/access.h"
#include "filters/chain.h"
#include "filters/finding.h"
#include "filters/registry.h"
#include "lib/clock.h"

struct filters_count {
	uint64_t refused, deferred, late;
};

struct filters {
	const struct registry *registry;
	struct filter_config configs[REGISTRY_MAX];
	struct access	 access;
	int		 defer_score, refuse_score;
	bool		 refuse_temporarily, tag_only;
	struct dns	*dns;
	struct memory	*memory;
	struct filters_count counts[REGISTRY_MAX], score;
};

/* As filters_new(), of other filters than those that there are: for tests. */
struct filters	*filters_new_of(const struct registry *, const struct conf *, struct dns *, struct memory *, char *err,
		    size_t size);

enum slot_state {
	SLOT_IDLE,			/* not begun: its stage is not reached, or facts that it needs are not settled */
	SLOT_SKIPPED,			/* off, exempt, or nothing to say */
	SLOT_PENDING,
	SLOT_DONE,			/* with a finding; late ones with that of being late */
};

struct slot {				/* of each filter of the registry: every session has all of them, so it is small */
	uint8_t		 state;		/* enum slot_state */
	bool		 exempt, counted;
	uint32_t	 ms;
	struct chain_run *run;		/* SLOT_PENDING; SLOT_DONE for those that weigh or lend, else NULL */
	struct finding	*finding;	/* SLOT_DONE */
	/* Of those that are about a recipient: what counts of the recipients that were taken. */
	int		 least_score;	/* the smallest: a refusal at the end is one for all of them */
	struct finding	*for_data;	/* what asks for something at DATA, or NULL */
};

struct chain_run {			/* a run with its state behind it */
	struct filter_run run;
	struct chain	*chain;
	size_t		 i;		/* whose it is */
	struct timer	 deadline;
	int64_t		 began_ms;
	max_align_t	 state[];
};

struct chain {
	struct filters	*filters;
	struct facts	*facts;
	struct dns	*dns;		/* the filters' own, with a count; NULL where they have none */
	enum facts_stage stage;		/* reached */
	enum facts_stage decided;	/* up to which, in this transaction */
	uint64_t	 mask;		/* exemptions of the transaction: of the recipients that were taken */
	unsigned	 taken;
	bool		 quarantine;
	const char	*tagged;	/* tag_only: whose verdict was the first that would not have passed, or NULL */
	/* who waits */
	bool		 deciding;
	enum facts_stage wanted;
	chain_done_fn	*done;
	void		*arg;
	struct timer	 step;
	void		(*found)(void *);
	void		*found_arg;
	bool		*gone;		/* while `found` is called: where to say that it freed the chain */
	size_t		 n;
	struct slot	 slots[];
};

static inline const struct filter *
filter_of(const struct chain *c, size_t i)
{
	return c->filters->registry->list[i];
}

static inline const struct filter_config *
config_of(const struct chain *c, size_t i)
{
	return &c->filters->configs[i];
}

/* Whether all filters that give these facts are settled. */
bool		 chain_settled(const struct chain *, unsigned facts);
/* Whether a filter is about a recipient. */
bool		 chain_is_of_recipient(const struct chain *, size_t i);
/* The points of those before a filter, for one that runs last. */
int		 chain_score_before(const struct chain *, size_t i);
/* Which filters do not apply to the present recipient; before there is one, and at DATA and later, to the transaction. */
uint64_t	 chain_mask(const struct chain *);
/* The decision, if it can be taken; false: somebody must be waited for. */
bool		 chain_fold(struct chain *, enum facts_stage, struct chain_decision *);

#endif
