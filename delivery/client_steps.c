/*
 * The steps of a session as one table: what each sends, how long its reply may take, what follows from the reply. Two
 * cursors walk it: `next` is what is sent next, `step` whose reply is awaited; with PIPELINING the first runs ahead.
 *
 * Decides the order of a session and what is settled when. What a reply means is client_reply.c's, reading and writing
 * client.c's, which address is tried and what becomes of recipients that stay open agent.c's.
 */

#include <event2/buffer.h>

#include "delivery/body.h"
#include "delivery/client_session.h"
#include "lib/envelope.h"

#define MINUTES		(60 * 1000)
#define EAGER_BYTES	(64 * 1024)		/* content up to here is sent by BDAT before RCPT was answered */
#define TEXT_TOTAL	(1024 * 1024)		/* reply text kept for one message; beyond it only first lines */
#define TEXT_SHORT	512

struct step {
	int64_t	timeout_ms;				/* RFC 5321, 4.5.3.2 */
	bool	pipelined;				/* may follow before what was sent is answered */
	void	(*send)(struct client *);
	void	(*answer)(struct client *, enum client_meaning);
};

static void	on_greeting(struct client *, enum client_meaning), on_ehlo(struct client *, enum client_meaning),
		on_helo(struct client *, enum client_meaning), on_auth(struct client *, enum client_meaning),
		on_rset(struct client *, enum client_meaning), on_mail(struct client *, enum client_meaning),
		on_rcpt(struct client *, enum client_meaning), on_data(struct client *, enum client_meaning),
		on_content(struct client *, enum client_meaning);

static const struct step steps[STEP_COUNT] = {
	[STEP_CONNECT] =	{ 30 * 1000,	false,	NULL,			NULL },
	[STEP_GREETING] =	{ 5 * MINUTES,	false,	NULL,			on_greeting },
	[STEP_EHLO] =		{ 5 * MINUTES,	false,	client_send_ehlo,	on_ehlo },
	[STEP_HELO] =		{ 5 * MINUTES,	false,	client_send_helo,	on_helo },
	[STEP_AUTH] =		{ 2 * MINUTES,	false,	client_send_auth,	on_auth },
	[STEP_RSET] =		{ 5 * MINUTES,	true,	client_send_rset,	on_rset },
	[STEP_MAIL] =		{ 5 * MINUTES,	true,	client_send_mail,	on_mail },
	[STEP_RCPT] =		{ 5 * MINUTES,	true,	client_send_rcpt,	on_rcpt },
	[STEP_DATA] =		{ 2 * MINUTES,	true,	client_send_data,	on_data },
	[STEP_CONTENT] =	{ 10 * MINUTES,	true,	client_send_content,	on_content },
	[STEP_IDLE] =		{ 0,		false,	NULL,			NULL },
};

/* ---- verdicts ---- */

static void
settle(struct client *c, struct client_rcpt *r, struct verdict *v)
{
	if (r->verdict != NULL)
		return;
	r->verdict = verdict_ref(v);
	c->mail->n_open--;
	if (r->asked)
		c->n_live--;
}

void
client_settle_live(struct client *c, struct verdict *v)
{
	for (uint32_t i = 0; i < c->mail->n_rcpts; i++)
		if (c->mail->rcpts[i].asked)
			settle(c, &c->mail->rcpts[i], v);
	verdict_drop(v);
}

/* Of further transactions, too; takes over the verdict. */
static void
settle_all(struct client *c, struct verdict *v)
{
	for (uint32_t i = 0; i < c->mail->n_rcpts; i++)
		settle(c, &c->mail->rcpts[i], v);
	verdict_drop(v);
}

static struct verdict *
verdict_of_reply(struct client *c, enum job_outcome outcome, bool host_trouble)
{
	size_t most = c->text_kept < TEXT_TOTAL ? VERDICT_TEXT_MAX : TEXT_SHORT;
	struct verdict *v = verdict_from_reply(outcome, host_trouble, c->host, &c->reply, most);

	c->text_kept += c->reply.text_len;
	v->dsn = outcome == JOB_DELIVERED && c->offers.dsn;
	return v;
}

