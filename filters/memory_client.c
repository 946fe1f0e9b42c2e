/*
 * The face of filters/memory.h for smtpd: questions travel to lookup as MEMORY_ASK, answers come back as MEMORY. Nobody waits
 * for a lookup that is away, for what it would say may be lost: the answer is then "failed", at once.
 */
#include <stdlib.h>

#include "filters/memory_face.h"
#include "filters/memory_pack.h"
#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/ipc.h"
#include "lib/pack.h"

#define PENDING_MAX	(4U * 1024 * 1024)	/* bytes that a lookup has not read: then notes are dropped, questions fail */

struct client {
	struct memory	 memory;
	struct ipc	*ipc;		/* where new questions go; NULL: away */
	struct remote	*open;		/* by id */
	uint64_t	 last_id;
};

struct remote {				/* a query that lookup knows */
	struct memory_query	 q;
	uint64_t		 id;	/* 0: was not sent */
	bool			 is_call;
	struct ipc		*ipc;
	UT_hash_handle		 hh;
};

static bool
send_question(struct client *c, enum msg type, uint64_t id, const struct memory_question *question)
{
	struct pack p;

	if (c->ipc == NULL || ipc_pending(c->ipc) > PENDING_MAX)
		return false;
	pack_init(&p);
	if (type == MSG_CALLBACK_ASK)
		pack_str(&p, question->key);
	else
		memory_pack_question(&p, question);
	ipc_send_pack(c->ipc, type, id, &p, -1);
	pack_free(&p);
	return true;
}

static void
client_ask(struct memory_query *q, const struct memory_question *question)
{
	static const struct memory_answer failed = { .failed = true };
	struct client *c = (struct client *)q->memory;
	struct remote *r = (struct remote *)q;

	r->is_call = question->op == MEMORY_CALLBACK;
	if (!send_question(c, r->is_call ? MSG_CALLBACK_ASK : MSG_MEMORY_ASK, c->last_id + 1, question)) {
		memory_query_expect(q, &failed, 0);
		return;
	}
	r->id = ++c->last_id;
	r->ipc = c->ipc;
	HASH_ADD(hh, c->open, id, sizeof(r->id), r);
	memory_query_expect(q, &failed, r->is_call ? MEMORY_CALLBACK_MS : MEMORY_DEADLINE_MS);
}

static void
client_forget(struct memory_query *q)
{
	struct client *c = (struct client *)q->memory;
	struct remote *r = (struct remote *)q;

	if (r->id != 0)
		HASH_DEL(c->open, r);
	r->id = 0;
}

static void
client_tell(struct memory *m, const struct memory_question *question)
{
	send_question((struct client *)m, MSG_MEMORY_NOTE, 0, question);
}

static void
client_free(struct memory *m)
{
	free(m);
}

static const struct memory_face client_face = {
	.query_size = sizeof(struct remote),
	.ask = client_ask,
	.forget = client_forget,
	.tell = client_tell,
	.free = client_free,
};

struct memory *
memory_new_client(void)
{
	struct client *c = alloc_new(1, sizeof(*c));

	memory_face_init(&c->memory, &client_face);
	return &c->memory;
}

void
memory_set_ipc(struct memory *m, struct ipc *ipc)
{
	((struct client *)m)->ipc = ipc;
}

void
memory_ipc_down(struct memory *m, struct ipc *gone, struct ipc *next)
{
	static const struct memory_answer failed = { .failed = true };
	struct client *c = (struct client *)m;
	struct remote *r, *after;

	c->ipc = next;
	HASH_ITER(hh, c->open, r, after) {
		if (r->ipc != gone)
			continue;
		client_forget(&r->q);
		memory_query_expect(&r->q, &failed, 0);
	}
}

static int
take_answer(struct client *c, struct ipc *ipc, uint64_t id, bool is_call, const struct memory_answer *answer)
{
	struct remote *r = NULL;

	HASH_FIND(hh, c->open, &id, sizeof(id), r);
	if (r == NULL)			/* nobody waits any more */
		return 0;
	if (r->ipc != ipc || r->is_call != is_call)
		return ipc_fail(ipc, "an answer to another question");
	client_forget(&r->q);
	memory_query_finish(&r->q, answer);
	return 0;
}

int
memory_on_answer(struct memory *m, struct ipc *ipc, struct ipc_message *message)
{
	struct memory_answer answer;
	struct unpack u;

	unpack_init(&u, message->data, message->len);
	if (memory_unpack_answer(&u, &answer) != 0)
		return ipc_fail(ipc, "an answer of memory that cannot be read");
	return take_answer((struct client *)m, ipc, message->id, false, &answer);
}

int
memory_on_callback(struct memory *m, struct ipc *ipc, struct ipc_message *message)
{
	struct memory_answer answer = { 0 };
	struct unpack u;
	uint8_t said;

	unpack_init(&u, message->data, message->len);
	said = unpack_u8(&u);
	unpack_str_to(&u, answer.why, sizeof(answer.why));
	if (!unpack_end(&u) || said > MEMORY_CALLBACK_ALL)
		return ipc_fail(ipc, "an answer of a callback that cannot be read");
	answer.callback = (enum memory_callback)said;
	return take_answer((struct client *)m, ipc, message->id, true, &answer);
}
