/*
 * The reader of answers that come from another process (MSG_DNS).
 */
#include <stdint.h>

#include "lib/pack.h"
#include "mx/dns.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_answer answer;
	struct unpack u;

	unpack_init(&u, data, size);
	if (dns_unpack_answer(&u, &answer) == 0)
		dns_free_answer(&answer);
	return 0;
}
