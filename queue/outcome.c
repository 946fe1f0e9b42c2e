/*
 * What came of an attempt (queue/attempt.h): decides for each recipient whether it is done, tried again,
 * given up or held, says so in the log, records it, and tells the scheduler. When a recipient is tried
 * again the scheduler decides; how the sender hears of a failure, tell.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "queue/attempt.h"
#include "queue/await.h"
#include "queue/notice.h"
#include "queue/past.h"
#include "queue/patience.h"

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

void
outcome_write(struct queue *q, uint64_t message, const struct log_outcome *o, size_t n)
{
	struct recorded *r;
	struct log_message m;

	if (n == 0 || !log_find(q->log, message, &m))
		return;
	r = alloc_raw(sizeof(*r));
	*r = (struct recorded){ q, message };
	log_outcomes(q->log, message, o, n, on_recorded, r);
}

/* "host=… code=… status=… reply" in one line, for mailq and the bounce. For the caller to free. */
static char *
outcome_text(const struct attempt_rcpt *r)
{
	char *text = alloc_printf("%s%s%scode=%u status=%s %.*s", r->host[0] != '\0' ? "host=" : "", r->host,
	    r->host[0] != '\0' ? " " : "", r->code, r->enhanced, TEXT_MAX, r->text);

	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	return text;
}

/* The same taken apart, as far as it is one: who said it, and what. */
void
outcome_recall(struct attempt_rcpt *r, enum attempt_result result, const char *enhanced, const char *last, const char *trouble)
{
	const char *code = strstr(last, "code=");
	size_t host_len;
	int end = 0;

	if (code == NULL || sscanf(code, "code=%3u status=%*s %n", &r->code, &end) != 1 || end == 0) {
		attempt_set(r, result, enhanced, last[0] != '\0' ? last : trouble);
		return;
	}
	attempt_set(r, result, enhanced, code + end);
	host_len = strlen("host=");
	if (code > last + host_len && strncmp(last, "host=", host_len) == 0) {
		free(r->host);
		r->host = alloc_text_len(last + host_len, (size_t)(code - last) - host_len - 1);
	}
}

static struct log_outcome
outcome_of(const struct attempt_rcpt *r, enum log_state state)
{
	struct log_outcome o = { .index = r->index, .state = state, .attempts = r->attempts, .next_try = r->next_try,
	    .marks = r->marks, .at = r->before_at };

	if (r->untried) {
		o.text = alloc_text(r->before);
		o.past = alloc_text(r->past);
		return o;
	}
	o.attempts++;
	o.at = clock_wall();
	o.text = outcome_text(r);
	o.past = past_add(r->past, r->before_at, r->before == NULL ? "" : r->before, r->past_room);
	return o;
}

struct log_outcome *
outcome_list(const struct attempt_rcpt *r, uint32_t n, enum log_state state)
{
	struct log_outcome *o = alloc_new(n + 1U, sizeof(*o));

	for (uint32_t i = 0; i < n; i++)
		o[i] = outcome_of(&r[i], state);
	return o;
}

void
outcome_free_list(struct log_outcome *o, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		free((char *)(uintptr_t)o[i].text);
		free((char *)(uintptr_t)o[i].past);
	}
	free(o);
}

static void
say(const struct attempt *a, const struct attempt_rcpt *r, const char *event)
{
	log_info("msg=%s event=%s to=%s hop=%s host=%s code=%u status=%s delay=%" PRId64 " attempt=%u reply=%s",
	    id_text(a->message), event, logq(r->rcpt.address), logq(schedule_job_hop(a->job)), logq(r->host), r->code,
	    r->enhanced, attempt_age(a), r->attempts + 1, logq(r->text));
	await_tell(a->dispatch->queue, a->message, r);
}

/* ---- deciding ---- */

