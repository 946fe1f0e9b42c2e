/*
 * A session's life: how it begins, what is said in it, how it ends. What a line means is for commands.c, content for
 * content.c, the socket for stream.c. Called by listener.c and main.c (new ones) and by all who reply.
 */
#include "smtpd/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "smtpd/account.h"
#include "smtpd/client.h"
#include "smtpd/crowd.h"
#include "smtpd/guard.h"
#include "smtpd/pace.h"
#include "smtpd/pretend.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/transaction.h"

#define LAST_WORDS_MS	10000		/* for a client to take our last replies */
#define QUESTION_BITS	24		/* of a question's id; the rest is the session's number */

/* ---- birth ---- */

static void
on_lifetime(void *arg)
{
	struct session *s = arg;

	/* A message that is being made safe is not given up: that would be delivered twice. */
	if (s->wait == WAIT_DONE) {
		timer_start(&s->lifetime, LAST_WORDS_MS);
		return;
	}
	session_end(s, "session-timeout", 421, "4.4.2", "This session has lasted too long; goodbye");
	stream_go_on(s);
}

/* By the control socket: it takes no client's place. */
static bool
from_here(const struct session *s)
{
	return s->local || s->pretend != NULL;
}

static void
enlist(struct smtpd *srv, struct session *s)
{
	TAILQ_INSERT_TAIL(&srv->sessions, s, next);
	HASH_ADD(hh, srv->by_number, number, sizeof(s->number), s);
	srv->n_sessions++;
	srv->n_local += from_here(s);
	srv->total_sessions += s->pretend == NULL;
	session_hold(s, sizeof(*s));
}

static int
begin(struct smtpd *srv, int fd, const struct sockaddr *address, struct network *network, unsigned uid, const char *listener,
    struct pretend *pretend)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -1;
	s->srv = srv;
	s->fd = fd;
	s->listener = listener;
	s->pretend = pretend;
	s->number = ++srv->last_number;
	s->id = id_random();
	snprintf(s->id_word, sizeof(s->id_word), "%s", id_text(s->id));
	s->input = INPUT_COMMANDS;
	client_connected(s, address, network, uid);
	s->state = SESSION_START;
	s->began_ms = s->last_ms = clock_ms();
	s->progress_ms = s->began_ms;
	stream_init(s);
	timer_set(&s->lifetime, on_lifetime, s);
	timer_start(&s->lifetime, srv->process.conf->session_timeout_ms);
	enlist(srv, s);
	if (s->input == INPUT_COMMANDS) {
		if (address != NULL)
			guard_new(s, address);
		pace_greet(s);
	}
	stream_go_on(s);
	return 0;
}

int
session_new(struct smtpd *srv, int fd, const struct sockaddr *address, struct network *network, unsigned uid,
    const char *listener)
{
	return begin(srv, fd, address, network, uid, listener, NULL);
}

int
session_new_pretended(struct smtpd *srv, int fd, const struct sockaddr *address, struct pretend *pretend, unsigned uid)
{
	return begin(srv, fd, address, NULL, uid, "control", pretend);
}

/* ---- replies ---- */

/* With its sender, who will ask why: no message that is refused before its content has another line. */
static void
log_refusal(struct session *s, int code, const char *enhanced, const char *text)
{
	const char *from = s->tx != NULL ? s->tx->sender : NULL;

	s->srv->total_refused++;
	snprintf(s->last_refusal, sizeof(s->last_refusal), "%d %s", code, text);
	log_info("session=%s event=refused client=%s helo=%s%s%s%s%s code=%d enhanced=%s text=%s", s->id_word, logq(s->client),
	    logq(s->helo), from != NULL ? " from=" : "", from != NULL ? logq(from) : "", s->line != NULL ? " command=" : "",
	    s->line != NULL ? logq(s->line) : "", code, enhanced != NULL ? enhanced : "-", logq(text));
}

static void
reply(struct session *s, int code, const char *enhanced, const char *text)
{
	if (code >= 400 && s->pretend == NULL)
		log_refusal(s, code, enhanced, text);
	pace_replied(s, code);
	if (code >= 500 && !s->closing && ++s->errors >= crowd_count(s, s->srv->process.conf->errors)) {
		stream_reply(s, 421, "4.7.0", "Too many errors; goodbye");
		session_close(s, "errors");
		return;
	}
	stream_reply(s, code, enhanced, text);
	if (s->pretend != NULL)
		pace_told(s);
}

