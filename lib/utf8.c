/*
 * Reads a character of UTF-8 (lib/utf8.h). Decides what is one; where it may stand is for its callers: address.c, reply.c
 * and dsn.c.
 */
#include "lib/utf8.h"

size_t
utf8_take(const char *text, size_t len, uint32_t *value_r)
{
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)text;
	size_t n = len == 0 || s[0] < 0xc2 || s[0] > 0xf4 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c = n > 0 ? s[0] & (0x7fU >> n) : 0;

	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fU);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if (value_r != NULL)
		*value_r = c;
	return n;
}
