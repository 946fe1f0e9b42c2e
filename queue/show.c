/*
 * What the queue shows to a tool (queue/request.h): the list, one message, its content, the next hops. Decides how it is said:
 * lines of fields between tabs, which minimtactl(8) describes and tools/ makes readable. Changes nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/header.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/route.h"
#include "queue/request.h"

#define REASON_MAX	300		/* of a reply in a list; `show` has the whole */
#define REPLY_MAX	4096

static void	walk_next(struct request *);
static void	content_next(struct request *);

/* A field of a line: no tabs, no controls. */
static void
put_field(struct caller *c, const char *text, size_t most)
{
	char ch;

	for (; *text != '\0' && most > 0; text++, most--) {
		ch = (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text;
		caller_put(c, &ch, 1);
	}
}

/* ---- a walk ---- */

static bool
is_open(const struct log_envelope_rcpt *e)
{
	return e->state == LOG_OPEN || e->state == LOG_HELD;
}

static bool
is_in_domain(const char *address, const char *domain)
{
	const char *at = strrchr(address, '@');

	return at != NULL && strcasecmp(at + 1, domain) == 0;
}

static bool
passes(const struct request *r, const struct log_envelope *e)
{
	const struct request_filter *f = &r->filter;

	if (f->by == FILTER_NONE)
		return true;
	if (f->by == FILTER_FROM)
		return strcasestr(e->sender.address, f->text) != NULL || (f->text[0] == '\0' && e->sender.address[0] == '\0');
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		if (is_open(&e->rcpts[i]) && (f->by == FILTER_TO ? strcasestr(e->rcpts[i].rcpt.address, f->text) != NULL :
		    is_in_domain(e->rcpts[i].rcpt.address, f->text)))
			return true;
	return false;
}

static void
on_visited(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error == NULL && passes(r, e)) {	/* with an error it has just gone */
		r->shown++;
		r->bytes += e->message.size;
		r->visit(r, e);
	}
	walk_next(r);
}

static void
walk_next(struct request *r)
{
	if (r->reading || r->ids == NULL || caller_is_full(r->caller))
		return;
	if (r->at == r->n) {
		free(r->ids);
		r->ids = NULL;
		r->visited(r);
		return;
	}
	r->reading = true;
	log_read_envelope(r->queue->log, r->ids[r->at++], on_visited, r);
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

	r->ids[r->n++] = m->id;
	return true;
}

void
request_walk(struct request *r, void (*visit)(struct request *, const struct log_envelope *),
    void (*visited)(struct request *))
{
	size_t room = 1;

	log_each(r->queue->log, count_one, &room);
	if ((r->ids = calloc(room, sizeof(*r->ids))) == NULL)
		log_fatal("event=out-of-memory");
	log_each(r->queue->log, take_one, r);
	r->visit = visit;
	r->visited = visited;
	walk_next(r);
}

/* ---- list ---- */

static const char *
state_name(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	switch (e->rcpts[index].state) {
	case LOG_OPEN:
		if (dispatch_is_paused(r->queue->dispatch, e->message.id, index))
			return "paused";
		return dispatch_is_active(r->queue->dispatch, e->message.id, index) ? "active" : "open";
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

static void
say_message(struct request *r, const struct log_envelope *e)
{
	bool held = false;

	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		held |= e->rcpts[i].state == LOG_HELD;
	caller_say(r->caller, "M\t%s\t%" PRId64 "\t%" PRIu64 "\t%s%s\t", id_text(e->message.id), e->message.arrived,
	    e->message.size, held ? "!" : "",
	    dispatch_is_active(r->queue->dispatch, e->message.id, SCHEDULE_ALL) ? "*" : "");
	put_field(r->caller, e->sender.address, REQUEST_LINE_MAX);
	caller_put(r->caller, "\n", 1);
}

static void
say_rcpt(struct request *r, const struct log_envelope *e, uint32_t index, size_t most)
{
	const struct log_envelope_rcpt *to = &e->rcpts[index];
	int64_t next = to->next_try, until = 0;
	const char *waits = NULL;

	if (to->state == LOG_OPEN && (waits = dispatch_waits(r->queue->dispatch, e->message.id, index, &until)) != NULL)
		next = until;
	caller_say(r->caller, "R\t%u\t%s\t%u\t%" PRId64 "\t", index, state_name(r, e, index), to->attempts, next);
	put_field(r->caller, to->rcpt.address, REQUEST_LINE_MAX);
	caller_put(r->caller, "\t", 1);
	put_field(r->caller, to->text[0] == '\0' && waits != NULL ? waits : to->text, most);
	caller_put(r->caller, "\n", 1);
}

static void
list_one(struct request *r, const struct log_envelope *e)
{
	say_message(r, e);
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		if (is_open(&e->rcpts[i]))
			say_rcpt(r, e, i, REASON_MAX);
}

static void
list_end(struct request *r)
{
	caller_say(r->caller, "E\t%" PRIu64 "\t%" PRIu64 "\n", r->shown, r->bytes);
	caller_end(r->caller);
}

void
show_list(struct request *r, const char *argument)
{
	(void)argument;
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

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error != NULL) {
		request_answer(r, "error: %s", error);
		return;
	}
	r->message = e->message;
	caller_say(r->caller, "ok\n");
	say_message(r, e);
	caller_say(r->caller, "C\t");
	put_field(r->caller, e->sender.session, REQUEST_LINE_MAX);
	caller_say(r->caller, "\t");
	put_field(r->caller, e->sender.client, REQUEST_LINE_MAX);
	caller_say(r->caller, "\n");
	for (uint32_t i = 0; i < e->message.n_rcpts; i++) {
		say_rcpt(r, e, i, REPLY_MAX);
		if (is_open(&e->rcpts[i]))
			say_hop(r, e, i);
	}
	put_lines(r->caller, e->head, strlen(e->head));
	r->reading = true;
	log_read_content(r->queue->log, e->message.id, 0, MSG_CHUNK_MAX, on_header, r);
}

void
show_message(struct request *r, const char *argument)
{
	(void)argument;
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

	if (!request_is_wanted(r))
		return;
	if (error != NULL) {
		request_answer(r, "error: %s", error);
		return;
	}
	r->message = e->message;
	head = strlen(e->head);
	caller_say(r->caller, "ok\n%" PRIu64 "\n", head + r->message.size);
	caller_put(r->caller, e->head, head);
	r->content = true;
	content_next(r);
}

/* "ok", a line with the number of bytes that follow, and the bytes. */
void
show_content(struct request *r, const char *argument)
{
	(void)argument;
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
show_hops(struct request *r, const char *argument)
{
	(void)argument;
	caller_say(r->caller, "ok\n");
	dispatch_each_hop(r->queue->dispatch, say_one_hop, r);
	caller_say(r->caller, "E\n");
	caller_end(r->caller);
}
