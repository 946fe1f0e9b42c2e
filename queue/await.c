/*
 * Callers who wait for the result of a delivery (queue/await.h). Decides who may, and when there is nothing more to wait
 * for: what is tried again later was told as deferred, and its caller goes. Called by admin.c, outcome.c and dispatch.c.
 */
#include "queue/await.h"

#include <stdio.h>
#include <string.h>

#include "queue/attempt.h"

/* The client of a message from a local program begins so (smtpd). */
static bool
is_own(const struct request *r, const struct log_envelope *e)
{
	char own[32];
	size_t len = (size_t)snprintf(own, sizeof(own), "local uid %u", r->uid);

	return strncmp(e->sender.client, own, len) == 0 && (e->sender.client[len] == ' ' || e->sender.client[len] == '\0');
}

static bool
is_open(const struct log_envelope *e)
{
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		if (e->rcpts[i].state == LOG_OPEN)
			return true;
	return false;
}

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error != NULL)
		request_answer(r, "error: %s", error);
	else if (!r->may_change && !is_own(r, e))
		request_answer(r, "denied: queue deliver is for a message's own sender, for root and for the user that started "
		    "minimta; you are uid %u", r->uid);
	else if (!is_open(e))
		request_answer(r, "error: nothing of it can be tried: it is held");
	else {
		caller_say(r->caller, "ok\n");
		r->awaiting = true;
		LIST_INSERT_HEAD(&r->queue->awaiting, r, await);
		dispatch_retry(r->queue->dispatch, r->id, NULL);
	}
}

void
await_delivery(struct request *r)
{
	r->reading = true;
	log_read_envelope(r->queue->log, r->id, on_envelope, r);
}

void
await_forget(struct request *r)
{
	if (r->awaiting)
		LIST_REMOVE(r, await);
	r->awaiting = false;
}

/* ---- telling ---- */

static void
say(struct request *r, const char *kind, const char *address, unsigned code, const char *status, const char *reply)
{
	char text[REQUEST_LINE_MAX];

	snprintf(text, sizeof(text), "%s", reply);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	caller_say(r->caller, "%s\t%s\t%u\t%s\t%s\n", kind, address, code, status, text);
	r->told |= strcmp(kind, "delivered") != 0 && strcmp(kind, "failed") != 0;
}

void
await_tell(struct queue *q, uint64_t message, const struct attempt_rcpt *rcpt)
{
	const char *kind = rcpt->result == RESULT_DELIVERED ? "delivered" : rcpt->result == RESULT_DEFERRED ? "deferred" :
	    "failed";
	struct request *r;

	LIST_FOREACH(r, &q->awaiting, await)
		if (r->id == message && r->caller != NULL)
			say(r, kind, rcpt->rcpt.address, rcpt->code, rcpt->enhanced, rcpt->text);
}

void
await_held(struct queue *q, uint64_t message, const char *address)
{
	struct request *r;

	LIST_FOREACH(r, &q->awaiting, await)
		if (r->id == message && r->caller != NULL)
			say(r, "held", address, 0, "4.3.0", "The process that delivers it has died of it; a person looks at it");
}

void
await_look(struct queue *q)
{
	struct request *r, *next;

	for (r = LIST_FIRST(&q->awaiting); r != NULL; r = next) {
		next = LIST_NEXT(r, await);
		if (r->caller == NULL || !schedule_rests(q->schedule, clock_ms(), r->id))
			continue;
		if (!r->told && schedule_has(q->schedule, r->id))
			say(r, "deferred", "", 0, "4.4.0", "Its next hop is in trouble or paused");
		caller_say(r->caller, "E\n");
		caller_end(r->caller);
		await_forget(r);
	}
}
