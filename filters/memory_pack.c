/*
 * Questions and answers of memory, field by field (filters/memory_pack.h).
 */
#include "filters/memory_pack.h"

#include <stdio.h>

#include "lib/pack.h"

enum { SAYS_PASSED = 1, SAYS_KNOWN = 2, SAYS_TRAPPED = 4 };

void
memory_pack_question(struct pack *p, const struct memory_question *q)
{
	struct memory_strings cut;

	snprintf(cut.key, sizeof(cut.key), "%s", q->key);
	snprintf(cut.other, sizeof(cut.other), "%s", q->other != NULL ? q->other : "");
	pack_u8(p, (uint8_t)q->op);
	pack_u8(p, (uint8_t)q->note);
	pack_u8(p, q->peek);
	pack_u32(p, q->wait_s);
	pack_u32(p, q->window_s);
	pack_u32(p, q->keep_s);
	pack_u32(p, q->passes);
	pack_str(p, cut.key);
	pack_str(p, cut.other);
}

int
memory_unpack_question(struct unpack *u, struct memory_question *q, struct memory_strings *s)
{
	uint8_t op = unpack_u8(u), note = unpack_u8(u), peek = unpack_u8(u);

	*q = (struct memory_question){ .op = (enum memory_op)op, .note = (enum memory_note)note, .peek = peek == 1 };
	q->wait_s = unpack_u32(u);
	q->window_s = unpack_u32(u);
	q->keep_s = unpack_u32(u);
	q->passes = unpack_u32(u);
	unpack_str_to(u, s->key, sizeof(s->key));
	unpack_str_to(u, s->other, sizeof(s->other));
	q->key = s->key;
	q->other = s->other;
	return unpack_end(u) && op < MEMORY_OPS && note <= MEMORY_TRAPPED && peek <= 1 ? 0 : -1;
}

void
memory_pack_answer(struct pack *p, const struct memory_answer *a)
{
	pack_u8(p, a->failed);
	pack_u8(p, (uint8_t)a->grey);
	pack_u8(p, a->written_to);
	pack_u8(p, (uint8_t)((a->standing.passed ? SAYS_PASSED : 0) | (a->standing.known ? SAYS_KNOWN : 0) |
	    (a->standing.trapped ? SAYS_TRAPPED : 0)));
	pack_u32(p, a->standing.good);
	pack_u32(p, a->standing.bad);
	pack_u32(p, a->count);
	pack_u32(p, a->left_s);
}

int
memory_unpack_answer(struct unpack *u, struct memory_answer *a)
{
	uint8_t failed = unpack_u8(u), grey = unpack_u8(u), written_to = unpack_u8(u), says = unpack_u8(u);

	*a = (struct memory_answer){ .failed = failed == 1, .grey = (enum memory_grey)grey, .written_to = written_to == 1 };
	a->standing.passed = (says & SAYS_PASSED) != 0;
	a->standing.known = (says & SAYS_KNOWN) != 0;
	a->standing.trapped = (says & SAYS_TRAPPED) != 0;
	a->standing.good = unpack_u32(u);
	a->standing.bad = unpack_u32(u);
	a->count = unpack_u32(u);
	a->left_s = unpack_u32(u);
	return unpack_end(u) && failed <= 1 && grey <= MEMORY_GREY_KNOWN && written_to <= 1 && says < 8 ? 0 : -1;
}
