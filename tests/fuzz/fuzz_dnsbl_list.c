/*
 * DNS lists as configured and the text that they send: up to the first NUL a list, after it codes and a TXT.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dnsbl_list.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1), err[160] = "", clean[DNSBL_TEXT_MAX + 1];
	struct dnsbl_list list;
	const char *why;
	size_t at;

	if (size > 0)
		memcpy(text, data, size);
	at = strlen(text);
	if (dnsbl_list_parse(&list, text, err, sizeof(err)) == 0) {
		if (list.n_codes > DNSBL_CODES_MAX || abs(list.weight) > DNSBL_WEIGHT_MAX || strchr(list.zone, '.') == NULL)
			abort();
		for (; at + 4 <= size; at += 4) {
			uint32_t address = (uint32_t)data[at] << 24 | (uint32_t)data[at + 1] << 16 | (uint32_t)data[at + 2] << 8 |
			    data[at + 3];

			if (dnsbl_list_meaning(&list, address, &why) == DNSBL_COUNTS && address >> 24 != 127)
				abort();
		}
	} else if (err[0] == '\0') {
		abort();
	}
	dnsbl_text_clean(clean, text, size);
	for (size_t i = 0; clean[i] != '\0'; i++)
		if (clean[i] < 0x20 || clean[i] > 0x7e)
			abort();
	free(text);
	return 0;
}
