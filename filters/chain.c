/*
 * The runs of filters in one session: each starts when its stage is reached and what it needs is settled, has a deadline, and
 * is forgotten when what it was about begins anew. What their findings lead to is chain_fold.c's business; smtpd,
 * `minimtactl check mail` and tests call.
 *
 * All that could call back goes through one timer of no time, so that nobody is called from inside a call, and a decision's
 * receiver may do with the chain what it likes.
 */
#include <stddef.h>
#include <stdlib.h>

#include "filters/chain_state.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "mx/dns.h"

#define GRACE_MS	1000		/* that the chain waits longer than a filter was told: it may have a part of its answer */

bool
chain_is_of_recipient(const struct chain *c, size_t i)
{
	return config_of(c, i)->stage == STAGE_RCPT;
}

bool
chain_settled(const struct chain *c, unsigned facts)
{
	for (size_t i = 0; i < c->n; i++)
		if ((filter_of(c, i)->gives & facts) != 0 && config_of(c, i)->mode != FILTER_OFF &&
		    c->slots[i].state != SLOT_DONE && c->slots[i].state != SLOT_SKIPPED)
			return false;
	return true;
}

/* ---- the end of a run ---- */

static void
free_run(struct slot *s)
{
	if (s->run == NULL)
		return;
	timer_stop(&s->run->deadline);
	free(s->run);
	s->run = NULL;
}

/* What it found stays, and the run itself where somebody still looks at it. */
static void
keep_finding(struct chain *c, size_t i)
{
	const struct filter *f = filter_of(c, i);
	struct slot *s = &c->slots[i];

	s->state = SLOT_DONE;
	s->ms = (uint32_t)(clock_ms() - s->run->began_ms);
	s->finding = finding_pack(&s->run->run.finding);
	timer_stop(&s->run->deadline);
	if (f->weigh == NULL && !f->lends)
		free_run(s);
}

static void
end_run(struct chain *c, size_t i)
{
	const struct filter *f = filter_of(c, i);

	if (c->slots[i].run->run.finding.result[0] == '\0')
		log_fatal("event=filter-without-result filter=%s", f->name);
	c->facts->known |= f->gives;
	keep_finding(c, i);
}

void
filter_finish(struct filter_run *run)
{
	struct chain_run *r = (void *)run;
	struct chain *c = r->chain;

	if (c->slots[r->i].state != SLOT_PENDING || c->slots[r->i].run != r)
		log_fatal("event=filter-finished-twice filter=%s", run->filter->name);
	end_run(c, r->i);
	timer_start(&c->step, 0);
}

static void
on_late(void *arg)
{
	struct chain_run *r = arg;
	struct chain *c = r->chain;
	size_t i = r->i;

	log_warn("event=filter-late filter=%s client=%s ms=%lld", filter_of(c, i)->name, logq(c->facts->client_text),
	    (long long)(clock_ms() - r->began_ms));
	filter_of(c, i)->cancel(&r->run);
	c->filters->counts[i].late++;
	r->run.finding = (struct filter_finding){ .action = FILTER_PASS };
	filter_say(&r->run, "late", 0, "it had no answer in time");
	keep_finding(c, i);
	timer_start(&c->step, 0);
}

/* What it was about begins anew. */
static void
forget(struct chain *c, size_t i)
{
	const struct filter *f = filter_of(c, i);
	struct slot *s = &c->slots[i];

	if (s->state == SLOT_PENDING)
		f->cancel(&s->run->run);
	free_run(s);
	free(s->finding);
	s->finding = NULL;
	s->state = SLOT_IDLE;
	s->exempt = s->counted = false;
	c->facts->known &= ~f->gives;
}

/* ---- starting ---- */

/* By what lists say of what is known at a stage, whatever came in meanwhile: an answer of DNS must not decide who runs. */
static bool
starts_exempt(const struct chain *c, size_t i)
{
	enum facts_stage stage = config_of(c, i)->stage;
	unsigned known = ACCESS_CLIENT;

	if (stage >= STAGE_DATA)
		return (c->mask >> i & 1) != 0;
	if (stage >= STAGE_MAIL)
		known |= ACCESS_SENDER;
	if (stage >= STAGE_RCPT)
		known |= ACCESS_RECIPIENT;
	if (stage == STAGE_RCPT && config_of(c, i)->decides <= STAGE_RCPT && c->facts->recipient != NULL &&
	    access_is_duty(c->facts->recipient))
		return true;
	return (access_exempt(&c->filters->access, c->facts, known) >> i & 1) != 0;
}

