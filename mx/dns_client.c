/*
 * The face of mx/dns.h for delivery and smtpd: questions travel to the resolver process as DNS_ASK, answers come back
 * as DNS. Of the answers only the ids are believed: one that is not open here was cancelled meanwhile.
 *
 * A resolver that dies is back in a moment, so questions wait for it, each within its own deadline; but one that was open
 * when two of them died may be the reason, and is not asked again.
 */
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/ipc.h"
#include "lib/pack.h"
#include "mx/dns_face.h"

#define GRACE_MS	1000	/* the resolver keeps the deadline; this is for a resolver that hangs */
#define DEATHS_MAX	2

struct client {
	struct dns	 dns;
	struct ipc	*ipc;		/* where new questions go; NULL: away */
	struct remote	*open;		/* by id */
	uint64_t	 last_id;
};

struct remote {				/* a question of which the resolver knows */
	struct dns_question	 q;
	uint64_t		 id;	/* 0: never asked, for the name is none */
	struct ipc		*ipc;	/* of the resolver that was asked; NULL: waits for one */
	unsigned		 deaths;
	int64_t			 until_ms;
	char			*name;	/* while it is open */
	UT_hash_handle		 hh;
};

static void
remote_send(struct client *c, struct remote *r)
{
	int64_t left = r->until_ms - clock_ms();
	struct pack p;

	r->ipc = c->ipc;
	pack_init(&p);
	pack_u16(&p, (uint16_t)r->q.answer.type);
	pack_u32(&p, left > 0 ? (uint32_t)left : 1);
	pack_str(&p, r->name);
	ipc_send_pack(c->ipc, MSG_DNS_ASK, r->id, &p, -1);
	pack_free(&p);
	dns_question_expect(&r->q, DNS_WHY_TIMED_OUT);
	timer_start(&r->q.timer, left + GRACE_MS);
}

/* Its own timer ends the wait. */
static void
remote_wait(struct remote *r)
{
	int64_t left = r->until_ms - clock_ms();

	r->ipc = NULL;
	dns_question_expect(&r->q, DNS_WHY_AWAY);
	timer_start(&r->q.timer, left);
}

static void
client_ask(struct dns_question *q, const char *name, uint32_t deadline_ms)
{
	struct client *c = (struct client *)q->dns;
	struct remote *r = (struct remote *)q;

	r->id = ++c->last_id;
	r->until_ms = clock_ms() + deadline_ms;
	r->name = alloc_text(name);
	HASH_ADD(hh, c->open, id, sizeof(r->id), r);
	if (c->ipc != NULL)
		remote_send(c, r);
	else
		remote_wait(r);
}

static void
remote_close(struct client *c, struct remote *r)
{
	HASH_DEL(c->open, r);
	r->id = 0;
	free(r->name);
	r->name = NULL;
}

static void
client_forget(struct dns_question *q)
{
	struct client *c = (struct client *)q->dns;
	struct remote *r = (struct remote *)q;

	if (r->id == 0)
		return;
	if (r->ipc != NULL)
		ipc_send(r->ipc, MSG_DNS_CANCEL, r->id, NULL, 0, -1);
	remote_close(c, r);
}

static void
client_free(struct dns *dns)
{
	free(dns);
}

static const struct dns_face client_face = {
	.question_size = sizeof(struct remote),
	.ask = client_ask,
	.forget = client_forget,
	.free = client_free,
};

struct dns *
dns_new_client(struct event_base *base)
{
	struct client *c = alloc_new(1, sizeof(*c));

	(void)base;			/* its timers are lib/clock's */
	dns_face_init(&c->dns, &client_face);
	return &c->dns;
}

void
dns_set_ipc(struct dns *dns, struct ipc *ipc)
{
	struct client *c = (struct client *)dns;

	c->ipc = ipc;
	for (struct remote *r = c->open; r != NULL && ipc != NULL; r = r->hh.next)
		if (r->ipc == NULL)
			remote_send(c, r);
}

void
dns_ipc_down(struct dns *dns, struct ipc *gone, struct ipc *next)
{
	struct client *c = (struct client *)dns;
	struct remote *r, *after;

	c->ipc = next;
	HASH_ITER(hh, c->open, r, after) {
		if (r->ipc != gone)
			continue;
		if (++r->deaths == DEATHS_MAX) {
			remote_close(c, r);
			dns_question_fail_later(&r->q, DNS_TEMPORARY, DNS_WHY_AWAY);
		} else if (next != NULL) {
			remote_send(c, r);
		} else {
			remote_wait(r);
		}
	}
}

int
dns_on_answer(struct dns *dns, struct ipc *ipc, struct ipc_message *message)
{
	struct client *c = (struct client *)dns;
	struct dns_answer answer;
	struct remote *r = NULL;
	struct unpack u;

	unpack_init(&u, message->data, message->len);
	if (dns_unpack_answer(&u, &answer) == -1)
		return ipc_fail(ipc, "an answer that cannot be read");
	HASH_FIND(hh, c->open, &message->id, sizeof(message->id), r);
	if (!unpack_end(&u) || (r != NULL && (r->ipc != ipc || r->q.answer.type != answer.type))) {
		dns_free_answer(&answer);
		return ipc_fail(ipc, "an answer to another question");
	}
	if (r != NULL) {
		remote_close(c, r);
		dns_question_finish(&r->q, &answer);
	}
	dns_free_answer(&answer);
	return 0;
}
