/*
 * Tells a sender what became of recipients: one report for those of a message that failed in attempts side by side, that are
 * late, or that were delivered and whose sender asked to hear so; accepted by the log in the same record as these outcomes.
 *
 * Decides who gets a report: nobody for mail without a sender, which a report is itself (RFC 5321, 6.1), nobody whose SPF
 * record says that it was not him, nobody who asked for none (RFC 3461, 4.1), no stranger who asks for success, and none of
 * too many to one address (queue/bouncecap.h). Where a report of a failure cannot be written now, its recipients are tried
 * again later, and fail again; other reports are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/dsn.h"
#include "lib/header.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "queue/attempt.h"
#include "queue/bounce.h"
#include "queue/bouncecap.h"

#define GATHER_MS	10000	/* others of the same message may fail meanwhile, and share its report */
#define GATHER_MAX	2000	/* recipients of one report */

struct tell {
	LIST_ENTRY(tell)	 next;
	struct timer		 gather;
	bool			 gathering;	/* more recipients may join */
	struct dispatch		*dispatch;
	enum tell_kind		 kind;
	uint64_t		 message, id;		/* the original, the report */
	uint64_t		 size;
	uint32_t		 flags;
	uint8_t			 ret;
	bool			 again;			/* a bounce that came back: to postmaster */
	const char		*refused;		/* why there is none after all */
	int64_t			 arrived, now, arrived_ms;	/* as in struct attempt */
	char			*session, *envid;
	struct envelope_rcpt	 to;
	struct attempt_rcpt	*rcpts;
	uint32_t		 n;
	void			(*done)(void *);
	void			*arg;
};

static const char *const names[] = { [TELL_FAILED] = "bounce", [TELL_DELAYED] = "warning", [TELL_DELIVERED] = "success-report",
    [TELL_EXPANDED] = "expansion-report" };

static void
free_tell(struct tell *g)
{
	void (*done)(void *) = g->done;
	void *arg = g->arg;

	LIST_REMOVE(g, next);
	timer_stop(&g->gather);
	dispatch_kick(g->dispatch);
	envelope_free_rcpt(&g->to);
	attempt_free_rcpts(g->rcpts, g->n);
	free(g->session);
	free(g->envid);
	free(g);
	if (done != NULL)
		done(arg);
}

/* Not now: they are open still, in the log and for the scheduler. */
static void
put_back(struct tell *g)
{
	struct dispatch *d = g->dispatch;

	for (uint32_t i = 0; i < g->n; i++)
		dispatch_again(d, g->message, g->arrived_ms, g->again ? "" : g->to.address, g->rcpts[i].index,
		    g->rcpts[i].attempts + 1, &g->rcpts[i].rcpt);
	free_tell(g);
}

static enum log_state
state_of(const struct tell *g)
{
	return g->kind == TELL_FAILED ? LOG_FAILED : g->kind == TELL_DELIVERED ? LOG_DELIVERED : LOG_OPEN;
}

/* What is true of the recipients is recorded all the same, but for the mark that their sender knows. */
static void
give_up(struct tell *g, const char *error)
{
	struct log_outcome *o;

	if (g->refused != NULL)
		log_info("msg=%s event=no-%s reason=%s", id_text(g->message), names[g->kind], logq(error));
	else
		log_error("msg=%s event=%s-postponed reason=%s", id_text(g->message), names[g->kind], logq(error));
	if (g->kind == TELL_FAILED) {
		put_back(g);
		return;
	}
	for (uint32_t i = 0; i < g->n; i++)
		g->rcpts[i].marks = g->rcpts[i].marks_before;
	o = outcome_list(g->rcpts, g->n, state_of(g));
	if (g->kind != TELL_EXPANDED)
		outcome_write(g->dispatch->queue, g->message, o, g->n);
	outcome_free_list(o, g->n);
	free_tell(g);
}

