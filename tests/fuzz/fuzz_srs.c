/*
 * SRS. The input is an address: what can be made of it comes back as it was, and nothing that was not made here is believed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/srs.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct srs_secrets secrets = { { "one that no input knows", NULL } };
	char text[2048], out[ADDRESS_MAX], back[ADDRESS_MAX];
	struct address a;

	if (size >= sizeof(text))
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (srs_reverse(back, text, &secrets, 1795291200) == SRS_OK)
		abort();
	if (srs_forward(out, text, "forward.example", &secrets, 1795291200) != SRS_OK)
		return 0;
	if (address_parse(&a, text, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		abort();
	/* Of a second forwarder's address the first is kept, whatever that is. */
	if (strncasecmp(a.local, "SRS1", 4) == 0)
		return 0;
	if (srs_reverse(back, out, &secrets, 1795291200) != SRS_OK || strcasecmp(back, a.text) != 0)
		abort();
	return 0;
}