/*
 * Whether the next command may go out now. The content follows only recipients that were accepted, or, by BDAT, a few
 * that may yet be: when all are refused the server reads a small message for nothing.
 */
bool
client_may_send(const struct client *c)
{
	bool eager;

	if (c->next == STEP_IDLE || evbuffer_get_length(c->out) >= CLIENT_OUT_BYTES)
		return false;
	if (c->awaited == 0)
		return true;
	if (!steps[c->next].pipelined || !c->offers.pipelining)
		return false;
	eager = body_total(c->mail->body) <= EAGER_BYTES && body_is_here(c->mail->body);
	if (c->next == STEP_CONTENT)
		return eager && c->n_live > 0 && !c->lmtp;	/* by LMTP it must be known to whom */
	return c->next != STEP_DATA || c->n_live > 0;
}

/* Recipients that had no place in it have one in the next. */
static void
transaction_end(struct client *c, bool needs_rset)
{
	c->needs_rset = needs_rset;
	if (c->mail->n_open > 0 && !body_rewind(c->mail->body))
		settle_all(c, verdict_new(JOB_DEFERRED, false, c->host, 0, "4.5.3",
		    "the server does not take all recipients at once; the others have to wait for the next attempt"));
	if (c->mail->n_open == 0) {
		client_finish(c, needs_rset);
	} else if (client_may_go_on(c)) {
		client_begin(c);
	} else {
		c->spent = true;
		c->why = verdict_new(JOB_DEFERRED, false, c->host, 0, "4.5.3", "the server takes no more mail by one connection");
		client_over(c, CLIENT_FAILED);
	}
}

void
client_send_next(struct client *c)
{
	if (c->next >= STEP_DATA && c->n_live == 0)
		transaction_end(c, true);
	else
		steps[c->next].send(c);
}

/* ---- what follows from a reply ---- */

static void
session_refused(struct client *c, enum client_meaning meaning)
{
	if (meaning == REPLY_ENDS_SESSION)
		client_fail(c, verdict_of_reply(c, JOB_DEFERRED, true));
	else
		client_senseless(c, "a reply that its command cannot have");
}

static void
on_greeting(struct client *c, enum client_meaning meaning)
{
	if (meaning == REPLY_GOOD)
		c->next = STEP_EHLO;
	else
		session_refused(c, meaning);
}

static void
transaction_reset(struct client *c)
{
	c->asking = c->answering = 0;
	c->n_asked = c->n_domains = c->n_live = 0;
	c->accepted = 0;
	c->storing = 0;
	c->content = CONTENT_NONE;
	c->ends_line = true;
	wire_out_init(&c->dots);
	for (uint32_t i = 0; i < c->mail->n_rcpts; i++)
		c->mail->rcpts[i].asked = false;
}

/* Those who may be told of failures go first. */
static bool
only_quiet_left(const struct client *c)
{
	for (uint32_t i = 0; i < c->mail->n_rcpts; i++)
		if (c->mail->rcpts[i].verdict == NULL && !client_is_quiet(c, &c->mail->rcpts[i]))
			return false;
	return true;
}

