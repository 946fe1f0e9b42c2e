/*
 * Content, by DATA or BDAT. Decides whether a message is one: its lines, its size, its header's size, its hops; and
 * whether it comes fast enough. A refused message is read to its true end in constant memory, so that nothing inside
 * it can be taken for a command. Called by stream.c with what was read and by commands.c at the start.
 */
#include "smtpd/content.h"

#include <stdlib.h>

#include "lib/alloc.h"
#include "smtpd/crowd.h"
#include "smtpd/guard.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

#define SLOW_LOOK_MS	10000		/* between looks whether content comes fast enough */
#define ROOM_LEAST	4096		/* credit below which nothing is taken: pieces should be worth their message */
#define CREDIT_MS	(5 * 60 * 1000)
#define EXCESS		(16U * 1024 * 1024)	/* beyond twice the limit nobody reads a refused message to its end */

static void
start(struct session *s, enum session_input input)
{
	s->input = input;
	if (s->guard != NULL)
		s->guard->content = true;
	s->content_ms = s->last_ms = clock_ms();
	s->content_in = 0;
	s->deadline_ms = s->content_ms;		/* a look at once, which sets the next */
	content_timeout(s);
}

void
content_begin_data(struct session *s)
{
	wire_in_init(&s->tx->wire, true);
	headscan_init(&s->tx->header);
	start(s, INPUT_DATA);
}

/* Said of a chunk that is not taken, when it has been eaten. */
static void
keep_refusal(struct session *s, const struct refusal *why)
{
	free(s->chunk_refusal);
	s->chunk_refusal = NULL;
	if (why == NULL)
		return;
	s->chunk_refusal = alloc_raw(sizeof(*why));
	*s->chunk_refusal = *why;
}

static uint64_t
most_ever(const struct session *s)
{
	uint64_t limit = s->srv->process.conf->message_size;

	return limit < UINT64_MAX / 4 ? 2 * limit + EXCESS : UINT64_MAX / 2;
}

static void	chunk_done(struct session *);

/* What filters say of the recipients, which DATA hears before its content; here that is on its way already. */
static void
begin_chunks(struct session *s, const struct refusal *why)
{
	if (why != NULL)
		transaction_refuse(s, why);
	if (s->chunk_left == 0)
		chunk_done(s);
}

void
content_begin_chunk(struct session *s, uint64_t size, bool last, const struct refusal *why)
{
	if (size > most_ever(s)) {
		session_end(s, "too-much", 552, "5.3.4", "A chunk far beyond the size limit; goodbye");
		return;
	}
	keep_refusal(s, why);
	s->chunk_left = size;
	s->chunk_last = last;
	start(s, INPUT_CHUNK);
	if (why == NULL && s->state != SESSION_CHUNKS) {
		wire_in_init(&s->tx->wire, false);
		headscan_init(&s->tx->header);
		s->state = SESSION_CHUNKS;
		if (s->guard != NULL) {
			s->paused_ms = clock_ms();
			guard_data(s, begin_chunks);
			return;
		}
	}
	if (size == 0)
		chunk_done(s);
}

/* ---- what is wrong with it ---- */

static const struct refusal bare = { 550, "5.6.11", "Bare CR or LF in the message: lines end with CR LF" };
static const struct refusal nul = { 554, "5.6.0", "NUL in the message" };
static const struct refusal long_line = { 554, "5.6.0", "A line of the message is over 65536 bytes" };
static const struct refusal long_field = { 552, "5.3.4", "A field of the message's header is too big" };
static const struct refusal loop = { 554, "5.4.6", "Too many hops: this message is in a loop" };

/* After each piece: what can be known by now. */
static void
check(struct session *s)
{
	const struct conf *conf = s->srv->process.conf;
	struct transaction *tx = s->tx;
	struct refusal r;

	if (tx->wire.flaws & (WIRE_BARE_LF | WIRE_BARE_CR))
		transaction_refuse(s, &bare);
	else if (tx->wire.flaws & WIRE_NUL)
		transaction_refuse(s, &nul);
	else if (tx->wire.flaws & WIRE_LINE_TOO_LONG)
		transaction_refuse(s, &long_line);
	else if (tx->wire.size > conf->message_size) {
		refusal_set(&r, 552, "5.3.4", "Message too big: at most %llu bytes here",
		    (unsigned long long)conf->message_size);
		transaction_refuse(s, &r);
	} else if (tx->header.size > conf->header_size) {
		refusal_set(&r, 552, "5.3.4", "Message header too big: at most %llu bytes here",
		    (unsigned long long)conf->header_size);
		transaction_refuse(s, &r);
	} else if (tx->header.longest > conf->header_field_size)
		transaction_refuse(s, &long_field);
	else if (tx->header.hops > conf->hops)
		transaction_refuse(s, &loop);
}

