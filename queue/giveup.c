/*
 * Tells a sender that recipients failed: one bounce for those of a message that failed in attempts side by
 * side, accepted by the log in the same record that settles them. Decides who gets a bounce: nobody for
 * mail without a sender, which a bounce is itself (RFC 5321, 6.1). Where it cannot be written now, the
 * recipients are tried again later, and fail again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/header.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/route.h"
#include "queue/attempt.h"
#include "queue/bounce.h"

#define GATHER_MS	10000	/* others of the same message may fail meanwhile, and share its bounce */
#define GATHER_MAX	2000	/* recipients of one bounce */

struct giveup {
	LIST_ENTRY(giveup)	 next;
	struct timer		 gather;
	bool			 gathering;	/* more recipients may join */
	struct dispatch		*dispatch;
	uint64_t		 message, id;		/* the original, the bounce */
	int64_t			 arrived, now;
	char			*session;
	struct envelope_rcpt	 to;
	struct attempt_rcpt	*rcpts;
	uint32_t		 n;
};

static void
free_giveup(struct giveup *g)
{
	LIST_REMOVE(g, next);
	timer_stop(&g->gather);
	dispatch_kick(g->dispatch);
	envelope_free_rcpt(&g->to);
	attempt_free_rcpts(g->rcpts, g->n);
	free(g->session);
	free(g);
}

/* Not now: they are open still, in the log and for the scheduler. */
static void
put_back(struct giveup *g, const char *error)
{
	struct dispatch *d = g->dispatch;
	char hop[ROUTE_HOP_MAX];
	struct schedule_entry e = { .message = g->message, .hop = hop,
	    .arrived_ms = clock_ms() - ((int64_t)clock_wall() - g->arrived) * 1000,
	    .due_ms = clock_ms() + d->queue->p.conf->retry_first_ms };

	log_error("msg=%s event=bounce-postponed reason=%s", id_text(g->message), logq(error));
	for (uint32_t i = 0; i < g->n; i++) {
		const struct attempt_rcpt *r = &g->rcpts[i];

		e.index = r->index;
		e.attempts = r->attempts + 1;
		e.agent = dispatch_route(d, r->rcpt.address, r->rcpt.local, r->rcpt.final, hop);
		schedule_add(d->schedule, clock_ms(), &e);
	}
	free_giveup(g);
}

static void
on_accepted(void *arg, const char *error)
{
	struct giveup *g = arg;
	struct queue *q = g->dispatch->queue;
	struct log_message m;
	char parent[ID_TEXT];

	if (error != NULL) {
		put_back(g, error);
		return;
	}
	snprintf(parent, sizeof(parent), "%s", id_text(g->message));
	log_info("msg=%s event=bounce parent=%s to=%s failed=%u", id_text(g->id), parent, logq(g->to.address), g->n);
	if (!log_find(q->log, g->message, &m))
		log_info("msg=%s event=done", parent);
	dispatch_add(g->dispatch, g->id, g->now, &g->to, 0, 1);
	free_giveup(g);
}

static char *
write_text(struct giveup *g, const char *header, size_t header_len, size_t *len_r, uint32_t *flags_r)
{
	struct bounce_rcpt *rcpts = calloc(g->n, sizeof(*rcpts));
	char id[ID_TEXT], original[ID_TEXT], *text;
	struct bounce b = { .hostname = g->dispatch->queue->p.conf->hostname, .id = id, .original_id = original,
	    .session = g->session, .sender = g->to.address, .now = g->now, .arrived = g->arrived, .header = header,
	    .header_len = header_len, .rcpts = rcpts, .n_rcpts = g->n };

	if (rcpts == NULL)
		log_fatal("event=out-of-memory");
	snprintf(id, sizeof(id), "%s", id_text(g->id));
	snprintf(original, sizeof(original), "%s", id_text(g->message));
	b.boundary = id_random() << 24 ^ id_random();
	for (uint32_t i = 0; i < g->n; i++) {
		const struct attempt_rcpt *r = &g->rcpts[i];

		rcpts[i] = (struct bounce_rcpt){ .address = r->rcpt.address, .host = r->host, .code = r->code,
		    .enhanced = r->expired ? "4.4.7" : r->enhanced, .text = r->text, .expired = r->expired };
	}
	text = bounce_write(&b, len_r, flags_r);
	free(rcpts);
	return text;
}

