/*
 * Any bytes as a configuration: an error or a configuration, and what is printed of one parses to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain.h"
#include "lib/conf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char *
printed(const struct conf *c, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	conf_print(c, f);
	fclose(f);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char err[2048], *first, *second;
	struct conf *c = conf_parse_text((const char *)data, len, "fuzz", err, sizeof(err)), *again;
	size_t n, m;

	if (c == NULL)
		return 0;
	first = printed(c, &n);
	again = conf_parse_text(first, n, "again", err, sizeof(err));
	if (again == NULL)
		abort();
	second = printed(again, &m);
	if (n != m || memcmp(first, second, n) != 0)
		abort();
	/* What the filters make of it is the same, too. */
	if (filters_check(c, err, sizeof(err)) != filters_check(again, err, sizeof(err)))
		abort();
	free(first);
	free(second);
	conf_free(c);
	conf_free(again);
	return 0;
}
