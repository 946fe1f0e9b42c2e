/*
 * What the queue shows to a tool (queue/request.h): the list, one message, its content, the next hops. Decides how it is said:
 * lines of fields between tabs, which minimtactl(8) describes and tools/ makes readable. Changes nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/dsn.h"
#include "lib/header.h"
#include "lib/ids.h"
#include "lib/route.h"
#include "queue/past.h"
#include "queue/request.h"

#define REASON_MAX	300		/* of a reply in a list; `show` has the whole */
#define REPLY_MAX	4096
#define PENDING_MAX	64		/* changes under way at a time */
#define WALK_AHEAD	32U		/* messages read in one go … */
#define WALK_RCPTS	256U		/* … until they have so many recipients */

static void	walk_next(struct request *);
static void	content_next(struct request *);

/* A field of a line: no tabs, no controls. */
static void
put_field(struct caller *c, const char *text, size_t most)
{
	size_t len = strnlen(text, most), clean;

	for (; len > 0; text += clean, len -= clean) {
		for (clean = 0; clean < len && (unsigned char)text[clean] >= 0x20 && text[clean] != 0x7f; clean++)
			continue;
		caller_put(c, clean > 0 ? text : " ", clean > 0 ? clean : 1);
		clean += clean == 0;
	}
}

/* ---- a walk ---- */

const char *
request_state(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	switch (e->rcpts[index].state) {
	case LOG_OPEN:
		if (schedule_is_paused(r->queue->schedule, e->message.id, index))
			return "paused";
		return schedule_is_active(r->queue->schedule, e->message.id, index) ? "active" : "open";
	case LOG_DELIVERED:
		return "delivered";
	case LOG_FAILED:
		return "failed";
	case LOG_EXPANDED:
		return "expanded";
	case LOG_REMOVED:
		return "removed";
	case LOG_HELD:
		return "held";
	}
	return "?";
}

/* Why it is not being tried now; "" where it is its own next time, or not known. */
static const char *
waits_for(const struct schedule *s, uint64_t id, uint32_t index)
{
	static const char *const reasons[] = { [SCHEDULE_UNKNOWN] = "", [SCHEDULE_TRIED] = "", [SCHEDULE_TIME] = "",
	    [SCHEDULE_HOP] = "its next hop is in trouble", [SCHEDULE_PAUSED] = "",
	    [SCHEDULE_PLACE] = "it waits for its turn: as many deliveries as there may be are under way",
	    [SCHEDULE_PROCESS] = "the process that would try it is being restarted",
	    [SCHEDULE_ALONE] = "it is tried when nothing else is: a process died while delivering it" };
	int64_t until;

	return reasons[schedule_reason(s, id, index, &until)];
}

/* The last answer, or where there was none what it waits for. */
static const char *
reason_of(const struct request *r, const struct log_envelope *e, uint32_t index, int64_t *next_r)
{
	const struct log_envelope_rcpt *to = &e->rcpts[index];
	const char *waits = NULL;
	int64_t until_ms;

	*next_r = to->next_try;
	if (to->state == LOG_OPEN && (waits = schedule_waits(r->queue->schedule, e->message.id, index, &until_ms)) != NULL)
		*next_r = clock_wall() + (until_ms - clock_ms()) / 1000;
	if (to->text[0] != '\0')
		return to->text;
	return waits != NULL ? waits : to->state == LOG_OPEN ? waits_for(r->queue->schedule, e->message.id, index) : "";
}

static bool
is_selected(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	char hop[ROUTE_HOP_MAX] = "";
	struct selection_rcpt rcpt = { .address = e->rcpts[index].rcpt.address, .hop = hop, .attempts = e->rcpts[index].attempts };
	int64_t next;

	if (!log_state_open(e->rcpts[index].state))
		return false;
	if (!r->selection.by_rcpt)
		return true;
	rcpt.reason = reason_of(r, e, index, &next);
	rcpt.state = request_state(r, e, index);
	if (r->selection.hop != NULL)
		dispatch_route(r->queue->dispatch, e->sender.address, &e->rcpts[index].rcpt, hop);
	return selection_fits_rcpt(&r->selection, &rcpt);
}

uint32_t
request_select(const struct request *r, const struct log_envelope *e, uint32_t *to)
{
	uint32_t n = 0;

	if (!selection_fits_sender(&r->selection, e->sender.address))
		return 0;
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		if (is_selected(r, e, i))
			to[n++] = i;
	return n;
}

static void
on_visited(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	r->walking--;
	r->reading = r->walking > 0;
	if (!request_still_wanted(r))
		return;
	if (error == NULL)		/* with an error it has just gone */
		r->visit(r, e);
	if (!r->reading)
		walk_next(r);
}

/* How many are read in one go: not more than a reader who stops reading should cost us. */
static unsigned
walk_step(const struct request *r)
{
	struct log_message m;
	uint32_t rcpts = 0;
	unsigned n = 0;

	while (n < WALK_AHEAD && r->at + n < r->n && rcpts < WALK_RCPTS)
		if (log_find(r->queue->log, r->ids[r->at + n++], &m))
			rcpts += m.n_rcpts;
	return n;
}

