/*
 * Replies: any division into pieces reads the same; text stays printable and within its limits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/reply.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static enum reply_result
feed(struct reply *r, const char *in, size_t len, size_t piece, size_t *used_r)
{
	enum reply_result result = REPLY_MORE;
	size_t n, used;

	for (*used_r = 0; *used_r < len && result == REPLY_MORE; *used_r += used) {
		n = len - *used_r < piece ? len - *used_r : piece;
		result = reply_feed(r, in + *used_r, n, &used);
		if (used > n || (result == REPLY_MORE && used != n))
			abort();
	}
	return result;
}

static void
check_text(const struct reply *r)
{
	char out[4096];
	const char *line;
	size_t len, n;

	if (r->lines > REPLY_LINES_MAX || r->text_len > (size_t)REPLY_LINES_MAX * REPLY_LINE_MAX || r->code < 200 || r->code > 599)
		abort();
	for (size_t i = 0; i < r->text_len; i++)
		if (((unsigned char)r->text[i] < 0x20 && r->text[i] != '\n' && r->text[i] != '\t') || r->text[i] == 0x7f)
			abort();
	for (int i = 0; i < r->lines; i++)
		if (!reply_line(r, i, &line, &len) || memchr(line, '\n', len) != NULL)
			abort();
	n = reply_format(out, sizeof(out), r->code, r->enhanced[0] != '\0' ? r->enhanced : NULL, r->text);
	if (n < 6 || n > sizeof(out) || memcmp(out + n - 2, "\r\n", 2) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum reply_result first, second;
	struct reply a, b;
	size_t used_a, used_b;
	char *in;

	if (size < 1)
		return 0;
	in = malloc(size);
	memcpy(in, data + 1, size - 1);
	reply_init(&a);
	reply_init(&b);
	first = feed(&a, in, size - 1, size, &used_a);
	second = feed(&b, in, size - 1, data[0] + 1U, &used_b);
	if (first != second || (first == REPLY_DONE && used_a != used_b) || (first == REPLY_BAD && a.why == NULL))
		abort();
	if (first == REPLY_DONE) {
		if (a.code != b.code || a.lines != b.lines || strcmp(a.text, b.text) != 0 || strcmp(a.enhanced, b.enhanced) != 0)
			abort();
		check_text(&a);
	}
	reply_reset(&a);
	reply_reset(&b);
	free(in);
	return 0;
}