/* What this server cannot take is settled without asking it. */
void
client_begin(struct client *c)
{
	struct client_mail *m = c->mail;
	struct verdict *v;

	transaction_reset(c);
	c->next = c->needs_rset ? STEP_RSET : STEP_MAIL;
	c->needs_rset = false;
	if (c->offers.size_max > 0 && body_total(m->body) > c->offers.size_max)
		settle_all(c, verdict_new(JOB_FAILED, false, "", 552, "5.3.4",
		    "the message has %llu bytes, and %s takes no more than %llu", (unsigned long long)body_total(m->body),
		    c->host, (unsigned long long)c->offers.size_max));
	if (!c->offers.utf8 && m->flags & ENVELOPE_UTF8 && m->flags & ENVELOPE_HEADER_8BIT)
		settle_all(c, verdict_new(JOB_FAILED, false, "", 553, "5.6.7",
		    "the header is not ASCII, and %s does not offer SMTPUTF8", c->host));
	if (!c->offers.utf8 && m->n_open > 0) {
		v = verdict_new(JOB_FAILED, false, "", 553, "5.6.7",
		    "an address is not ASCII, and %s does not offer SMTPUTF8", c->host);
		for (uint32_t i = 0; i < m->n_rcpts; i++)
			if (m->rcpts[i].utf8 || m->sender_utf8)
				settle(c, &m->rcpts[i], v);
		verdict_drop(v);
	}
	c->quiet = only_quiet_left(c);
	if (m->n_open == 0)
		client_finish(c, c->next == STEP_RSET);
}

static void
greeted(struct client *c)
{
	if (c->user != NULL)
		c->next = STEP_AUTH;
	else
		client_begin(c);
}

static void
on_ehlo(struct client *c, enum client_meaning meaning)
{
	if (meaning == REPLY_TRY_HELO && c->lmtp) {
		session_refused(c, REPLY_ENDS_SESSION);
	} else if (meaning == REPLY_TRY_HELO) {
		c->next = STEP_HELO;
	} else if (meaning == REPLY_GOOD) {
		client_offers_read(&c->offers, &c->reply);
		greeted(c);
	} else {
		session_refused(c, meaning);
	}
}

static void
on_helo(struct client *c, enum client_meaning meaning)
{
	if (meaning == REPLY_GOOD)
		greeted(c);
	else
		session_refused(c, meaning);
}

/* A refusal is trouble with this host, not with the mail, which waits until it is mended. */
static void
on_auth(struct client *c, enum client_meaning meaning)
{
	if (meaning != REPLY_GOOD)
		session_refused(c, meaning);
	else if (client_login_is_done(c))
		client_begin(c);
}

static void
on_rset(struct client *c, enum client_meaning meaning)
{
	if (meaning == REPLY_GOOD)
		c->step = STEP_MAIL;
	else
		session_refused(c, meaning);
}

/* What a step with recipients has in common; true: go on. */
static bool
transaction_goes_on(struct client *c, enum client_meaning meaning)
{
	switch (meaning) {
	case REPLY_GOOD:
		return true;
	case REPLY_DEFERS_ALL:
		client_settle_live(c, verdict_of_reply(c, JOB_DEFERRED, false));
		return true;
	case REPLY_FAILS_ALL:
		client_settle_live(c, verdict_of_reply(c, JOB_FAILED, false));
		return true;
	default:
		session_refused(c, meaning);
		return false;
	}
}

/* Refused: what was pipelined behind it is still answered, and settles nothing more. No other transaction would do better. */
static void
on_mail(struct client *c, enum client_meaning meaning)
{
	if (meaning == REPLY_DEFERS_ALL || meaning == REPLY_FAILS_ALL)
		settle_all(c, verdict_of_reply(c, meaning == REPLY_FAILS_ALL ? JOB_FAILED : JOB_DEFERRED, false));
	else if (!transaction_goes_on(c, meaning))
		return;
	c->step = STEP_RCPT;
}

static void
on_rcpt(struct client *c, enum client_meaning meaning)
{
	struct client_rcpt *r = &c->mail->rcpts[c->answering++];
	struct verdict *v;

	if (meaning == REPLY_PUTS_OFF_ONE) {
		if (r->verdict == NULL)
			c->n_live--;
		r->asked = false;
		c->offers.rcpt_max = c->accepted;
	} else if (meaning == REPLY_DEFERS_ONE || meaning == REPLY_FAILS_ONE) {
		v = verdict_of_reply(c, meaning == REPLY_FAILS_ONE ? JOB_FAILED : JOB_DEFERRED, false);
		settle(c, r, v);
		verdict_drop(v);
	} else if (transaction_goes_on(c, meaning)) {
		c->accepted++;
	}
}