void
outcome_hold(struct queue *q, uint64_t message, struct attempt_rcpt *r, const char *process, struct notice *about)
{
	struct log_outcome *o;
	char why[100];

	snprintf(why, sizeof(why), "the process %s died three times while it delivered it", process);
	about->why = why;
	log_error("msg=%s event=held to=%s reason=\"%s died %d times while it was delivered; minimtactl queue release\"",
	    id_text(message), logq(about->rcpt), process, OUTCOME_CRASHES_HELD);
	r->result = RESULT_NONE;
	r->code = 0;
	attempt_set(r, RESULT_DEFERRED, "4.3.0", "held: its process died three times while it was delivered");
	o = outcome_list(r, 1, LOG_HELD);
	log_edit(q->log, message, o, 1, NULL, 0, NULL, NULL);
	outcome_free_list(o, 1);
	r->result = RESULT_NONE;
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

	await_held(a->dispatch->queue, a->message, r->rcpt.address);
	outcome_hold(a->dispatch->queue, a->message, r, a->agent == SCHEDULE_MDA ? "mda" : "delivery", &about);
	schedule_settle(a->job, r->slot);
}

static void
decide(struct attempt *a, struct attempt_rcpt *r, enum schedule_end end, bool expired)
{
	struct queue *q = a->dispatch->queue;

	if (end == SCHEDULE_CRASHED)
		attempt_set(r, RESULT_DEFERRED, "4.3.0", "The attempt was cut short: its process died");
	/* A person has held, returned or removed it meanwhile; only a delivery cannot be undone. */
	if ((r->result == RESULT_DEFERRED || r->result == RESULT_FAILED) && is_dropped(a, r))
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
		if (r->host[0] != '\0')
			schedule_ask_pause(a->job, patience_asked(r->text));
		rate_add(&q->rates.deferred, clock_ms(), 1);
		say(a, r, "deferred");
		return;
	case RESULT_FAILED:
		rate_add(&q->rates.failed, clock_ms(), 1);
		say(a, r, r->expired ? "expired" : "failed");
		break;
	case RESULT_NONE:
	case RESULT_AWAY:
	case RESULT_FORWARDED:
		return;
	case RESULT_DIRECT:
	case RESULT_EXPANDED:
		break;
	}
	schedule_settle(a->job, r->slot);
}

/* ---- recording ---- */

static bool
is_failed(const struct attempt *a, const struct attempt_rcpt *r)
{
	(void)a;
	return r->result == RESULT_FAILED;
}

/* The next hop does not answer for it, so we do. */
static bool
is_success(const struct attempt *a, const struct attempt_rcpt *r)
{
	return r->result == RESULT_DELIVERED && !r->dsn_passed_on && tell_wants(a, r, TELL_DELIVERED);
}

/* How many warnings a message of that age has had, if it had all of them. */
static int
warnings_at(const struct dispatch *d, int64_t age_s)
{
	int n = 0;

	while (n < d->n_warnings && d->warn_ms[n] <= age_s * 1000)
		n++;
	return n;
}

static bool
is_late(const struct attempt *a, const struct attempt_rcpt *r)
{
	return r->result == RESULT_DEFERRED && tell_wants(a, r, TELL_DELAYED) &&
	    warnings_at(a->dispatch, attempt_age(a)) > (r->marks & LOG_WARNED);
}

static void
mark_warned(const struct attempt *a, struct attempt_rcpt *rcpts, uint32_t n)
{
	int level = warnings_at(a->dispatch, attempt_age(a));

	for (uint32_t i = 0; i < n; i++)
		rcpts[i].marks = (uint8_t)((rcpts[i].marks & ~LOG_WARNED) | level);
}

/* Moves those of which that is true into an array of their own; NULL: none. */
static struct attempt_rcpt *
take(struct attempt *a, bool (*is)(const struct attempt *, const struct attempt_rcpt *), uint32_t *n_r)
{
	struct attempt_rcpt *taken = alloc_new(a->n + 1, sizeof(*taken));
	uint32_t kept = 0;

	*n_r = 0;
	for (uint32_t i = 0; i < a->n; i++) {
		if (is(a, &a->rcpts[i]))
			taken[(*n_r)++] = a->rcpts[i];
		else
			a->rcpts[kept++] = a->rcpts[i];
	}
	a->n = kept;
	if (*n_r > 0)
		return taken;
	free(taken);
	return NULL;
}