/* Content as it will be stored. Checked before it goes on, so that nothing refused is sent. */
static void
put(struct session *s, const uint8_t *content, size_t len)
{
	headscan_take(&s->tx->header, content, len);
	check(s);
	transaction_content(s, content, len);
}

/* ---- reading ---- */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
room_for(const struct session *s)
{
	size_t room = s->tx != NULL && s->chunk_refusal == NULL ? transaction_room(s->tx) : SIZE_MAX;

	/* Two bytes less: what was held back at a line's start may come on top. */
	return room > ROOM_LEAST ? room - 2 : 0;
}

/* No credit left: input waits in the socket. */
static bool
paused(struct session *s)
{
	if (room_for(s) > 0)
		return false;
	s->paused_ms = clock_ms();
	session_suspend(s, WAIT_CREDIT, CREDIT_MS);
	return true;
}

/* Time in which we did not read is not held against the client. */
static void
go_on_after_pause(struct session *s)
{
	if (s->paused_ms == 0)
		return;
	s->last_ms = clock_ms();
	s->content_ms += s->last_ms - s->paused_ms;
	s->paused_ms = 0;
}

size_t
content_read_size(struct session *s)
{
	return paused(s) ? 0 : least(SMTPD_READ_MAX, room_for(s));
}

static size_t
take_data(struct session *s, const uint8_t *data, size_t len)
{
	uint8_t *to = s->srv->content;
	size_t used, n;
	bool end;

	n = wire_in_take(&s->tx->wire, data, len, to, &used, &end);
	put(s, to, n);
	if (end) {
		session_await_command(s);
		transaction_end(s);
	}
	return used;
}

/* The chunk has been read: its reply, which for the last one is queue's. */
static void
chunk_done(struct session *s)
{
	bool last = s->chunk_last;
	struct refusal r;

	session_await_command(s);
	if (s->chunk_refusal != NULL) {
		r = *s->chunk_refusal;
		keep_refusal(s, NULL);
		session_refuse(s, &r);
	} else if (last) {
		put(s, s->srv->content, wire_in_finish(&s->tx->wire, s->srv->content));
		transaction_end(s);
	} else if (s->tx->refusal.code != 0)
		transaction_end(s);	/* nothing that follows can mend it */
	else
		session_reply(s, 250, "2.0.0", "%llu bytes so far", (unsigned long long)s->tx->wire.size);
}

static size_t
take_chunk(struct session *s, const uint8_t *data, size_t len)
{
	uint8_t *to = s->srv->content;
	size_t used = len, n;
	bool end;

	if (len > s->chunk_left)
		len = (size_t)s->chunk_left;
	if (s->chunk_refusal == NULL) {
		n = wire_in_take(&s->tx->wire, data, len, to, &used, &end);
		put(s, to, n);
	} else
		used = len;
	s->chunk_left -= used;
	if (s->chunk_left == 0)
		chunk_done(s);
	return used;
}

size_t
content_take(struct session *s, const uint8_t *data, size_t len)
{
	size_t used;

	if (paused(s))
		return 0;
	go_on_after_pause(s);
	len = least(len, least(SMTPD_READ_MAX, room_for(s)));
	s->content_in += len;
	used = s->input == INPUT_DATA ? take_data(s, data, len) : take_chunk(s, data, len);
	if (s->content_in > most_ever(s))
		session_end(s, "too-much", 552, "5.3.4", "Far more than the size limit; goodbye");
	return used;
}

void
content_timeout(struct session *s)
{
	const struct conf *conf = s->srv->process.conf;
	int64_t now = clock_ms(), grace = crowd_time(s, conf->data_rate_after_ms), took, silence_ends, look;

	go_on_after_pause(s);
	took = now - s->content_ms;
	silence_ends = s->last_ms + crowd_time(s, conf->data_timeout_ms);
	look = took < grace ? s->content_ms + grace : now + SLOW_LOOK_MS;
	if (now >= silence_ends)
		session_end(s, "data-timeout", 421, "4.4.2", "Waited too long for the rest of the message; goodbye");
	else if (took >= grace && s->content_in < (uint64_t)took / 1000 * conf->data_rate)
		session_end(s, "slow", 421, "4.4.2", "The message comes too slowly; goodbye");
	else
		s->deadline_ms = silence_ends < look ? silence_ends : look;
}
