/*
 * The table of records by id against a plain array, over random additions and removals of ids that lie close together,
 * several records of one id among them; and two tables that become one.
 */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

#include "queue/idmap.h"
#include "tests/unit/run.h"

#define IDS	500
#define STEPS	4000

struct thing {
	uint64_t	id;
	uint32_t	link, value;
};

struct world {
	struct idmap	 map;
	struct thing	*things[2 * IDS];	/* value is the place here; two for each id */
	size_t		 n;
	unsigned	 shift;
};

static uint64_t
id_of(const struct world *w, uint32_t value)
{
	return (uint64_t)(value / 2 + 1) << w->shift;
}

static void
put(struct world *w, uint32_t value)
{
	w->things[value] = idmap_add(&w->map, id_of(w, value));
	ck_assert_uint_eq(w->things[value]->value, 0);
	w->things[value]->value = value;
	w->n++;
}

static void
take_out(struct world *w, uint32_t value)
{
	idmap_remove(&w->map, w->things[value]);
	w->things[value] = NULL;
	w->n--;
}

/* All of one id are found, each once. */
static void
check_id(const struct world *w, uint32_t value)
{
	bool found[2] = { false, false };
	const struct thing *t;

	for (t = idmap_get(&w->map, id_of(w, value)); t != NULL; t = idmap_again(&w->map, t)) {
		ck_assert_ptr_eq(t, w->things[t->value]);
		ck_assert_uint_eq(t->value / 2, value / 2);
		ck_assert(!found[t->value % 2]);
		found[t->value % 2] = true;
		ck_assert_ptr_eq(slab_at(&w->map.slab, idmap_number(&w->map, t)), t);
	}
	for (uint32_t i = 0; i < 2; i++)
		ck_assert(found[i] == (w->things[value / 2 * 2 + i] != NULL));
}

static void
check_walk(const struct world *w)
{
	bool found[2 * IDS] = { false };
	const struct thing *t;
	size_t walked = 0;
	uint32_t at = 0;

	for (; (t = idmap_next(&w->map, &at)) != NULL; walked++) {
		ck_assert_ptr_eq(t, w->things[t->value]);
		ck_assert(!found[t->value]);
		found[t->value] = true;
	}
	ck_assert_uint_eq(walked, w->n);
	ck_assert_uint_eq(w->map.used, w->n);
}

START_TEST(like_an_array)
{
	static struct world w;
	unsigned chance = (unsigned)_i + 1, value;

	w = (struct world){ .shift = 4 * (unsigned)_i };
	idmap_init(&w.map, sizeof(struct thing));
	for (int step = 0; step < STEPS; step++) {
		chance = chance * 1103515245U + 12345U;
		value = (chance >> 8) % (2 * IDS);
		/* Long times of growing and of shrinking, so that lists are split and joined. */
		if ((chance >> 24) % 4 < (step / 1000 % 2 ? 1U : 3U)) {
			if (w.things[value] == NULL)
				put(&w, value);
		} else if (w.things[value] != NULL) {
			take_out(&w, value);
		}
		check_id(&w, value);
		check_id(&w, (chance >> 4) % (2 * IDS));
		if (step % 1000 == 0)
			check_walk(&w);
	}
	idmap_free(&w.map);
	ck_assert_ptr_null(idmap_get(&w.map, 1));
	idmap_free(&w.map);
}
END_TEST

/* The lists stay short while it grows, whatever the ids have in common. */
START_TEST(lists_are_short)
{
	struct idmap m;
	size_t long_ones = 0;

	idmap_init(&m, sizeof(struct thing));
	for (uint64_t id = 1; id <= 30000; id++)
		idmap_add(&m, id << 4 * _i);
	for (uint32_t i = 0; i < m.n_lists; i++) {
		uint32_t n = 0;

		for (uint32_t at = m.lists[i]; at != 0; at = ((const struct thing *)slab_at(&m.slab, at))->link)
			n++;
		long_ones += n > 12;
	}
	ck_assert_uint_lt(long_ones, 100);
	idmap_free(&m);
}
END_TEST

START_TEST(two_become_one)
{
	static struct world w;
	struct idmap from;

	w = (struct world){ .shift = 25 };
	idmap_init(&w.map, sizeof(struct thing));
	for (uint32_t value = 0; value < (unsigned)_i * 100; value++)
		put(&w, value);
	from = w.map;
	idmap_init(&w.map, sizeof(struct thing));
	for (uint32_t value = (unsigned)_i * 100; value < 2 * IDS; value++)
		put(&w, value);
	idmap_merge(&w.map, &from);
	ck_assert_uint_eq(from.used, 0);
	check_walk(&w);
	for (uint32_t value = 0; value < 2 * IDS; value++)
		check_id(&w, value);
	for (uint32_t value = 0; value < 2 * IDS; value++)
		take_out(&w, value);
	check_walk(&w);
	idmap_free(&w.map);
	idmap_free(&from);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("idmap");

	tcase_add_loop_test(t, like_an_array, 0, 10);
	tcase_add_loop_test(t, lists_are_short, 0, 10);
	tcase_add_loop_test(t, two_become_one, 0, 10);
	return run_case("idmap", t);
}
