/*
 * Senders as strangers choose them, made keys: whatever they hold, the recipient stands behind the one newline.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/greylist_key.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char sender[1024], other[MEMORY_OTHER_MAX];

	if (size >= sizeof(sender))
		size = sizeof(sender) - 1;
	memcpy(sender, data, size);
	sender[size] = '\0';
	if (strchr(sender, '\n') != NULL)	/* no address has one */
		return 0;
	greylist_key_other(other, sender, "helo.example", "me@demo.example");
	if (strchr(other, '\n') == NULL || strcmp(strchr(other, '\n') + 1, "me@demo.example") != 0)
		abort();
	return 0;
}
