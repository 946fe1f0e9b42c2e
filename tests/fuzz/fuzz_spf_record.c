/*
 * SPF records. The input is a record up to a NUL, then the local part of a sender: all terms are read, all macros expanded.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/spf_record.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
expand(struct spf_slice domain, const struct spf_macros *x)
{
	char to[SPF_NAME_MAX + 1];

	if (domain.text == NULL)
		return;
	spf_macros_need_name(domain);
	spf_macros_domain(to, domain, x);
	if (strlen(to) > SPF_NAME_MAX)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t len = end != NULL ? (size_t)(end - text) : size, at = 0;
	char local[SPF_SENDER_MAX + 1] = "", to[SPF_EXPLANATION_MAX + 1];
	struct spf_macros x = { .local = local, .sender_domain = "example.com", .domain = "example.com", .helo = "mx.example.org",
		.validated = "unknown", .receiver = "us.example", .now = 1795291200, .family = size % 2 == 0 ? 2 : 10 };
	struct spf_slice wrong;
	struct spf_record r;
	struct spf_term t;

	if (end != NULL)
		snprintf(local, sizeof(local), "%.*s", (int)(size - len - 1), end + 1);
	if (len > 0)
		spf_macros_explanation(to, text, len, &x);
	if (!spf_record_is(text, len) || spf_record_read(&r, text, len, &wrong) != 0)
		return 0;
	while (spf_record_next(&r, &at, &t)) {
		if (at > r.len || t.prefix4 > 32 || t.prefix6 > 128)
			abort();
		expand(t.domain, &x);
	}
	expand(r.redirect, &x);
	expand(r.exp, &x);
	return 0;
}
