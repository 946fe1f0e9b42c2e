/*
 * One message on its way to queue. Decides when it is sent whole and when it streams, how much may be under way, and
 * what the client hears at the end. What is wrong with its content content.c has found by then; what queue answers is
 * queue's decision. Called by commands.c (MAIL, RSET), content.c (content) and with queue's answers.
 */
#include "smtpd/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "smtpd/crowd.h"
#include "smtpd/guard.h"
#include "smtpd/handover.h"
#include "smtpd/network.h"
#include "smtpd/pretend.h"
#include "smtpd/recipient.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/wrote.h"

#define DONE_MS		(5 * 60 * 1000)	/* a client waits 10 minutes for the reply to its dot (RFC 5321, 4.5.3.2.6) */
#define ROOM_MS		20		/* between looks whether queue has caught up */
#define PENDING_MAX	(IPC_OUT_MAX / 4)	/* on its way to queue from all sessions; more than IPC_OUT_MAX ends queue */
#define CREDIT_MS	(5 * 60 * 1000)

#define COPY_LEAST	(16U * 1024)	/* bytes of a message from which on memory is asked for first */
#define COPY_SLACK	(256U * 1024)	/* buffers are made larger than what they hold */

static const struct refusal no_memory = { 451, "4.3.0", "Not enough memory here; try again later" };
static const struct refusal queue_away = { 451, "4.3.0", "The queue is not there now; try again" };
static const struct refusal queue_busy = { 451, "4.3.0", "The queue does not keep up now; try again later" };

/* What could not be had whole. What is said about it needs memory, too. */
static int
give_up(struct session *s, struct transaction *tx)
{
	if (tx != NULL)
		free(tx->sender);
	free(tx);
	crowd_starve(s->srv);
	return -1;
}

int
transaction_new(struct session *s, const struct address *sender, const struct params_mail *m)
{
	struct transaction *tx = calloc(1, sizeof(*tx));

	if (tx == NULL || (tx->sender = strdup(sender->text)) == NULL)
		return give_up(s, tx);
	tx->id = session_question(s);
	tx->declared = m->size;
	tx->eight_bit = m->eight_bit;
	tx->utf8 = m->utf8;
	tx->later = m->later;
	tx->ret = m->ret;
	if (m->envid[0] != '\0' && (tx->envid = strdup(m->envid)) == NULL)
		return give_up(s, tx);
	tx->began_ms = clock_ms();
	s->tx = tx;
	s->state = SESSION_MAIL;
	return 0;
}

void
transaction_free(struct session *s)
{
	struct transaction *tx = s->tx;
	struct recipient *r, *next;

	if (tx == NULL)
		return;
	handover_abort(s);
	if (s->guard != NULL)
		guard_reset(s);
	HASH_ITER(hh, tx->recipients, r, next) {
		HASH_DEL(tx->recipients, r);
		free(r->orcpt);
		free(r);
	}
	handover_forget(s);
	session_hold(s, -tx->recipients_size);
	free(tx->asking);
	free(tx->sender);
	free(tx->envid);
	free(tx);
	s->tx = NULL;
	s->state = SESSION_READY;
}

/* By which a recipient is known: names in our domains are the same in any case, as they are to lookup and mda. */
static size_t
key_of(const struct session *s, char key[ADDRESS_MAX], const char *address)
{
	const char *at = strrchr(address, '@');
	bool ours = at != NULL && conf_is_local(s->srv->process.conf, at + 1);
	size_t n = 0;

	for (; address[n] != '\0' && n < ADDRESS_MAX - 1; n++)
		key[n] = ours && address[n] >= 'A' && address[n] <= 'Z' ? (char)(address[n] | 0x20) : address[n];
	key[n] = '\0';
	return n;
}

int
transaction_add(struct session *s, const char *address, bool local, const void *token, size_t len)
{
	char key[ADDRESS_MAX];
	size_t size = strlen(address) + 1, key_len = key_of(s, key, address);
	struct recipient *r = calloc(1, sizeof(*r) + size + key_len);
	const struct params_rcpt *said = &s->tx->asking_for;
	int64_t held = (int64_t)(sizeof(*r) + size + key_len + strlen(said->orcpt));

	if (r == NULL || (said->orcpt[0] != '\0' && (r->orcpt = strdup(said->orcpt)) == NULL)) {
		free(r);
		return give_up(s, NULL);
	}
	session_hold(s, held);
	s->tx->recipients_size += held;
	memcpy(r->address, address, size);
	memcpy(r->address + size, key, key_len);
	r->local = local;
	r->notify = said->notify;
	r->token_len = (uint8_t)len;
	if (len > 0)
		memcpy(r->token, token, len);
	HASH_ADD_KEYPTR(hh, s->tx->recipients, r->address + size, key_len, r);
	return 0;
}

