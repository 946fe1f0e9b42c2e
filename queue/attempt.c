/*
 * The life of an attempt (queue/attempt.h): begun with the job that the scheduler gives, its envelope read, handed to
 * transfer.c or expansion.c, and ended with outcome.c's conclusion. Decides what a job is when its turn has come: who of its
 * recipients is still open, and whether it goes elsewhere by now. Called by dispatch.c, and by those who carry it out.
 */
#include "queue/attempt.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/route.h"
#include "queue/past.h"
#include "queue/record.h"

const enum proc attempt_procs[SCHEDULE_AGENTS] = { [SCHEDULE_LOOKUP] = PROC_LOOKUP, [SCHEDULE_MDA] = PROC_MDA,
    [SCHEDULE_DELIVERY] = PROC_DELIVERY };

static void
set_string(char **to, const char *from)
{
	free(*to);
	*to = alloc_text(from);
}

void
attempt_set(struct attempt_rcpt *r, enum attempt_result result, const char *enhanced, const char *text)
{
	if (r->result != RESULT_NONE)
		return;
	r->result = result;
	set_string(&r->enhanced, enhanced);
	set_string(&r->host, "");
	set_string(&r->text, text);
}

int64_t
attempt_age(const struct attempt *a)
{
	return (clock_ms() - a->arrived_ms) / 1000;
}

void
attempt_drop_targets(struct attempt_rcpt *r)
{
	for (uint32_t i = 0; i < r->n_targets; i++)
		envelope_free_rcpt(&r->targets[i]);
	free(r->targets);
	r->targets = NULL;
	r->n_targets = 0;
}

void
attempt_free_rcpt(struct attempt_rcpt *r)
{
	envelope_free_rcpt(&r->rcpt);
	attempt_drop_targets(r);
	free(r->owner);
	free(r->before);
	free(r->past);
	free(r->enhanced);
	free(r->host);
	free(r->text);
}

void
attempt_free_rcpts(struct attempt_rcpt *rcpts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		attempt_free_rcpt(&rcpts[i]);
	free(rcpts);
}

void
attempt_free(struct attempt *a)
{
	HASH_DEL(a->dispatch->attempts, a);
	attempt_free_rcpts(a->rcpts, a->n);
	expansion_forget(a);
	free(a->sender);
	free(a->session);
	free(a->head);
	free(a->envid);
	free(a);
}

static enum log_flight
flight_of(enum schedule_end end)
{
	if (end == SCHEDULE_CRASHED)
		return LOG_CRASHED;
	return end == SCHEDULE_PUT_BACK || end == SCHEDULE_AWAY ? LOG_PUT_BACK : LOG_ENDED;
}

void
attempt_end(struct attempt *a, enum schedule_end end)
{
	struct dispatch *d = a->dispatch;
	uint64_t message;

	if (!a->over)
		a->end = end;
	a->over = true;
	if (a->reading)
		return;
	message = a->message;
	outcome_conclude(a, a->end);
	log_attempt(d->queue->log, message, flight_of(a->end));
	attempt_free(a);
	tell_poke(d, message);
	dispatch_kick(d);
}

/* It goes in a job of its own, from now on. hop NULL: where its address leads. */
static void
put_in(struct attempt *a, const struct log_envelope *e, uint32_t index, uint32_t attempts, const char *hop,
    const struct envelope_rcpt *r)
{
	dispatch_schedule(a->dispatch, (struct schedule_entry){ .message = a->message, .index = index, .attempts = attempts,
	    .hop = hop, .agent = a->agent, .arrived_ms = a->arrived_ms, .due_ms = clock_ms() }, e->sender.address, r,
	    e->rcpts[index].marks & LOG_WARNED);
}

/* The configuration has changed since this was planned: it goes another way. */
static bool
reroute(struct attempt *a, const struct log_envelope *e, uint32_t index, uint32_t attempts)
{
	struct envelope_rcpt r = e->rcpts[index].rcpt;
	char hop[ROUTE_HOP_MAX];
	enum schedule_agent agent;

	if (a->agent == SCHEDULE_LOOKUP || a->expiring || a->warning)
		return false;
	/* Who is mda's, or delivery's because his mailbox is reached by LMTP, has been expanded. */
	r.final |= r.local;
	agent = dispatch_route(a->dispatch, e->sender.address, &r, hop);
	if (strcmp(hop, schedule_job_hop(a->job)) == 0)
		return false;
	/* One whose domain became ours while he waited, too, though his record does not say so. */
	if (agent == SCHEDULE_LOOKUP) {
		r.local = r.final = true;
		dispatch_route(a->dispatch, e->sender.address, &r, hop);
		if (strcmp(hop, schedule_job_hop(a->job)) == 0)
			return false;
		r.local = r.final = false;
	}
	put_in(a, e, index, attempts, NULL, &r);
	return true;
}

/* One that is forwarded has a rewritten sender (SRS), and one attempt has one sender: it goes in the next one. */
static bool
has_other_sender(struct attempt *a, const struct log_envelope *e, uint32_t index, uint32_t attempts)
{
	const struct envelope_rcpt *r = &e->rcpts[index].rcpt;

	if (a->agent != SCHEDULE_DELIVERY || a->expiring || a->warning || a->n == 0 || a->rcpts[0].rcpt.forwarded == r->forwarded ||
	    !transfer_rewrites(a))
		return false;
	put_in(a, e, index, attempts, schedule_job_hop(a->job), r);
	return true;
}

