/*
 * Any bytes as a program's message: read, its recipients found, completed; what comes of it holds no bare CR or LF.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/letter.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_lines(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) ||
		    (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n')) || text[i] == '\0')
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct letter_facts facts = { "u", "N \xc3\xb6", "u@h.example", "h.example", 1, 1 };
	FILE *in = fmemopen((void *)(uintptr_t)data, len, "r");
	struct letter_rcpts r = { 0 };
	char why[256], body[4096], *header;
	struct letter l;
	size_t n;

	if (in == NULL)
		return 0;
	if (letter_read(&l, in, len % 2 == 0, why, sizeof(why)) == 0) {
		letter_header_rcpts(&l, &r, why, sizeof(why));
		header = letter_complete(&l, &facts, &n);
		check_lines(header, n);
		free(header);
		rewind(l.body);
		n = fread(body, 1, sizeof(body) - 1, l.body);
		check_lines(body, n > 0 && body[n - 1] == '\r' ? n - 1 : n);
	}
	letter_free_rcpts(&r);
	letter_free(&l);
	fclose(in);
	return 0;
}