bool
transaction_has(const struct session *s, const char *address)
{
	char key[ADDRESS_MAX];
	size_t len = key_of(s, key, address);
	struct recipient *r;

	HASH_FIND(hh, s->tx->recipients, key, len, r);
	return r != NULL;
}

void
transaction_refuse(struct session *s, const struct refusal *r)
{
	if (s->tx->refusal.code != 0)
		return;
	if (r == &no_memory)
		crowd_starve(s->srv);
	s->tx->refusal = *r;
	handover_forget(s);
	handover_abort(s);
}

/* ---- content ---- */

size_t
transaction_room(const struct transaction *tx)
{
	return tx->sent && tx->refusal.code == 0 ? handover_room(tx) : SIZE_MAX;
}

/* Whose header stays here until it is whole: filters want it so, and with or without them, fields that claim to be ours go. */
static bool
is_stranger(const struct session *s)
{
	return !s->exempt && !s->local;
}

/* The first empty line. From where the last look left off, but for what may have been a part of it. */
static size_t
find_header_end(struct transaction *tx)
{
	size_t from = tx->searched > 3 ? tx->searched - 3 : 0;
	const uint8_t *end;

	if (tx->len == 0)
		return 0;
	if (tx->len >= 2 && tx->content[0] == '\r' && tx->content[1] == '\n')
		return 2;
	end = memmem(tx->content + from, tx->len - from, "\r\n\r\n", 4);
	tx->searched = tx->len;
	return end != NULL ? (size_t)(end - tx->content) + 4 : 0;
}

/*
 * Without an empty line all of it is header, up to the bound: what is no header any more (content.c has not refused it) and
 * still none of its end comes of people who type into telnet.
 */
static void
look_at_header(struct session *s, bool last)
{
	struct transaction *tx = s->tx;
	size_t n = find_header_end(tx);

	if (n == 0 && !last && tx->len <= s->srv->process.conf->header_size)
		return;
	tx->header_len = n > 0 ? n : tx->len;
	if (s->guard == NULL)
		return;
	guard_header(s, tx->content, tx->header_len);
	guard_body(s, tx->content + tx->header_len, tx->len - tx->header_len);
}

/* A stranger's header is gathered, and filters see what came, before anything is taken out of it. True: this goes on to queue. */
static bool
show(struct session *s, const uint8_t *data, size_t len)
{
	if (!is_stranger(s))
		return true;
	if (s->tx->header_len > 0) {
		if (s->guard != NULL)
			guard_body(s, data, len);
		return true;
	}
	if (handover_gather(s, data, len) < 0)
		transaction_refuse(s, &no_memory);
	else
		look_at_header(s, false);
	return false;
}

/* It is too large to stay here: what was gathered goes, and then all that comes. */
static void
begin_stream(struct session *s, struct ipc *queue)
{
	if (ipc_pending(queue) > PENDING_MAX)		/* it stands still, and this could wait for long */
		transaction_refuse(s, &queue_busy);
	else
		handover_begin(s, queue);
}

void
transaction_content(struct session *s, const uint8_t *data, size_t len)
{
	struct ipc *queue = process_peer(&s->srv->process, PROC_QUEUE);
	struct transaction *tx = s->tx;

	if (tx->refusal.code != 0 || len == 0)
		return;
	if (!show(s, data, len))
		data = NULL, len = 0;
	if (tx->refusal.code != 0)
		return;
	if (!tx->sent && tx->len + len <= MSG_INLINE_MAX) {
		if (len > 0 && handover_gather(s, data, len) < 0)
			transaction_refuse(s, &no_memory);
		return;
	}
	if (is_stranger(s) && tx->header_len == 0)
		return;
	if (queue == NULL && s->pretend == NULL) {
		transaction_refuse(s, &queue_away);
		return;
	}
	if (s->pretend != NULL) {		/* filters have seen it, and it goes nowhere */
		handover_forget(s);
		tx->dropped = true;
		return;
	}
	if (!tx->sent)
		begin_stream(s, queue);
	if (tx->refusal.code == 0 && len > 0 && handover_content(s, queue, data, len) < 0)
		transaction_refuse(s, &no_memory);
}

/* ---- the end ---- */

/* The first recipients, and how many more there are. */
static void
name_recipients(const struct transaction *tx, char *to, size_t size)
{
	unsigned left = HASH_COUNT(tx->recipients);
	const struct recipient *r = tx->recipients;
	size_t n = 0;

	for (to[0] = '\0'; r != NULL && n + strlen(r->address) + 16 < size; r = r->hh.next, left--)
		n += (size_t)snprintf(to + n, size - n, "%s%s", n > 0 ? "," : "", r->address);
	if (left > 0)
		snprintf(to + n, size - n, ",+%u", left);
}

