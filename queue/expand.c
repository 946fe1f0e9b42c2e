/*
 * Questions to lookup and their answers, which may come in several messages (queue/expand.h). Decides how
 * long to wait and how much to believe; what an answer means for a message is decided in
 * queue/expansion.c.
 */
#include "queue/expand.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/pack.h"

#define ANSWER_MS	30000
#define TARGETS_MAX	100000	/* of one recipient */
#define TEXT_MAX	1024

struct question {
	UT_hash_handle		 hh;
	uint64_t		 id;
	struct expand		*expand;
	struct ipc		*lookup;
	struct timer		 deadline;
	expand_fn		*done;
	void			*arg;
	struct envelope_rcpt	*targets;
	uint32_t		 n, room;
};

struct expand {
	struct question	*questions;
	uint64_t	 last_id;
};

static void
free_question(struct question *q)
{
	timer_stop(&q->deadline);
	HASH_DEL(q->expand->questions, q);
	for (uint32_t i = 0; i < q->n; i++)
		envelope_free_rcpt(&q->targets[i]);
	free(q->targets);
	free(q);
}

static void
answer(struct question *q, enum expand_verdict verdict, bool away, const char *text, const char *owner)
{
	struct expand_answer a = { .verdict = verdict, .away = away, .targets = q->targets, .n = q->n, .text = text,
	    .owner = owner };

	q->done(q->arg, &a);
	if (a.targets == NULL) {
		q->targets = NULL;
		q->n = 0;
	}
	free_question(q);
}

static void
on_deadline(void *arg)
{
	answer(arg, EXPAND_TEMPORARY, true, "lookup does not answer", "");
}

void
expand_ask(struct expand *e, struct ipc *lookup, const char *address, const char *sender, expand_fn *done, void *arg)
{
	struct question *q = alloc_new(1, sizeof(*q));
	struct pack p;

	q->id = ++e->last_id;
	q->expand = e;
	q->lookup = lookup;
	q->done = done;
	q->arg = arg;
	HASH_ADD(hh, e->questions, id, sizeof(q->id), q);
	timer_set(&q->deadline, on_deadline, q);
	timer_start(&q->deadline, ANSWER_MS);
	pack_init(&p);
	pack_str(&p, address);
	pack_str(&p, sender);
	ipc_send_pack(lookup, MSG_EXPAND_ASK, q->id, &p, -1);
	pack_free(&p);
}

static void
add_target(struct question *q, char *address, enum target_kind kind, uint64_t id)
{
	static const enum envelope_part parts[] = { [TARGET_MAILBOX] = ENVELOPE_WHOLE, [TARGET_REMOTE] = ENVELOPE_WHOLE,
	    [TARGET_OWN_MAILBOX] = ENVELOPE_MAILBOX, [TARGET_COMMAND] = ENVELOPE_ALIAS_COMMAND, [TARGET_FILE] = ENVELOPE_ALIAS_FILE };
	bool local = kind != TARGET_REMOTE;

	if (q->n == q->room) {
		q->room = q->room == 0 ? 4 : q->room * 2;
		q->targets = alloc_resize(q->targets, q->room, sizeof(*q->targets));
	}
	q->targets[q->n++] = (struct envelope_rcpt){ .address = address, .local = local, .final = local, .forwarded = !local,
	    .part = parts[kind], .part_id = id };
}

/* lookup reads files that people write: what it makes of them is canonical, but may be long. */
static bool
is_address(const char *s)
{
	size_t len = strlen(s);

	for (const char *c = s; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	return len > 0 && len < ADDRESS_MAX;
}

static bool
take_targets(struct question *q, struct unpack *u, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned kind = unpack_u8(u);
		char *address = unpack_str(u);
		uint64_t id = unpack_u64(u);

		if (!unpack_ok(u) || kind > TARGET_FILE || !is_address(address)) {
			free(address);
			return false;
		}
		add_target(q, address, (enum target_kind)kind, id);
	}
	return true;
}

int
expand_on_answer(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct expand *e = ((struct queue *)arg)->expand;
	struct question *q;
	struct unpack u;
	unsigned verdict, more;
	char text[TEXT_MAX], owner[ADDRESS_MAX];

	HASH_FIND(hh, e->questions, &m->id, sizeof(m->id), q);
	if (q == NULL && m->id > 0 && m->id <= e->last_id)
		return 0;		/* too late */
	if (q == NULL || q->lookup != ipc)
		return ipc_fail(ipc, "an answer to question %" PRIu64 ", which was not asked", m->id);
	unpack_init(&u, m->data, m->len);
	verdict = unpack_u8(&u);
	more = unpack_u8(&u);
	if (!take_targets(q, &u, unpack_u16(&u)))
		return ipc_fail(ipc, "an answer with a malformed target");
	unpack_str_to(&u, text, sizeof(text));
	unpack_str_to(&u, owner, sizeof(owner));
	if (!unpack_end(&u) || verdict > EXPAND_ERROR || (owner[0] != '\0' && !is_address(owner)))
		return ipc_fail(ipc, "a malformed answer");
	if (q->n > TARGETS_MAX)
		answer(q, EXPAND_ERROR, false, "expands to too many recipients", "");
	else if (more == 0)
		answer(q, (enum expand_verdict)verdict, false, text, owner);
	return 0;
}

void
expand_peer_down(struct expand *e, struct ipc *ipc)
{
	struct question *q, *tmp;

	HASH_ITER(hh, e->questions, q, tmp)
		if (q->lookup == ipc)
			answer(q, EXPAND_TEMPORARY, true, "lookup is being restarted", "");
}

struct expand *
expand_new(void)
{
	return alloc_new(1, sizeof(struct expand));
}

void
expand_free(struct expand *e)
{
	struct question *q, *tmp;

	if (e == NULL)
		return;
	HASH_ITER(hh, e->questions, q, tmp)
		free_question(q);
	free(e);
}
