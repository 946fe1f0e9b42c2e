/*
 * An attempt's dialog with mda or delivery (lib/job.h): envelope, content, results. Content up to
 * MSG_INLINE_MAX goes before the start, larger content as it is pulled. What a result leads to is decided
 * in outcome.c; a result that cannot be one ends the peer.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/address.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/route.h"
#include "queue/attempt.h"

#define PULL_MAX	(1024U * 1024)	/* wanted and not sent yet: more is no flow control */

static void	send_content(struct attempt *);

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct attempt *a = arg;

	a->reading = false;
	if (a->over) {
		attempt_end(a, a->end);
		return;
	}
	if (error != NULL || len == 0) {
		log_error("msg=%s event=unreadable what=content at=%" PRIu64 " reason=%s", id_text(a->message), a->sent,
		    logq(error == NULL ? "it is shorter than it was" : error));
		transfer_cancel(a);
		return;
	}
	ipc_send(a->ipc, MSG_JOB_DATA, a->id, data, len, -1);
	a->sent += len;
	send_content(a);
}

/* The next piece that is wanted, or the start when all that goes before it is sent. */
static void
send_content(struct attempt *a)
{
	uint64_t upto = a->sent + a->wanted < a->size ? a->sent + a->wanted : a->size;
	size_t most;

	if (a->reading || a->cancelled)
		return;
	if (!a->started) {
		if (a->size > MSG_INLINE_MAX || a->sent == a->size) {
			a->started = true;
			ipc_send(a->ipc, MSG_JOB_START, a->id, NULL, 0, -1);
			return;
		}
		upto = a->size;
	}
	if (upto <= a->sent)
		return;
	most = upto - a->sent < MSG_CHUNK_MAX ? (size_t)(upto - a->sent) : MSG_CHUNK_MAX;
	a->wanted -= a->wanted < most ? a->wanted : most;
	a->reading = true;
	log_read_content(a->dispatch->queue->log, a->message, a->sent, most, on_content, a);
}

static void
send_rcpt(struct attempt *a, const struct attempt_rcpt *r, struct pack *p)
{
	pack_u32(p, r->index);
	envelope_pack_rcpt(p, &r->rcpt);
	ipc_send_pack(a->ipc, MSG_JOB_RCPT, a->id, p, -1);
}

bool
transfer_rewrites(const struct attempt *a)
{
	const struct queue *q = a->dispatch->queue;
	const char *at = strrchr(a->sender, '@');

	return q->srs.list[0] != NULL && at != NULL && !conf_is_local(q->p.conf, at + 1);
}

/* Where it cannot be rewritten it goes as it is: the next hop may still take it. */
static char *
sender_for(const struct attempt *a, char to[ADDRESS_MAX])
{
	const struct queue *q = a->dispatch->queue;
	enum srs_result result;

	if (a->agent == SCHEDULE_DELIVERY && a->n > 0 && a->rcpts[0].rcpt.forwarded && transfer_rewrites(a)) {
		result = srs_forward(to, a->sender, q->p.conf->srs_domain, &q->srs, (time_t)clock_wall());
		if (result == SRS_OK || result == SRS_UNCHANGED)
			return to;
		log_warn("msg=%s event=sender-not-rewritten from=%s reason=%s", id_text(a->message), logq(a->sender),
		    srs_result_name(result));
	}
	return a->sender;
}

void
transfer_begin(struct attempt *a)
{
	char hop[ROUTE_HOP_MAX], sender[ADDRESS_MAX];
	struct job_begin b = { .message = (char *)(uintptr_t)id_text(a->message), .hop = hop, .sender = sender_for(a, sender), .head = a->head, .flags = a->flags,
	    .size = a->size, .arrived = a->arrived, .ret = a->ret, .envid = a->envid };
	struct pack p;

	snprintf(hop, sizeof(hop), "%s", schedule_job_hop(a->job));
	a->begun = true;
	pack_init(&p);
	job_pack_begin(&p, &b);
	ipc_send_pack(a->ipc, MSG_JOB_BEGIN, a->id, &p, -1);
	for (uint32_t i = 0; i < a->n; i++)
		send_rcpt(a, &a->rcpts[i], &p);
	pack_free(&p);
	send_content(a);
}

