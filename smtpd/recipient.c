/*
 * Asks lookup about recipients, and once in a session whether its client may relay. Decides nothing itself: lookup does,
 * and its tokens say so to queue. Called by commands.c (RCPT) and with lookup's answers.
 */
#include "smtpd/recipient.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "smtpd/crowd.h"
#include "smtpd/guard.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/transaction.h"

#define LOOKUP_MS	30000		/* it reads files of this machine: more is a fault */

/* The recipient asked about is settled: say so and go on. */
static void
answer(struct session *s, int code, const char *enhanced, const char *text)
{
	struct transaction *tx = s->tx;
	char line[ADDRESS_MAX + 16];
	struct refusal r;

	snprintf(line, sizeof(line), "RCPT TO:<%s>", tx->asking);
	free(tx->asking);
	tx->asking = NULL;
	session_resume(s);
	refusal_from(&r, code, enhanced, text);
	s->line = line;
	session_refuse(s, &r);
	s->line = NULL;
}

static void
unavailable(struct session *s)
{
	answer(s, 451, "4.3.0", "Recipients cannot be looked up now; try again");
}

static void
ask_recipient(struct session *s, struct ipc *lookup)
{
	struct pack p;

	s->ask = session_question(s);
	pack_init(&p);
	pack_u64(&p, s->id);
	pack_str(&p, s->tx->asking);
	pack_blob(&p, s->trust, s->trust_len);
	ipc_send_pack(lookup, MSG_RCPT_ASK, s->ask, &p, -1);
	pack_free(&p);
	session_suspend(s, WAIT_RCPT, LOOKUP_MS);
}

/* lookup looks at the client's own descriptor, so that nobody has to believe smtpd; and answers for the recipient too. */
static void
ask_trust(struct session *s, struct ipc *lookup)
{
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	struct pack p;

	if (fd < 0 && crowd_evict(s->srv, s->network))	/* no descriptor left: somebody idle has one */
		fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		unavailable(s);
		return;
	}
	s->ask = session_question(s);
	pack_init(&p);
	pack_u64(&p, s->id);
	pack_str(&p, s->tx->asking);
	if (s->claimed)
		pack_str(&p, s->client);
	ipc_send_pack(lookup, MSG_TRUST_ASK, s->ask, &p, fd);
	s->copied = true;
	pack_free(&p);
	session_suspend(s, WAIT_TRUST, LOOKUP_MS);
}

static void
ask(struct session *s)
{
	struct ipc *lookup = process_peer(&s->srv->process, PROC_LOOKUP);

	if (lookup == NULL)
		unavailable(s);
	else if (!s->trust_known)
		ask_trust(s, lookup);
	else
		ask_recipient(s, lookup);
}

void
recipient_ask(struct session *s, const char *address, const struct params_rcpt *said)
{
	s->tx->asking_for = *said;
	free(s->tx->asking);
	s->tx->asking = alloc_text(address);
	ask(s);
}

/* The session whose question this answers; NULL when it has gone or been answered otherwise, which is nobody's fault. */
static struct session *
find(struct smtpd *srv, const struct ipc_message *m, enum session_wait wait)
{
	struct session *s = session_find(srv, m->id);

	return s != NULL && s->wait == wait && s->ask == m->id && s->tx != NULL ? s : NULL;
}

int
recipient_on_trust(void *arg, struct ipc *lookup, struct ipc_message *m)
{
	struct session *s = find(arg, m, WAIT_TRUST);
	struct unpack u;
	const void *token;
	bool trusted;
	size_t len;

	unpack_init(&u, m->data, m->len);
	trusted = unpack_u8(&u) == 1;
	token = unpack_blob(&u, &len);
	if (!unpack_end(&u) || (s != NULL && len > sizeof(s->trust)))
		return ipc_fail(lookup, "a TRUST that is none");
	if (s == NULL)
		return 0;
	s->copied = false;
	s->trust_known = true;
	s->trusted = trusted;
	s->trust_len = trusted ? (uint8_t)len : 0;
	if (s->trust_len > 0)
		memcpy(s->trust, token, s->trust_len);
	s->wait = WAIT_RCPT;		/* by the same question */
	return 0;
}

