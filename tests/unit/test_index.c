/*
 * What the log's index keeps of a message: a single recipient in the message's own record, several beside it, and back; the
 * records that say something of it are held while they do, and no longer. Sizes are what a million messages cost. That the
 * states are right whatever comes in which order, test_spool_model.c finds out.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "queue/index.h"
#include "tests/unit/run.h"

#define ID(n)	((UINT64_C(1) << 25) + (n))
#define MANY	3000U

static struct envelope_rcpt rcpts[MANY];

static void
start(struct index *ix)
{
	index_init(ix);
	for (uint32_t number = 1; number <= 3; number++)
		index_segment_add(ix, &(struct segment_header){ .number = number, .size = 1 << 20, .prior = number - 1 });
}

static struct message *
accepted(struct index *ix, uint64_t id, uint32_t n)
{
	struct message *m = index_add(ix, &(struct record){ .kind = RECORD_ACCEPT, .id = id, .n_added = n, .added = rcpts });

	ck_assert_ptr_nonnull(m);
	index_placed_base(ix, m, (struct place){ 1, 4096, 100 });
	return m;
}

/* A record of `kind` about recipients first to first + n - 1, not placed yet. */
static struct change
said(struct message *m, enum record_kind kind, uint32_t first, uint32_t n, enum log_state state, uint32_t added)
{
	struct log_outcome *o = alloc_new(n, sizeof(*o));
	struct record r = { .kind = kind, .id = m->id, .n_outcomes = n, .outcomes = o, .first = m->n_rcpts, .n_added = added,
	    .added = rcpts };
	struct change c;

	for (uint32_t i = 0; i < n; i++)
		o[i] = (struct log_outcome){ .index = first + i, .state = state, .attempts = 7, .next_try = 1790000000 };
	index_change(m, &r, &c);
	free(o);
	return c;
}

static void
placed(struct index *ix, struct change *c, uint32_t segment)
{
	index_placed(ix, c, (struct place){ segment, 8192, 10 }, 1);
}

static void
end(struct index *ix, struct message *m)
{
	struct change c;

	index_end(ix, m, &c);
	placed(ix, &c, 3);
}

static uint32_t
live(const struct index *ix)
{
	return index_segment(ix, 1)->live + index_segment(ix, 2)->live;
}

START_TEST(costs_what_it_should)
{
	ck_assert_uint_le(sizeof(struct message), 72);
	ck_assert_uint_le(sizeof(struct index_rcpt), 8);
	ck_assert_uint_le(sizeof(struct index_slot), 16);
}
END_TEST

/* However often it was tried, nothing of it stands outside of its record, and only the last word is held. */
START_TEST(one_recipient_stays_inside)
{
	struct index ix;
	struct message *m;
	struct change c;

	start(&ix);
	m = accepted(&ix, ID(1), 1);
	for (uint32_t i = 0; i < 5; i++) {
		c = said(m, RECORD_OUTCOME, 0, 1, LOG_OPEN, 0);
		ck_assert_uint_eq(m->pending, 1);
		placed(&ix, &c, 2);
		ck_assert(!m->many_slots);
		ck_assert_uint_eq(m->slots.one.at.segment, 2);
		ck_assert_uint_eq(m->n_open, 1);
		ck_assert_uint_eq(index_rcpt(m, 0)->changes, i + 1);
		ck_assert_uint_eq(live(&ix), 2);
	}
	c = said(m, RECORD_OUTCOME, 0, 1, LOG_DELIVERED, 0);
	placed(&ix, &c, 3);
	ck_assert_uint_eq(m->n_open, 0);
	ck_assert_uint_eq(live(&ix), 1);
	end(&ix, m);
	ck_assert_uint_eq(live(&ix), 0);
	ck_assert_ptr_null(index_find(&ix, ID(1)));
	index_free(&ix);
}
END_TEST

/* Two changes under way, durable in their order: the first one's place is let go when the second takes it over. */
START_TEST(two_under_way)
{
	struct index ix;
	struct message *m;
	struct change a, b;

	start(&ix);
	m = accepted(&ix, ID(1), 1);
	a = said(m, RECORD_OUTCOME, 0, 1, LOG_OPEN, 0);
	b = said(m, RECORD_OUTCOME, 0, 1, LOG_HELD, 0);
	ck_assert(m->many_slots);
	placed(&ix, &a, 1);
	ck_assert_uint_eq(index_segment(&ix, 1)->live, 2);
	placed(&ix, &b, 2);
	ck_assert_uint_eq(index_segment(&ix, 1)->live, 1);
	ck_assert_uint_eq(index_segment(&ix, 2)->live, 1);
	ck_assert(!m->many_slots);
	ck_assert_uint_eq(m->slots.one.at.segment, 2);
	ck_assert_uint_eq(index_rcpt(m, 0)->state, LOG_HELD);
	ck_assert_uint_eq(index_rcpt(m, 0)->slot, 0);
	index_free(&ix);
}
END_TEST