static void
on_accepted(void *arg, const char *error)
{
	struct tell *g = arg;
	struct queue *q = g->dispatch->queue;
	struct log_message m;

	if (error != NULL) {
		give_up(g, error);
		return;
	}
	log_info("msg=%s event=%s parent=%s to=%s rcpts=%u", id_text(g->id), names[g->kind], id_text(g->message), logq(g->to.address), g->n);
	if (!log_find(q->log, g->message, &m))
		log_info("msg=%s event=done", id_text(g->message));
	dispatch_add(g->dispatch, g->id, clock_ms(), "", &g->to, 0, 1);
	free_tell(g);
}

/* ---- its text ---- */

static enum bounce_action
action_of(const struct tell *g, const struct attempt_rcpt *r)
{
	switch (g->kind) {
	case TELL_FAILED:
		return BOUNCE_FAILED;
	case TELL_DELAYED:
		return BOUNCE_DELAYED;
	case TELL_EXPANDED:
		return BOUNCE_EXPANDED;
	case TELL_DELIVERED:
		break;
	}
	return r->relayed ? BOUNCE_RELAYED : BOUNCE_DELIVERED;
}

static char *
write_text(struct tell *g, const char *content, size_t header_len, size_t len, size_t *len_r, uint32_t *flags_r)
{
	static const enum bounce_action actions[] = { [TELL_FAILED] = BOUNCE_FAILED, [TELL_DELAYED] = BOUNCE_DELAYED,
	    [TELL_DELIVERED] = BOUNCE_DELIVERED, [TELL_EXPANDED] = BOUNCE_DELIVERED };
	struct bounce_rcpt *rcpts = alloc_new(g->n, sizeof(*rcpts));
	const struct conf *conf = g->dispatch->queue->p.conf;
	char *text;
	struct bounce b = { .action = actions[g->kind], .hostname = conf->hostname, .id = id_text(g->id),
	    .original_id = id_text(g->message), .session = g->session, .sender = g->to.address, .envid = g->envid, .utf8 = (g->flags & ENVELOPE_UTF8) != 0,
	    .full = g->ret == DSN_RET_FULL && len == g->size, .now = g->now, .arrived = g->arrived,
	    .until = g->arrived + (conf->expire_ms + dispatch_longer_ms(g->dispatch, &g->rcpts[0].rcpt)) / 1000,
	    .content = content, .header_len = header_len, .content_len = len, .rcpts = rcpts, .n_rcpts = g->n };

	b.boundary = id_random() << 24 ^ id_random();
	for (uint32_t i = 0; i < g->n; i++) {
		const struct attempt_rcpt *r = &g->rcpts[i];

		rcpts[i] = (struct bounce_rcpt){ .action = action_of(g, r), .address = r->rcpt.address, .orcpt = r->rcpt.orcpt,
		    .host = r->host, .code = r->code, .enhanced = r->expired ? "4.4.7" : r->enhanced, .text = r->text,
		    .expired = r->expired };
	}
	text = bounce_write(&b, len_r, flags_r);
	free(rcpts);
	return text;
}

/* Held or settled by a person meanwhile: nothing is said of those any more. */
static void
drop_changed(struct tell *g)
{
	uint32_t kept = 0;
	enum log_state state;

	for (uint32_t i = 0; i < g->n; i++) {
		if (log_is_open(g->dispatch->queue->log, g->message, g->rcpts[i].index, &state) &&
		    (state == LOG_OPEN || g->kind == TELL_FAILED || g->kind == TELL_DELIVERED)) {
			g->rcpts[kept++] = g->rcpts[i];
			continue;
		}
		attempt_free_rcpt(&g->rcpts[i]);
	}
	g->n = kept;
}

