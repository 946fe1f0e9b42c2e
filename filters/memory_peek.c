/*
 * A third face of filters/memory.h, for those who only try: what is asked of it is asked of another one without changing
 * anything there, and what it is told it forgets.
 */
#include <stdlib.h>

#include "filters/memory_face.h"
#include "lib/alloc.h"

struct peek {
	struct memory	 memory;
	struct memory	*behind;
};

struct look {
	struct memory_query	 q;
	struct memory_query	*behind;
};

static void
on_answer(void *arg, const struct memory_answer *answer)
{
	struct look *l = arg;

	l->behind = NULL;
	memory_query_finish(&l->q, answer);
}

static void
peek_ask(struct memory_query *q, const struct memory_question *question)
{
	struct look *l = (struct look *)q;
	struct memory_question same = *question;

	same.peek = true;
	l->behind = memory_ask(((struct peek *)q->memory)->behind, &same, on_answer, l);
	memory_query_expect(q, &(struct memory_answer){ .failed = true }, MEMORY_CALLBACK_MS + MEMORY_DEADLINE_MS);
}

static void
peek_forget(struct memory_query *q)
{
	memory_cancel(((struct look *)q)->behind);
}

static void
peek_tell(struct memory *m, const struct memory_question *question)
{
	(void)m;
	(void)question;
}

static void
peek_free(struct memory *m)
{
	free(m);
}

static const struct memory_face peek_face = {
	.query_size = sizeof(struct look),
	.ask = peek_ask,
	.forget = peek_forget,
	.tell = peek_tell,
	.free = peek_free,
};

struct memory *
memory_new_peek(struct memory *behind)
{
	struct peek *p = alloc_new(1, sizeof(*p));

	memory_face_init(&p->memory, &peek_face);
	p->behind = behind;
	return &p->memory;
}
