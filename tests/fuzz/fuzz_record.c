/* A payload of any kind, whole and brief: decoded or refused, and what was decoded encodes again. */
#include <stdint.h>
#include <stdlib.h>

#include "queue/record.h"
#include "queue/segment.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct segment_frame f;
	struct record r;
	struct blob *b;

	if (len == 0)
		return 0;
	segment_frame(&f, data, len);
	for (int brief = 0; brief < 2; brief++)
		if (record_decode(&r, data[0] % RECORD_KINDS, data + 1, len - 1, brief) == 0) {
			if ((b = record_encode(&r)) != NULL && segment_frame(&f, b->data, b->len) != 0)
				abort();
			blob_unref(b);
			record_free(&r);
		}
	return 0;
}
