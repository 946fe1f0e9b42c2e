/*
 * lib/wire.c against an oracle that sees the whole input at once: every short string over the bytes that matter, in
 * every division into two pieces and byte by byte.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"
#include "tests/unit/run.h"

#define SHORT_MAX	7

struct result {
	uint8_t	 out[4096];
	size_t	 len, used;
	bool	 end;
	struct wire_in w;
};

/* Feeds the input in pieces: up to cut, then the rest; cut 0: byte by byte. */
static void
run_in(struct result *r, bool dots, const uint8_t *in, size_t len, size_t cut)
{
	size_t n, used;

	memset(r, 0, sizeof(*r));
	wire_in_init(&r->w, dots);
	while (r->used < len && !r->end) {
		n = cut == 0 ? 1 : r->used < cut ? cut - r->used : len - r->used;
		r->len += wire_in_take(&r->w, in + r->used, n, r->out + r->len, &used, &r->end);
		ck_assert(used == n || r->end);
		r->used += used;
	}
	if (!dots)
		r->len += wire_in_finish(&r->w, r->out + r->len);
	ck_assert_uint_eq(r->len, r->w.size);
}

/* An if for a hundred thousand inputs: each ck_assert() is a line in a file. */
static void
assert_same(const struct result *a, const struct result *b)
{
	if (a->len != b->len || memcmp(a->out, b->out, a->len) != 0 || a->used != b->used || a->end != b->end ||
	    a->w.flaws != b->w.flaws || a->w.dot_lines != b->w.dot_lines)
		ck_abort_msg("\"%.*s\" in one piece, \"%.*s\" in two", (int)a->len, a->out, (int)b->len, b->out);
}

static unsigned
flaws_of(const uint8_t *s, size_t len)
{
	unsigned flaws = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\n' && (i == 0 || s[i - 1] != '\r'))
			flaws |= WIRE_BARE_LF;
		if (s[i] == '\r' && i + 1 < len && s[i + 1] != '\n')
			flaws |= WIRE_BARE_CR;
	}
	return flaws;
}

/* What DATA must give: the end is the first CRLF.CRLF, where a CRLF stands before the first byte; the dot after each CRLF goes. */
static void
oracle_data(struct result *r, const uint8_t *in, size_t len)
{
	uint8_t all[64] = "\r\n";
	const uint8_t *end;

	memset(r, 0, sizeof(*r));
	memcpy(all + 2, in, len);
	end = memmem(all, len + 2, "\r\n.\r\n", 5);
	r->end = end != NULL;
	r->used = r->end ? (size_t)(end - all) + 5 - 2 : len;
	len = r->end ? (size_t)(end - all) + 2 : len + 2;
	for (size_t i = 2; i < len; i++)
		if (all[i] != '.' || all[i - 1] != '\n' || all[i - 2] != '\r')
			r->out[r->len++] = all[i];
	r->w.flaws = flaws_of(r->out, r->len);
}

/* Where there is no end yet, dots and CRs may be held back: the oracle is asked about ended inputs only. */
static void
check_one(const uint8_t *in, size_t len)
{
	struct result want, whole, part;
	uint8_t ended[SHORT_MAX + 8];

	for (int dots = 0; dots < 2; dots++) {
		run_in(&whole, dots, in, len, len);
		for (size_t cut = 0; cut < len; cut++) {
			run_in(&part, dots, in, len, cut);
			assert_same(&whole, &part);
		}
	}
	memcpy(ended, in, len);
	memcpy(ended + len, "\r\n.\r\n", 5);
	run_in(&whole, true, ended, len + 5, len + 5);
	oracle_data(&want, ended, len + 5);
	if (!whole.end || whole.used != want.used || whole.len != want.len || memcmp(whole.out, want.out, want.len) != 0 ||
	    whole.w.flaws != want.w.flaws)
		ck_abort_msg("\"%.*s\" becomes \"%.*s\"", (int)len, in, (int)whole.len, whole.out);
}

