/*
 * smtpd's transactions (queue/intake.h). Decides what of a message is kept in memory or written as it
 * comes, when there is no room for it, and what ends an smtpd; makes the acceptance. What happens to the
 * message afterwards is queue/dispatch.c's.
 */
#include "queue/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/token.h"
#include "queue/archive.h"
#include "queue/dispatch.h"

#define SPARE_TRANSACTIONS	64	/* of a peer, beyond one for each connection it may have */
#define CREDIT_STEP		(16U * 1024)	/* what a transaction is owed before it is told: small mail never hears of it */
#define HEAD_MAX		(8U * 1024)	/* fields in front: they fit in JOB_BEGIN with all else */
#define ENVELOPE_FLAGS_SAID	(ENVELOPE_8BIT | ENVELOPE_UTF8 | ENVELOPE_DOTS | ENVELOPE_TRUSTED | ENVELOPE_LONG_LINES | \
	ENVELOPE_HEADER_8BIT | ENVELOPE_SPF_FAIL | ENVELOPE_JUNK | ENVELOPE_LATER)

struct write;
TAILQ_HEAD(write_list, write);

struct transaction {
	UT_hash_handle		 hh;		/* in its peer, by id */
	struct intake		*intake;
	struct peer		*peer;		/* NULL: smtpd is gone, the message is being accepted all the same */
	uint64_t		 id;
	uint64_t		 message;	/* 0: not needed yet */
	int64_t			 arrived;
	struct envelope_sender	 from;
	struct envelope_rcpt	*rcpts;
	uint32_t		 n_rcpts;

	bool			 reserved;
	uint64_t		 reserved_bytes;	/* as given to log_reserve */
	uint8_t			*content;	/* up to MSG_INLINE_MAX */
	struct log_file		*file;		/* beyond that */
	struct write_list	 writes;	/* to file, under way */
	uint64_t		 received;
	uint64_t		 open_bytes;	/* received and not credited */
	uint32_t		 owed;		/* taken and not credited yet */

	bool			 ended;		/* MAIL_END came: the log has it */
	unsigned		 refused;	/* the reply's code, 0: not so far */
	const char		*why;
};

/* A piece on its way to the disk. Outlives its transaction, which may be aborted meanwhile. */
struct write {
	TAILQ_ENTRY(write)	 next;
	struct intake		*intake;
	struct transaction	*transaction;	/* NULL: nobody waits for it */
	uint32_t		 credit;	/* what it is worth once written */
};

/* An smtpd. */
struct peer {
	LIST_ENTRY(peer)	 next;
	struct ipc		*ipc;
	struct transaction	*transactions;
};

struct intake {
	struct queue		*queue;
	LIST_HEAD(, peer)	 peers;
	struct write_list	 orphans;
	unsigned		 open;
	bool			 stopped;
};

struct intake *
intake_new(struct queue *q)
{
	struct intake *in = alloc_new(1, sizeof(*in));

	in->queue = q;
	LIST_INIT(&in->peers);
	TAILQ_INIT(&in->orphans);
	return in;
}

/* ---- a transaction's life ---- */

/* Nothing of the content is needed any more. */
static void
drop_content(struct transaction *t)
{
	struct write *w;

	if (t->reserved)
		log_release(t->intake->queue->log, t->reserved_bytes);
	t->reserved = false;
	free(t->content);
	t->content = NULL;
	while ((w = TAILQ_FIRST(&t->writes)) != NULL) {
		TAILQ_REMOVE(&t->writes, w, next);
		TAILQ_INSERT_TAIL(&t->intake->orphans, w, next);
		w->transaction = NULL;
		t->owed += w->credit;
	}
	log_file_discard(t->file);
	t->file = NULL;
}

static void
free_transaction(struct transaction *t)
{
	drop_content(t);
	if (t->peer != NULL)
		HASH_DEL(t->peer->transactions, t);
	for (uint32_t i = 0; i < t->n_rcpts; i++)
		envelope_free_rcpt(&t->rcpts[i]);
	free(t->rcpts);
	envelope_free_sender(&t->from);
	t->intake->open--;
	free(t);
}

/* Content that is still to come is taken and forgotten; the answer is given at its end. The first reason stays. */
static void
refuse(struct transaction *t, unsigned code, const char *why)
{
	if (t->refused != 0)
		return;
	t->refused = code;
	t->why = why;
	drop_content(t);
}

static struct peer *
find_peer(struct intake *in, struct ipc *ipc)
{
	struct peer *peer;

	LIST_FOREACH(peer, &in->peers, next)
		if (peer->ipc == ipc)
			return peer;
	peer = alloc_new(1, sizeof(*peer));
	peer->ipc = ipc;
	LIST_INSERT_HEAD(&in->peers, peer, next);
	return peer;
}

