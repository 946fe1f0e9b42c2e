/*
 * What goes to queue of a message on its way in: the envelope, the content as far as there is credit, and the end with what
 * stands on top. Decides nothing about the message; that is transaction.c's business, which calls this. Content that waits
 * for filters or credit is gathered here.
 */
#include "smtpd/handover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/authres.h"
#include "lib/alloc.h"
#include "lib/envelope.h"
#include "lib/header.h"
#include "smtpd/guard.h"
#include "smtpd/rewrite.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/trace.h"
#include "smtpd/transaction.h"

#define CONTENT_FIRST	4096		/* bytes to begin gathering with */
#define FIELDS_MAX	(24U * 1024)	/* of filters, on top of a message */

/* ---- gathering ---- */

int
handover_gather(struct session *s, const uint8_t *data, size_t len)
{
	struct transaction *tx = s->tx;
	size_t room = tx->room;
	uint8_t *content;

	if (tx->len + len > room) {
		/* What the client declared saves growing; it is believed no further than that. */
		if (room == 0 && tx->declared < MSG_INLINE_MAX)
			room = (size_t)tx->declared + CONTENT_FIRST;
		while (room < tx->len + len)
			room = room > 0 ? 2 * room : CONTENT_FIRST;
		if ((content = realloc(tx->content, room)) == NULL)
			return -1;
		session_hold(s, (int64_t)(room - tx->room));
		tx->content = content;
		tx->room = room;
	}
	memcpy(tx->content + tx->len, data, len);
	tx->len += len;
	return 0;
}

void
handover_forget(struct session *s)
{
	struct transaction *tx = s->tx;

	session_hold(s, -(int64_t)tx->room);
	free(tx->content);
	tx->content = NULL;
	tx->len = tx->room = tx->at = 0;
}

/*
 * Fields that claim to be ours do not pass (RFC 8601, 5): the header has been gathered whole, and so they are taken out
 * before anything of it leaves.
 */
static void
strip(struct transaction *tx, const char *id)
{
	unsigned removed;
	size_t left;

	if (tx->header_len == 0)
		return;
	left = authres_strip((char *)tx->content, tx->header_len, id, &removed);
	memmove(tx->content + left, tx->content + tx->header_len, tx->len - tx->header_len);
	tx->len -= tx->header_len - left;
	tx->header_len = left;
}

/* As far as it is here: the header of mail that is larger than what stays here may not be whole. */
static void
rewrite_content(struct session *s)
{
	struct transaction *tx = s->tx;
	size_t end = header_end((char *)tx->content, tx->len), len;
	char *header;

	if (end == tx->len && !tx->complete)
		return;
	if ((header = rewrite_header(s->srv->process.conf, (char *)tx->content, end, &len)) == NULL)
		return;
	if (len > end && handover_gather(s, (const uint8_t *)header, len - end) < 0) {
		free(header);		/* it goes as it came */
		return;
	}
	memmove(tx->content + len, tx->content + end, tx->len - end - (len > end ? len - end : 0));
	memcpy(tx->content, header, len);
	if (len < end)
		tx->len -= end - len;
	free(header);
}

/* Senders of ours: programs of this machine, and clients that may relay. */
static void
rewrite_sender(struct session *s)
{
	struct transaction *tx = s->tx;
	char to[ADDRESS_MAX], *sender;

	if (!s->trusted && !s->local)
		return;
	if (rewrite_address(s->srv->process.conf, tx->sender, to) && (sender = strdup(to)) != NULL) {
		free(tx->sender);
		tx->sender = sender;
	}
	if (tx->content != NULL)
		rewrite_content(s);
}

/* ---- to queue ---- */

static uint32_t
envelope_flags_of(const struct session *s)
{
	const struct transaction *tx = s->tx;

	return (tx->eight_bit || tx->wire.eight_bit ? ENVELOPE_8BIT : 0) | (tx->utf8 ? ENVELOPE_UTF8 : 0) |
	    (tx->later ? ENVELOPE_LATER : 0) |
	    (tx->wire.dot_lines ? ENVELOPE_DOTS : 0) | (s->trusted || s->local ? ENVELOPE_TRUSTED : 0) |
	    (tx->wire.long_lines ? ENVELOPE_LONG_LINES : 0) | (tx->header.eight_bit ? ENVELOPE_HEADER_8BIT : 0) |
	    (s->guard != NULL ? guard_flags(s) : 0);
}