START_TEST(test_every_short_string)
{
	static const uint8_t alphabet[] = { '\r', '\n', '.', 'a' };
	uint8_t in[SHORT_MAX] = { 0 };

	for (size_t len = 0; len <= SHORT_MAX; len++)
		for (unsigned long n = 0; n < 1UL << (2 * len); n++) {
			for (size_t i = 0; i < len; i++)
				in[i] = alphabet[n >> (2 * i) & 3];
			check_one(in, len);
		}
}
END_TEST

/* What is no end of DATA: every variant known from attacks. Each must be read on, and be flawed. */
static const char *const smuggles[] = {
	"a\n.\nb", "a\n.\r\nb", "a\r\n.\nb", "a\r.\rb", "a\r\r\n.\r\r\nb", "a\n\n.\n\nb", "a\r\n.\rb", "a\r.\r\nb", "a\n.\rb",
};

START_TEST(test_smuggling)
{
	struct result r;
	char in[64];
	size_t len = strlen(smuggles[_i]);

	memcpy(in, smuggles[_i], len);
	memcpy(in + len, "\r\n.\r\nQUIT", 9);
	run_in(&r, true, (uint8_t *)in, len + 9, len + 9);
	ck_assert(r.end);
	ck_assert_uint_eq(r.used, len + 5);
	ck_assert_uint_ne(r.w.flaws & (WIRE_BARE_CR | WIRE_BARE_LF), 0);
}
END_TEST

START_TEST(test_nul_at_the_end)
{
	static const uint8_t in[] = "a\r\n\0.\r\nb\r\n.\0\r\n.\r\n";
	struct result r;

	run_in(&r, true, in, sizeof(in) - 1, 5);
	ck_assert(r.end);
	ck_assert_uint_eq(r.used, sizeof(in) - 1);
	ck_assert_uint_eq(r.w.flaws, WIRE_NUL);
}
END_TEST

/* Lines of a length, without their CRLF: which facts and flaws they give. */
static const struct {
	size_t		len;
	bool		long_lines;
	unsigned	flaws;
} lengths[] = {
	{ 998, false, 0 }, { 999, true, 0 }, { WIRE_LINE_MAX, true, 0 }, { WIRE_LINE_MAX + 1, true, WIRE_LINE_TOO_LONG },
};

START_TEST(test_line_length)
{
	size_t len = lengths[_i].len, used, n, piece = (size_t)1 << (_i + 3);
	uint8_t *in = malloc(len + 2), *out = malloc(len + 4);
	struct wire_in w;
	bool end;

	memset(in, 'x', len);
	memcpy(in + len, "\r\n", 2);
	wire_in_init(&w, true);
	for (size_t at = 0; at < len + 2; at += n) {
		n = len + 2 - at < piece ? len + 2 - at : piece;
		wire_in_take(&w, in + at, n, out, &used, &end);
	}
	ck_assert(w.long_lines == lengths[_i].long_lines);
	ck_assert_uint_eq(w.flaws, lengths[_i].flaws);
	ck_assert(!w.eight_bit && !w.dot_lines);
	free(in);
	free(out);
}
END_TEST

START_TEST(test_bdat_completes_the_last_line)
{
	static const struct { const char *in, *out; unsigned flaws; } rows[] = {
		{ "", "", 0 }, { "a\r\n", "a\r\n", 0 }, { "a", "a\r\n", WIRE_NO_END }, { "a\r", "a\r\n", WIRE_NO_END },
		{ ".\r\n", ".\r\n", 0 }, { "..\r\n.\r\nb", "..\r\n.\r\nb\r\n", WIRE_NO_END },
		{ "a\n", "a\n\r\n", WIRE_NO_END | WIRE_BARE_LF },
	};
	struct result r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run_in(&r, false, (const uint8_t *)rows[i].in, strlen(rows[i].in), 0);
		ck_assert_uint_eq(r.len, strlen(rows[i].out));
		ck_assert_mem_eq(r.out, rows[i].out, r.len);
		ck_assert_uint_eq(r.w.flaws, rows[i].flaws);
	}
}
END_TEST