static struct transaction *
find(struct intake *in, struct ipc *ipc, uint64_t id)
{
	struct peer *peer = find_peer(in, ipc);
	struct transaction *t;

	HASH_FIND(hh, peer->transactions, &id, sizeof(id), t);
	if (t != NULL && t->ended)
		t = NULL;
	if (t == NULL)
		ipc_fail(ipc, "transaction %" PRIu64 " was never begun, or is over", id);
	return t;
}

/* ---- room ---- */

/* Counts `bytes` instead of what was counted so far. */
static bool
reserve(struct transaction *t, uint64_t bytes)
{
	struct log *log = t->intake->queue->log;

	if (t->reserved)
		log_release(log, t->reserved_bytes);
	t->reserved = log_reserve(log, bytes);
	t->reserved_bytes = bytes;
	return t->reserved;
}

/* The sender declared too little, or nothing: twice as much each time. */
static bool
reserve_more(struct transaction *t, uint64_t needed)
{
	uint64_t have = t->reserved_bytes < MSG_INLINE_MAX ? MSG_INLINE_MAX : t->reserved_bytes;

	return needed <= have || reserve(t, have * 2 > needed ? have * 2 : needed);
}

/* ---- credit ---- */

static void
give_credit(struct transaction *t)
{
	struct pack p;

	if (t->owed < CREDIT_STEP || t->peer == NULL)
		return;
	pack_init(&p);
	pack_u32(&p, t->owed);
	ipc_send_pack(t->peer->ipc, MSG_MAIL_CREDIT, t->id, &p, -1);
	pack_free(&p);
	t->open_bytes -= t->owed;
	t->owed = 0;
}

/* What a client hears of an error of the log. */
static unsigned
refusal_code(const char *error)
{
	return strcmp(error, LOG_NO_ROOM) == 0 ? 452 : 451;
}

static const char *
refusal_text(const char *error)
{
	return refusal_code(error) == 452 ? "There is no room for the message now; try again later" :
	    "The message could not be stored; try again later";
}

static void
on_written(void *arg, const char *error)
{
	struct write *w = arg;
	struct transaction *t = w->transaction;

	TAILQ_REMOVE(t == NULL ? &w->intake->orphans : &t->writes, w, next);
	if (t != NULL) {
		t->owed += w->credit;
		if (error != NULL)
			refuse(t, refusal_code(error), refusal_text(error));
		give_credit(t);
	}
	free(w);
}

static void
write_piece(struct transaction *t, const void *data, size_t len, size_t credit)
{
	struct write *w = alloc_new(1, sizeof(*w));

	w->intake = t->intake;
	w->transaction = t;
	w->credit = (uint32_t)credit;
	TAILQ_INSERT_TAIL(&t->writes, w, next);
	log_file_write(t->file, data, len, on_written, w);
}

/* ---- messages ---- */

int
intake_on_begin(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct queue *q = arg;
	struct peer *peer = find_peer(q->intake, ipc);
	struct transaction *t;
	struct unpack u;

	HASH_FIND(hh, peer->transactions, &m->id, sizeof(m->id), t);
	if (t != NULL)
		return ipc_fail(ipc, "transaction %" PRIu64 " begun twice", m->id);
	if (HASH_COUNT(peer->transactions) >= q->most.connections + SPARE_TRANSACTIONS)
		return ipc_fail(ipc, "more than %u transactions at once", q->most.connections + SPARE_TRANSACTIONS);
	t = alloc_new(1, sizeof(*t));
	unpack_init(&u, m->data, m->len);
	if (envelope_unpack_sender(&u, &t->from) != 0 || !unpack_end(&u)) {
		envelope_free_sender(&t->from);
		free(t);
		return ipc_fail(ipc, "no sender in MAIL_BEGIN");
	}
	t->intake = q->intake;
	t->peer = peer;
	t->id = m->id;
	t->arrived = clock_wall();
	TAILQ_INIT(&t->writes);
	HASH_ADD(hh, peer->transactions, id, sizeof(t->id), t);
	q->intake->open++;
	if (q->intake->stopped)
		refuse(t, 451, "The mail system is going down; try again later");
	else if (t->from.size > q->most.message_size)
		refuse(t, 552, "The message is larger than this system takes");
	else if (!reserve(t, t->from.size))
		refuse(t, 452, "There is no room for the message now; try again later");
	return 0;
}