static void
walk_next(struct request *r)
{
	if (r->reading || r->ids == NULL || r->pending >= PENDING_MAX || caller_is_full(r->caller))
		return;
	if (r->at == r->n) {
		free(r->ids);
		r->ids = NULL;
		r->visited(r);
		return;
	}
	r->reading = true;
	r->walking = walk_step(r);
	r->at += r->walking;
	log_read_envelopes(r->queue->log, &r->ids[r->at - r->walking], r->walking, on_visited, r);
}

void
request_more(void *arg)
{
	struct request *r = arg;

	if (r->ids != NULL)
		walk_next(r);
	else
		content_next(r);
}

static bool
count_one(void *arg, const struct log_message *m)
{
	(void)m;
	++*(size_t *)arg;
	return true;
}

static bool
take_one(void *arg, const struct log_message *m)
{
	struct request *r = arg;

	if (selection_fits_message(&r->selection, m->id, clock_wall() - m->arrived))
		r->ids[r->n++] = m->id;
	return true;
}

void
request_walk(struct request *r, void (*visit)(struct request *, const struct log_envelope *),
    void (*visited)(struct request *))
{
	size_t room = 1;

	log_each(r->queue->log, count_one, &room);
	r->ids = alloc_new(room, sizeof(*r->ids));
	log_each(r->queue->log, take_one, r);
	r->visit = visit;
	r->visited = visited;
	walk_next(r);
}

/* ---- list ---- */

static void
say_message(struct request *r, const struct log_envelope *e)
{
	bool held = false;

	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		held |= e->rcpts[i].state == LOG_HELD;
	caller_say(r->caller, "M\t%s\t%" PRId64 "\t%" PRIu64 "\t%s%s\t", id_text(e->message.id), e->message.arrived,
	    e->message.size, held ? "!" : "",
	    schedule_is_active(r->queue->schedule, e->message.id, SCHEDULE_ALL) ? "*" : "");
	put_field(r->caller, e->sender.address, REQUEST_LINE_MAX);
	caller_put(r->caller, "\n", 1);
}

static void
say_rcpt(struct request *r, const struct log_envelope *e, uint32_t index, size_t most)
{
	const struct log_envelope_rcpt *to = &e->rcpts[index];
	int64_t next;
	const char *reason = reason_of(r, e, index, &next);

	caller_say(r->caller, "R\t%u\t%s\t%u\t%" PRId64 "\t", index, request_state(r, e, index), to->attempts, next);
	put_field(r->caller, to->rcpt.address, REQUEST_LINE_MAX);
	caller_put(r->caller, "\t", 1);
	put_field(r->caller, reason, most);
	caller_put(r->caller, "\n", 1);
}

static void
list_one(struct request *r, const struct log_envelope *e)
{
	uint32_t *indexes = alloc_new(e->message.n_rcpts + 1U, sizeof(*indexes)), n;

	if ((n = request_select(r, e, indexes)) > 0) {
		r->shown++;
		r->bytes += e->message.size;
		say_message(r, e);
	}
	for (uint32_t i = 0; i < n; i++)
		say_rcpt(r, e, indexes[i], REASON_MAX);
	free(indexes);
}

static void
list_end(struct request *r)
{
	caller_say(r->caller, "E\t%" PRIu64 "\t%" PRIu64 "\n", r->shown, r->bytes);
	caller_end(r->caller);
}

void
show_list(struct request *r)
{
	caller_say(r->caller, "ok\n");
	request_walk(r, list_one, list_end);
}

/* ---- one message ---- */

/* Lines of a header, each behind a T. */
static void
put_lines(struct caller *c, const char *text, size_t len)
{
	const char *end = text + len, *eol;

	for (; text < end; text = eol + 1) {
		if ((eol = memchr(text, '\n', (size_t)(end - text))) == NULL)
			eol = end;
		len = (size_t)(eol - text);
		if (len > 0 && text[len - 1] == '\r')
			len--;
		if (len == 0)
			continue;
		caller_put(c, "T\t", 2);
		caller_put(c, text, len);
		caller_put(c, "\n", 1);
	}
}

static void
on_header(void *arg, const void *data, size_t len, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error != NULL)
		caller_say(r->caller, "X\tthe header could not be read: %s\n", error);
	else
		put_lines(r->caller, data, len == 0 ? 0 : header_end(data, len));
	caller_say(r->caller, "E\t1\t%" PRIu64 "\n", r->message.size);
	caller_end(r->caller);
}

static void
say_hop(struct request *r, const struct log_envelope *e, uint32_t index)
{
	const struct envelope_rcpt *to = &e->rcpts[index].rcpt;
	char hop[ROUTE_HOP_MAX];

	dispatch_route(r->queue->dispatch, e->sender.address, to, hop);
	caller_say(r->caller, "H\t%u\t%s\n", index, hop);
}

