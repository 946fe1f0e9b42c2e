/*
 * Header fields: a walk always moves forward and stays inside; values and addresses hold no line ends.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/header.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_address(void *arg, const char *address)
{
	(*(int *)arg)++;
	if (address[0] == '\0' || strpbrk(address, "\r\n") != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *block = malloc(size + 1), *value, name[64];
	struct header_field f;
	size_t at = 0, before = 0;
	int found = 0, count;

	memcpy(block, data, size);
	for (; header_next_any(block, size, &at, &f); before = at) {
		if (at <= before || at > size || f.value < f.name + f.name_len || f.value + f.value_len != block + at)
			abort();
		if (f.name_len >= sizeof(name))
			continue;
		memcpy(name, f.name, f.name_len);
		name[f.name_len] = '\0';
		value = header_value(block, size, name);
		if (value == NULL || strpbrk(value, "\r\n") != NULL || header_count(block, size, name) == 0)
			abort();
		free(value);
		if (at > 4096)		/* the checks above are quadratic together, the walk is not */
			break;
	}
	if (header_end(block, size) > size)
		abort();
	count = header_addresses(block, size, check_address, &found);
	if (count != -1 && count != found)
		abort();
	free(block);
	return 0;
}
