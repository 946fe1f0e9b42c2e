/*
 * Authentication-Results: after a strip no field of ours is left and the rest is as it was; and whatever a value is, the
 * field that we write is one field, which is found to be ours.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/authres.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_strip(const uint8_t *data, size_t size)
{
	char *block = calloc(1, size + 1);
	unsigned removed, again;
	size_t len;

	if (size > 0)
		memcpy(block, data, size);
	len = authres_strip(block, size, "example.org", &removed);
	if (len > size || (removed == 0) != (len == size) || (removed == 0 && size > 0 && memcmp(block, data, size) != 0))
		abort();
	if (authres_strip(block, len, "example.org", &again) > len)
		abort();
	free(block);
}

static void
check_written(const uint8_t *data, size_t size)
{
	char *value = calloc(1, size + 1);
	struct authres *a = malloc(sizeof(*a));
	struct header_field f;
	size_t at = 0;

	if (size > 0)
		memcpy(value, data, size);
	authres_begin(a, "example.org");
	for (int i = 0; i < 40; i++) {
		authres_result(a, "dkim", "fail", i % 2 == 0 ? value : NULL);
		authres_property(a, "header", "i", value);
	}
	authres_end(a);
	if (a->len > AUTHRES_MAX || !header_next(a->text, a->len, &at, &f) || at != a->len || !authres_is_ours(&f, "example.org"))
		abort();
	free(value);
	free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_strip(data, size);
	check_written(data, size);
	return 0;
}
