/*
 * Headers of the PROXY protocol and XCLIENT's words. A finding beside crashes: a verdict that depends on how the bytes came,
 * a length beyond what there is, a client of no family, a word that is not printable.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/proxy.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_header(const uint8_t *data, size_t len)
{
	struct sockaddr_storage client, again;
	size_t used = 0, used_again;
	enum proxy_result result = PROXY_MORE;
	size_t n;

	for (n = 0; n <= len && result == PROXY_MORE; n++)
		result = proxy_header(data, n, &client, &used);
	if (proxy_header(data, len, &again, &used_again) != result || used > len)
		abort();
	if (result == PROXY_MORE && len > PROXY_V2_MAX)
		abort();
	if (result != PROXY_ADDRESS)
		return;
	if (used_again != used || (client.ss_family != AF_INET && client.ss_family != AF_INET6))
		abort();
}

static void
check_word(const char *word)
{
	for (; *word != '\0'; word++)
		if (*word <= ' ' || *word > '~')
			abort();
}

static void
check_xclient(const uint8_t *data, size_t len)
{
	struct proxy_xclient x;
	char text[2048];
	const char *why;

	if (len >= sizeof(text))
		return;
	memcpy(text, data, len);
	text[len] = '\0';
	if (proxy_xclient(text, &x, &why) != 0) {
		if (why == NULL)
			abort();
		return;
	}
	check_word(x.name);
	check_word(x.helo);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_header(data, len);
	check_xclient(data, len);
	return 0;
}