/* What the sender asked about reports of a recipient. */
static void
say_asked(struct request *r, const struct log_envelope *e, uint32_t index)
{
	const struct envelope_rcpt *to = &e->rcpts[index].rcpt;
	char notify[DSN_NOTIFY_TEXT];

	if (to->notify == 0 && to->orcpt == NULL)
		return;
	caller_say(r->caller, "N\t%u\t%s\t", index, dsn_notify_text(notify, to->notify));
	put_field(r->caller, to->orcpt == NULL ? "" : to->orcpt, REQUEST_LINE_MAX);
	caller_put(r->caller, "\n", 1);
}

struct past_of {
	struct request	*r;
	uint32_t	 index;
};

static void
say_attempt(void *arg, int64_t at, const char *text, size_t len)
{
	struct past_of *p = arg;

	caller_say(p->r->caller, "A\t%u\t%" PRId64 "\t", p->index, at);
	caller_put(p->r->caller, text, len);
	caller_put(p->r->caller, "\n", 1);
}

/* Every attempt and every hand that was laid on it, the newest first. */
static void
say_past(struct request *r, const struct log_envelope *e, uint32_t index)
{
	const struct log_envelope_rcpt *to = &e->rcpts[index];
	char *past = past_add(to->past, to->at, to->text, SIZE_MAX);

	past_each(past, say_attempt, &(struct past_of){ r, index });
	free(past);
}

/* Whether somebody still waits for the message, and it could be read. */
static bool
take_message(struct request *r, const struct log_envelope *e, const char *error)
{
	if (!request_is_wanted(r))
		return false;
	if (error != NULL)
		request_answer(r, "error: %s", error);
	else
		r->message = e->message;
	return error == NULL;
}

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!take_message(r, e, error))
		return;
	caller_say(r->caller, "ok\n");
	say_message(r, e);
	caller_say(r->caller, "C\t");
	put_field(r->caller, e->sender.session, REQUEST_LINE_MAX);
	caller_say(r->caller, "\t");
	put_field(r->caller, e->sender.client, REQUEST_LINE_MAX);
	caller_say(r->caller, "\n");
	if (e->sender.ret != DSN_RET_NONE || e->sender.envid != NULL) {
		caller_say(r->caller, "V\t%s\t", e->sender.ret == DSN_RET_FULL ? "FULL" : e->sender.ret == DSN_RET_HDRS ? "HDRS" : "");
		put_field(r->caller, e->sender.envid == NULL ? "" : e->sender.envid, REQUEST_LINE_MAX);
		caller_put(r->caller, "\n", 1);
	}
	for (uint32_t i = 0; i < e->message.n_rcpts; i++) {
		say_rcpt(r, e, i, REPLY_MAX);
		if (log_state_open(e->rcpts[i].state))
			say_hop(r, e, i);
		say_asked(r, e, i);
		say_past(r, e, i);
	}
	put_lines(r->caller, e->head, strlen(e->head));
	r->reading = true;
	log_read_content(r->queue->log, e->message.id, 0, MSG_CHUNK_MAX, on_header, r);
}

void
show_message(struct request *r)
{
	r->reading = true;
	log_read_envelope(r->queue->log, r->id, on_envelope, r);
}

/* ---- its content ---- */

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error != NULL || len == 0) {	/* all, or all that there is: the tool has been told how much it should be */
		r->content = false;
		caller_end(r->caller);
		return;
	}
	caller_put(r->caller, data, len);
	r->offset += len;
	content_next(r);
}

static void
content_next(struct request *r)
{
	uint64_t left = r->message.size - r->offset;

	if (r->reading || !r->content || caller_is_full(r->caller))
		return;
	if (left == 0) {
		r->content = false;
		caller_end(r->caller);
		return;
	}
	r->reading = true;
	log_read_content(r->queue->log, r->id, r->offset, left < MSG_CHUNK_MAX ? (size_t)left : MSG_CHUNK_MAX, on_content, r);
}

static void
on_head(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;
	size_t head;

	if (!take_message(r, e, error))
		return;
	head = strlen(e->head);
	caller_say(r->caller, "ok\n%" PRIu64 "\n", head + r->message.size);
	caller_put(r->caller, e->head, head);
	r->content = true;
	content_next(r);
}

/* "ok", a line with the number of bytes that follow, and the bytes. */
void
show_content(struct request *r)
{
	r->reading = true;
	log_read_envelope(r->queue->log, r->id, on_head, r);
}

/* ---- next hops ---- */

static void
say_one_hop(void *arg, const struct schedule_hop *h)
{
	struct request *r = arg;
	int64_t until = h->trouble ? clock_wall() + (h->until_ms - clock_ms() + 999) / 1000 : 0;

	caller_say(r->caller, "D\t%s\t%s\t%u\t%u\t%u\t%" PRId64 "\t%u\t", h->name,
	    h->paused ? "paused" : h->trouble ? "trouble" : "ok", h->jobs, h->active, h->limit, until, h->failures);
	put_field(r->caller, h->why, REASON_MAX);
	caller_say(r->caller, "\n");
}

void
show_hops(struct request *r)
{
	caller_say(r->caller, "ok\n");
	schedule_each_hop(r->queue->schedule, say_one_hop, r);
	caller_say(r->caller, "E\n");
	caller_end(r->caller);
}