static void
log_message(const struct session *s, int code, const char *text, const char *id)
{
	const struct transaction *tx = s->tx;
	char to[LOG_VALUE_MAX];

	name_recipients(tx, to, sizeof(to));
	log_info("session=%s event=message msg=%s client=%s from=%s to=%s nrcpt=%u size=%llu code=%d%s%s ms=%lld",
	    s->id_word, *id != '\0' ? logq(id) : "-", logq(s->client), logq(tx->sender), logq(to),
	    HASH_COUNT(tx->recipients), (unsigned long long)tx->wire.size, code, code == 250 ? "" : " why=",
	    code == 250 ? "" : logq(text), (long long)(clock_ms() - tx->began_ms));
}

void
transaction_left(const struct session *s)
{
	const struct transaction *tx = s->tx;
	char to[LOG_VALUE_MAX];

	if (tx == NULL || tx->recipients == NULL || tx->ended || s->pretend != NULL)
		return;
	name_recipients(tx, to, sizeof(to));
	log_info("session=%s event=unfinished client=%s from=%s to=%s nrcpt=%u size=%llu reason=%s ms=%lld", s->id_word,
	    logq(s->client), logq(tx->sender), logq(to), HASH_COUNT(tx->recipients), (unsigned long long)tx->wire.size, s->reason,
	    (long long)(clock_ms() - tx->began_ms));
}

/* The last word on a message. */
static void
conclude(struct session *s, int code, const char *enhanced, const char *text, const char *id)
{
	struct refusal r;

	if (s->pretend == NULL)
		log_message(s, code, text, id);
	if (code == 250 && s->pretend == NULL) {
		if (s->network != NULL)
			network_vouch(s->network, clock_ms());
		if (s->guard != NULL)
			guard_accepted(s, id);
		else
			wrote_note(s);
		s->messages++;
		s->srv->total_messages++;
		s->recipients += HASH_COUNT(s->tx->recipients);
		s->junk = 0;
	}
	session_resume(s);
	transaction_free(s);
	refusal_from(&r, code, enhanced, text);
	session_refuse(s, &r);
}

static void
wait_for_room(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx->room_until_ms == 0)
		tx->room_until_ms = clock_ms() + DONE_MS;
	if (clock_ms() < tx->room_until_ms)
		session_suspend(s, WAIT_ROOM, ROOM_MS);
	else
		conclude(s, queue_busy.code, queue_busy.enhanced, queue_busy.text, "");
}

/* Filters have seen all of it. */
static void
judged(struct session *s, const struct refusal *why)
{
	s->tx->judged = true;
	if (why != NULL)
		transaction_refuse(s, why);
	transaction_end(s);
}

/* On its way to queue there are two copies of it for a moment. */
static bool
has_memory_twice(struct session *s)
{
	size_t need = s->tx->len + COPY_SLACK;

	if (s->tx->len < COPY_LEAST || alloc_has(need))
		return true;
	crowd_starve(s->srv);
	return alloc_has(need);
}

static void
hand_over(struct session *s, struct ipc *queue)
{
	struct transaction *tx = s->tx;

	if (!tx->sent && ipc_pending(queue) > PENDING_MAX) {
		wait_for_room(s);
		return;
	}
	if (!tx->sent && !has_memory_twice(s)) {
		conclude(s, no_memory.code, no_memory.enhanced, no_memory.text, "");
		return;
	}
	if (!tx->sent)
		handover_begin(s, queue);
	if (tx->at < tx->len) {			/* its header alone was more than there is credit for */
		session_suspend(s, WAIT_CREDIT, CREDIT_MS);
		return;
	}
	handover_end(s, queue);
	session_suspend(s, WAIT_DONE, DONE_MS);
}

void
transaction_end(struct session *s)
{
	struct ipc *queue = process_peer(&s->srv->process, PROC_QUEUE);
	struct transaction *tx = s->tx;

	tx->complete = true;
	if (tx->refusal.code == 0 && tx->header_len == 0 && !tx->judged && is_stranger(s))
		look_at_header(s, true);
	if (tx->refusal.code == 0 && queue == NULL && s->pretend == NULL)
		transaction_refuse(s, &queue_away);
	if (tx->refusal.code != 0) {
		struct refusal r = tx->refusal;

		conclude(s, r.code, r.enhanced, r.text, "");
	} else if (s->guard != NULL && !tx->judged)
		guard_end(s, judged);
	else if (s->pretend != NULL) {
		pretend_accepted(s);
		conclude(s, 250, "2.0.0", "It would be accepted", "");
	} else
		hand_over(s, queue);
}

