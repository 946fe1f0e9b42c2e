/*
 * Reads what says that the client is somebody else than who connected. Decides whether that is well-formed; whether the
 * speaker may say so is for session.c and commands.c, by its own address. Lengths are checked before anything is read:
 * a header of the PROXY protocol says itself how long it is, and is not believed further than PROXY_V2_MAX.
 */
#include "smtpd/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "smtpd/params.h"

#define V1_FIELDS	6		/* PROXY, protocol, two addresses, two ports */
#define V2_FIXED	16
#define V2_INET		12		/* bytes of two IPv4 addresses and ports */
#define V2_INET6	36

static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- addresses ---- */

/* IPv4 inside IPv6 is IPv4, as everywhere else. */
static void
set_four(struct sockaddr_storage *to, const void *address, uint16_t port)
{
	struct sockaddr_in *four = (void *)to;

	memset(to, 0, sizeof(*to));
	four->sin_family = AF_INET;
	memcpy(&four->sin_addr, address, 4);
	four->sin_port = htons(port);
}

static void
set_six(struct sockaddr_storage *to, const void *address, uint16_t port)
{
	struct sockaddr_in6 *six = (void *)to;

	memset(to, 0, sizeof(*to));
	memcpy(&six->sin6_addr, address, 16);
	if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		set_four(to, (const uint8_t *)address + 12, port);
		return;
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
}

static bool
set_text(struct sockaddr_storage *to, int family, const char *text, uint16_t port)
{
	uint8_t address[16];

	if (inet_pton(family, text, address) != 1)
		return false;
	if (family == AF_INET)
		set_four(to, address, port);
	else
		set_six(to, address, port);
	return true;
}

/* ---- version 1: a line ---- */

static bool
port_of(const char *text, uint16_t *port_r)
{
	uint64_t n;

	if (strlen(text) > 5 || params_number(text, strlen(text), &n) < 0 || n > UINT16_MAX)
		return false;
	*port_r = (uint16_t)n;
	return true;
}

/* The line's words, single spaces between them. How many, or 0. */
static size_t
split(char *line, char *words[V1_FIELDS])
{
	size_t n = 0;

	for (char *p = line; p != NULL && n < V1_FIELDS; n++) {
		words[n] = p;
		if ((p = strchr(p, ' ')) != NULL)
			*p++ = '\0';
		else
			return words[n][0] != '\0' ? n + 1 : 0;
		if (words[n][0] == '\0')
			return 0;
	}
	return 0;
}

static enum proxy_result
take_line(char *line, struct sockaddr_storage *client)
{
	struct sockaddr_storage there;
	char *words[V1_FIELDS];
	uint16_t from, to;
	int family;

	if (strncmp(line, "PROXY UNKNOWN", 13) == 0 && (line[13] == '\0' || line[13] == ' '))
		return PROXY_ITSELF;
	if (split(line, words) != V1_FIELDS || strcmp(words[0], "PROXY") != 0)
		return PROXY_BAD;
	if (strcmp(words[1], "TCP4") != 0 && strcmp(words[1], "TCP6") != 0)
		return PROXY_BAD;
	family = words[1][3] == '4' ? AF_INET : AF_INET6;
	if (!port_of(words[4], &from) || !port_of(words[5], &to) || !set_text(&there, family, words[3], to) ||
	    !set_text(client, family, words[2], from))
		return PROXY_BAD;
	return PROXY_ADDRESS;
}

static enum proxy_result
version_1(const uint8_t *data, size_t len, struct sockaddr_storage *client, size_t *used)
{
	size_t most = len < PROXY_V1_MAX ? len : PROXY_V1_MAX;
	const uint8_t *end = memchr(data, '\n', most);
	char line[PROXY_V1_MAX + 1];
	size_t n;

	if (end == NULL)
		return len >= PROXY_V1_MAX ? PROXY_BAD : PROXY_MORE;
	n = (size_t)(end - data);
	if (n < 1 || data[n - 1] != '\r' || memchr(data, '\0', n) != NULL)
		return PROXY_BAD;
	memcpy(line, data, n - 1);
	line[n - 1] = '\0';
	*used = n + 1;
	return take_line(line, client);
}

/* ---- version 2: bytes ---- */

