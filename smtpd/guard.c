/*
 * Puts a stranger's session to the filters: writes down what is known at each stage, asks for the decisions, and brings them
 * back as refusals. Decides nothing itself: filters/chain.c does. Called by commands.c, recipient.c, transaction.c and
 * content.c, always with a session that has a guard unless said otherwise.
 */
#include "smtpd/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/memory.h"
#include "lib/alloc.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "smtpd/account.h"
#include "smtpd/pace.h"
#include "smtpd/pretend.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/transaction.h"

#define FILTERS_MS	(2 * 60 * 1000)	/* filters have their own deadlines: this is for a fault */
#define QUESTIONS_FREE	40		/* to DNS: what an honest mail costs where every technique is on */

/* ---- coming and going ---- */

static void
on_found(void *arg)
{
	struct session *s = arg;

	if (s->wait != WAIT_GREETING)
		return;
	pace_look_again(s);
	stream_hurry(s);	/* not from here: what was sent ahead may bring another chain in place of the one that calls */
}

/* Ours, as the client knows it: who names it in HELO lies. */
static struct reverse_address
own_address(int fd)
{
	struct sockaddr_storage own = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(own);

	if (getsockname(fd, (struct sockaddr *)&own, &len) != 0)
		own.ss_family = AF_UNSPEC;
	return reverse_address_of((struct sockaddr *)&own);
}

/* As long as it has no mail a chain is small: there may be very many of them. */
static void
hold(struct session *s, size_t bytes)
{
	session_hold(s, (int64_t)bytes - (int64_t)s->guard->held);
	s->guard->held = bytes;
}

void
guard_new(struct session *s, const struct sockaddr *address)
{
	struct smtpd *srv = s->srv;
	struct guard *g;

	guard_free(s);
	if (srv->filters == NULL || s->exempt || s->local)
		return;
	g = alloc_new(1, sizeof(*g));
	s->guard = g;
	hold(s, sizeof(*g) + CHAIN_IDLE_BYTES);
	g->filters = s->pretend != NULL ? pretend_filters(srv) : srv->filters;
	g->facts.now = clock_wall();
	g->facts.hostname = srv->process.conf->hostname;
	g->facts.domains = srv->process.conf->domains;
	memcpy(&g->facts.client, address, address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
	    sizeof(struct sockaddr_in));
	g->facts.address = reverse_address_of(address);
	g->facts.own = own_address(s->fd);
	snprintf(g->facts.client_text, sizeof(g->facts.client_text), "%s", s->client);
	g->chain = chain_new(g->filters, &g->facts);
	chain_on_found(g->chain, on_found, s);
	chain_reach(g->chain, STAGE_CONNECT);
}

static void
forget_mail(struct session *s)
{
	struct guard *g = s->guard;

	if (g->header != NULL)
		session_hold(s, -(int64_t)g->facts.header_len);
	free(g->header);
	g->header = NULL;
	g->facts.header = g->facts.content = NULL;
	g->facts.header_len = g->facts.content_len = 0;
	g->facts.sender = g->facts.recipient = g->facts.first_recipient = NULL;
	free(g->recipient);
	g->recipient = NULL;
	free(g->last);
	g->last = NULL;
}

void
guard_free(struct session *s)
{
	struct guard *g = s->guard;

	if (g == NULL)
		return;
	pace_leave(s);
	chain_free(g->chain);
	forget_mail(s);
	hold(s, 0);
	free(g);
	s->guard = NULL;
}

/* ---- stages ---- */

/* A mail that costs more questions than these counts as several, for the pace of messages: records may ask for a hundred. */
void
guard_charge(struct session *s)
{
	struct guard *g = s->guard;
	unsigned asked = chain_questions(g->chain);

	for (; asked - g->charged > QUESTIONS_FREE && s->network != NULL; g->charged += QUESTIONS_FREE)
		network_take(s->network, NETWORK_MESSAGES, s->srv->process.conf->network_message_rate, clock_ms());
	g->charged = asked;
}

/* What was said of it in the commentary. */
static void
forget_told(struct session *s, enum facts_stage from)
{
	if (s->pretend != NULL)
		pretend_forget(s, from);
}

void
guard_helo(struct session *s)
{
	struct guard *g = s->guard;

	guard_charge(s);
	g->facts.helo = s->helo;
	forget_told(s, STAGE_HELO);
	chain_reach(g->chain, STAGE_HELO);
}

void
guard_mail(struct session *s)
{
	struct guard *g = s->guard;

	g->facts.sender = s->tx->sender;
	g->facts.source_route = s->tx->source_route;
	g->facts.recipient = NULL;
	g->facts.n_recipients = 0;
	hold(s, sizeof(*g) + CHAIN_BYTES);
	forget_told(s, STAGE_MAIL);
	chain_reach(g->chain, STAGE_MAIL);
}

void
guard_reset(struct session *s)
{
	guard_charge(s);
	chain_reset(s->guard->chain);
	forget_mail(s);
	hold(s, sizeof(*s->guard) + CHAIN_IDLE_BYTES);
}

/* ---- decisions ---- */

void
guard_note(const struct session *s, enum memory_note what)
{
	if (s->pretend == NULL)
		memory_note(s->srv->memory, &s->guard->facts.address, what);
}

/* The sender is told in one line of its own; what it was for stands in the record. */
static void
refusal_of(struct refusal *r, const struct chain_decision *d)
{
	refusal_set(r, d->code, d->enhanced, "%s", d->text);
}

static void
settle(struct session *s, const struct refusal *why)
{
	guard_done_fn *done = s->guard->done;

	s->guard->done = NULL;
	session_resume(s);
	done(s, why);
}

