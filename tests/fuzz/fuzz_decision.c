/*
 * Records of decisions and lines of the journal: whatever comes is read or refused; what is sound has a head, an end, and
 * nothing that would make another line of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/decision.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *next = text;
	bool sound = decision_is_sound((const char *)data, size);
	struct pairs ps;
	unsigned heads = 0;
	char letter;

	memcpy(text, data, size);
	text[size] = '\0';
	for (char *line; (line = strsep(&next, "\n")) != NULL;) {
		letter = decision_line(line, &ps);
		heads += letter == 'D' || letter == 'S';
		if (letter == '\0' && sound && *line != '\0')
			abort();
		for (unsigned i = 0; i < ps.n; i++)
			if (strchr(ps.list[i].key, ' ') != NULL || pairs_get(&ps, ps.list[i].key) == NULL)
				abort();
	}
	if (sound && heads != 1)
		abort();
	free(text);
	return 0;
}