/* Many recipients, settled by and by until one is left, who is found wherever he stands. */
START_TEST(many_become_one)
{
	struct index ix;
	struct message *m;
	struct change c;
	uint32_t last = (uint32_t)_i % MANY;

	start(&ix);
	m = accepted(&ix, ID(1), MANY - 10);
	c = said(m, RECORD_EXPAND, 0, 0, LOG_OPEN, 10);
	placed(&ix, &c, 2);
	ck_assert_uint_eq(m->n_open, MANY);
	for (uint32_t i = 0; i < MANY; i += 100) {
		c = said(m, RECORD_OUTCOME, i, 100, LOG_OPEN, 0);
		placed(&ix, &c, 2);
	}
	ck_assert_uint_eq(live(&ix), 2 + MANY / 100);
	for (uint32_t i = 0; i < MANY; i++) {
		if (i == last)
			continue;
		c = said(m, RECORD_OUTCOME, i, 1, LOG_DELIVERED, 0);
		placed(&ix, &c, 3);
	}
	ck_assert_uint_eq(m->n_open, 1);
	ck_assert_uint_eq(index_rcpt(m, last)->index, last);
	ck_assert_ptr_eq(index_rcpt(m, last), &m->open.one);
	ck_assert_ptr_null(index_rcpt(m, last + 1));
	ck_assert_uint_eq(live(&ix), 3);		/* base, who was added, the last one's last word */
	end(&ix, m);
	ck_assert_uint_eq(live(&ix), 0);
	index_free(&ix);
}
END_TEST

/* What cannot be believed is cut to what there is room for, and does not become something else. */
START_TEST(odd_numbers)
{
	struct log_outcome o = { .state = LOG_HELD };
	struct record r = { .kind = RECORD_ACCEPT, .id = ID(1), .arrived = INT64_MAX, .size = UINT64_MAX, .n_added = 1, .added = rcpts,
	    .n_outcomes = 1, .outcomes = &o, .sender.flags = ENVELOPE_LATER };
	struct index ix;
	struct message *m;

	start(&ix);
	m = index_add(&ix, &r);
	ck_assert_int_gt(m->arrived, INT64_C(1) << 38);
	ck_assert_uint_eq(m->size, INDEX_SIZE_MOST);
	ck_assert_uint_eq(m->flags, ENVELOPE_LATER);
	ck_assert_uint_eq(index_rcpt(m, 0)->state, LOG_HELD);
	ck_assert_ptr_null(index_add(&ix, &r));
	index_forget(&ix, m);
	ck_assert_ptr_null(index_find(&ix, ID(1)));
	index_free(&ix);
}
END_TEST

/* A queue that drained and fills again takes no more than before. */
START_TEST(places_are_used_again)
{
	struct index ix;
	uint32_t blocks = 0;

	start(&ix);
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 5000; i++)
			accepted(&ix, ID(round * 5000 + i), 1 + i % 2);
		ck_assert_uint_eq(ix.n_messages, 5000);
		ck_assert(round == 0 || ix.messages.slab.n_blocks == blocks);
		blocks = ix.messages.slab.n_blocks;
		for (uint64_t i = 0; i < 5000; i++)
			end(&ix, index_find(&ix, ID(round * 5000 + i)));
		ck_assert_uint_eq(ix.n_messages, 0);
	}
	index_free(&ix);
}
END_TEST

/* What a start found joins what came in meanwhile; who holds a message of either goes on holding it. One that is ending is not found. */
START_TEST(two_become_one)
{
	struct index running, found;
	struct message *mine, *theirs, *ending, *m;
	struct change c;
	uint32_t at = 0, walked = 0;

	index_init(&running);
	index_segment_add(&running, &(struct segment_header){ .number = 4, .size = 1 << 20, .prior = 3 });
	start(&found);
	for (uint64_t i = 0; i < 3000; i++)
		theirs = accepted(&found, ID(i), 2);
	mine = index_add(&running, &(struct record){ .kind = RECORD_ACCEPT, .id = ID(9000), .n_added = 1, .added = rcpts });
	ending = index_add(&running, &(struct record){ .kind = RECORD_ACCEPT, .id = ID(9001), .n_added = 3, .added = rcpts });
	index_end(&running, ending, &c);
	index_merge(&running, &found);
	ck_assert_ptr_eq(index_find(&running, ID(9000)), mine);
	ck_assert_ptr_eq(index_find(&running, ID(2999)), theirs);
	ck_assert_ptr_null(index_find(&running, ID(9001)));
	while ((m = index_next(&running, &at)) != NULL)
		walked += m != ending;
	ck_assert_uint_eq(walked, 3001);
	ck_assert_uint_eq(running.n_messages, 3001);
	ck_assert_uint_eq(running.n_segments, 4);
	placed(&running, &c, 4);
	index_placed_base(&running, mine, (struct place){ 4, 4096, 10 });
	ck_assert_uint_eq(index_segment(&running, 4)->live, 1);
	index_free(&running);
	index_free(&found);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("index");

	tcase_add_test(t, costs_what_it_should);
	tcase_add_test(t, one_recipient_stays_inside);
	tcase_add_test(t, two_under_way);
	tcase_add_loop_test(t, many_become_one, 0, 1);
	tcase_add_loop_test(t, many_become_one, 1500, 1501);
	tcase_add_loop_test(t, many_become_one, MANY - 1, MANY);
	tcase_add_test(t, odd_numbers);
	tcase_add_test(t, places_are_used_again);
	tcase_add_test(t, two_become_one);
	return run_case("index", t);
}