/* Those whose sender hears of it are recorded with the report. */
static void
tell(struct attempt *a)
{
	struct attempt_rcpt *rcpts;
	uint32_t n;

	if ((rcpts = take(a, is_failed, &n)) != NULL)
		tell_failed(a->dispatch, a, rcpts, n);
	if ((rcpts = take(a, is_success, &n)) != NULL)
		tell_now(a->dispatch, a, TELL_DELIVERED, rcpts, n, NULL, NULL);
	if ((rcpts = take(a, is_late, &n)) != NULL) {
		mark_warned(a, rcpts, n);
		tell_now(a->dispatch, a, TELL_DELAYED, rcpts, n, NULL, NULL);
	}
}

static void
record(struct attempt *a)
{
	struct log_outcome *o = alloc_new(a->n + 1, sizeof(*o));
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->n; i++)
		if (!a->rcpts[i].untried &&
		    (a->rcpts[i].result == RESULT_DELIVERED || a->rcpts[i].result == RESULT_DEFERRED))
			o[n++] = outcome_of(&a->rcpts[i], a->rcpts[i].result == RESULT_DELIVERED ? LOG_DELIVERED : LOG_OPEN);
	outcome_write(a->dispatch->queue, a->message, o, n);
	outcome_free_list(o, n);
}

/* A recipient that turned out to be a mailbox: next to mda, with the attempts it had. */
static void
send_on(struct attempt *a, const struct attempt_rcpt *r)
{
	struct envelope_rcpt final = r->rcpt;		/* its strings are borrowed */

	final.local = final.final = true;
	dispatch_schedule(a->dispatch, (struct schedule_entry){ .message = a->message, .index = r->index, .attempts = r->attempts,
	    .arrived_ms = a->arrived_ms, .due_ms = clock_ms() }, a->sender, &final, r->marks & LOG_WARNED);
}

static void
go_on(struct attempt *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct attempt_rcpt *r = &a->rcpts[i];

		if (r->result == RESULT_DIRECT)
			send_on(a, r);
		else if (r->result == RESULT_EXPANDED)
			dispatch_add(a->dispatch, a->message, a->arrived_ms, a->sender, r->targets, r->first_target, r->n_targets);
	}
}

void
outcome_conclude(struct attempt *a, enum schedule_end end)
{
	int64_t now = clock_ms(), next;
	bool expired = schedule_job_expired(a->dispatch->schedule, a->job, now);
	const char *why = a->n > 0 && a->rcpts[0].text != NULL ? a->rcpts[0].text : "";

	for (uint32_t i = 0; i < a->n; i++) {
		bool dropped = is_dropped(a, &a->rcpts[i]);

		if (!a->warning)
			decide(a, &a->rcpts[i], end, expired);
		/* Held or removed by a person meanwhile: only what cannot be undone is recorded. */
		if (dropped && a->rcpts[i].result != RESULT_DELIVERED && a->rcpts[i].result != RESULT_EXPANDED)
			a->rcpts[i].result = RESULT_NONE;
	}
	schedule_warn_next(a->job, dispatch_warn_ms(a->dispatch, a->arrived_ms,
	    warnings_at(a->dispatch, attempt_age(a))));
	next = schedule_finish(a->dispatch->schedule, now, a->job, end, why);
	a->job = NULL;
	for (uint32_t i = 0; i < a->n; i++)
		a->rcpts[i].next_try = a->rcpts[i].result != RESULT_DEFERRED || next == SCHEDULE_NEVER ? 0 :
		    (int64_t)clock_wall() + (next - now + 999) / 1000;
	tell(a);
	record(a);
	go_on(a);
}

void
outcome_failed_silently(struct queue *q, uint64_t message, const struct attempt_rcpt *rcpts, uint32_t n, const char *why)
{
	struct log_outcome *o = outcome_list(rcpts, n, LOG_FAILED);

	for (uint32_t i = 0; i < n; i++)
		log_info("msg=%s event=no-bounce to=%s reason=%s", id_text(message), logq(rcpts[i].rcpt.address), logq(why));
	outcome_write(q, message, o, n);
	outcome_free_list(o, n);
}
