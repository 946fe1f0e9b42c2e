/*
 * DMARC records: whatever a _dmarc name holds is read or refused, and what is read stays within what can be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dmarc_record.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	struct dmarc_record r;
	bool applies;

	if (size > 0)
		memcpy(text, data, size);
	if (dmarc_record_parse(&r, text, size) == 0) {
		if (size < 8 || (text[0] != 'v' && text[0] != 'V'))
			abort();
		applies = dmarc_record_applies(&r);
		if (!applies && (r.rua > 0 || r.p != DMARC_POLICY_NONE))
			abort();
		if (strlen(dmarc_policy_name(dmarc_policy_lower(r.p))) < 4 || r.rua > size)
			abort();
	}
	free(text);
	return 0;
}
