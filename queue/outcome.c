/*
 * What came of an attempt (queue/attempt.h): decides for each recipient whether it is done, tried again,
 * given up or held, says so in the log, records it, and tells the scheduler. When a recipient is tried
 * again the scheduler decides; how the sender hears of a failure, giveup.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ids.h"
#include "lib/log.h"
#include "lib/route.h"
#include "queue/attempt.h"
#include "queue/notice.h"

#define TEXT_MAX	2048

struct recorded {
	struct queue	*queue;
	uint64_t	 message;
};

static void
on_recorded(void *arg, const char *error)
{
	struct recorded *r = arg;
	struct log_message m;

	if (error != NULL)
		log_error("msg=%s event=outcome-not-recorded reason=%s", id_text(r->message), logq(error));
	else if (!log_find(r->queue->log, r->message, &m))
		log_debug("msg=%s event=done", id_text(r->message));
	free(r);
}

static void
write_outcomes(struct queue *q, uint64_t message, const struct log_outcome *o, size_t n)
{
	struct recorded *r;
	struct log_message m;

	if (n == 0 || !log_find(q->log, message, &m))
		return;
	if ((r = malloc(sizeof(*r))) == NULL)
		log_fatal("event=out-of-memory");
	*r = (struct recorded){ q, message };
	log_outcomes(q->log, message, o, n, on_recorded, r);
}

/* "host=… code=… status=… reply" in one line, for mailq and the bounce. For the caller to free. */
static char *
outcome_text(const struct attempt_rcpt *r)
{
	char *text = NULL;

	if (asprintf(&text, "%s%s%scode=%u status=%s %.*s", r->host[0] != '\0' ? "host=" : "", r->host,
	    r->host[0] != '\0' ? " " : "", r->code, r->enhanced, TEXT_MAX, r->text) < 0)
		log_fatal("event=out-of-memory");
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	return text;
}

/* The same taken apart, as far as it is one: who said it, and what. */
void
outcome_expire(struct attempt_rcpt *r, const char *last, const char *trouble)
{
	const char *code = strstr(last, "code=");
	size_t host_len;
	int end = 0;

	r->expired = true;
	if (code == NULL || sscanf(code, "code=%3u status=%*s %n", &r->code, &end) != 1 || end == 0) {
		attempt_set(r, RESULT_FAILED, "4.4.7", last[0] != '\0' ? last : trouble);
		return;
	}
	attempt_set(r, RESULT_FAILED, "4.4.7", code + end);
	host_len = strlen("host=");
	if (code > last + host_len && strncmp(last, "host=", host_len) == 0) {
		free(r->host);
		r->host = strndup(last + host_len, (size_t)(code - last) - host_len - 1);
		if (r->host == NULL)
			log_fatal("event=out-of-memory");
	}
}

static void
say(const struct attempt *a, const struct attempt_rcpt *r, const char *event)
{
	log_info("msg=%s event=%s to=%s hop=%s host=%s code=%u status=%s delay=%" PRId64 " attempt=%u reply=%s",
	    id_text(a->message), event, logq(r->rcpt.address), logq(schedule_job_hop(a->job)), logq(r->host), r->code,
	    r->enhanced, (int64_t)clock_wall() - a->arrived, r->attempts + 1, logq(r->text));
}

/* ---- deciding ---- */

void
outcome_hold(struct queue *q, uint64_t message, uint32_t index, const char *process, struct notice *about)
{
	char why[100];

	snprintf(why, sizeof(why), "the process %s died three times while it delivered it", process);
	about->why = why;
	log_error("msg=%s event=held to=%s reason=\"%s died %d times while it was delivered; minimtactl queue release\"",
	    id_text(message), logq(about->rcpt), process, OUTCOME_CRASHES_HELD);
	log_admin(q->log, message, index, LOG_HELD, "held: its process died three times while it was delivered", NULL, NULL);
	notice_held(q, message, about);
}

static bool
is_dropped(const struct attempt *a, const struct attempt_rcpt *r)
{
	uint32_t index, attempts;

	return !schedule_job_rcpt(a->job, r->slot, &index, &attempts);
}

/* Its process died under it for the last time: only a person may try it again. */
static void
hold(struct attempt *a, struct attempt_rcpt *r)
{
	struct notice about = { .session = a->session, .sender = a->sender, .rcpt = r->rcpt.address, .arrived = a->arrived,
	    .size = a->size };

	outcome_hold(a->dispatch->queue, a->message, r->index, a->agent == SCHEDULE_MDA ? "mda" : "delivery", &about);
	schedule_settle(a->job, r->slot);
}

static void
decide(struct attempt *a, struct attempt_rcpt *r, enum schedule_end end, bool expired)
{
	struct queue *q = a->dispatch->queue;

	if (end == SCHEDULE_CRASHED)
		attempt_set(r, RESULT_DEFERRED, "4.3.0", "The attempt was cut short: its process died");
	if (r->result == RESULT_DEFERRED && is_dropped(a, r))
		return;
	if (r->result == RESULT_DEFERRED && end == SCHEDULE_CRASHED && schedule_job_crashes(a->job) + 1 >= OUTCOME_CRASHES_HELD) {
		r->result = RESULT_NONE;
		hold(a, r);
		return;
	}
	if (r->result == RESULT_DEFERRED && expired) {
		r->result = RESULT_FAILED;
		r->expired = true;
	}
	switch (r->result) {
	case RESULT_DELIVERED:
		rate_add(&q->rates.delivered, clock_ms(), 1);
		say(a, r, "delivered");
		break;
	case RESULT_DEFERRED:
		rate_add(&q->rates.deferred, clock_ms(), 1);
		say(a, r, "deferred");
		return;
	case RESULT_FAILED:
		rate_add(&q->rates.failed, clock_ms(), 1);
		say(a, r, r->expired ? "expired" : "failed");
		break;
	case RESULT_NONE:
	case RESULT_AWAY:
		return;
	case RESULT_DIRECT:
	case RESULT_EXPANDED:
		break;
	}
	schedule_settle(a->job, r->slot);
}