/* Copies of the scheduler's recipients, from the envelope; those that are not open any more leave the schedule. */
static void
take_rcpts(struct attempt *a, const struct log_envelope *e)
{
	uint32_t size = schedule_job_size(a->job), index, attempts;
	const struct log_envelope_rcpt *from;
	struct attempt_rcpt *r;

	if (a->rcpts == NULL)
		a->rcpts = alloc_new(size, sizeof(*a->rcpts));
	for (uint32_t i = 0; i < size; i++) {
		if (!schedule_job_rcpt(a->job, i, &index, &attempts) || index >= e->message.n_rcpts ||
		    e->rcpts[index].state != LOG_OPEN || reroute(a, e, index, attempts) || has_other_sender(a, e, index, attempts)) {
			schedule_settle(a->job, i);
			continue;
		}
		from = &e->rcpts[index];
		r = &a->rcpts[a->n++];
		r->slot = i;
		r->index = index;
		r->attempts = attempts;
		envelope_copy_rcpt(&r->rcpt, &from->rcpt);
		set_string(&r->before, from->text);
		set_string(&r->past, from->past);
		r->before_at = from->at;
		r->marks = r->marks_before = from->marks;
		r->next_try = from->next_try;
		r->past_room = e->message.n_rcpts > PAST_MANY_RCPTS ? PAST_LITTLE : RECORD_PAST_MAX;
		r->relayed = a->agent == SCHEDULE_DELIVERY && !r->rcpt.local;	/* not so by LMTP */
		r->expired = a->expiring;
		r->untried = a->warning;
		if (a->expiring || a->warning)
			outcome_recall(r, a->expiring ? RESULT_FAILED : RESULT_DEFERRED, "4.4.7", from->text,
			    schedule_job_trouble(a->job));
	}
}

static void
take_envelope(struct attempt *a, const struct log_envelope *e)
{
	a->arrived = e->message.arrived;
	a->size = e->message.size;
	a->flags = e->message.flags;
	a->ret = e->sender.ret;
	if (e->sender.envid != NULL)
		set_string(&a->envid, e->sender.envid);
	set_string(&a->sender, e->sender.address);
	set_string(&a->session, e->sender.session);
	set_string(&a->head, e->head);
	for (uint32_t i = 0; i < e->message.n_rcpts && a->agent == SCHEDULE_LOOKUP; i++)
		if ((!e->rcpts[i].rcpt.local || e->rcpts[i].rcpt.final) &&
		    (e->rcpts[i].state == LOG_OPEN || e->rcpts[i].state == LOG_DELIVERED))
			expansion_saw(a, &e->rcpts[i].rcpt);
	take_rcpts(a, e);
}

/* A read that failed: nothing is known of the recipients but their numbers. */
static void
end_unread(struct attempt *a, const char *error)
{
	bool gone = !log_find(a->dispatch->queue->log, a->message, &(struct log_message){ 0 });

	if (gone) {
		for (uint32_t i = 0; i < schedule_job_size(a->job); i++)
			schedule_settle(a->job, i);
	} else {
		log_error("msg=%s event=unreadable what=envelope reason=%s", id_text(a->message), logq(error));
	}
	attempt_end(a, gone ? SCHEDULE_PUT_BACK : SCHEDULE_ANSWERED);
}

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct attempt *a = arg;

	a->reading = false;
	if (a->over) {
		attempt_end(a, a->end);
		return;
	}
	if (error != NULL) {
		end_unread(a, error);
		return;
	}
	take_envelope(a, e);
	/* Whom to ask may have a successor by now. */
	if (!a->expiring && !a->warning)
		a->ipc = process_peer(&a->dispatch->queue->p, attempt_procs[a->agent]);
	if (a->n == 0 || a->expiring || a->warning || a->ipc == NULL)
		attempt_end(a, SCHEDULE_PUT_BACK);
	else if (a->agent == SCHEDULE_LOOKUP)
		expansion_begin(a);
	else
		transfer_begin(a);
}

void
attempt_start(struct dispatch *d, struct schedule_job *job, enum schedule_action action)
{
	struct attempt *a = alloc_new(1, sizeof(*a));

	a->id = ++d->last_id;
	a->dispatch = d;
	a->job = job;
	a->agent = schedule_job_agent(job);
	a->expiring = action == SCHEDULE_EXPIRE;
	a->warning = action == SCHEDULE_WARN;
	a->ipc = action != SCHEDULE_START ? NULL : process_peer(&d->queue->p, attempt_procs[a->agent]);
	a->message = schedule_job_message(job);
	a->started_ms = clock_ms();
	a->arrived_ms = schedule_job_arrived(job);
	a->reading = true;
	HASH_ADD(hh, d->attempts, id, sizeof(a->id), a);
	log_attempt(d->queue->log, a->message, LOG_BEGUN);
	log_read_envelope(d->queue->log, a->message, on_envelope, a);
}
