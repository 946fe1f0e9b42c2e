/*
 * What the findings of a chain come to: one decision for a recipient, or for a message. Findings are taken in the registry's
 * order and none before those above it are settled, so that the decision is the same whichever answer came first. Called by
 * chain.c whenever something is settled.
 */
#include <stdio.h>
#include <stdlib.h>

#include "filters/chain_state.h"
#include "lib/ids.h"

static bool
is_in(uint64_t mask, size_t i)
{
	return (mask >> i & 1) != 0;
}

/* Points count in these modes. */
static bool
counts(const struct chain *c, size_t i)
{
	return config_of(c, i)->mode == FILTER_SCORE || config_of(c, i)->mode == FILTER_ENFORCE;
}

/* Where a finding has its place; before there is one, where it could have. */
static enum facts_stage
decides(const struct chain *c, size_t i)
{
	return c->slots[i].state == SLOT_DONE && c->slots[i].finding->at_end ? STAGE_END : config_of(c, i)->decides;
}

/* ---- who is exempt ---- */

static uint64_t
recipient_mask(const struct chain *c)
{
	uint64_t mask = access_exempt(&c->filters->access, c->facts, ACCESS_ALL);

	if (c->facts->recipient != NULL && access_is_duty(c->facts->recipient))
		for (size_t i = 0; i < c->n; i++)
			if (config_of(c, i)->decides <= STAGE_RCPT)
				mask |= UINT64_C(1) << i;
	return mask;
}

uint64_t
chain_mask(const struct chain *c)
{
	unsigned known = ACCESS_CLIENT | ACCESS_HOST;

	if (c->stage >= STAGE_DATA)
		return c->mask;
	if (c->stage == STAGE_RCPT)
		return recipient_mask(c);
	return access_exempt(&c->filters->access, c->facts, c->stage == STAGE_MAIL ? known | ACCESS_SENDER : known);
}

/* Whether it matters for the end of the message that one recipient is exempt from a filter and another is not. */
static bool
mask_matters(const struct chain *c, uint64_t difference)
{
	for (size_t i = 0; i < c->n; i++)
		if (is_in(difference, i) && counts(c, i) && (decides(c, i) > STAGE_RCPT ||
		    (c->slots[i].state == SLOT_DONE && c->slots[i].finding->score != 0)))
			return true;
	return false;
}

/* ---- points ---- */

/* Of one filter, for a decision at this stage: a recipient's own count for that one, at the end the smallest of them all. */
static int
points(const struct chain *c, size_t i, enum facts_stage stage)
{
	const struct slot *s = &c->slots[i];

	if (chain_is_of_recipient(c, i) && stage > STAGE_RCPT)
		return s->least_score;
	return s->state == SLOT_DONE ? s->finding->score : 0;
}

int
chain_score_before(const struct chain *c, size_t own)
{
	const struct filter *f = filter_of(c, own);
	enum facts_stage stage = decides(c, own);
	uint64_t mask = chain_mask(c);
	int score = 0;

	for (size_t i = 0; i < own; i++)
		if (counts(c, i) && !is_in(mask, i) && !filter_of(c, i)->last &&
		    (decides(c, i) <= stage || (filter_of(c, i)->gives & f->needs) != 0))
			score += points(c, i, config_of(c, own)->stage == STAGE_RCPT ? STAGE_RCPT : STAGE_END);
	return score;
}

/* ---- the decision ---- */

