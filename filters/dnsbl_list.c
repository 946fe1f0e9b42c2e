/*
 * DNS lists read from the configuration, and their codes (filters/dnsbl_list.h). The table of error codes is here: they
 * were taken for listings by others, which then refused all mail. Called by filters/dnsbl.c and the tools.
 */
#include "filters/dnsbl_list.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"

#define ADDRESS_OF(a, b, c, d)	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define BITS_MAX		0xffffff	/* the first octet is 127 */

/* Codes that say something about the question and nothing about what was asked for. zone: NULL for any list. */
static const struct {
	const char	*zone;
	uint32_t	 first, last;
	const char	*why;
} errors[] = {
	{ NULL, ADDRESS_OF(127, 255, 255, 252), ADDRESS_OF(127, 255, 255, 252), "the list's name is mistyped" },
	{ NULL, ADDRESS_OF(127, 255, 255, 254), ADDRESS_OF(127, 255, 255, 254), "the list does not serve this public resolver" },
	{ NULL, ADDRESS_OF(127, 255, 255, 255), ADDRESS_OF(127, 255, 255, 255), "too many questions were asked" },
	{ NULL, ADDRESS_OF(127, 255, 255, 0), ADDRESS_OF(127, 255, 255, 255), "the list answers with an error" },
	{ NULL, ADDRESS_OF(127, 0, 1, 255), ADDRESS_OF(127, 0, 1, 255), "the list is of domains and was asked about an address" },
	{ "uribl.com", ADDRESS_OF(127, 0, 0, 1), ADDRESS_OF(127, 0, 0, 1), "the list does not serve this resolver" },
	{ "surbl.org", ADDRESS_OF(127, 0, 0, 1), ADDRESS_OF(127, 0, 0, 1), "the list does not serve this resolver" },
	{ "dnswl.org", ADDRESS_OF(127, 0, 0, 255), ADDRESS_OF(127, 0, 0, 255), "too many questions were asked" },
	{ NULL, ADDRESS_OF(127, 0, 0, 0), ADDRESS_OF(127, 0, 0, 1), "the code is none that a list may use" },
};

static int __attribute__((format(printf, 3, 4)))
fail(char *err, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return -1;
}

/* -- codes -- */

static int
read_number(const char *text, unsigned long most, unsigned long *to)
{
	char *end;

	if (*text < '0' || *text > '9' || strlen(text) > 9)
		return -1;
	*to = strtoul(text, &end, 10);
	return *end == '\0' && *to <= most ? 0 : -1;
}

static int
read_address(const char *text, uint32_t *to)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return -1;
	*to = ntohl(in.s_addr);
	return *to >> 24 == 127 ? 0 : -1;
}

static int
read_range(struct dnsbl_code *c, char *text)
{
	char *until = strchr(text, '-'), *prefix = strchr(text, '/');
	unsigned long number;

	if (until != NULL)
		*until++ = '\0';
	else if (prefix != NULL)
		*prefix++ = '\0';
	if (read_address(text, &c->first) == -1)
		return -1;
	c->last = c->first;
	if (until != NULL) {
		if (read_number(until, 255, &number) == 0)
			c->last = (c->first & 0xffffff00u) | (uint32_t)number;
		else if (read_address(until, &c->last) == -1)
			return -1;
	} else if (prefix != NULL) {
		if (read_number(prefix, 32, &number) == -1 || number < 8)
			return -1;
		c->first &= number == 32 ? 0xffffffffu : ~(0xffffffffu >> number);
		c->last = c->first | (number == 32 ? 0 : 0xffffffffu >> number);
	}
	return c->first <= c->last ? 0 : -1;
}

static int
read_code(struct dnsbl_code *c, char *text)
{
	unsigned long bits;

	*c = (struct dnsbl_code){ .bits = 0 };
	if (text[0] != '&')
		return read_range(c, text);
	if (read_number(text + 1, BITS_MAX, &bits) == -1 || bits == 0)
		return -1;
	c->bits = (uint32_t)bits;
	return 0;
}