static struct chain_run *
new_run(struct chain *c, size_t i)
{
	const struct filter *f = filter_of(c, i);
	struct chain_run *r = alloc_new(1, sizeof(*r) + f->state_size);

	r->chain = c;
	r->i = i;
	r->began_ms = clock_ms();
	timer_set(&r->deadline, on_late, r);
	r->run = (struct filter_run){ .filter = f, .config = config_of(c, i), .facts = c->facts, .dns = c->dns,
	    .memory = c->filters->memory, .state = r->state, .deadline_ms = f->deadline_ms,
	    .defer_score = c->filters->defer_score };
	if (f->last)
		r->run.score_so_far = chain_score_before(c, i);
	return r;
}

static void
start(struct chain *c, size_t i)
{
	const struct filter *f = filter_of(c, i);
	struct slot *s = &c->slots[i];

	if (config_of(c, i)->mode == FILTER_OFF || (f->applies != NULL && !f->applies(config_of(c, i), c->facts)) ||
	    f->run == NULL || starts_exempt(c, i)) {
		s->state = SLOT_SKIPPED;
		return;
	}
	s->run = new_run(c, i);
	s->state = SLOT_PENDING;
	if (f->run(&s->run->run) == FILTER_DONE)
		end_run(c, i);
	else if (f->end == NULL && f->deadline_ms > 0)
		timer_start(&s->run->deadline, f->deadline_ms + GRACE_MS);
}

/* Whether all before it that count where it does are settled. */
static bool
before_is_settled(const struct chain *c, size_t i)
{
	const struct filter_config *own = config_of(c, i), *other;

	for (size_t j = 0; j < i; j++) {
		other = config_of(c, j);
		if (other->mode == FILTER_OFF || other->mode == FILTER_OBSERVE || other->decides > own->decides ||
		    other->stage > c->stage)
			continue;
		if (c->slots[j].state == SLOT_IDLE || c->slots[j].state == SLOT_PENDING)
			return false;
	}
	return true;
}

static bool
can_start(const struct chain *c, size_t i)
{
	if (c->slots[i].state != SLOT_IDLE || config_of(c, i)->stage > c->stage || !chain_settled(c, filter_of(c, i)->needs) ||
	    (chain_is_of_recipient(c, i) && c->stage != STAGE_RCPT))
		return false;
	/* Whose points count for those that run last may depend on the name of the client. */
	return !filter_of(c, i)->last ||
	    (before_is_settled(c, i) && (!c->filters->access.by_host || chain_settled(c, FACT_REVERSE)));
}

/* Those that run last and count are started one by one, and not before a decision needs them. */
static bool
is_held_back(const struct chain *c, size_t i)
{
	return filter_of(c, i)->last && config_of(c, i)->mode != FILTER_OBSERVE && config_of(c, i)->mode != FILTER_OFF;
}

/* Starts all others that can. What one gives another may need, so until nothing changes: at most a round for each. */
static void
advance(struct chain *c)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < c->n; i++)
			if (!is_held_back(c, i) && can_start(c, i)) {
				start(c, i);
				again = true;
			}
	}
}

/* The next of those that run last. False: there is none, or it has to wait. */
static bool
start_last(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (is_held_back(c, i) && can_start(c, i)) {
			start(c, i);
			return true;
		}
	return false;
}

/* ---- decisions ---- */

/* False: whoever was told has freed the chain. */
static bool
tell_found(struct chain *c)
{
	bool gone = false;

	if (c->found == NULL)
		return true;
	c->gone = &gone;
	c->found(c->found_arg);
	if (!gone)
		c->gone = NULL;
	return !gone;
}

/* Something is settled, or somebody asked. */
static void
on_step(void *arg)
{
	struct chain *c = arg;
	struct chain_decision d;

	advance(c);
	if (!tell_found(c) || !c->deciding)
		return;
	while (!chain_fold(c, c->wanted, &d)) {
		if (!start_last(c))
			return;
		advance(c);
	}
	c->deciding = false;
	c->done(c->arg, &d);
}

void
chain_on_found(struct chain *c, void (*found)(void *), void *arg)
{
	c->found = found;
	c->found_arg = arg;
}