/* ---- recording ---- */

static void
record(struct attempt *a, int64_t next_try)
{
	struct log_outcome *o = calloc(a->n + 1, sizeof(*o));
	char **texts = calloc(a->n + 1, sizeof(*texts));
	size_t n = 0;

	if (o == NULL || texts == NULL)
		log_fatal("event=out-of-memory");
	for (uint32_t i = 0; i < a->n; i++) {
		const struct attempt_rcpt *r = &a->rcpts[i];

		if (r->result != RESULT_DELIVERED && r->result != RESULT_DEFERRED)
			continue;
		texts[n] = outcome_text(r);
		o[n] = (struct log_outcome){ .index = r->index, .attempts = r->attempts + 1, .text = texts[n],
		    .state = r->result == RESULT_DELIVERED ? LOG_DELIVERED : LOG_OPEN,
		    .next_try = r->result == RESULT_DELIVERED ? 0 : next_try };
		n++;
	}
	write_outcomes(a->dispatch->queue, a->message, o, n);
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
	free(o);
}

/* A recipient that turned out to be a mailbox: next to mda, with the attempts it had. */
static void
send_on(struct attempt *a, const struct attempt_rcpt *r, int64_t arrived_ms)
{
	char hop[ROUTE_HOP_MAX];
	struct schedule_entry e = { .message = a->message, .index = r->index, .attempts = r->attempts, .hop = hop,
	    .arrived_ms = arrived_ms, .due_ms = clock_ms() };

	e.agent = dispatch_route(a->dispatch, r->rcpt.address, true, true, hop);
	schedule_add(a->dispatch->schedule, clock_ms(), &e);
}

static void
go_on(struct attempt *a)
{
	int64_t arrived_ms = clock_ms() - ((int64_t)clock_wall() - a->arrived) * 1000;

	for (uint32_t i = 0; i < a->n; i++) {
		struct attempt_rcpt *r = &a->rcpts[i];

		if (r->result == RESULT_DIRECT)
			send_on(a, r, arrived_ms);
		else if (r->result == RESULT_EXPANDED)
			dispatch_add(a->dispatch, a->message, a->arrived, r->targets, r->first_target, r->n_targets);
	}
}

/* Moves those that failed into an array of their own. */
static void
give_up(struct attempt *a)
{
	struct attempt_rcpt *failed = calloc(a->n + 1, sizeof(*failed));
	uint32_t n = 0, kept = 0;

	if (failed == NULL)
		log_fatal("event=out-of-memory");
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->rcpts[i].result == RESULT_FAILED)
			failed[n++] = a->rcpts[i];
		else
			a->rcpts[kept++] = a->rcpts[i];
	}
	a->n = kept;
	if (n > 0)
		giveup_begin(a->dispatch, a, failed, n);
	else
		free(failed);
}

void
outcome_conclude(struct attempt *a, enum schedule_end end)
{
	int64_t now = clock_ms(), next;
	bool expired = schedule_job_expired(a->job, now);
	const char *why = a->n > 0 && a->rcpts[0].text != NULL ? a->rcpts[0].text : "";

	for (uint32_t i = 0; i < a->n; i++) {
		bool dropped = is_dropped(a, &a->rcpts[i]);

		decide(a, &a->rcpts[i], end, expired);
		/* Held or removed by a person meanwhile: only what cannot be undone is recorded. */
		if (dropped && a->rcpts[i].result != RESULT_DELIVERED && a->rcpts[i].result != RESULT_EXPANDED)
			a->rcpts[i].result = RESULT_NONE;
	}
	next = schedule_finish(a->dispatch->schedule, now, a->job, end, why);
	a->job = NULL;
	record(a, next == SCHEDULE_NEVER ? 0 : (int64_t)clock_wall() + (next - now + 999) / 1000);
	go_on(a);
	give_up(a);
}

void
outcome_failed_silently(struct queue *q, uint64_t message, const struct attempt_rcpt *rcpts, uint32_t n, const char *why)
{
	struct log_outcome *o = calloc(n + 1, sizeof(*o));
	char **texts = calloc(n + 1, sizeof(*texts));

	if (o == NULL || texts == NULL)
		log_fatal("event=out-of-memory");
	for (uint32_t i = 0; i < n; i++) {
		log_info("msg=%s event=no-bounce to=%s reason=%s", id_text(message), logq(rcpts[i].rcpt.address), logq(why));
		texts[i] = outcome_text(&rcpts[i]);
		o[i] = (struct log_outcome){ .index = rcpts[i].index, .state = LOG_FAILED,
		    .attempts = rcpts[i].attempts + 1, .text = texts[i] };
	}
	write_outcomes(q, message, o, n);
	for (uint32_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
	free(o);
}