static void
accept_report(struct tell *g, const char *content, size_t header_len, size_t len)
{
	struct queue *q = g->dispatch->queue;
	struct envelope_sender nobody = { .address = (char []){ "" }, .client = (char []){ "" },
	    .session = g->again ? (char []){ NOTICE_SESSION } : g->session };
	struct log_outcome *o = outcome_list(g->rcpts, g->n, state_of(g));
	struct log_accept accept = { .arrived = g->now, .sender = &nobody, .rcpts = &g->to, .n_rcpts = 1, .head = "",
	    .parent = g->message, .outcomes = o, .n_outcomes = g->n };
	char *text;

	accept.id = g->id = log_new_id(q->log);
	text = write_text(g, content, header_len, len, &accept.content_len, &nobody.flags);
	accept.content = text;
	nobody.size = accept.content_len;
	if (!log_reserve(q->log, accept.content_len))
		give_up(g, "no room for the report");
	else
		log_accept(q->log, &accept, accept.content_len, on_accepted, g);
	free(text);
	outcome_free_list(o, accept.n_outcomes);
}

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct tell *g = arg;

	drop_changed(g);
	if (g->n == 0) {
		free_tell(g);
		return;
	}
	if (error != NULL && g->dispatch->stopping) {
		give_up(g, error);	/* it was the end of us: the next start tries again */
		return;
	}
	if (error != NULL) {
		log_error("msg=%s event=unreadable what=content reason=%s", id_text(g->message), logq(error));
		len = 0;
	}
	accept_report(g, data, len == 0 ? 0 : header_end(data, len), len);
}

/* ---- who hears of it ---- */

/* A bounce that comes back goes to whom the configuration names, once: what he does not get is dropped. */
static const char *
find_again(const struct dispatch *d, const struct attempt *a, enum tell_kind kind, struct envelope_rcpt *to)
{
	const struct conf *c = d->queue->p.conf;
	char *whole;

	if (kind != TELL_FAILED || c->double_bounce_to[0] == '\0' || strcmp(a->session, NOTICE_SESSION) == 0)
		return "the message has no sender (it may be a bounce itself)";
	whole = alloc_printf(strchr(c->double_bounce_to, '@') != NULL ? "%s" : "%s@%s", c->double_bounce_to,
	    conf_origin(c));
	to->address = whole;
	to->local = conf_is_local(c, strrchr(whole, '@') + 1);
	if (!bouncecap_take(d->cap, whole, c->bounces, clock_ms())) {
		envelope_free_rcpt(to);
		return "too many reports to this address, or in all";
	}
	return NULL;
}

