/*
 * What clients say about delivery status notifications, taken apart and put together (lib/dsn.h). Decides what is
 * well-formed and that no control character comes out of any encoding. Called by smtpd, delivery and queue.
 */
#include "lib/dsn.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/utf8.h"

#define TYPE_MAX	32	/* of an address type; those registered are short */

static const struct {
	const char	*word;
	enum dsn_notify	 bit;
} events[] = { { "SUCCESS", DSN_SUCCESS }, { "FAILURE", DSN_FAILURE }, { "DELAY", DSN_DELAY } };

static bool
same(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

int
dsn_notify_parse(const char *text, size_t len, uint8_t *r)
{
	const char *end = text + len;
	size_t word;
	uint8_t bit;

	*r = DSN_NEVER;
	if (same(text, len, "NEVER"))
		return 0;
	for (*r = 0; ; text += word + 1) {
		const char *comma = memchr(text, ',', (size_t)(end - text));

		word = (size_t)((comma != NULL ? comma : end) - text);
		bit = 0;
		for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
			if (same(text, word, events[i].word))
				bit = (uint8_t)events[i].bit;
		if (bit == 0 || (*r & bit) != 0)
			return -1;
		*r |= bit;
		if (comma == NULL)
			return 0;
	}
}

int
dsn_ret_parse(const char *text, size_t len, uint8_t *r)
{
	*r = same(text, len, "FULL") ? DSN_RET_FULL : same(text, len, "HDRS") ? DSN_RET_HDRS : DSN_RET_NONE;
	return *r == DSN_RET_NONE ? -1 : 0;
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3461, 4: xtext. What it stands for is printable ASCII, or it is refused. Returns the length, -1 for bad text. */
static int
xtext_decode(char *to, size_t size, const char *text, size_t len)
{
	size_t n = 0;
	int c;

	for (size_t i = 0; i < len; i++) {
		c = (unsigned char)text[i];
		if (c == '=' || c < '!' || c > '~')
			return -1;
		if (c == '+') {
			if (len - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
				return -1;
			c = hex(text[i + 1]) << 4 | hex(text[i + 2]);
			i += 2;
		}
		if (c < ' ' || c > '~' || n + 1 >= size)
			return -1;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return (int)n;
}

static size_t
xtext_encode(char *to, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 4 <= size; text++) {
		if (*text > ' ' && *text <= '~' && *text != '+' && *text != '=')
			to[n++] = *text;
		else
			n += (size_t)snprintf(to + n, size - n, "+%02X", (unsigned char)*text);
	}
	to[n] = '\0';
	return n;
}

int
dsn_envid_parse(char to[DSN_ENVID_MAX + 1], const char *text, size_t len)
{
	return len <= DSN_ENVID_MAX && xtext_decode(to, DSN_ENVID_MAX + 1, text, len) > 0 ? 0 : -1;
}

/* ---- RFC 6533, 3 ---- */

static size_t
utf8_put(char *to, uint32_t value)
{
	if (value < 0x80) {
		to[0] = (char)value;
		return 1;
	}
	if (value < 0x800) {
		to[0] = (char)(0xc0 | value >> 6);
		to[1] = (char)(0x80 | (value & 0x3f));
		return 2;
	}
	if (value < 0x10000) {
		to[0] = (char)(0xe0 | value >> 12);
		to[1] = (char)(0x80 | (value >> 6 & 0x3f));
		to[2] = (char)(0x80 | (value & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | value >> 18);
	to[1] = (char)(0x80 | (value >> 12 & 0x3f));
	to[2] = (char)(0x80 | (value >> 6 & 0x3f));
	to[3] = (char)(0x80 | (value & 0x3f));
	return 4;
}

/* "\x{HEX}" at text: its length and what it stands for; 0: it is none, or not one that is needed. */
static size_t
embedded_take(const char *text, size_t len, uint32_t *value_r)
{
	size_t n = 3;
	uint32_t v = 0;

	if (len < 6 || strncmp(text, "\\x{", 3) != 0)
		return 0;
	for (; n < len && hex(text[n]) >= 0 && n < 9; n++)
		v = v << 4 | (uint32_t)hex(text[n]);
	if (n == 3 || n >= len || text[n] != '}')
		return 0;
	if (v != ' ' && v != '+' && v != '=' && v != '\\' && (v < 0xa0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)))
		return 0;
	*value_r = v;
	return n + 1;
}

/* utf-8-addr-xtext, or where `utf8` utf-8-addr-unitext. Returns the length, -1 for bad text. */
static int
unitext_decode(char *to, size_t size, const char *text, size_t len, bool utf8)
{
	size_t n = 0, used;
	uint32_t value;

	for (size_t i = 0; i < len; i += used) {
		char c = text[i];

		value = (unsigned char)c;
		if (c == '\\')
			used = embedded_take(text + i, len - i, &value);
		else if ((unsigned char)c >= 0x80)
			used = utf8 ? utf8_take(text + i, len - i, &value) : 0;
		else
			used = c > ' ' && c <= '~' && c != '+' && c != '=';
		if (used == 0 || n + 5 > size)
			return -1;
		n += utf8_put(to + n, value);
	}
	to[n] = '\0';
	return (int)n;
}

size_t
dsn_utf8_address(char *to, size_t size, const char *address, bool utf8)
{
	size_t n = 0, len = strlen(address), used;
	uint32_t value;

	for (size_t i = 0; i < len && n + 12 <= size; i += used) {
		unsigned char c = (unsigned char)address[i];

		used = 1;
		value = c;
		if (c >= 0x80 && (used = utf8_take(address + i, len - i, &value)) == 0) {
			used = 1;
			value = '?';
		}
		if (value > ' ' && value < 0x7f && value != '\\' && value != '+' && value != '=')
			to[n++] = (char)value;
		else if (utf8 && value >= 0xa0)
			n += utf8_put(to + n, value);
		else
			n += (size_t)snprintf(to + n, size - n, "\\x{%X}", value < ' ' || value == 0x7f ? '?' : value);
	}
	to[n] = '\0';
	return n;
}

/* ---- ORCPT ---- */

/* The length of "type", which letters, digits and hyphens make; 0: there is none before a semicolon. */
static size_t
type_length(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && n < TYPE_MAX && ((text[n] >= '0' && text[n] <= '9') || text[n] == '-' ||
	    ((text[n] | 0x20) >= 'a' && (text[n] | 0x20) <= 'z')))
		n++;
	return n < len && text[n] == ';' ? n : 0;
}

int
dsn_orcpt_parse(char to[DSN_ORCPT_MAX + 1], const char *text, size_t len, bool utf8)
{
	size_t type = type_length(text, len), room;
	int n;

	if (type == 0 || len > DSN_ORCPT_MAX || len == type + 1)
		return -1;
	memcpy(to, text, type + 1);
	room = DSN_ORCPT_MAX - type;
	text += type + 1;
	len -= type + 1;
	if (same(to, type, "utf-8"))
		n = unitext_decode(to + type + 1, room, text, len, utf8);
	else
		n = xtext_decode(to + type + 1, room, text, len);
	return n > 0 ? 0 : -1;
}

char *
dsn_orcpt_text(char to[DSN_ORCPT_TEXT], const char *orcpt, bool utf8)
{
	size_t type = type_length(orcpt, strlen(orcpt));

	if (type == 0) {
		to[0] = '\0';
		return to;
	}
	memcpy(to, orcpt, type + 1);
	if (same(orcpt, type, "utf-8"))
		dsn_utf8_address(to + type + 1, DSN_ORCPT_TEXT - type - 1, orcpt + type + 1, utf8);
	else
		xtext_encode(to + type + 1, DSN_ORCPT_TEXT - type - 1, orcpt + type + 1);
	return to;
}

char *
dsn_envid_text(char to[DSN_ENVID_TEXT], const char *envid)
{
	xtext_encode(to, DSN_ENVID_TEXT, envid);
	return to;
}

char *
dsn_notify_text(char to[DSN_NOTIFY_TEXT], uint8_t notify)
{
	size_t n = 0;

	to[0] = '\0';
	if (notify & DSN_NEVER)
		snprintf(to, DSN_NOTIFY_TEXT, "NEVER");
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && (notify & DSN_NEVER) == 0; i++)
		if (notify & events[i].bit)
			n += (size_t)snprintf(to + n, DSN_NOTIFY_TEXT - n, "%s%s", n > 0 ? "," : "", events[i].word);
	return to;
}

bool
dsn_wants(uint8_t notify, enum dsn_notify event, bool silent)
{
	return notify == 0 ? silent : (notify & event) != 0;
}
