/*
 * Parameters of delivery status notifications. What is taken holds no control character, and comes back the same when it is
 * said again, in either form.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/dsn.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_clean(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
}

static void
check_orcpt(const char *text, size_t size, bool utf8)
{
	char to[DSN_ORCPT_MAX + 1], said[DSN_ORCPT_TEXT], back[DSN_ORCPT_MAX + 1];

	if (dsn_orcpt_parse(to, text, size, utf8) != 0)
		return;
	check_clean(to);
	dsn_orcpt_text(said, to, utf8);
	check_clean(said);
	if (strlen(said) <= DSN_ORCPT_MAX && (dsn_orcpt_parse(back, said, strlen(said), utf8) != 0 || strcmp(to, back) != 0))
		abort();
	dsn_orcpt_text(said, to, false);
	for (const char *s = said; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x7f)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char envid[DSN_ENVID_MAX + 1], said[DSN_ENVID_TEXT], text[4096], words[DSN_NOTIFY_TEXT], address[8192];
	uint8_t value;

	if (size == 0 || size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (dsn_notify_parse(text, size, &value) == 0 && (value == 0 || dsn_notify_text(words, value)[0] == '\0'))
		abort();
	dsn_ret_parse(text, size, &value);
	if (dsn_envid_parse(envid, text, size) == 0) {
		check_clean(envid);
		check_clean(dsn_envid_text(said, envid));
	}
	check_orcpt(text, size, false);
	check_orcpt(text, size, true);
	dsn_utf8_address(address, sizeof(address), text, false);
	check_clean(address);
	dsn_utf8_address(address, sizeof(address), text, true);
	check_clean(address);
	return 0;
}