/* Genuine and fresh: 1; genuine and old: 0; neither: -1. */
static int
check_token(const struct queue *q, const struct transaction *t, const struct envelope_rcpt *r, const uint8_t *token,
    size_t len)
{
	enum token_claim claim = r->local ? TOKEN_LOCAL : TOKEN_RELAY;
	int64_t issued;
	struct unpack u;

	if (token_check(token, len, q->p.secret, claim, t->from.session_id, r->address, clock_ms() / 1000))
		return 1;
	/* Was it good when it was made? Its own time says when that was, if its seal is genuine. */
	unpack_init(&u, token, len);
	issued = unpack_i64(&u);
	return token_check(token, len, q->p.secret, claim, t->from.session_id, r->address, issued) ? 0 : -1;
}

/* Takes over what is in it. */
static void
add_rcpt(struct transaction *t, const struct envelope_rcpt *r)
{
	t->rcpts = alloc_resize(t->rcpts, t->n_rcpts + 1, sizeof(*t->rcpts));
	t->rcpts[t->n_rcpts++] = *r;
}

int
intake_on_rcpt(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct queue *q = arg;
	struct transaction *t = find(q->intake, ipc, m->id);
	struct envelope_rcpt r = { 0 };
	const uint8_t *token;
	struct unpack u;
	size_t len;
	int good;

	if (t == NULL)
		return -1;
	if (t->received > 0)
		return ipc_fail(ipc, "recipient after content");
	if (t->n_rcpts >= q->most.recipients)
		return ipc_fail(ipc, "more than %u recipients", q->most.recipients);
	unpack_init(&u, m->data, m->len);
	if (envelope_unpack_rcpt(&u, &r) != 0)
		return ipc_fail(ipc, "no recipient in MAIL_RCPT");
	token = unpack_blob(&u, &len);
	good = !unpack_end(&u) || r.final ? -1 : check_token(q, t, &r, token, len);
	if (good < 0) {
		ipc_fail(ipc, "recipient %s without a valid token", logq(r.address));
		envelope_free_rcpt(&r);
		return -1;
	}
	if (good == 0)
		refuse(t, 451, "The session has lasted too long; connect again");
	add_rcpt(t, &r);
	return 0;
}

/* In memory up to MSG_INLINE_MAX, then a file that begins with what was in memory. */
static void
take_content(struct transaction *t, const void *data, size_t len)
{
	size_t before = (size_t)t->received - len;

	if (t->file == NULL && t->received <= MSG_INLINE_MAX) {
		t->content = alloc_resize(t->content, before + len, 1);
		memcpy(t->content + before, data, len);
		t->owed += (uint32_t)len;
		return;
	}
	if (t->file == NULL) {
		t->message = log_new_id(t->intake->queue->log);
		t->file = log_file_new(t->intake->queue->log, t->message);
		write_piece(t, t->content, before, 0);	/* was credited when it came */
		free(t->content);
		t->content = NULL;
	}
	write_piece(t, data, len, len);
}

int
intake_on_data(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct queue *q = arg;
	struct transaction *t = find(q->intake, ipc, m->id);

	if (t == NULL)
		return -1;
	if (t->n_rcpts == 0)
		return ipc_fail(ipc, "content before recipients");
	t->received += m->len;
	t->open_bytes += m->len;
	if (t->open_bytes > MSG_INLINE_MAX + MSG_CREDIT)
		return ipc_fail(ipc, "%" PRIu64 " bytes beyond its credit", t->open_bytes);
	if (t->refused == 0 && t->received > q->most.message_size)
		refuse(t, 552, "The message is larger than this system takes");
	if (t->refused == 0 && !reserve_more(t, t->received))
		refuse(t, 452, "There is no room for the message now; try again later");
	if (t->refused == 0)
		take_content(t, m->data, m->len);
	else
		t->owed += (uint32_t)m->len;
	give_credit(t);
	return 0;
}

/* One that is being accepted, or was just answered, is out of smtpd's hands: our answer and its word have crossed. */
int
intake_on_abort(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct queue *q = arg;
	struct peer *peer = find_peer(q->intake, ipc);
	struct transaction *t;

	HASH_FIND(hh, peer->transactions, &m->id, sizeof(m->id), t);
	if (t != NULL && !t->ended)
		free_transaction(t);
	return 0;
}

/* ---- the end ---- */

static void
answer(struct transaction *t, unsigned code, const char *text, const char *id)
{
	struct pack p;

	if (t->peer == NULL)
		return;
	pack_init(&p);
	pack_u16(&p, (uint16_t)code);
	pack_str(&p, text);
	pack_str(&p, id);
	ipc_send_pack(t->peer->ipc, MSG_MAIL_DONE, t->id, &p, -1);
	pack_free(&p);
}

static void
log_refusal(const struct transaction *t, const char *why)
{
	log_info("session=%s event=refused code=%u from=%s nrcpt=%u size=%" PRIu64 " reason=%s", logq(t->from.session),
	    t->refused, logq(t->from.address), t->n_rcpts, t->received, logq(why));
}