static int
read_codes(struct dnsbl_list *l, char *text, char *err, size_t size)
{
	char shown[64];

	for (char *next; text != NULL; text = next) {
		if ((next = strchr(text, ',')) != NULL)
			*next++ = '\0';
		if (l->n_codes == DNSBL_CODES_MAX)
			return fail(err, size, "more than 16 codes for %s", l->zone);
		snprintf(shown, sizeof(shown), "%s", text);
		if (read_code(&l->codes[l->n_codes++], text) == -1)
			return fail(err, size, "\"%s\" is no code: expected 127.0.0.2, 127.0.0.2-11, 127.0.2.0/24 or &6", shown);
	}
	return 0;
}

/* -- lists -- */

static int
read_weight(struct dnsbl_list *l, const char *text, char *err, size_t size)
{
	bool minus = text[0] == '-';
	unsigned long number;

	if (read_number(text + minus, DNSBL_WEIGHT_MAX, &number) == -1)
		return fail(err, size, "\"%s\" is no weight: expected a number from -100 to 100", text);
	l->weight = minus ? -(int)number : (int)number;
	return 0;
}

int
dnsbl_list_parse(struct dnsbl_list *l, const char *text, char *err, size_t size)
{
	char copy[1024], zone[ADDRESS_DOMAIN_MAX + 1], *codes, *weight;

	*l = (struct dnsbl_list){ .weight = 1 };
	if (strlen(text) >= sizeof(copy))
		return fail(err, size, "%s", "too long for a list: expected at most 1023 characters");
	snprintf(copy, sizeof(copy), "%s", text);
	if ((weight = strrchr(copy, '*')) != NULL)
		*weight++ = '\0';
	if ((codes = strchr(copy, '=')) != NULL)
		*codes++ = '\0';
	if (address_domain(zone, copy, 0) == -1 || zone[0] == '\0' || zone[0] == '[' || strchr(zone, '.') == NULL ||
	    strlen(zone) > DNSBL_ZONE_MAX)
		return fail(err, size, "\"%s\" is no name of a list: expected ZONE, ZONE=CODES or ZONE=CODES*WEIGHT", copy);
	snprintf(l->zone, sizeof(l->zone), "%.*s", DNSBL_ZONE_MAX, zone);
	if (codes != NULL && read_codes(l, codes, err, size) == -1)
		return -1;
	return weight != NULL ? read_weight(l, weight, err, size) : 0;
}

static bool
is_of_zone(const char *list, const char *zone)
{
	size_t len = strlen(list), tail;

	if (zone == NULL)
		return true;
	tail = strlen(zone);
	return len >= tail && strcasecmp(list + len - tail, zone) == 0 && (len == tail || list[len - tail - 1] == '.');
}

enum dnsbl_meaning
dnsbl_list_meaning(const struct dnsbl_list *l, uint32_t address, const char **why_r)
{
	*why_r = "";
	if (address >> 24 != 127) {
		*why_r = "the answer is not one of a list";
		return DNSBL_OUTSIDE;
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (address >= errors[i].first && address <= errors[i].last && is_of_zone(l->zone, errors[i].zone)) {
			*why_r = errors[i].why;
			return DNSBL_ERROR;
		}
	for (size_t i = 0; i < l->n_codes; i++) {
		const struct dnsbl_code *c = &l->codes[i];

		if (c->bits != 0 ? (address & c->bits) != 0 : address >= c->first && address <= c->last)
			return DNSBL_COUNTS;
	}
	return l->n_codes == 0 ? DNSBL_COUNTS : DNSBL_OTHER;
}

void
dnsbl_text_clean(char *to, const char *bytes, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < DNSBL_TEXT_MAX; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c <= 0x20) {
			if (n > 0 && to[n - 1] != ' ')
				to[n++] = ' ';
		} else {
			to[n++] = c < 0x7f ? (char)c : '?';
		}
	}
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}
