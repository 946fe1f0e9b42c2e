/*
 * The file of names and passwords: whatever stands in it, it is read or refused, and what is said holds nothing of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/credentials.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[300] = "";
	struct credentials *c = credentials_parse((const char *)data, size, err, sizeof(err));
	const struct credential *one = credentials_find(c, "out");

	if ((c == NULL) != (strncmp(err, "line ", 5) == 0))
		abort();
	if (one != NULL && (one->user[0] == '\0' || one->password[0] == '\0' || strlen(one->password) > CREDENTIALS_WORD_MAX))
		abort();
	credentials_free(c);
	return 0;
}
