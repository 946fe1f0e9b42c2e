/*
 * Rewriting of sender addresses in any header: it ends, what it makes is not rewritten again, and no line is added or lost.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf.h"
#include "smtpd/rewrite.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static size_t
lines(const char *p, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += p[i] == '\n';
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "domains = our.example\ncanonical = { 'root=admin@our.example', '@old.example=@our.example' }\n"
	    "masquerade = our.example\n";
	char err[300], *once, *twice;
	struct conf *c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));
	size_t len, again;

	if (c == NULL)
		abort();
	if ((once = rewrite_header(c, (const char *)data, size, &len)) != NULL) {
		if (lines(once, len) > lines((const char *)data, size))
			abort();
		if ((twice = rewrite_header(c, once, len, &again)) != NULL)
			abort();
		free(once);
	}
	conf_free(c);
	return 0;
}