/* It is one, and filters have nothing against it. */
static void
settle(struct session *s, const struct refusal *why)
{
	struct transaction *tx = s->tx;

	if (why != NULL) {
		answer(s, why->code, why->enhanced, why->text);
		return;
	}
	if (transaction_add(s, tx->asking, tx->asked.local, tx->asked.token, tx->asked.token_len) < 0) {
		answer(s, 452, "4.3.1", "Not enough memory here; try again later");
		return;
	}
	s->state = SESSION_RCPT;
	answer(s, 250, "2.1.5", tx->asked.local ? "Recipient ok" : "Recipient ok, will be relayed");
}

static void
accept_recipient(struct session *s, bool local, const void *token, size_t len)
{
	struct transaction *tx = s->tx;

	tx->asked.local = local;
	tx->asked.token_len = (uint8_t)len;
	if (len > 0)
		memcpy(tx->asked.token, token, len);
	if (s->guard != NULL)
		guard_rcpt(s, settle);
	else
		settle(s, NULL);
}

static void
on_verdict(struct session *s, enum rcpt_verdict verdict, const char *text, const void *token, size_t len)
{
	switch (verdict) {
	case RCPT_BOUNCES:
		/* Anybody may have seen a rewritten sender; what has none is a bounce. */
		if (s->tx->sender[0] != '\0') {
			answer(s, 550, "5.7.1", "This address takes bounces only");
			break;
		}
		accept_recipient(s, true, token, len);
		break;
	case RCPT_LOCAL:
	case RCPT_RELAY:
		accept_recipient(s, verdict == RCPT_LOCAL, token, len);
		break;
	case RCPT_UNKNOWN:
		answer(s, 550, "5.1.1", *text != '\0' ? text : "No such recipient here");
		break;
	case RCPT_DENIED:
		if (s->pretend != NULL && s->exempt) {	/* a real one from there would have been trusted */
			accept_recipient(s, false, NULL, 0);
			break;
		}
		answer(s, 550, "5.7.1", *text != '\0' ? text : "Mail for other domains is not taken from you here");
		break;
	default:
		answer(s, 451, "4.3.0", *text != '\0' ? text : "The recipient cannot be looked up now; try again");
	}
}

/* Where nothing can be said of the client now, lookup says that of the recipient only. */
int
recipient_on_rcpt(void *arg, struct ipc *lookup, struct ipc_message *m)
{
	struct session *s = find(arg, m, WAIT_RCPT), *untold = find(arg, m, WAIT_TRUST);
	struct unpack u;
	const void *token;
	unsigned verdict;
	char text[512];
	size_t len;

	unpack_init(&u, m->data, m->len);
	verdict = unpack_u8(&u);
	unpack_str_to(&u, text, sizeof(text));
	token = unpack_blob(&u, &len);
	if (!unpack_end(&u) || verdict > RCPT_TEMPORARY || len > sizeof(((struct recipient *)0)->token))
		return ipc_fail(lookup, "a RCPT that is none");
	if (s == NULL && verdict == RCPT_TEMPORARY)
		s = untold;
	if (s == NULL)
		return 0;
	on_verdict(s, (enum rcpt_verdict)verdict, text, token, len);
	stream_go_on(s);
	return 0;
}

void
recipient_timeout(struct session *s)
{
	log_warn("session=%s event=lookup-late rcpt=%s", s->id_word, logq(s->tx->asking));
	unavailable(s);
}

void
recipient_lookup_down(struct smtpd *srv)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&srv->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, next);
		if (s->wait != WAIT_TRUST && s->wait != WAIT_RCPT)
			continue;
		unavailable(s);
		stream_go_on(s);
	}
}
