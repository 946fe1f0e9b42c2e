/*
 * lib/utf8.c: the first and last character of each length, and what only looks like one.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"
#include "tests/unit/run.h"

static const struct {
	const char	*text;
	size_t		 n;
	uint32_t	 value;
} rows[] = {
	{ "\xc2\xa0", 2, 0xa0 },
	{ "\xdf\xbf", 2, 0x7ff },
	{ "\xe0\xa0\x80", 3, 0x800 },
	{ "\xed\x9f\xbf", 3, 0xd7ff },
	{ "\xee\x80\x80", 3, 0xe000 },
	{ "\xef\xbf\xbf", 3, 0xffff },
	{ "\xf0\x90\x80\x80", 4, 0x10000 },
	{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
	{ "", 0, 0 },
	{ "a", 0, 0 },
	{ "\x80", 0, 0 },
	{ "\xc2\x80", 0, 0 },			/* C1 controls */
	{ "\xc2\x9f", 0, 0 },
	{ "\xc0\xaf", 0, 0 },			/* overlong */
	{ "\xc1\xbf", 0, 0 },
	{ "\xe0\x9f\xbf", 0, 0 },
	{ "\xf0\x8f\xbf\xbf", 0, 0 },
	{ "\xed\xa0\x80", 0, 0 },		/* surrogates */
	{ "\xed\xbf\xbf", 0, 0 },
	{ "\xf4\x90\x80\x80", 0, 0 },		/* too high */
	{ "\xf8\x88\x80\x80\x80", 0, 0 },
	{ "\xff", 0, 0 },
	{ "\xc3", 0, 0 },			/* cut short */
	{ "\xc3" "a", 0, 0 },
	{ "\xe2\x82", 0, 0 },
	{ "\xe2\x82" "a", 0, 0 },
	{ "\xf0\x9f\x98", 0, 0 },
};

/* All of it behind nothing else, so that a sanitizer sees a byte too many; and in a string. */
START_TEST(characters)
{
	size_t len = strlen(rows[_i].text);
	char *alone = malloc(len > 0 ? len : 1);
	uint32_t value = 0;

	ck_assert_ptr_nonnull(alone);
	memcpy(alone, rows[_i].text, len);
	ck_assert_uint_eq(utf8_take(alone, len, &value), rows[_i].n);
	ck_assert_uint_eq(value, rows[_i].value);
	ck_assert_uint_eq(utf8_take(rows[_i].text, SIZE_MAX, NULL), rows[_i].n);
	for (size_t shorter = 0; shorter < rows[_i].n; shorter++)
		ck_assert_uint_eq(utf8_take(alone, shorter, NULL), 0);
	free(alone);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("utf8");

	tcase_add_loop_test(t, characters, 0, sizeof(rows) / sizeof(rows[0]));
	return run_case("utf8", t);
}