/* Its end comes with JOB_DONE; an attempt of which the agent has not heard ends at once. */
void
transfer_cancel(struct attempt *a)
{
	if (a->over || a->cancelled)
		return;
	a->cancelled = true;
	if (a->begun && a->ipc != NULL)
		ipc_send(a->ipc, MSG_JOB_CANCEL, a->id, NULL, 0, -1);
	else if (a->agent != SCHEDULE_LOOKUP || a->n == 0)
		attempt_end(a, SCHEDULE_PUT_BACK);
}

/* ---- what the agent says ---- */

static struct attempt *
find(struct queue *q, struct ipc *ipc, uint64_t id)
{
	struct attempt *a;

	HASH_FIND(hh, q->dispatch->attempts, &id, sizeof(id), a);
	if (a == NULL || a->ipc != ipc || !a->begun || a->over) {
		ipc_fail(ipc, "job %" PRIu64 " is not one of its own", id);
		return NULL;
	}
	return a;
}

int
dispatch_on_pull(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct attempt *a = find(arg, ipc, m->id);
	struct unpack u;

	if (a == NULL)
		return -1;
	unpack_init(&u, m->data, m->len);
	a->wanted += unpack_u32(&u);
	if (!a->started || a->wanted > PULL_MAX)
		return ipc_fail(ipc, "%" PRIu64 " bytes wanted at once", a->wanted);
	send_content(a);
	return 0;
}

static struct attempt_rcpt *
find_rcpt(struct attempt *a, uint32_t index)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->rcpts[i].index == index)
			return &a->rcpts[i];
	return NULL;
}

int
dispatch_on_result(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	static const enum attempt_result results[] = { [JOB_DELIVERED] = RESULT_DELIVERED, [JOB_DEFERRED] = RESULT_DEFERRED,
	    [JOB_FAILED] = RESULT_FAILED, [JOB_EXPANDED] = RESULT_FORWARDED };
	struct attempt *a = find(arg, ipc, m->id);
	struct attempt_rcpt *r;
	struct job_result j;
	struct unpack u;

	if (a == NULL)
		return -1;
	unpack_init(&u, m->data, m->len);
	if (job_unpack_result(&u, &j) != 0)
		return ipc_fail(ipc, "no result in JOB_RESULT");
	r = find_rcpt(a, j.index);
	if (r == NULL || r->result != RESULT_NONE) {
		job_free_result(&j);
		return ipc_fail(ipc, "a result for recipient %u of job %" PRIu64 ", which has none open", j.index, m->id);
	}
	if (j.outcome == JOB_EXPANDED && (a->agent != SCHEDULE_MDA || !forward_is_sane(r, &j))) {
		job_free_result(&j);
		return ipc_fail(ipc, "job %" PRIu64 " expands to what it cannot", m->id);
	}
	r->result = results[j.outcome];
	r->targets = j.targets;
	r->n_targets = j.n_targets;
	/* 4.3.2 in its own words: it is going down, or has no place; nobody was asked (RFC 3463, 3.4). */
	if (j.outcome == JOB_DEFERRED && j.host[0] == '\0' && strcmp(j.enhanced, "4.3.2") == 0)
		r->result = RESULT_AWAY;
	r->code = j.code;
	r->trouble = j.host_trouble && j.outcome == JOB_DEFERRED;
	r->dsn_passed_on = j.dsn && j.outcome == JOB_DELIVERED;
	r->enhanced = j.enhanced;
	r->host = j.host;
	r->text = j.text;
	return 0;
}

/* Trouble with the hop is when nobody got an answer of his own. */
static enum schedule_end
end_of(const struct attempt *a)
{
	bool trouble = false;

	for (uint32_t i = 0; i < a->n; i++) {
		if (a->rcpts[i].result == RESULT_AWAY)
			return SCHEDULE_AWAY;
		if (!a->rcpts[i].trouble)
			return SCHEDULE_ANSWERED;
		trouble = true;
	}
	return trouble ? SCHEDULE_TROUBLE : SCHEDULE_ANSWERED;
}

int
dispatch_on_done(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct attempt *a = find(arg, ipc, m->id);

	if (a == NULL)
		return -1;
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->rcpts[i].result != RESULT_NONE)
			continue;
		if (!a->cancelled)
			return ipc_fail(ipc, "job %" PRIu64 " ended without a result for recipient %u", m->id,
			    a->rcpts[i].index);
		attempt_set(&a->rcpts[i], RESULT_DEFERRED, "4.3.0", "the attempt was cancelled");
	}
	a->ipc = NULL;
	forward_begin(a, end_of(a));
	return 0;
}