void
chain_decide(struct chain *c, enum facts_stage stage, chain_done_fn *done, void *arg)
{
	if (c->deciding || stage < STAGE_RCPT || stage > c->stage)
		log_fatal("event=wrong-decision stage=%s reached=%s", facts_stage_name(stage), facts_stage_name(c->stage));
	c->deciding = true;
	c->wanted = stage;
	c->done = done;
	c->arg = arg;
	timer_start(&c->step, 0);
}

void
chain_wait_no_more(struct chain *c)
{
	c->deciding = false;
}

/* ---- stages ---- */

struct chain *
chain_new(struct filters *filters, struct facts *facts)
{
	size_t n = filters->registry->n;
	struct chain *c = alloc_new(1, sizeof(*c) + n * sizeof(struct slot));

	c->filters = filters;
	c->facts = facts;
	c->dns = filters->dns != NULL ? dns_new_counting(filters->dns) : NULL;
	c->n = n;
	facts->known = 0;
	timer_set(&c->step, on_step, c);
	return c;
}

static void
forget_transaction(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->slots[i].for_data);
		c->slots[i].for_data = NULL;
		c->slots[i].least_score = 0;
	}
	c->taken = 0;
	c->mask = 0;
	c->decided = STAGE_MAIL;
	c->quarantine = false;
	c->tagged = NULL;
}

/* All of these stages. */
static void
forget_stages(struct chain *c, enum facts_stage from, enum facts_stage to)
{
	c->deciding = false;
	for (size_t i = 0; i < c->n; i++)
		if (config_of(c, i)->stage >= from && config_of(c, i)->stage <= to)
			forget(c, i);
	if (from <= STAGE_MAIL)
		forget_transaction(c);
}

void
chain_free(struct chain *c)
{
	if (c == NULL)
		return;
	forget_stages(c, STAGE_CONNECT, STAGE_END);
	timer_stop(&c->step);
	if (c->gone != NULL)
		*c->gone = true;
	dns_free(c->dns);
	free(c);
}

unsigned
chain_questions(const struct chain *c)
{
	return c->dns != NULL ? dns_count(c->dns) : 0;
}

void
chain_reset(struct chain *c)
{
	forget_stages(c, STAGE_MAIL, STAGE_END);
	if (c->stage > STAGE_HELO)
		c->stage = STAGE_HELO;
}

/* The body is there: from now on its readers can be late. */
static void
end_body(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct filter *f = filter_of(c, i);

		if (f->end == NULL || c->slots[i].state != SLOT_PENDING)
			continue;
		f->end(&c->slots[i].run->run);
		if (f->deadline_ms > 0)
			timer_start(&c->slots[i].run->deadline, f->deadline_ms + GRACE_MS);
	}
}

void
chain_reach(struct chain *c, enum facts_stage stage)
{
	if (stage == STAGE_HELO || stage == STAGE_MAIL)
		forget_stages(c, stage, STAGE_END);
	else if (stage == STAGE_RCPT)
		forget_stages(c, STAGE_RCPT, STAGE_RCPT);
	c->stage = stage;
	advance(c);
	if (stage == STAGE_END)
		end_body(c);
	if (c->deciding)
		timer_start(&c->step, 0);
}

void
chain_body(struct chain *c, const void *bytes, size_t len)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->slots[i].state == SLOT_PENDING && filter_of(c, i)->body != NULL)
			filter_of(c, i)->body(&c->slots[i].run->run, bytes, len);
}

bool
chain_is_exempt(const struct chain *c, const char *name)
{
	size_t i = registry_find(c->filters->registry, name);

	return i < c->n && (chain_mask(c) >> i & 1) != 0;
}

/* ---- what was found ---- */

bool
chain_next(const struct chain *c, size_t *at, struct chain_entry *e)
{
	for (; *at < c->n; (*at)++) {
		const struct slot *s = &c->slots[*at];

		if (s->state != SLOT_DONE)
			continue;
		*e = (struct chain_entry){ .filter = filter_of(c, *at), .mode = config_of(c, *at)->mode,
		    .stage = config_of(c, *at)->stage, .exempt = s->exempt, .counted = s->counted, .ms = s->ms };
		finding_unpack(&e->room, s->finding);
		e->finding = &e->room;
		(*at)++;
		return true;
	}
	return false;
}

void
chain_waits_for(const struct chain *c, char *to, size_t size)
{
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < c->n && len < size; i++)
		if (c->slots[i].state == SLOT_PENDING)
			len += (size_t)snprintf(to + len, size - len, "%s%s", len > 0 ? "," : "", filter_of(c, i)->name);
}
