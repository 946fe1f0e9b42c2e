/*
 * Turns between senders (queue/schedule_state.h): which of the jobs that are ready at a hop is next, and which of the hops that
 * may be tried. So one who sends ten thousand messages delays nobody's single letter: neither at the hop to which all of them
 * go, nor when each goes to another hop. Decides turns only; what is ready is decided in schedule_state.c, the only caller
 * beside schedule.c.
 */
#include <stdlib.h>

#include "lib/alloc.h"
#include "queue/schedule_state.h"

#define SERVED_TURN	4		/* every fourth turn is one of those who wait for their second, if any do */

void
fair_init(struct fair *f)
{
	TAILQ_INIT(&f->newer);
	TAILQ_INIT(&f->served);
}

static void
lane_free(struct fair *f, struct lane *l)
{
	TAILQ_REMOVE(l->served ? &f->served : &f->newer, l, next);
	free(l);
}

void
fair_free(struct fair *f)
{
	while (!TAILQ_EMPTY(&f->newer))
		lane_free(f, TAILQ_FIRST(&f->newer));
	while (!TAILQ_EMPTY(&f->served))
		lane_free(f, TAILQ_FIRST(&f->served));
}

bool
fair_is_empty(const struct fair *f)
{
	return TAILQ_EMPTY(&f->newer) && TAILQ_EMPTY(&f->served);
}

static struct lane *
lane_find(const struct fair *f, uint32_t sender)
{
	struct lane *l;

	TAILQ_FOREACH(l, &f->newer, next)
		if (l->sender == sender)
			return l;
	TAILQ_FOREACH(l, &f->served, next)
		if (l->sender == sender)
			return l;
	return NULL;
}

/* A hop is listed as one sender's at a time: not as that of the one whose list is the longest, if there is a choice. */
void
fair_put(struct fair *f, struct schedule_job *j, const struct flows *flows)
{
	struct lane *l = lane_find(f, j->sender);
	const struct schedule_job *first = fair_first(f);

	if (l == NULL) {
		l = alloc_new(1, sizeof(*l));
		TAILQ_INIT(&l->jobs);
		l->sender = j->sender;
		if (first != NULL && flows->flows[l->sender].n < flows->flows[first->sender].n)
			TAILQ_INSERT_HEAD(&f->newer, l, next);
		else
			TAILQ_INSERT_TAIL(&f->newer, l, next);
	}
	TAILQ_INSERT_TAIL(&l->jobs, j, next);
}

void
fair_remove(struct fair *f, struct schedule_job *j)
{
	struct lane *l = lane_find(f, j->sender);

	TAILQ_REMOVE(&l->jobs, j, next);
	if (TAILQ_EMPTY(&l->jobs))
		lane_free(f, l);
}

static struct lane *
lane_first(const struct fair *f)
{
	if (TAILQ_EMPTY(&f->newer) || ((f->turn + 1) % SERVED_TURN == 0 && !TAILQ_EMPTY(&f->served)))
		return TAILQ_FIRST(&f->served);
	return TAILQ_FIRST(&f->newer);
}

struct schedule_job *
fair_first(const struct fair *f)
{
	const struct lane *l = lane_first(f);

	return l == NULL ? NULL : TAILQ_FIRST(&l->jobs);
}

void
fair_served(struct fair *f, const struct schedule_job *j)
{
	struct lane *l = lane_find(f, j->sender);

	f->turn++;
	TAILQ_REMOVE(l->served ? &f->served : &f->newer, l, next);
	l->served = true;
	TAILQ_INSERT_TAIL(&f->served, l, next);
}

static void
lane_take(struct lane *l, bool (*is)(const struct schedule *, const struct schedule_job *), const struct schedule *s,
    struct job_list *to)
{
	struct schedule_job *j, *after;

	for (j = TAILQ_FIRST(&l->jobs); j != NULL; j = after) {
		after = TAILQ_NEXT(j, next);
		if (!is(s, j))
			continue;
		TAILQ_REMOVE(&l->jobs, j, next);
		TAILQ_INSERT_TAIL(to, j, next);
	}
}

void
fair_take(struct fair *f, bool (*is)(const struct schedule *, const struct schedule_job *), const struct schedule *s,
    struct job_list *to)
{
	struct lane_list *lists[] = { &f->newer, &f->served };
	struct lane *l, *after;

	for (size_t i = 0; i < 2; i++)
		for (l = TAILQ_FIRST(lists[i]); l != NULL; l = after) {
			after = TAILQ_NEXT(l, next);
			lane_take(l, is, s, to);
			if (TAILQ_EMPTY(&l->jobs))
				lane_free(f, l);
		}
}

/* ---- hops ---- */

void
flows_init(struct flows *f)
{
	TAILQ_INIT(&f->active);
	for (size_t i = 0; i < LANES; i++)
		TAILQ_INIT(&f->flows[i].hops);
}

void
flows_put(struct flows *f, struct hop *h, uint32_t sender)
{
	h->flow = &f->flows[sender % LANES];
	if (TAILQ_EMPTY(&h->flow->hops))
		TAILQ_INSERT_TAIL(&f->active, h->flow, next);
	TAILQ_INSERT_TAIL(&h->flow->hops, h, next);
	h->flow->n++;
}

void
flows_remove(struct flows *f, struct hop *h)
{
	TAILQ_REMOVE(&h->flow->hops, h, next);
	h->flow->n--;
	if (TAILQ_EMPTY(&h->flow->hops))
		TAILQ_REMOVE(&f->active, h->flow, next);
	h->flow = NULL;
}

struct hop *
flows_first(const struct flows *f)
{
	const struct flow *flow = TAILQ_FIRST(&f->active);

	return flow == NULL ? NULL : TAILQ_FIRST(&flow->hops);
}

void
flows_turn(struct flows *f)
{
	struct flow *flow = TAILQ_FIRST(&f->active);

	if (flow == NULL)
		return;
	TAILQ_REMOVE(&f->active, flow, next);
	TAILQ_INSERT_TAIL(&f->active, flow, next);
}
