/*
 * The dialog of a callback with whatever a server answers: it ends, and every command is one line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/reply.h"
#include "mx/probe_steps.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[PROBE_LINE_MAX];
	struct probe_steps s;
	struct address a;
	struct reply r;
	unsigned steps = 0;
	size_t used, len;

	if (address_parse(&a, "anna@example.org", 0, NULL) != ADDRESS_OK)
		abort();
	probe_steps_init(&s, "us.example", &a, 1);
	reply_init(&r);
	while (size > 0 && s.step != PROBE_OVER && reply_feed(&r, (const char *)data, size, &used) == REPLY_DONE) {
		data += used;
		size -= used;
		len = probe_steps_answer(&s, &r, line);
		reply_reset(&r);
		if ((len == 0) != (s.step == PROBE_OVER) || ++steps > 6)
			abort();
		if (len > 0 && (line[len] != '\0' || memchr(line, '\n', len) != line + len - 1))
			abort();
	}
	reply_reset(&r);
	return 0;
}