static void
send_envelope(struct session *s, struct ipc *queue)
{
	struct transaction *tx = s->tx;
	struct recipient *r, *next;
	char client[400];
	struct envelope_sender sender = { .address = tx->sender, .client = client, .session = s->id_word,
	    .session_id = s->id, .size = tx->declared, .flags = envelope_flags_of(s), .envid = tx->envid, .ret = tx->ret };
	struct pack p;

	snprintf(client, sizeof(client), "%s (%s)", s->client, s->helo);
	pack_init(&p);
	envelope_pack_sender(&p, &sender);
	ipc_send_pack(queue, MSG_MAIL_BEGIN, tx->id, &p, -1);
	HASH_ITER(hh, tx->recipients, r, next) {
		envelope_pack_rcpt(&p, &(struct envelope_rcpt){ .address = r->address, .local = r->local, .notify = r->notify,
		    .orcpt = r->orcpt });
		pack_blob(&p, r->token, r->token_len);
		ipc_send_pack(queue, MSG_MAIL_RCPT, tx->id, &p, -1);
	}
	pack_free(&p);
	tx->sent = true;
}

static void
send_content(struct session *s, struct ipc *queue, const uint8_t *data, size_t len)
{
	s->tx->passed += len;
	for (size_t n; len > 0; data += n, len -= n) {
		n = len < MSG_CHUNK_MAX ? len : MSG_CHUNK_MAX;
		ipc_send(queue, MSG_MAIL_DATA, s->tx->id, data, n, -1);
	}
}

static uint64_t
window(const struct transaction *tx)
{
	return MSG_INLINE_MAX + MSG_CREDIT + tx->taken - tx->passed;
}

void
handover_more(struct session *s, struct ipc *queue)
{
	struct transaction *tx = s->tx;
	size_t n = tx->len - tx->at;

	if (n > window(tx))
		n = (size_t)window(tx);
	if (n > 0)
		send_content(s, queue, tx->content + tx->at, n);
	tx->at += n;
	if (tx->at == tx->len)
		handover_forget(s);
}

void
handover_begin(struct session *s, struct ipc *queue)
{
	strip(s->tx, s->srv->process.conf->hostname);
	rewrite_sender(s);
	send_envelope(s, queue);
	handover_more(s, queue);
}

int
handover_content(struct session *s, struct ipc *queue, const uint8_t *data, size_t len)
{
	struct transaction *tx = s->tx;

	if (tx->len == tx->at) {
		send_content(s, queue, data, len);
		return 0;
	}
	if (handover_gather(s, data, len) < 0)
		return -1;
	handover_more(s, queue);
	return 0;
}

size_t
handover_room(const struct transaction *tx)
{
	size_t waiting = tx->len - tx->at;

	return waiting >= window(tx) ? 0 : (size_t)window(tx) - waiting;
}

/* The field about where it came from, in its two halves; those of filters stand above it (RFC 7208, 9.1). */
static void
put_trace(struct session *s, struct pack *p)
{
	const struct transaction *tx = s->tx;
	char client[72], tail[TRACE_MAX], *head;
	struct trace t = { .helo = s->helo, .client = client, .hostname = s->srv->process.conf->hostname,
	    .protocol = tx->utf8 ? "UTF8SMTP" : s->esmtp ? "ESMTP" : "SMTP", .now = clock_wall(),
	    .recipient = HASH_COUNT(tx->recipients) == 1 ? tx->recipients->address : NULL };
	size_t n = 0;

	if (s->local)
		snprintf(client, sizeof(client), "%s", s->client);
	else
		snprintf(client, sizeof(client), "[%s%s]", strchr(s->client, ':') ? "IPv6:" : "", s->client);
	head = alloc_raw(FIELDS_MAX + TRACE_MAX);
	if (s->guard != NULL)
		n = guard_fields(s, head, FIELDS_MAX);
	trace_head(head + n, TRACE_MAX, &t);
	trace_tail(tail, sizeof(tail), &t);
	pack_str(p, head);
	pack_str(p, tail);
	free(head);
}

void
handover_end(struct session *s, struct ipc *queue)
{
	struct pack p;

	pack_init(&p);
	pack_u64(&p, s->tx->passed);
	pack_u32(&p, envelope_flags_of(s));
	put_trace(s, &p);
	ipc_send_pack(queue, MSG_MAIL_END, s->tx->id, &p, -1);
	pack_free(&p);
	s->tx->ended = true;
}

void
handover_abort(struct session *s)
{
	struct ipc *queue = process_peer(&s->srv->process, PROC_QUEUE);

	if (s->tx->sent && !s->tx->ended && queue != NULL)
		ipc_send(queue, MSG_MAIL_ABORT, s->tx->id, NULL, 0, -1);
	s->tx->sent = false;
}