static uint16_t
two_bytes(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static enum proxy_result
version_2(const uint8_t *data, size_t len, struct sockaddr_storage *client, size_t *used)
{
	uint8_t family;
	size_t rest;

	if (len < V2_FIXED)
		return PROXY_MORE;
	rest = two_bytes(data + 14);
	if (data[12] >> 4 != 2 || (data[12] & 15) > 1 || V2_FIXED + rest > PROXY_V2_MAX)
		return PROXY_BAD;
	if (len < V2_FIXED + rest)
		return PROXY_MORE;
	*used = V2_FIXED + rest;
	if ((data[12] & 15) == 0)		/* LOCAL: a look whether we are here */
		return PROXY_ITSELF;
	family = data[13];			/* and transport */
	data += V2_FIXED;
	switch (family) {
	case 0x11:
		if (rest < V2_INET)
			return PROXY_BAD;
		set_four(client, data, two_bytes(data + 8));
		return PROXY_ADDRESS;
	case 0x21:
		if (rest < V2_INET6)
			return PROXY_BAD;
		set_six(client, data, two_bytes(data + 32));
		return PROXY_ADDRESS;
	default:
		return PROXY_ITSELF;
	}
}

enum proxy_result
proxy_header(const uint8_t *data, size_t len, struct sockaddr_storage *client, size_t *used)
{
	static const char v1[] = "PROXY ";
	size_t n = len < sizeof(v1) - 1 ? len : sizeof(v1) - 1;

	*used = 0;
	if (len == 0)
		return PROXY_MORE;
	if (memcmp(data, v1, n) == 0)
		return n == sizeof(v1) - 1 ? version_1(data, len, client, used) : PROXY_MORE;
	n = len < sizeof(v2_signature) ? len : sizeof(v2_signature);
	if (memcmp(data, v2_signature, n) == 0)
		return version_2(data, len, client, used);
	return PROXY_BAD;
}

/* ---- XCLIENT ---- */

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What xtext stands for; nothing in it may be a control character once it is read. */
static bool
from_xtext(char *to, size_t size, const char *from, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)from[i];

		if (c == '+') {
			if (i + 2 >= len || digit(from[i + 1]) < 0 || digit(from[i + 2]) < 0)
				return false;
			c = digit(from[i + 1]) << 4 | digit(from[i + 2]);
			i += 2;
		} else if (c == '=')
			return false;
		if (c <= ' ' || c > '~' || n + 1 >= size)
			return false;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return n > 0;
}

static bool
unavailable(const char *value)
{
	return strcasecmp(value, "[UNAVAILABLE]") == 0 || strcasecmp(value, "[TEMPUNAVAIL]") == 0;
}

static const char *
take_address(struct proxy_xclient *x, const char *value)
{
	if (unavailable(value))
		return NULL;
	if (strncasecmp(value, "IPV6:", 5) == 0 ? set_text(&x->client, AF_INET6, value + 5, 0) :
	    set_text(&x->client, AF_INET, value, 0))
		return NULL;
	return "ADDR= is an IPv4 address, or IPV6: and an IPv6 address";
}

static const char *
take_attribute(struct proxy_xclient *x, const char *name, size_t len, const char *value)
{
	uint16_t port;

#define IS(word)	(len == sizeof(word) - 1 && strncasecmp(name, word, len) == 0)
	if (IS("ADDR"))
		return take_address(x, value);
	if (IS("NAME"))
		snprintf(x->name, sizeof(x->name), "%s", unavailable(value) ? "" : value);
	else if (IS("HELO"))
		snprintf(x->helo, sizeof(x->helo), "%s", unavailable(value) ? "" : value);
	else if (IS("PORT")) {
		if (!unavailable(value) && !port_of(value, &port))
			return "PORT= is a number";
	} else if (IS("PROTO")) {
		x->esmtp = strcasecmp(value, "ESMTP") == 0;
		if (!x->esmtp && strcasecmp(value, "SMTP") != 0)
			return "PROTO= is SMTP or ESMTP";
	} else
		return "The attributes are NAME, ADDR, PORT, PROTO and HELO";
#undef IS
	return NULL;
}

int
proxy_xclient(const char *text, struct proxy_xclient *x, const char **why)
{
	char value[PROXY_WORD_MAX + 1];
	const char *equals;
	size_t len;

	memset(x, 0, sizeof(*x));
	*why = "XCLIENT takes ATTRIBUTE=value, as ADDR=192.0.2.1";
	if (*text == '\0')
		return -1;
	for (; *text != '\0'; text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		if ((equals = memchr(text, '=', len)) == NULL ||
		    !from_xtext(value, sizeof(value), equals + 1, len - (size_t)(equals + 1 - text)))
			return -1;
		if ((*why = take_attribute(x, text, (size_t)(equals - text), value)) != NULL)
			return -1;
		*why = "XCLIENT takes ATTRIBUTE=value, as ADDR=192.0.2.1";
	}
	return 0;
}