static void
accept_bounce(struct giveup *g, const char *header, size_t header_len)
{
	struct queue *q = g->dispatch->queue;
	struct envelope_sender nobody = { .address = (char []){ "" }, .client = (char []){ "" }, .session = g->session };
	uint32_t *indexes = calloc(g->n, sizeof(*indexes));
	struct log_accept accept = { .arrived = g->now, .sender = &nobody, .rcpts = &g->to, .n_rcpts = 1, .head = "",
	    .parent = g->message, .parent_rcpts = indexes, .n_parent_rcpts = g->n };
	char *text;

	if (indexes == NULL)
		log_fatal("event=out-of-memory");
	accept.id = g->id = log_new_id(q->log);
	for (uint32_t i = 0; i < g->n; i++)
		indexes[i] = g->rcpts[i].index;
	text = write_text(g, header, header_len, &accept.content_len, &nobody.flags);
	accept.content = text;
	accept.parent_text = g->rcpts[0].text;
	nobody.size = accept.content_len;
	if (!log_reserve(q->log, accept.content_len))
		put_back(g, "no room for the bounce");
	else
		log_accept(q->log, &accept, accept.content_len, on_accepted, g);
	free(text);
	free(indexes);
}

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct giveup *g = arg;
	struct log_message m;

	if (!log_find(g->dispatch->queue->log, g->message, &m)) {
		free_giveup(g);		/* removed by a person meanwhile */
		return;
	}
	if (error != NULL && g->dispatch->stopping) {
		put_back(g, error);	/* it was the end of us: the next start tries again */
		return;
	}
	if (error != NULL) {
		log_error("msg=%s event=unreadable what=content reason=%s", id_text(g->message), logq(error));
		len = 0;
	}
	accept_bounce(g, data, len == 0 ? 0 : header_end(data, len));
}

/* Why the sender hears nothing; NULL: he does, at the address that is put in `to`. */
static const char *
find_sender(const struct dispatch *d, const char *sender, struct envelope_rcpt *to)
{
	struct address address;

	if (sender[0] == '\0')
		return "the message has no sender (it may be a bounce itself)";
	if (address_parse(&address, sender, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return "the sender's address is malformed";
	to->local = conf_is_local(d->queue->p.conf, address.domain);
	if ((to->address = strdup(address.text)) == NULL)
		log_fatal("event=out-of-memory");
	return NULL;
}

static void
go(void *arg)
{
	struct giveup *g = arg;

	timer_stop(&g->gather);
	g->gathering = false;
	log_read_content(g->dispatch->queue->log, g->message, 0, MSG_CHUNK_MAX, on_content, g);
}

static struct giveup *
find_gathering(const struct dispatch *d, uint64_t message)
{
	struct giveup *g;

	LIST_FOREACH(g, &d->giveups, next)
		if (g->gathering && g->message == message)
			return g;
	return NULL;
}

/* Takes over the recipients. */
static void
join(struct giveup *g, struct attempt_rcpt *rcpts, uint32_t n)
{
	g->rcpts = reallocarray(g->rcpts, (size_t)g->n + n, sizeof(*rcpts));
	if (g->rcpts == NULL)
		log_fatal("event=out-of-memory");
	memcpy(g->rcpts + g->n, rcpts, n * sizeof(*rcpts));
	g->n += n;
	free(rcpts);
}

static struct giveup *
new_giveup(struct dispatch *d, const struct attempt *a, const struct envelope_rcpt *to)
{
	struct giveup *g = calloc(1, sizeof(*g));

	if (g == NULL || (g->session = strdup(a->session)) == NULL)
		log_fatal("event=out-of-memory");
	g->dispatch = d;
	g->message = a->message;
	g->arrived = a->arrived;
	g->now = clock_wall();
	g->to = *to;
	g->gathering = true;
	timer_set(&g->gather, go, g);
	timer_start(&g->gather, GATHER_MS);
	LIST_INSERT_HEAD(&d->giveups, g, next);
	return g;
}

void
giveup_begin(struct dispatch *d, const struct attempt *a, struct attempt_rcpt *rcpts, uint32_t n)
{
	struct giveup *g = find_gathering(d, a->message);
	struct envelope_rcpt to = { 0 };
	const char *why;

	if (g == NULL) {
		if ((why = find_sender(d, a->sender, &to)) != NULL) {
			outcome_failed_silently(d->queue, a->message, rcpts, n, why);
			attempt_free_rcpts(rcpts, n);
			return;
		}
		g = new_giveup(d, a, &to);
	}
	join(g, rcpts, n);
}

void
giveup_poke(struct dispatch *d, uint64_t message)
{
	struct giveup *g = find_gathering(d, message);

	if (g != NULL && (d->stopping || g->n >= GATHER_MAX || !dispatch_is_active(d, message, SCHEDULE_ALL)))
		go(g);
}

void
giveup_stop(struct dispatch *d)
{
	struct giveup *g;

	LIST_FOREACH(g, &d->giveups, next)
		if (g->gathering)
			go(g);
}

void
giveup_free(struct dispatch *d)
{
	while (!LIST_EMPTY(&d->giveups))
		free_giveup(LIST_FIRST(&d->giveups));
}
