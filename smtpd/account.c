/*
 * Records for the journal (filters/decision.h), put together from a session and sent to logger. Nobody waits for logger: while
 * it stands still, records are dropped, as log lines are. Called by guard.c with each decision, and at a session's end.
 */
#include "smtpd/account.h"

#include <stdlib.h>

#include "filters/decision.h"
#include "lib/header.h"
#include "smtpd/guard.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

#define PENDING_MAX	(1024U * 1024)	/* bytes that logger has not taken */

static void
finish(struct session *s, struct decision_text *text, const char *record, bool with_findings)
{
	struct ipc *logger = process_peer(&s->srv->process, PROC_LOGGER);
	struct chain_entry entry;
	size_t at = 0;

	while (with_findings && chain_next(s->guard->chain, &at, &entry))
		decision_add(text, &entry);
	if (logger != NULL && ipc_pending(logger) < PENDING_MAX)
		ipc_send_idly(logger, MSG_JOURNAL, 0, record, decision_end(text));
}

/* The one that is judged, or the first of those that the message has. */
static const char *
recipient_of(const struct session *s)
{
	const struct guard *g = s->guard;

	if (g->stage == STAGE_RCPT)
		return g->facts.recipient;
	return s->tx != NULL && s->tx->recipients != NULL ? s->tx->recipients->address : NULL;
}

void
account_decision(struct session *s, const struct chain_decision *d, const char *message)
{
	struct guard *g = s->guard;
	char room[DECISION_MAX], *message_id = NULL;
	struct decision_head head = { .time_ms = clock_wall_ms(), .session = s->id_word, .client = s->client, .helo = s->helo,
	    .listener = s->listener, .message = message, .from = g->facts.sender, .mail = g->facts.sender != NULL, .to = recipient_of(s),
	    .recipients = g->facts.n_recipients, .stage = g->stage, .waited_ms = g->spent_ms };
	struct decision_text text;

	if (s->pretend != NULL || (d->outcome == CHAIN_PASS && !d->tagged && !d->quarantine && g->stage != STAGE_END))
		return;
	if (g->facts.header != NULL)
		head.message_id = message_id = header_value(g->facts.header, g->facts.header_len, "Message-ID");
	decision_begin(&text, room, sizeof(room), &head, d);
	finish(s, &text, room, true);
	g->told = true;
	free(message_id);
}

/* What was found of who came to nothing stands here; of the others, with the decisions. */
void
account_end(struct session *s)
{
	char room[DECISION_MAX];
	struct decision_text text;
	struct decision_session end = { .time_ms = clock_wall_ms(), .session = s->id_word, .client = s->client, .helo = s->helo,
	    .listener = s->listener, .lasted_ms = clock_ms() - s->began_ms, .messages = s->messages, .end = s->reason };

	if (s->guard == NULL || s->pretend != NULL)
		return;
	end.waited_ms = s->guard->spent_ms;
	end.would_ms = s->guard->would_ms;
	end.refused = s->guard->hard + s->guard->soft;
	decision_begin_session(&text, room, sizeof(room), &end);
	finish(s, &text, room, !s->guard->told);
}
