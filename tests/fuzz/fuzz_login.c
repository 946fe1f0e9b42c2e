/*
 * What a relay's server asks for at a login: each line of the input is a challenge. Whatever it says, each answer is one line, it
 * ends, and without the password SCRAM never believes that the server knows it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/login.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
run(unsigned mechanism, const char *p, const char *end)
{
	struct login *l = login_new(mechanism, "user", "another password", "rOprNGfwEbeRWgbNEkqO");
	char line[LOGIN_LINE_MAX];
	const char *next;
	size_t len;

	if (login_command(l, line) != strlen(line))
		abort();
	for (unsigned step = 0; p < end; p = next < end ? next + 1 : end, step++) {
		if ((next = memchr(p, '\n', (size_t)(end - p))) == NULL)
			next = end;
		if ((len = login_answer(l, p, (size_t)(next - p), line)) == 0)
			break;
		if (step > 2 || line[len] != '\0' || memchr(line, '\n', len) != line + len - 1)
			abort();
	}
	if (mechanism == LOGIN_SCRAM_SHA_256 && login_may_end(l))
		abort();
	login_free(l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;

	for (unsigned m = LOGIN_SCRAM_SHA_256; m <= LOGIN_LOGIN; m *= 2)
		run(m, p, p + size);
	(void)login_offered(p, size);
	return 0;
}