void
session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	char text[3072];
	va_list ap;

	if (s->closing)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply(s, code, enhanced, text);
}

void
session_refuse(struct session *s, const struct refusal *r)
{
	session_reply(s, r->code, r->enhanced, "%s", r->text);
}

void
session_end(struct session *s, const char *reason, int code, const char *enhanced, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (s->closing)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	session_close(s, reason);	/* first, so that this is the reply whatever the count of errors */
	reply(s, code, enhanced, text);
}

/* ---- waiting ---- */

void
session_await_command(struct session *s)
{
	s->input = INPUT_COMMANDS;
	s->progress_ms = clock_ms();
}

uint64_t
session_question(struct session *s)
{
	return s->number << QUESTION_BITS | (++s->asked & ((1U << QUESTION_BITS) - 1));
}

struct session *
session_find(struct smtpd *srv, uint64_t question)
{
	uint64_t number = question >> QUESTION_BITS;
	struct session *s;

	HASH_FIND(hh, srv->by_number, &number, sizeof(number), s);
	return s;
}

void
session_suspend(struct session *s, enum session_wait wait, int64_t deadline_ms)
{
	s->wait = wait;
	s->deadline_ms = clock_ms() + deadline_ms;
}

void
session_resume(struct session *s)
{
	s->wait = WAIT_NONE;
	s->ask = 0;
	if (s->input == INPUT_COMMANDS)
		session_await_command(s);
}

void
session_timeout(struct session *s)
{
	if (s->wait == WAIT_GREETING || s->wait == WAIT_PACE)
		pace_over(s);
	else if (s->wait == WAIT_FILTERS)
		guard_late(s);
	else
		transaction_timeout(s);
}

/* ---- the end ---- */

void
session_close(struct session *s, const char *reason)
{
	if (s->closing)
		return;
	s->closing = true;
	s->reason = reason;
	s->wait = WAIT_NONE;
	pace_leave(s);
	s->deadline_ms = clock_ms() + LAST_WORDS_MS;
	if (strcmp(reason, "quit") != 0)
		transaction_left(s);
	transaction_free(s);
}

static void
log_end(const struct session *s)
{
	log_info("session=%s event=%s client=%s helo=%s listener=%s messages=%u recipients=%u commands=%u errors=%u "
	    "refused=%s reason=%s ms=%lld", s->id_word, s->pretend != NULL ? "tried" : "session", logq(s->client),
	    logq(s->helo), logq(s->listener), s->messages, s->recipients, s->commands, s->errors,
	    s->last_refusal[0] != '\0' ? logq(s->last_refusal) : "-", s->reason, (long long)(clock_ms() - s->began_ms));
}

/* Callers up the stack may still look at it: it goes onto the list of the dead. */
void
session_finish(struct session *s)
{
	struct smtpd *srv = s->srv;

	pace_leave(s);
	log_end(s);
	account_end(s);
	stream_free(s);
	timer_stop(&s->lifetime);
	if (s->copied)		/* a close alone would not end the connection while lookup stands still */
		shutdown(s->fd, SHUT_RDWR);
	close(s->fd);
	s->fd = -1;
	TAILQ_REMOVE(&srv->sessions, s, next);
	HASH_DEL(srv->by_number, s);
	srv->n_sessions--;
	srv->n_local -= from_here(s);
	client_forget(s);
	TAILQ_INSERT_TAIL(&srv->dead, s, next);
	event_active(srv->reap, 0, 0);
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	transaction_free(s);
	guard_free(s);
	pretend_free(s);
	session_hold(s, -(int64_t)s->held);
	free(s->chunk_refusal);
	free(s->helo);
	free(s->in);
	free(s->out);
	free(s);
}

bool
session_idle(const struct session *s)
{
	return s->tx == NULL && (s->wait == WAIT_NONE || s->wait == WAIT_GREETING || s->wait == WAIT_PACE) &&
	    s->input != INPUT_CHUNK;
}

void
session_hold(struct session *s, int64_t bytes)
{
	s->held += (uint64_t)bytes;
	crowd_hold(s->srv, bytes);
}
