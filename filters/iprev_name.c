/*
 * How a host name looks (filters/iprev_name.h), from its labels left of the organization's own: "dsl.example" may be
 * somebody's name, "dsl.example.net" is one's line. Words count whole ("pool-7", not "liverpool"), the address counts
 * when three of its octets stand in a row, or all of it in hexadecimal or as twelve digits. One pass; no expressions.
 */
#include "filters/iprev_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define OWN_LABELS	2		/* the last ones, which are never looked at */
#define NUMBERS_MAX	32		/* more numbers in a name are passed over */
#define LOOKED_AT	255

static const char *const dynamic_words[] = { "adsl", "dhcp", "dial", "dialin", "dialup", "dip", "dsl", "dyn", "dynamic",
	"dynamicip", "ftth", "pool", "pools", "ppp", "pppoe", "vdsl", "wireless", "xdsl" };
static const char *const static_words[] = { "static", "fixed", "sta", "stat" };

/* The part before the last labels, in lower case. */
static size_t
take_left(char to[LOOKED_AT + 1], const char *name)
{
	size_t end = strlen(name), labels = 0, len;

	while (end > 0) {
		if (name[end - 1] == '.' && name[end] != '\0' && ++labels == OWN_LABELS)
			break;
		end--;
	}
	len = end > LOOKED_AT ? LOOKED_AT : end;
	for (size_t i = 0; i < len; i++)
		to[i] = (char)tolower((unsigned char)name[i]);
	to[len] = '\0';
	return len;
}

/* Whether one of the words stands there between what are no letters. */
static bool
has_word(const char *text, const char *const *words, size_t n)
{
	while (*text != '\0') {
		size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");

		for (size_t i = 0; i < n; i++)
			if (len == strlen(words[i]) && memcmp(text, words[i], len) == 0)
				return true;
		text += len > 0 ? len : 1;
	}
	return false;
}

static size_t
take_numbers(unsigned *to, const char *text)
{
	size_t n = 0;

	while (*text != '\0' && n < NUMBERS_MAX) {
		size_t len = strspn(text, "0123456789");

		if (len >= 1 && len <= 3) {
			to[n] = 0;
			for (size_t i = 0; i < len; i++)
				to[n] = to[n] * 10 + (unsigned)(text[i] - '0');
			n++;
		}
		text += len > 0 ? len : 1;
	}
	return n;
}

/* Three octets side by side, from either end, forwards or backwards. */
static bool
has_octets(const char *text, const uint8_t o[4])
{
	unsigned numbers[NUMBERS_MAX];
	size_t n = take_numbers(numbers, text);

	for (size_t i = 0; i + 3 <= n; i++)
		for (size_t first = 0; first < 2; first++) {
			const uint8_t *three = o + first;

			if ((numbers[i] == three[0] && numbers[i + 1] == three[1] && numbers[i + 2] == three[2]) ||
			    (numbers[i] == three[2] && numbers[i + 1] == three[1] && numbers[i + 2] == three[0]))
				return true;
		}
	return false;
}

static bool
has_written(const char *text, const struct reverse_address *a)
{
	char hex[33], nibbles[80], digits[16];
	size_t len = 0;

	for (size_t i = 0; i < a->len; i++)
		len += (size_t)snprintf(hex + len, sizeof(hex) - len, "%02x", a->bytes[i]);
	if (a->len == 16) {
		if (reverse_name(nibbles, sizeof(nibbles), a, "") == 0 && strstr(text, nibbles) != NULL)
			return true;
		return strstr(text, hex) != NULL || strstr(text, hex + 16) != NULL;
	}
	snprintf(digits, sizeof(digits), "%03u%03u%03u%03u", a->bytes[0], a->bytes[1], a->bytes[2], a->bytes[3]);
	return strstr(text, hex) != NULL || strstr(text, digits) != NULL;
}

enum iprev_look
iprev_name_look(const char *name, const struct reverse_address *a)
{
	char text[LOOKED_AT + 1];
	bool generic;

	take_left(text, name);
	if (has_word(text, dynamic_words, sizeof(dynamic_words) / sizeof(dynamic_words[0])))
		return IPREV_DYNAMIC;
	generic = (a->len == 4 && has_octets(text, a->bytes)) || (a->len != 0 && has_written(text, a));
	if (!generic)
		return IPREV_OWN;
	return has_word(text, static_words, sizeof(static_words) / sizeof(static_words[0])) ? IPREV_GENERIC : IPREV_DYNAMIC;
}

const char *
iprev_look_name(enum iprev_look look)
{
	static const char *const names[] = {
		[IPREV_OWN] = "own",
		[IPREV_GENERIC] = "generic",
		[IPREV_DYNAMIC] = "dynamic",
	};

	return names[look];
}