static void
clean(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

static void
make_ref(char ref[CHAIN_CODE_LEN + 1])
{
	static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t bits = id_random();

	for (int i = 0; i < CHAIN_CODE_LEN; i++, bits >>= 5)
		ref[i] = letters[bits & 31];
	ref[CHAIN_CODE_LEN] = '\0';
}

static const char *
general_text(enum chain_outcome outcome, bool by_score)
{
	if (outcome == CHAIN_DEFER)
		return "Not now, try again later";
	return by_score ? "Too much speaks against this mail" : "This mail is not wanted here";
}

/* By a finding, or by the sum where there is none. */
static void
refuse(struct chain *c, enum facts_stage stage, struct chain_decision *d, const struct finding *f, const char *name)
{
	bool permanent = f == NULL || f->action == FILTER_REFUSE;
	const char *given = f != NULL ? finding_text(f) : "", *enhanced = f != NULL ? finding_enhanced(f) : "";

	d->outcome = permanent && !c->filters->refuse_temporarily ? CHAIN_REFUSE : CHAIN_DEFER;
	d->code = f != NULL ? f->code : 0;
	if (d->code == 0)
		d->code = permanent ? 550 : stage > STAGE_RCPT ? 451 : 450;
	snprintf(d->enhanced, sizeof(d->enhanced), "%s", enhanced[0] != '\0' ? enhanced : permanent ? "5.7.1" : "4.7.1");
	if (permanent && d->outcome == CHAIN_DEFER) {
		d->code = stage > STAGE_RCPT ? 451 : 450;
		d->enhanced[0] = '4';
	}
	make_ref(d->ref);
	snprintf(d->text, sizeof(d->text), "%s (see %s)", given[0] != '\0' ? given : general_text(d->outcome, f == NULL), d->ref);
	clean(d->text);
	d->filter = name;
}

static void
count(struct filters_count *to, const struct chain_decision *d)
{
	if (d->outcome == CHAIN_REFUSE)
		to->refused++;
	else if (d->outcome == CHAIN_DEFER)
		to->deferred++;
}

static void
by_score(struct chain *c, enum facts_stage stage, struct chain_decision *d)
{
	refuse(c, stage, d, NULL, "score");
	count(&c->filters->score, d);
}

static void
by_filter(struct chain *c, enum facts_stage stage, struct chain_decision *d, size_t i, const struct finding *f)
{
	refuse(c, stage, d, f, filter_of(c, i)->name);
	c->slots[i].counted = true;
	count(&c->filters->counts[i], d);
}

/* ---- folding ---- */

struct fold {
	struct chain	*chain;
	enum facts_stage stage;
	struct chain_decision *d;
	uint64_t	 mask;
	bool		 done;
};

/* Whether a filter has its place in this decision at all. */
static bool
is_part(const struct chain *c, size_t i, enum facts_stage stage)
{
	return counts(c, i) && config_of(c, i)->stage <= stage && decides(c, i) <= stage &&
	    c->slots[i].state != SLOT_SKIPPED;
}

/* What a filter wants here; NULL: nothing. What decided at an earlier stage has had its say. */
static const struct finding *
wanted(const struct fold *f, size_t i)
{
	const struct chain *c = f->chain;
	const struct slot *s = &c->slots[i];

	if (config_of(c, i)->mode != FILTER_ENFORCE)
		return NULL;
	if (chain_is_of_recipient(c, i) && f->stage > STAGE_RCPT)
		return f->stage == STAGE_DATA ? s->for_data : NULL;
	if (decides(c, i) <= c->decided && f->stage > STAGE_RCPT)
		return NULL;
	return s->finding->at_data && f->stage == STAGE_RCPT ? NULL : s->finding;
}

/* At RCPT there is nothing yet that could be weighed. */
static bool
weighs(const struct chain *c, size_t i)
{
	return filter_of(c, i)->weigh != NULL && decides(c, i) > STAGE_RCPT && c->slots[i].state == SLOT_DONE;
}

static bool
is_settled(const struct fold *f, size_t i)
{
	const struct chain *c = f->chain;

	/* A recipient's, after its own decision: what it left behind counts. */
	if (chain_is_of_recipient(c, i) && f->stage > STAGE_RCPT)
		return true;
	return c->slots[i].state == SLOT_DONE && (!weighs(c, i) || chain_settled(c, filter_of(c, i)->weighs));
}

static void
weigh(struct chain *c, size_t i)
{
	struct slot *s = &c->slots[i];

	filter_of(c, i)->weigh(&s->run->run);
	free(s->finding);
	s->finding = finding_pack(&s->run->run.finding);
}

static void
take(struct fold *f, size_t i)
{
	struct chain *c = f->chain;
	const struct finding *finding;

	if (weighs(c, i))
		weigh(c, i);
	f->d->score += points(c, i, f->stage);
	if ((finding = wanted(f, i)) == NULL)
		return;
	if (finding->action == FILTER_QUARANTINE)
		f->d->quarantine = c->slots[i].counted = true;
	f->done = finding->action == FILTER_ACCEPT || finding->action == FILTER_DEFER || finding->action == FILTER_REFUSE;
	if (finding->action == FILTER_DEFER || finding->action == FILTER_REFUSE)
		by_filter(c, f->stage, f->d, i, finding);
	else if (f->done)
		c->slots[i].counted = true;
}

/* ---- what stays of a recipient that was taken ---- */

static void
keep_of_recipient(struct chain *c, uint64_t mask)
{
	struct slot *s;
	int score;

	for (size_t i = 0; i < c->n; i++) {
		s = &c->slots[i];
		if (!chain_is_of_recipient(c, i))
			continue;
		score = s->state == SLOT_DONE && !is_in(mask, i) ? s->finding->score : 0;
		if (c->taken == 0 || score < s->least_score)
			s->least_score = score;
		if (s->state == SLOT_DONE && !is_in(mask, i) && s->finding->at_data && s->for_data == NULL)
			s->for_data = finding_copy(s->finding);
	}
}

static void
pass_recipient(struct chain *c, uint64_t mask, struct chain_decision *d)
{
	if (c->taken > 0 && mask_matters(c, mask ^ c->mask)) {
		d->outcome = CHAIN_SPLIT;
		d->code = 452;
		snprintf(d->enhanced, sizeof(d->enhanced), "4.5.3");
		snprintf(d->text, sizeof(d->text), "Other rules apply to this recipient, send to it in a transaction of its own");
		return;
	}
	keep_of_recipient(c, mask);
	if (c->taken++ == 0)
		c->mask = mask;
}

/* tag_only: everything is taken, and the first reason not to is kept. */
static void
only_tag(struct chain *c, struct chain_decision *d)
{
	d->outcome = CHAIN_PASS;
	d->tagged = true;
	if (c->tagged == NULL)
		c->tagged = d->filter;
}

static void
conclude(struct fold *f)
{
	struct chain *c = f->chain;

	if (!f->done && f->d->score >= c->filters->refuse_score)
		by_score(c, f->stage, f->d);
	if (f->d->outcome != CHAIN_PASS && c->filters->tag_only)
		only_tag(c, f->d);
	if (f->d->outcome == CHAIN_PASS && f->stage == STAGE_RCPT)
		pass_recipient(c, f->mask, f->d);
	if (f->stage > STAGE_RCPT)
		c->decided = f->stage;
	else if (c->decided < STAGE_RCPT)
		c->decided = STAGE_RCPT;
	c->quarantine = c->quarantine || f->d->quarantine;
}

bool
chain_fold(struct chain *c, enum facts_stage stage, struct chain_decision *d)
{
	struct fold f = { .chain = c, .stage = stage, .d = d };

	*d = (struct chain_decision){ .outcome = CHAIN_PASS, .filter = "" };
	if (c->filters->access.by_host && !chain_settled(c, FACT_REVERSE))
		return false;
	f.mask = stage == STAGE_RCPT ? recipient_mask(c) : c->mask;
	for (size_t i = 0; i < c->n; i++)
		c->slots[i].exempt = c->slots[i].counted = false;
	for (size_t i = 0; i < c->n && !f.done; i++) {
		c->slots[i].exempt = is_in(f.mask, i);
		if (c->slots[i].exempt || !is_part(c, i, stage))
			continue;
		/* Who has too many points is not asked to wait, and nobody is asked about it. */
		if (filter_of(c, i)->last && d->score >= c->filters->refuse_score)
			break;
		if (!is_settled(&f, i))
			return false;
		take(&f, i);
	}
	conclude(&f);
	return true;
}
