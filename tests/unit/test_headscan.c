/*
 * smtpd/headscan.c: where a header ends, and how many Received fields it has, in one piece and byte by byte.
 */
#include <check.h>
#include <string.h>

#include "smtpd/headscan.h"
#include "tests/unit/run.h"

static const struct {
	const char	*in;
	unsigned	 hops;
	bool		 over;
	size_t		 size;		/* 0: not looked at */
	size_t		 longest;	/* the same */
} rows[] = {
	{ "", 0, false, 0, 0 },
	{ "Received: a\r\nReceived: b\r\n\r\nReceived: body\r\n", 2, true, 27, 13 },
	{ "received: a\r\nRECEIVED : b\r\nReceived\t:c\r\n", 3, false, 0, 0 },
	{ "X-Received: a\r\nReceived-SPF: pass\r\nReceive: x\r\nReceivedd: x\r\n", 0, false, 0, 0 },
	{ "Subject: x\r\n Received: folded\r\nReceived: real\r\n", 1, false, 0, 0 },
	{ "just text\r\nReceived: not a header any more\r\n", 0, true, 0, 0 },
	{ "\r\nReceived: body\r\n", 0, true, 0, 0 },
	{ " Received: a fold without a field\r\nReceived: x\r\n", 0, true, 0, 0 },
	{ ": no name\r\nReceived: x\r\n", 0, true, 0, 0 },
	{ "caf\xc3\xa9: x\r\nReceived: x\r\n", 0, true, 0, 0 },
	{ "A: b\r\nno colon here\r\nReceived: x\r\n", 0, true, 0, 0 },
	{ "A:\r\nReceived:", 1, false, 13, 9 },
	{ "A: b\r\n c\r\n d\r\nBc: d\r\n\r\nbody: that is long, longer than any\r\n", 0, true, 22, 14 },
	{ "A: b\r\nBc: d\r\n\r\n", 0, true, 0, 7 },
};

static void
look(const char *in, size_t piece, struct headscan *h)
{
	size_t len = strlen(in), n;

	headscan_init(h);
	for (size_t at = 0; at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		headscan_take(h, (const uint8_t *)in + at, n);
	}
}

START_TEST(headers)
{
	for (size_t piece = 1; piece < 80; piece++) {
		struct headscan h;

		look(rows[_i].in, piece, &h);
		ck_assert_uint_eq(h.hops, rows[_i].hops);
		ck_assert_int_eq(headscan_over(&h), rows[_i].over);
		if (rows[_i].size != 0)
			ck_assert_uint_eq(h.size, rows[_i].size);
		if (rows[_i].longest != 0)
			ck_assert_uint_eq(h.longest, rows[_i].longest);
	}
}
END_TEST

/* Bytes above 0x7f count in the header's values only, wherever they stand. */
START_TEST(eight_bit)
{
	static const struct {
		const char	*in;
		bool		 eight_bit;
	} given[] = {
		{ "Subject: ascii\r\n\r\n\xc3\xb6\r\n", false },
		{ "Subject: \xc3\xbc\r\n\r\nbody\r\n", true },
		{ "Subject: a long one, and only its last letter is \xc3\xbc\r\n\r\n", true },
		{ "A: b\r\n \xc3\xbc folded\r\n\r\n", true },
		{ "no header \xc3\xbc\r\n", false },
	};
	struct headscan h;

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		for (size_t piece = 1; piece < 80; piece++) {
			look(given[i].in, piece, &h);
			ck_assert_int_eq(h.eight_bit, given[i].eight_bit);
		}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("headscan");

	tcase_add_loop_test(t, headers, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(t, eight_bit);
	return run_case("headscan", t);
}
