/*
 * The reader of DNS answers. The first byte of an input chooses the type asked for, the rest is the message; the name
 * asked for is always "example.org". Whatever comes out must survive being packed and unpacked.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/pack.h"
#include "mx/dns_answer.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_PTR, DNS_TLSA };
	struct dns_answer answer, copy;
	struct unpack u;
	struct pack p;

	if (size == 0)
		return 0;
	dns_answer_parse(&answer, data + 1, size - 1, types[data[0] % 6], "example.org");
	if ((answer.result == DNS_OK) != (answer.n > 0) || (answer.result == DNS_OK) != (answer.why == NULL))
		abort();
	pack_init(&p);
	dns_pack_answer(&p, &answer);
	unpack_init(&u, p.data, p.len);
	if (dns_unpack_answer(&u, &copy) != 0 || !unpack_end(&u) || copy.n != answer.n)
		abort();
	pack_free(&p);
	dns_free_answer(&answer);
	dns_free_answer(&copy);
	return 0;
}