/* There is credit again, or nothing that it is needed for. */
static void
credited(struct session *s)
{
	session_resume(s);
	if (s->tx->complete)
		transaction_end(s);
}

void
transaction_timeout(struct session *s)
{
	switch (s->wait) {
	case WAIT_TRUST:
	case WAIT_RCPT:
		recipient_timeout(s);
		break;
	case WAIT_ROOM:
		s->wait = WAIT_NONE;
		transaction_end(s);
		break;
	case WAIT_CREDIT:
		transaction_refuse(s, &queue_away);
		credited(s);
		break;
	case WAIT_DONE:
		/* It may have been made safe all the same: the client will send it again, which is no loss. */
		log_warn("session=%s event=queue-late", s->id_word);
		conclude(s, 451, "4.3.0", "The queue has not answered in time; try again", "");
		break;
	default:
		break;
	}
}

/* ---- queue's answers ---- */

/* The session with the transaction that a message is about; NULL when it has been given up meanwhile. */
static struct session *
find(struct smtpd *srv, const struct ipc_message *m)
{
	struct session *s = session_find(srv, m->id);

	return s != NULL && s->tx != NULL && s->tx->id == m->id && s->tx->sent ? s : NULL;
}

int
transaction_on_credit(void *arg, struct ipc *queue, struct ipc_message *m)
{
	struct session *s = find(arg, m);
	struct unpack u;
	uint32_t n;

	unpack_init(&u, m->data, m->len);
	n = unpack_u32(&u);
	if (s == NULL)
		return 0;
	if (n > s->tx->passed - s->tx->taken)
		return ipc_fail(queue, "credit for more than was sent");
	s->tx->taken += n;
	if (s->tx->at < s->tx->len)
		handover_more(s, queue);
	if (s->wait == WAIT_CREDIT && s->tx->at == s->tx->len) {
		credited(s);
		stream_go_on(s);
	}
	return 0;
}

static const char *
enhanced_for(unsigned code)
{
	return code == 250 ? "2.0.0" : code == 452 ? "4.3.1" : code == 552 ? "5.3.4" : code >= 500 ? "5.6.0" : "4.3.0";
}

int
transaction_on_done(void *arg, struct ipc *queue, struct ipc_message *m)
{
	struct session *s = find(arg, m);
	struct refusal r;
	struct unpack u;
	char text[512], id[64], ok[160];
	unsigned code;

	unpack_init(&u, m->data, m->len);
	code = unpack_u16(&u);
	unpack_str_to(&u, text, sizeof(text));
	unpack_str_to(&u, id, sizeof(id));
	if (!unpack_end(&u) || (code != 250 && (code < 400 || code > 599)))
		return ipc_fail(queue, "a MAIL_DONE that is none");
	if (s == NULL)
		return 0;
	if (code == 250 && !s->tx->ended)
		return ipc_fail(queue, "MAIL_DONE 250 before MAIL_END");
	snprintf(ok, sizeof(ok), "Accepted as %s", id);
	if (s->tx->ended)
		conclude(s, (int)code, enhanced_for(code), code == 250 ? ok : text, id);
	else {
		refusal_from(&r, (int)code, enhanced_for(code), text);
		s->tx->sent = false;	/* queue has ended it */
		transaction_refuse(s, &r);
		if (s->wait == WAIT_CREDIT)
			credited(s);
	}
	stream_go_on(s);
	return 0;
}

/* Content has begun to come, or is complete. */
static bool
under_way(const struct session *s)
{
	return s->tx != NULL && (s->tx->sent || s->input == INPUT_DATA || s->state == SESSION_CHUNKS ||
	    s->tx->complete);
}

/*
 * One rule for both peers and every size of message: its content is read to the end, then its sender tries again. (A
 * message that has not been sent to queue, or whose recipients a new lookup may see otherwise, might be saved; but then
 * the answer would depend on its size and on who died.)
 */
void
transaction_peer_down(struct smtpd *srv, enum proc who)
{
	static const struct refusal gone = { 451, "4.3.0", "Something here failed while the message came; try again" };
	struct session *s, *next;

	for (s = TAILQ_FIRST(&srv->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, next);
		if (!under_way(s) || (who != PROC_QUEUE && s->wait == WAIT_DONE))
			continue;
		transaction_refuse(s, &gone);
		if (s->tx->complete)
			conclude(s, gone.code, gone.enhanced, gone.text, "");
		else if (s->wait == WAIT_CREDIT)
			session_resume(s);
		stream_go_on(s);
	}
}