/* Why the sender hears nothing; NULL: he does, at the address that is put in `to`. */
static const char *
find_sender(const struct dispatch *d, const struct attempt *a, enum tell_kind kind, struct envelope_rcpt *to)
{
	struct address address;

	if (a->sender[0] == '\0')
		return find_again(d, a, kind, to);
	if (a->flags & ENVELOPE_SPF_FAIL)
		return "the sender is forged, as SPF says";
	if (address_parse(&address, a->sender, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return "the sender's address is malformed";
	if ((kind == TELL_DELIVERED || kind == TELL_EXPANDED) && (a->flags & ENVELOPE_TRUSTED) == 0)
		return "strangers are not told of success";
	if ((a->flags & ENVELOPE_TRUSTED) == 0 && !bouncecap_take(d->cap, address.text, d->queue->p.conf->bounces, clock_ms()))
		return "too many reports to this address, or in all";
	to->local = conf_is_local(d->queue->p.conf, address.domain);
	to->address = alloc_text(address.text);
	return NULL;
}

bool
tell_wants(const struct attempt *a, const struct attempt_rcpt *r, enum tell_kind kind)
{
	switch (kind) {
	case TELL_FAILED:
		return dsn_wants(r->rcpt.notify, DSN_FAILURE, true);
	case TELL_DELAYED:
		return a->sender[0] != '\0' && (a->flags & ENVELOPE_SPF_FAIL) == 0 && dsn_wants(r->rcpt.notify, DSN_DELAY, true);
	case TELL_DELIVERED:
	case TELL_EXPANDED:
		break;
	}
	return a->sender[0] != '\0' && (a->flags & ENVELOPE_SPF_FAIL) == 0 && (a->flags & ENVELOPE_TRUSTED) != 0 &&
	    dsn_wants(r->rcpt.notify, DSN_SUCCESS, false);
}

/* ---- gathering ---- */

static void
go(void *arg)
{
	struct tell *g = arg;

	timer_stop(&g->gather);
	g->gathering = false;
	log_read_content(g->dispatch->queue->log, g->message, 0, MSG_CHUNK_MAX, on_content, g);
}

static struct tell *
find_gathering(const struct dispatch *d, uint64_t message)
{
	struct tell *g;

	LIST_FOREACH(g, &d->tells, next)
		if (g->gathering && g->message == message)
			return g;
	return NULL;
}

/* Takes over the recipients. */
static void
join(struct tell *g, struct attempt_rcpt *rcpts, uint32_t n)
{
	g->rcpts = alloc_resize(g->rcpts, (size_t)g->n + n, sizeof(*rcpts));
	memcpy(g->rcpts + g->n, rcpts, n * sizeof(*rcpts));
	g->n += n;
	free(rcpts);
}

static struct tell *
new_tell(struct dispatch *d, const struct attempt *a, enum tell_kind kind, const struct envelope_rcpt *to)
{
	struct tell *g = alloc_new(1, sizeof(*g));

	g->session = alloc_text(a->session);
	g->envid = alloc_text(a->envid);
	g->dispatch = d;
	g->kind = kind;
	g->message = a->message;
	g->size = a->size;
	g->flags = a->flags;
	g->ret = a->ret;
	g->again = a->sender[0] == '\0';
	g->arrived = a->arrived;
	g->arrived_ms = a->arrived_ms;
	g->now = clock_wall();
	g->to = *to;
	timer_set(&g->gather, go, g);
	LIST_INSERT_HEAD(&d->tells, g, next);
	return g;
}

/* Those who do not want to hear of it are settled without a word. */
static void
split_silent(const struct dispatch *d, const struct attempt *a, struct attempt_rcpt *rcpts, uint32_t *n)
{
	struct attempt_rcpt *silent = alloc_new(*n + 1, sizeof(*silent));
	uint32_t kept = 0, left = 0;

	for (uint32_t i = 0; i < *n; i++)
		if (tell_wants(a, &rcpts[i], TELL_FAILED))
			rcpts[kept++] = rcpts[i];
		else
			silent[left++] = rcpts[i];
	if (left > 0)
		outcome_failed_silently(d->queue, a->message, silent, left, "its sender asked not to be told");
	attempt_free_rcpts(silent, left);
	*n = kept;
}

void
tell_failed(struct dispatch *d, const struct attempt *a, struct attempt_rcpt *rcpts, uint32_t n)
{
	struct tell *g = find_gathering(d, a->message);
	struct envelope_rcpt to = { 0 };
	const char *why;

	split_silent(d, a, rcpts, &n);
	if (n > 0 && g == NULL) {
		if ((why = find_sender(d, a, TELL_FAILED, &to)) != NULL) {
			outcome_failed_silently(d->queue, a->message, rcpts, n, why);
			attempt_free_rcpts(rcpts, n);
			return;
		}
		g = new_tell(d, a, TELL_FAILED, &to);
		g->gathering = true;
		timer_start(&g->gather, GATHER_MS);
	}
	if (n > 0)
		join(g, rcpts, n);
	else
		free(rcpts);
}

static void
on_refused(void *arg)
{
	struct tell *g = arg;

	give_up(g, g->refused);
}

void
tell_now(struct dispatch *d, const struct attempt *a, enum tell_kind kind, struct attempt_rcpt *rcpts, uint32_t n,
    void (*done)(void *), void *arg)
{
	struct envelope_rcpt to = { 0 };
	const char *why = find_sender(d, a, kind, &to);
	struct tell *g = new_tell(d, a, kind, &to);

	g->done = done;
	g->arg = arg;
	join(g, rcpts, n);
	g->refused = why;
	if (why == NULL) {
		go(g);
		return;
	}
	timer_set(&g->gather, on_refused, g);
	timer_start(&g->gather, 0);
}

void
tell_poke(struct dispatch *d, uint64_t message)
{
	struct tell *g = find_gathering(d, message);

	if (g != NULL && (d->stopping || g->n >= GATHER_MAX || !schedule_is_active(d->schedule, message, SCHEDULE_ALL)))
		go(g);
}

void
tell_stop(struct dispatch *d)
{
	struct tell *g;

	LIST_FOREACH(g, &d->tells, next)
		if (g->gathering)
			go(g);
}

void
tell_free(struct dispatch *d)
{
	while (!LIST_EMPTY(&d->tells)) {
		LIST_FIRST(&d->tells)->done = NULL;
		free_tell(LIST_FIRST(&d->tells));
	}
}
