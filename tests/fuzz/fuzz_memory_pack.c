/*
 * Questions to memory that come from an smtpd in a stranger's hands (MEMORY_ASK), asked of tables; and answers (MEMORY).
 */
#include <stdint.h>
#include <stdlib.h>

#include "filters/memory_core.h"
#include "filters/memory_pack.h"
#include "lib/pack.h"

#define NOW	1795291200

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_strings strings;
	struct memory_question q;
	struct memory_answer a;
	struct memory_core *core;
	struct unpack u;

	unpack_init(&u, data, size);
	if (memory_unpack_answer(&u, &a) == 0 && a.grey > MEMORY_GREY_KNOWN)
		abort();
	unpack_init(&u, data, size);
	if (memory_unpack_question(&u, &q, &strings) != 0)
		return 0;
	core = memory_core_new(NULL);
	for (time_t now = NOW; now < NOW + 4000; now += 1000)
		memory_core_ask(core, &q, now, &a);
	memory_core_free(core);
	return 0;
}