/* A line is read in steps of several bytes: whatever is not plain is seen at every place in it. */
START_TEST(test_every_place_in_a_line)
{
	static const uint8_t special[] = { 0, 1, '\n', '\r', '.', 0x7f, 0x80, 0x8a, 0x8d, 0xff };
	struct result whole, bytes;
	uint8_t line[40];

	for (size_t at = 0; at < sizeof(line) - 2; at++)
		for (size_t i = 0; i < sizeof(special); i++) {
			memset(line, 'x', sizeof(line));
			memcpy(line + sizeof(line) - 2, "\r\n", 2);
			line[at] = special[i];
			run_in(&bytes, true, line, sizeof(line), 0);
			run_in(&whole, true, line, sizeof(line), sizeof(line));
			assert_same(&whole, &bytes);
			ck_assert(whole.w.eight_bit == (special[i] >= 0x80) && whole.w.eight_bit == bytes.w.eight_bit);
			ck_assert((whole.w.flaws != 0) == (special[i] == 0 || special[i] == '\n' || special[i] == '\r'));
		}
}
END_TEST

/* What goes out stuffed comes in again as it was, however it is divided. */
START_TEST(test_there_and_back)
{
	static const uint8_t content[] = ".\r\n..\r\na.\r\n\r\n.x\r\n\xff\r\n";
	size_t len = sizeof(content) - 1, n;
	uint8_t out[128];
	struct wire_out w;
	struct result r;

	for (size_t cut = 0; cut <= len; cut++) {
		wire_out_init(&w);
		ck_assert(wire_out_dots(&w, content, cut) == (cut > 0));
		n = wire_out_put(&w, content, cut, out);
		ck_assert(wire_out_dots(&w, content + cut, len - cut) == (wire_out_put(&w, content + cut, len - cut, out + n) > len - cut));
		wire_out_init(&w);
		n = wire_out_put(&w, content, cut, out);
		n += wire_out_put(&w, content + cut, len - cut, out + n);
		memcpy(out + n, ".\r\n", 3);
		run_in(&r, true, out, n + 3, 0);
		ck_assert(r.end && r.w.eight_bit && r.w.dot_lines);
		ck_assert_uint_eq(r.len, len);
		ck_assert_mem_eq(r.out, content, len);
	}
}
END_TEST

START_TEST(test_command)
{
	static const struct { const char *in; size_t len, want; bool bad; } rows[] = {
		{ "", 0, 0, false }, { "QUIT", 4, 0, false }, { "QUIT\r", 5, 0, false }, { "QUIT\r\n", 6, 6, false },
		{ "QUIT\n", 5, 0, true }, { "QU\rIT\r\n", 7, 7, true }, { "QU\0IT\r\n", 7, 7, true }, { "\n", 1, 0, true }, { "A\nB\r\n", 5, 5, true },
		{ "\r\n", 2, 2, false }, { "A\r\nB\n", 5, 3, false }, { "A\r\r\n", 4, 4, true },
	};
	bool bad;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_uint_eq(wire_command((const uint8_t *)rows[i].in, rows[i].len, &bad), rows[i].want);
		ck_assert(bad == rows[i].bad);
	}
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("wire");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, test_every_short_string);
	tcase_add_loop_test(tests, test_smuggling, 0, (int)(sizeof(smuggles) / sizeof(smuggles[0])));
	tcase_add_test(tests, test_nul_at_the_end);
	tcase_add_loop_test(tests, test_line_length, 0, 4);
	tcase_add_test(tests, test_bdat_completes_the_last_line);
	tcase_add_test(tests, test_every_place_in_a_line);
	tcase_add_test(tests, test_there_and_back);
	tcase_add_test(tests, test_command);
	return run_case("wire", tests);
}
