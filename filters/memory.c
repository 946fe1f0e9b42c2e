/*
 * What both faces of filters/memory.h do alike: a query leads to one callback, from the loop; and the face with a table of its
 * own. The one through lookup is memory_client.c.
 */
#include "filters/memory.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/memory_core.h"
#include "filters/memory_face.h"
#include "lib/alloc.h"

void
memory_face_init(struct memory *m, const struct memory_face *face)
{
	m->face = face;
	TAILQ_INIT(&m->queries);
}

void
memory_free(struct memory *m)
{
	if (m != NULL)
		m->face->free(m);
}

/* ---- queries ---- */

static void
query_free(struct memory_query *q)
{
	timer_stop(&q->timer);
	TAILQ_REMOVE(&q->memory->queries, q, link);
	free(q);
}

static void
on_timer(void *arg)
{
	struct memory_query *q = arg;
	struct memory_answer answer = q->answer;

	q->memory->face->forget(q);
	memory_query_finish(q, &answer);
}

struct memory_query *
memory_ask(struct memory *m, const struct memory_question *question, memory_done_fn *done, void *arg)
{
	struct memory_query *q = alloc_new(1, m->face->query_size);

	q->memory = m;
	q->done = done;
	q->arg = arg;
	q->answer.failed = true;
	timer_set(&q->timer, on_timer, q);
	TAILQ_INSERT_TAIL(&m->queries, q, link);
	m->face->ask(q, question);
	return q;
}

void
memory_cancel(struct memory_query *q)
{
	if (q == NULL)
		return;
	q->memory->face->forget(q);
	query_free(q);
}

void
memory_query_expect(struct memory_query *q, const struct memory_answer *answer, uint32_t after_ms)
{
	q->answer = *answer;
	timer_start(&q->timer, after_ms);
}

void
memory_query_finish(struct memory_query *q, const struct memory_answer *answer)
{
	memory_done_fn *done = q->done;
	void *arg = q->arg;

	query_free(q);
	done(arg, answer);
}

void
memory_tell(struct memory *m, const struct memory_question *question)
{
	m->face->tell(m, question);
}

/* ---- notes ---- */

char *
memory_client_key(char *to, const struct reverse_address *address)
{
	char text[INET6_ADDRSTRLEN] = "?";
	uint8_t bytes[16] = { 0 };

	if (address->len == 4) {
		inet_ntop(AF_INET, address->bytes, text, sizeof(text));
		snprintf(to, MEMORY_KEY_MAX, "%s", text);
	} else {
		memcpy(bytes, address->bytes, 8);
		inet_ntop(AF_INET6, bytes, text, sizeof(text));
		snprintf(to, MEMORY_KEY_MAX, "%s/64", text);
	}
	return to;
}

void
memory_note(struct memory *m, const struct reverse_address *client, enum memory_note note)
{
	char key[MEMORY_KEY_MAX];

	if (m != NULL && client->len != 0)
		memory_tell(m, &(struct memory_question){ .op = MEMORY_NOTE, .key = memory_client_key(key, client), .other = "",
		    .note = note });
}

void
memory_wrote(struct memory *m, const char *sender, const char *recipient)
{
	if (m != NULL && recipient[0] != '\0')
		memory_tell(m, &(struct memory_question){ .op = MEMORY_WROTE, .key = sender, .other = recipient });
}

/* ---- a table of its own ---- */

struct local {
	struct memory		 memory;
	struct memory_core	*core;
};

static void
local_ask(struct memory_query *q, const struct memory_question *question)
{
	struct local *l = (struct local *)q->memory;
	struct memory_answer answer;

	memory_core_ask(l->core, question, clock_wall(), &answer);
	memory_query_expect(q, &answer, 0);
}

static void
local_forget(struct memory_query *q)
{
	(void)q;
}

static void
local_tell(struct memory *m, const struct memory_question *question)
{
	struct memory_answer answer;

	memory_core_ask(((struct local *)m)->core, question, clock_wall(), &answer);
}

static void
local_free(struct memory *m)
{
	free(m);
}

static const struct memory_face local_face = {
	.query_size = sizeof(struct memory_query),
	.ask = local_ask,
	.forget = local_forget,
	.tell = local_tell,
	.free = local_free,
};

struct memory *
memory_new_local(struct memory_core *core)
{
	struct local *l = alloc_new(1, sizeof(*l));

	memory_face_init(&l->memory, &local_face);
	l->core = core;
	return &l->memory;
}