static void
on_data(struct client *c, enum client_meaning meaning)
{
	if (!transaction_goes_on(c, meaning))
		return;
	if (meaning != REPLY_GOOD) {
		transaction_end(c, true);
		return;
	}
	c->step = STEP_CONTENT;
	c->content = CONTENT_FLOWING;
	if (c->n_live == 0) {
		/* DATA was pipelined, and taken though every recipient was refused: an empty message to nobody ends it. */
		client_send_nothing(c);
	} else {
		client_expect_content(c);
	}
}

/* RFC 2033, 4.2: one reply for each, in the order of their RCPT; what is said of one holds for him alone. */
static void
on_stored(struct client *c, enum client_meaning meaning)
{
	enum job_outcome outcome = meaning == REPLY_GOOD ? JOB_DELIVERED : meaning == REPLY_FAILS_ALL ? JOB_FAILED : JOB_DEFERRED;
	struct client_mail *m = c->mail;
	struct verdict *v;

	while (c->storing < m->n_rcpts && (!m->rcpts[c->storing].asked || m->rcpts[c->storing].verdict != NULL))
		c->storing++;
	if (c->storing == m->n_rcpts || meaning == REPLY_SENSELESS || (meaning == REPLY_GOOD && !client_is_final(c))) {
		client_senseless(c, "an answer to the content that it cannot have");
		return;
	}
	v = verdict_of_reply(c, outcome, false);
	settle(c, &m->rcpts[c->storing++], v);
	verdict_drop(v);
	if (c->n_live == 0 && c->reply.code != 421 && client_is_final(c))
		transaction_end(c, false);
	else if (c->n_live == 0)
		client_over(c, m->n_open > 0 ? CLIENT_FAILED : CLIENT_CLOSED);
}

static void
on_content(struct client *c, enum client_meaning meaning)
{
	bool all_sent = client_is_final(c);

	c->step = STEP_CONTENT;
	if (c->lmtp && c->n_live > 0) {
		on_stored(c, meaning);
		return;
	}
	if (c->n_live > 0) {
		if (meaning == REPLY_GOOD && all_sent)
			client_settle_live(c, verdict_of_reply(c, JOB_DELIVERED, false));
		else if (meaning == REPLY_GOOD)
			client_senseless(c, "the message was accepted before its end");
		else if (c->reply.code == 421)
			client_settle_live(c, verdict_of_reply(c, JOB_DEFERRED, true));
		else
			transaction_goes_on(c, meaning);
	}
	if (c->over)
		return;
	if (all_sent && c->reply.code != 421) {
		transaction_end(c, meaning != REPLY_GOOD);
		return;
	}
	if (c->mail->n_open > 0)
		c->why = verdict_of_reply(c, JOB_DEFERRED, true);
	client_over(c, c->mail->n_open > 0 ? CLIENT_FAILED : CLIENT_CLOSED);
}

/* RCPT's place is found when it is needed: recipients that were settled meanwhile had no RCPT. */
enum client_step
client_awaited(struct client *c)
{
	if (c->step != STEP_RCPT)
		return c->step;
	while (c->answering < c->asking && !c->mail->rcpts[c->answering].asked)
		c->answering++;
	if (c->answering < c->asking || c->next == STEP_RCPT)
		return STEP_RCPT;
	return c->offers.chunking ? STEP_CONTENT : STEP_DATA;
}

int64_t
client_timeout_ms(enum client_step step)
{
	return steps[step].timeout_ms;
}

void
client_answer(struct client *c)
{
	enum client_step step = client_awaited(c);
	enum client_meaning meaning = client_reply_means(step, &c->reply, c->accepted);

	c->replies++;
	if (c->ipv4_left && c->address.ss_family == AF_INET6 && client_reply_dislikes_ipv6(&c->reply)) {
		c->refused_ipv6 = true;
		meaning = REPLY_ENDS_SESSION;
	}
	steps[step].answer(c, meaning);
}
