/*
 * Host names as reverse DNS gives them: any bytes, with any address. The first byte says how the rest is shared.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/iprev_name.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reverse_address a = { .len = 0 };
	char *name, turned[400];
	size_t bytes;

	if (size == 0)
		return 0;
	bytes = data[0] % 3 == 0 ? 0 : data[0] % 3 == 1 ? 4 : 16;
	if (size < 1 + bytes)
		return 0;
	a.len = bytes;
	memcpy(a.bytes, data + 1, bytes);
	name = calloc(1, size - bytes);
	memcpy(name, data + 1 + bytes, size - 1 - bytes);
	if (strlen(iprev_look_name(iprev_name_look(name, &a))) == 0)
		abort();
	if (reverse_name(turned, sizeof(turned), &a, name) == 0 && strlen(turned) < a.len * 2)
		abort();
	if (reverse_address_parse(&a, name) == 0 && a.len != 4 && a.len != 16)
		abort();
	free(name);
	return 0;
}
