/*
 * Content on the wire: any division into pieces reads the same, and what goes out stuffed comes in again as it was.
 * The first byte chooses DATA or BDAT and the size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct run {
	struct wire_in	 w;
	uint8_t		*out;
	size_t		 len, used;
	bool		 end;
};

static void
run_in(struct run *r, bool dots, const uint8_t *in, size_t len, size_t piece)
{
	size_t n, used, written;
	uint8_t *to;

	memset(r, 0, sizeof(*r));
	r->out = malloc(2 * len + 8);
	wire_in_init(&r->w, dots);
	while (r->used < len && !r->end) {
		n = len - r->used < piece ? len - r->used : piece;
		to = malloc(n + 2);		/* exactly the room that is promised to be enough */
		written = wire_in_take(&r->w, in + r->used, n, to, &used, &r->end);
		if (written > n + 2 || used > n || (used < n && !r->end))
			abort();
		memcpy(r->out + r->len, to, written);
		free(to);
		r->len += written;
		r->used += used;
	}
	if (!dots)
		r->len += wire_in_finish(&r->w, r->out + r->len);
	if (r->len != r->w.size)
		abort();
}

static void
check_there_and_back(const struct run *r, size_t piece)
{
	uint8_t *out = malloc(2 * r->len + 3);
	struct wire_out w;
	struct run back;
	size_t n, len = 0;

	wire_out_init(&w);
	for (size_t at = 0; at < r->len; at += n) {
		n = r->len - at < piece ? r->len - at : piece;
		len += wire_out_put(&w, r->out + at, n, out + len);
	}
	memcpy(out + len, ".\r\n", 3);
	run_in(&back, true, out, len + 3, piece);
	if (!back.end || back.used != len + 3 || back.len != r->len || memcmp(back.out, r->out, r->len) != 0 ||
	    back.w.eight_bit != r->w.eight_bit || back.w.dot_lines != r->w.dot_lines || back.w.long_lines != r->w.long_lines)
		abort();
	free(back.out);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole, parts;
	size_t piece;
	bool dots, bad;

	if (size < 1)
		return 0;
	dots = data[0] & 1;
	piece = (data[0] >> 1) + 1U;
	run_in(&whole, dots, data + 1, size - 1, size);
	run_in(&parts, dots, data + 1, size - 1, piece);
	if (whole.len != parts.len || whole.used != parts.used || whole.end != parts.end || whole.w.flaws != parts.w.flaws ||
	    whole.w.eight_bit != parts.w.eight_bit || whole.w.long_lines != parts.w.long_lines ||
	    whole.w.dot_lines != parts.w.dot_lines || memcmp(whole.out, parts.out, whole.len) != 0)
		abort();
	if ((whole.end || !dots) && (whole.w.flaws & ~(unsigned)WIRE_NO_END) == 0)
		check_there_and_back(&whole, piece);
	if (wire_command(data + 1, size - 1, &bad) > size - 1)
		abort();
	free(whole.out);
	free(parts.out);
	return 0;
}