/* "" for a mail that passes as any other. */
static const char *
outcome_name(const struct chain_decision *d)
{
	if (d->tagged)
		return "tagged";
	switch (d->outcome) {
	case CHAIN_DEFER:
		return "deferred";
	case CHAIN_REFUSE:
		return "refused";
	case CHAIN_SPLIT:
		return "split";
	default:
		return d->quarantine ? "quarantined" : "";
	}
}

static void
log_decision(const struct session *s, const struct chain_decision *d)
{
	const struct guard *g = s->guard;
	const char *outcome = outcome_name(d);

	if (*outcome == '\0')
		return;
	log_info("session=%s event=filtered client=%s stage=%s from=%s to=%s outcome=%s filter=%s score=%d code=%s", s->id_word,
	    logq(s->client), facts_stage_name(g->stage), logq(g->facts.sender),
	    logq(g->stage == STAGE_RCPT ? g->facts.recipient : NULL), outcome, d->filter, d->score, d->ref[0] != '\0' ? d->ref : "-");
}

static void
keep_last(struct guard *g, const struct chain_decision *d)
{
	free(g->last);
	g->last = alloc_raw(sizeof(*g->last));
	*g->last = *d;
	g->facts.content = NULL;
	g->facts.content_len = 0;
}

static void
on_decided(void *arg, const struct chain_decision *d)
{
	struct session *s = arg;
	struct refusal why;

	if (s->wait != WAIT_FILTERS)
		return;
	if (s->pretend != NULL)
		pretend_decided(s, d);
	else
		log_decision(s, d);
	/* A message that passes is told of when it is safe, and under its id. */
	if (d->outcome != CHAIN_PASS || s->guard->stage != STAGE_END)
		account_decision(s, d, NULL);
	if (s->guard->stage == STAGE_END)
		keep_last(s->guard, d);
	if (d->outcome == CHAIN_REFUSE)
		guard_note(s, MEMORY_BAD);
	refusal_of(&why, d);
	settle(s, d->outcome == CHAIN_PASS ? NULL : &why);
	stream_go_on(s);
}

static void
decide(struct session *s, enum facts_stage stage, guard_done_fn *done)
{
	struct guard *g = s->guard;

	g->done = done;
	g->stage = stage;
	chain_reach(g->chain, stage);
	chain_decide(g->chain, stage, on_decided, s);
	session_suspend(s, WAIT_FILTERS, FILTERS_MS);
}

void
guard_rcpt(struct session *s, guard_done_fn *done)
{
	struct guard *g = s->guard;
	char *before = g->recipient;

	forget_told(s, STAGE_RCPT);
	g->recipient = alloc_text(s->tx->asking);
	g->facts.recipient = g->recipient;
	g->facts.n_recipients = HASH_COUNT(s->tx->recipients);
	decide(s, STAGE_RCPT, done);
	free(before);			/* those who looked at it are gone with their stage */
}

void
guard_data(struct session *s, guard_done_fn *done)
{
	struct guard *g = s->guard;

	g->facts.recipient = NULL;
	g->facts.first_recipient = s->tx->recipients != NULL ? s->tx->recipients->address : NULL;
	g->facts.n_recipients = HASH_COUNT(s->tx->recipients);
	decide(s, STAGE_DATA, done);
}

void
guard_end(struct session *s, guard_done_fn *done)
{
	struct guard *g = s->guard;
	struct transaction *tx = s->tx;

	g->facts.size = tx->wire.size;
	g->facts.long_lines = tx->wire.long_lines;
	if (!tx->sent && !tx->dropped) {
		g->facts.content = (const char *)tx->content;
		g->facts.content_len = tx->len;
	}
	decide(s, STAGE_END, done);
}

void
guard_late(struct session *s)
{
	char whom[160];

	chain_waits_for(s->guard->chain, whom, sizeof(whom));
	log_error("session=%s event=filters-late stage=%s waits_for=%s", s->id_word, facts_stage_name(s->guard->stage), logq(whom));
	chain_wait_no_more(s->guard->chain);
	settle(s, NULL);
}

/* ---- content ---- */

void
guard_header(struct session *s, const uint8_t *content, size_t n)
{
	struct guard *g = s->guard;

	g->header = alloc_raw(n + 1);
	if (n > 0)
		memcpy(g->header, content, n);
	g->header[n] = '\0';
	session_hold(s, (int64_t)n);
	g->facts.header = g->header;
	g->facts.header_len = n;
	chain_reach(g->chain, STAGE_HEADER);
}

void
guard_body(struct session *s, const void *data, size_t len)
{
	if (len > 0)
		chain_body(s->guard->chain, data, len);
}

size_t
guard_fields(const struct session *s, char *to, size_t size)
{
	size_t len = chain_fields(s->guard->chain, to, size - 1);

	to[len] = '\0';
	return len;
}

uint32_t
guard_flags(const struct session *s)
{
	const struct facts *f = &s->guard->facts;
	bool spf_fail = (f->known & FACT_SPF) != 0 && f->spf.tried && f->spf.code == SPF_FAIL;

	return (s->guard->last != NULL && s->guard->last->quarantine ? ENVELOPE_JUNK : 0) | (spf_fail ? ENVELOPE_SPF_FAIL : 0);
}

void
guard_accepted(struct session *s, const char *message)
{
	static const struct chain_decision late = { .outcome = CHAIN_PASS, .filter = "" };

	account_decision(s, s->guard->last != NULL ? s->guard->last : &late, message);
	guard_note(s, MEMORY_GOOD);
}