static void
on_accepted(void *arg, const char *error)
{
	struct transaction *t = arg;
	struct intake *in = t->intake;
	const char *id = id_text(t->message);
	char text[64];

	if (error != NULL) {
		t->refused = refusal_code(error);
		log_refusal(t, error);
		answer(t, refusal_code(error), refusal_text(error), "");
	} else {
		rate_add(&in->queue->rates.accepted, clock_ms(), 1);
		/* smtpd's line about the message says the same, to those who read the log. */
		log_debug("msg=%s event=accepted from=%s nrcpt=%u size=%" PRIu64 " client=%s session=%s", id,
		    logq(t->from.address), t->n_rcpts, t->received, logq(t->from.client), logq(t->from.session));
		snprintf(text, sizeof(text), "queued as %s", id);
		answer(t, 250, text, id);
		dispatch_accepted(in->queue->dispatch, t->message, &t->from, t->rcpts, t->n_rcpts);
	}
	free_transaction(t);
}

static void
accept_message(struct transaction *t, const char *head)
{
	struct log_accept a = { .id = t->message, .arrived = t->arrived, .sender = &t->from, .rcpts = t->rcpts,
	    .n_rcpts = t->n_rcpts, .head = head, .file = t->file, .content = t->content == NULL ? "" : (void *)t->content,
	    .content_len = t->file == NULL ? (size_t)t->received : 0 };

	t->ended = true;
	/* Both are the log's from here on. */
	t->file = NULL;
	t->reserved = false;
	log_accept(t->intake->queue->log, &a, t->reserved_bytes, on_accepted, t);
}

/* The trace field around the id; NULL: not one. For the caller to free. */
static char *
make_head(struct transaction *t, struct unpack *u)
{
	char *before = unpack_str(u), *after = unpack_str(u), *head = NULL;
	size_t n = strlen(after);

	if (unpack_end(u) && strlen(before) + n < HEAD_MAX && n >= 2 && strcmp(after + n - 2, "\r\n") == 0) {
		if (t->message == 0)
			t->message = log_new_id(t->intake->queue->log);
		head = alloc_printf("%s%s%s", before, id_text(t->message), after);
	}
	free(before);
	free(after);
	return head;
}

int
intake_on_end(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct queue *q = arg;
	struct transaction *t = find(q->intake, ipc, m->id);
	struct unpack u;
	uint64_t size;
	uint32_t flags;
	char *head;
	struct envelope_rcpt archive;

	if (t == NULL)
		return -1;
	unpack_init(&u, m->data, m->len);
	size = unpack_u64(&u);
	flags = unpack_u32(&u);
	if (t->n_rcpts == 0 || size != t->received || (flags & ~(uint32_t)ENVELOPE_FLAGS_SAID) != 0)
		return ipc_fail(ipc, "MAIL_END of %" PRIu64 " bytes after %" PRIu64 ", %u recipients", size, t->received,
		    t->n_rcpts);
	if ((head = make_head(t, &u)) == NULL)
		return ipc_fail(ipc, "no trace field in MAIL_END");
	if (t->refused != 0) {
		log_refusal(t, t->why);
		answer(t, t->refused, t->why, "");
		free_transaction(t);
	} else {
		t->from.flags |= flags;
		if (archive_rcpt(q->p.conf, t->rcpts, t->n_rcpts, &archive))
			add_rcpt(t, &archive);
		accept_message(t, head);
	}
	free(head);
	return 0;
}

/* ---- peers, and the end of all ---- */

void
intake_peer_down(struct intake *in, struct ipc *ipc)
{
	struct transaction *t, *tmp;
	struct peer *peer;

	LIST_FOREACH(peer, &in->peers, next)
		if (peer->ipc == ipc)
			break;
	if (peer == NULL)
		return;
	HASH_ITER(hh, peer->transactions, t, tmp) {
		if (!t->ended) {
			free_transaction(t);
			continue;
		}
		HASH_DEL(peer->transactions, t);
		t->peer = NULL;
	}
	LIST_REMOVE(peer, next);
	free(peer);
}

void
intake_stop(struct intake *in)
{
	in->stopped = true;
}

unsigned
intake_count(const struct intake *in)
{
	return in->open;
}

void
intake_free(struct intake *in)
{
	struct write *w;

	if (in == NULL)
		return;
	while (!LIST_EMPTY(&in->peers))
		intake_peer_down(in, LIST_FIRST(&in->peers)->ipc);
	while ((w = TAILQ_FIRST(&in->orphans)) != NULL) {
		TAILQ_REMOVE(&in->orphans, w, next);
		free(w);
	}
	free(in);
}
