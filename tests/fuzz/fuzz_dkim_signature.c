/*
 * Fields of signatures and key records: whatever they hold, what is read stays inside and is well-formed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dkim_signature.h"
#include "lib/header.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool right)
{
	if (!right)
		abort();
}

static void
try_signature(enum dkim_kind kind, const char *text, size_t len)
{
	struct header_field f = { .name = text, .value = text, .value_len = len };
	struct dkim_signature s;
	const char *why, *name;
	char key[DKIM_KEY_NAME_MAX + 1];
	size_t at = 0, name_len;

	if (dkim_signature_parse(&s, kind, &f, &why) == DKIM_NEUTRAL) {
		check(why != NULL && why[0] != '\0');
		return;
	}
	check(s.b_at <= s.b_end && s.b_end <= len && s.b_len > 0 && s.b_len <= sizeof(s.b));
	check(s.domain[0] != '\0' && s.selector[0] != '\0' && strlen(dkim_key_name(key, &s)) <= DKIM_KEY_NAME_MAX);
	check(strpbrk(key, " \t\r\n;") == NULL);
	check(kind == DKIM_MESSAGE ? s.instance == 0 : s.instance >= 1 && s.instance <= ARC_SETS_MAX);
	while (dkim_signature_name(&s, &at, &name, &name_len))
		check(name >= text && name + name_len <= text + len && name_len > 0 && at <= len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct dkim_key_record k;
	struct header_field f;
	const char *why;

	memcpy(text, data, size);
	for (int kind = DKIM_MESSAGE; kind <= ARC_SEAL; kind++)
		try_signature((enum dkim_kind)kind, text, size);
	if (dkim_key_parse(&k, text, size, &why) == DKIM_PASS)
		check(k.len <= sizeof(k.key));
	else
		check(why != NULL && why[0] != '\0');
	f = (struct header_field){ .name = text, .value = text, .value_len = size };
	check(arc_results_instance(&f) <= ARC_SETS_MAX);
	free(text);
	return 0;
}
