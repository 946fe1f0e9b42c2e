/*
 * Replies that ask for a pause: whatever they say, the pause is within its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "queue/patience.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	int64_t ms;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	ms = patience_asked(text);
	free(text);
	if (ms < 0 || ms > PATIENCE_MOST_MS)
		abort();
	return 0;
}
