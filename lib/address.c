/*
 * Addresses and domains: from what a stranger wrote to one canonical form, or a phrase that says what was expected.
 * Decides syntax and lengths only; whether a mailbox exists or a domain may be relayed to is lookup's business. Every
 * byte is looked at a fixed number of times. Called by smtpd, lookup, mda, conf and the tools.
 */
#include "lib/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/utf8.h"

#define LABEL_MAX	63		/* RFC 1035, 2.3.4 */
#define DOMAIN_RAW_MAX	1024		/* as U-labels: 4 bytes may stand for what is one in the A-label */

/* What is being read, and why it was refused. */
struct scan {
	const char	*p;
	const char	*why;
	int		 flags;
};

static enum address_result
refuse(struct scan *s, enum address_result result, const char *why)
{
	s->why = why;
	return result;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 5322, 3.2.3, without what RFC 6531 adds. */
static bool
is_atext(char c)
{
	return is_letter(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* How many bytes the character above 0x7f at s->p has; a failure in *result_r and 0. */
static size_t
scan_utf8(struct scan *s, enum address_result *result_r)
{
	size_t len;

	if (!(s->flags & ADDRESS_UTF8)) {
		*result_r = refuse(s, ADDRESS_NEEDS_UTF8, "an address that is not ASCII needs SMTPUTF8");
		return 0;
	}
	if ((len = utf8_take(s->p, SIZE_MAX, NULL)) == 0)
		*result_r = refuse(s, ADDRESS_SYNTAX, "bytes that are not valid UTF-8");
	return len;
}

static enum address_result
local_append(struct scan *s, struct address *a, size_t *len, const char *from, size_t n)
{
	if (*len + n > ADDRESS_LOCAL_MAX)
		return refuse(s, ADDRESS_TOO_LONG, "the part before the @ is longer than 64 bytes");
	memcpy(a->local + *len, from, n);
	*len += n;
	return ADDRESS_OK;
}

/* RFC 5321, 4.1.2: Quoted-string, from its opening quote up to and with the closing one. */
static enum address_result
scan_quoted(struct scan *s, struct address *a)
{
	enum address_result result = ADDRESS_OK;
	size_t len = 0, n;

	for (s->p++; *s->p != '"'; s->p += n) {
		n = 1;
		if (*s->p == '\\')
			s->p++;
		if ((unsigned char)*s->p < 0x20 || *s->p == 0x7f)
			return refuse(s, ADDRESS_SYNTAX, "a quoted part without its closing quote, or a control in it");
		if ((unsigned char)*s->p >= 0x80 && (n = scan_utf8(s, &result)) == 0)
			return result;
		if (n > 1)
			a->utf8 = true;
		if ((result = local_append(s, a, &len, s->p, n)) != ADDRESS_OK)
			return result;
	}
	s->p++;
	if (len == 0 && !(s->flags & ADDRESS_GRAMMAR))
		return refuse(s, ADDRESS_SYNTAX, "nothing before the @");
	return ADDRESS_OK;
}

/* RFC 5321, 4.1.2: Dot-string. Stops at the first character that cannot belong to it. */
static enum address_result
scan_dot_string(struct scan *s, struct address *a)
{
	enum address_result result = ADDRESS_OK;
	size_t len = 0, n;

	for (;; s->p += n) {
		n = 1;
		if (*s->p == '.') {
			if (len == 0 || s->p[-1] == '.')
				return refuse(s, ADDRESS_SYNTAX, "a dot at the start, or two in a row, before the @");
		} else if ((unsigned char)*s->p >= 0x80) {
			if ((n = scan_utf8(s, &result)) == 0)
				return result;
			a->utf8 = true;
		} else if (!is_atext(*s->p)) {
			break;
		}
		if ((result = local_append(s, a, &len, s->p, n)) != ADDRESS_OK)
			return result;
	}
	if (len == 0)
		return refuse(s, ADDRESS_SYNTAX, "nothing before the @, or a character that must be quoted");
	if (a->local[len - 1] == '.')
		return refuse(s, ADDRESS_SYNTAX, "a dot just before the @");
	return ADDRESS_OK;
}

/* Checks labels of ASCII and writes them in lower case; a single final dot is stripped. */
static enum address_result
check_labels(struct scan *s, char *to, const char *from)
{
	size_t len = strlen(from), label = 0;
	bool digits = true, letter = s->flags & ADDRESS_GRAMMAR;

	if (len > 0 && from[len - 1] == '.' && !letter)
		len--;
	if (len > ADDRESS_DOMAIN_MAX)
		return refuse(s, ADDRESS_TOO_LONG, "the domain is longer than 255 bytes");
	for (size_t i = 0; i <= len; i++) {
		if (i == len || from[i] == '.') {
			if (label == 0)
				return refuse(s, ADDRESS_SYNTAX, "a domain is words joined by single dots");
			if (label > LABEL_MAX)
				return refuse(s, ADDRESS_TOO_LONG, "a word of the domain is longer than 63 bytes");
			if (from[i - 1] == '-' || from[i - label] == '-')
				return refuse(s, ADDRESS_SYNTAX, "a hyphen at the start or end of a word of the domain");
			if (i < len) {
				to[i] = '.';
				label = 0;
				digits = true;
			}
			continue;
		}
		if (!is_letter(from[i]) && !is_digit(from[i]) && from[i] != '-' && (from[i] != '_' || letter))
			return refuse(s, ADDRESS_SYNTAX, "a character that no domain has");
		digits = digits && is_digit(from[i]);
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] - 'A' + 'a') : from[i];
		label++;
	}
	to[len] = '\0';
	/* No top-level domain is a number; without this "127.0.0.1" would be taken for an address further down. */
	if (digits && !letter)
		return refuse(s, ADDRESS_SYNTAX, "an IP address belongs in brackets: [192.0.2.1]");
	return ADDRESS_OK;
}

/* RFC 5891: U-labels to A-labels. The mapping may make any ASCII character, so its result is checked like any other. */
static enum address_result
map_labels(struct scan *s, char *to, const char *raw)
{
	enum address_result result;
	uint8_t *mapped = NULL;
	size_t len;
	int rc;

	for (const char *p = raw; *p != '\0'; p += len)
		if ((len = (unsigned char)*p < 0x80 ? 1 : utf8_take(p, SIZE_MAX, NULL)) == 0)
			return refuse(s, ADDRESS_SYNTAX, "bytes that are not valid UTF-8");
	rc = idn2_lookup_u8((const uint8_t *)raw, &mapped, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc == IDN2_TOO_BIG_DOMAIN || rc == IDN2_TOO_BIG_LABEL)
		return refuse(s, ADDRESS_TOO_LONG, "the domain is longer than DNS allows");
	if (rc != IDN2_OK)
		return refuse(s, ADDRESS_SYNTAX, "not a valid internationalised domain");
	result = check_labels(s, to, (const char *)mapped);
	idn2_free(mapped);
	return result;
}

/* RFC 5321, 4.1.3, from '[' up to and with ']'; written the way inet_ntop does, so that equal ones compare equal. */
static enum address_result
scan_literal(struct scan *s, char *to)
{
	char inside[64], canonical[INET6_ADDRSTRLEN];
	const char *close = strchr(s->p, ']');
	struct in6_addr number;
	bool v6 = strncasecmp(s->p, "[IPv6:", 6) == 0;
	const char *start = s->p + (v6 ? 6 : 1);
	int family = v6 ? AF_INET6 : AF_INET;

	if (close == NULL || close < start || close - start >= (ptrdiff_t)sizeof(inside))
		return refuse(s, ADDRESS_SYNTAX, "an address literal is [192.0.2.1] or [IPv6:2001:db8::1]");
	memcpy(inside, start, (size_t)(close - start));
	inside[close - start] = '\0';
	if (inet_pton(family, inside, &number) != 1)
		return refuse(s, ADDRESS_SYNTAX, "an address literal is [192.0.2.1] or [IPv6:2001:db8::1]");
	inet_ntop(family, &number, canonical, sizeof(canonical));
	snprintf(to, ADDRESS_DOMAIN_MAX + 1, "[%s%s]", v6 ? "IPv6:" : "", canonical);
	s->p = close + 1;
	return ADDRESS_OK;
}

/* A domain or literal, up to the first character that cannot belong to one. */
static enum address_result
scan_domain(struct scan *s, char *to)
{
	enum address_result result = ADDRESS_OK;
	char raw[DOMAIN_RAW_MAX + 1];
	size_t len = 0;

	if (*s->p == '[')
		return scan_literal(s, to);
	for (; *s->p != '\0' && strchr(">,: \t\r\n", *s->p) == NULL; s->p++) {
		if ((unsigned char)*s->p >= 0x80 && !(s->flags & ADDRESS_UTF8) && scan_utf8(s, &result) == 0)
			return result;
		if (len == DOMAIN_RAW_MAX)
			return refuse(s, ADDRESS_TOO_LONG, "the domain is longer than 255 bytes");
		raw[len++] = *s->p;
	}
	raw[len] = '\0';
	if (len == 0)
		return refuse(s, ADDRESS_SYNTAX, "no domain after the @");
	return is_ascii(raw) ? check_labels(s, to, raw) : map_labels(s, to, raw);
}

/* A-d-l ":" (RFC 5321, 4.1.2 and appendix C): checked, and forgotten. */
static enum address_result
scan_route(struct scan *s)
{
	char ignored[ADDRESS_DOMAIN_MAX + 1];
	enum address_result result;

	for (;; s->p++) {
		if (*s->p != '@')
			return refuse(s, ADDRESS_SYNTAX, "a source route is @one,@two:user@domain");
		s->p++;
		if ((result = scan_domain(s, ignored)) != ADDRESS_OK)
			return result;
		if (*s->p != ',')
			break;
	}
	if (*s->p != ':')
		return refuse(s, ADDRESS_SYNTAX, "a source route ends with a colon");
	s->p++;
	return ADDRESS_OK;
}

static bool
is_dot_string(const char *s)
{
	char before = '.';

	for (; *s != '\0'; before = *s++)
		if (*s == '.' ? before == '.' : (unsigned char)*s < 0x80 && !is_atext(*s))
			return false;
	return before != '.';
}

/* text from local and domain. It has room for both at their longest, with every character quoted. */
static void
join(struct address *a)
{
	bool quote = !is_dot_string(a->local);
	size_t len = strlen(a->domain);
	char *to = a->text;

	if (quote)
		*to++ = '"';
	for (const char *p = a->local; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			*to++ = '\\';
		*to++ = *p;
	}
	if (quote)
		*to++ = '"';
	if (len > 0) {
		*to++ = '@';
		memcpy(to, a->domain, len);
		to += len;
	}
	*to = '\0';
}

static enum address_result
scan_mailbox(struct scan *s, struct address *a)
{
	enum address_result result;

	result = *s->p == '"' ? scan_quoted(s, a) : scan_dot_string(s, a);
	if (result != ADDRESS_OK)
		return result;
	if (*s->p == '@') {
		s->p++;
		if ((result = scan_domain(s, a->domain)) != ADDRESS_OK)
			return result;
		a->literal = a->domain[0] == '[';
	} else if (*s->p != '>' && *s->p != '\0') {
		return refuse(s, ADDRESS_SYNTAX, "a character before the @ that must be quoted");
	} else if (!(s->flags & ADDRESS_BARE)) {
		return refuse(s, ADDRESS_SYNTAX, "a domain is missing: expected user@domain");
	}
	join(a);
	return ADDRESS_OK;
}

static enum address_result
scan_path(struct scan *s, struct address *a)
{
	enum address_result result;

	if (*s->p != '<')
		return refuse(s, ADDRESS_SYNTAX, "an address stands in angle brackets: <user@domain>");
	s->p++;
	if (*s->p == '>') {
		s->p++;
		if (s->flags & ADDRESS_NULL)
			return ADDRESS_OK;
		return refuse(s, ADDRESS_SYNTAX, "nothing between the angle brackets");
	}
	if (*s->p == '@' && (result = scan_route(s)) != ADDRESS_OK)
		return result;
	if ((result = scan_mailbox(s, a)) != ADDRESS_OK)
		return result;
	if (*s->p != '>')
		return refuse(s, ADDRESS_SYNTAX, "no > after the address");
	s->p++;
	return ADDRESS_OK;
}

/* On failure nothing half-parsed stays in a. */
static enum address_result
finish(struct address *a, enum address_result result, const struct scan *s, const char **why_r)
{
	if (result != ADDRESS_OK)
		memset(a, 0, sizeof(*a));
	if (why_r != NULL)
		*why_r = result == ADDRESS_OK ? NULL : s->why;
	return result;
}

enum address_result
address_parse_path(struct address *a, const char *text, int flags, const char **end_r, const char **why_r)
{
	struct scan s = { .p = text, .flags = flags };
	enum address_result result;

	memset(a, 0, sizeof(*a));
	result = scan_path(&s, a);
	if (result == ADDRESS_OK && end_r != NULL)
		*end_r = s.p;
	return finish(a, result, &s, why_r);
}

enum address_result
address_parse(struct address *a, const char *text, int flags, const char **why_r)
{
	struct scan s = { .p = text, .flags = flags };
	enum address_result result;

	memset(a, 0, sizeof(*a));
	if (*text == '\0' && (flags & ADDRESS_NULL))
		return finish(a, ADDRESS_OK, &s, why_r);
	result = scan_mailbox(&s, a);
	if (result == ADDRESS_OK && *s.p != '\0')
		result = refuse(&s, ADDRESS_SYNTAX, "something after the end of the address");
	return finish(a, result, &s, why_r);
}

int
address_domain(char *to, const char *text, int flags)
{
	struct scan s = { .p = text, .flags = flags };

	if (scan_domain(&s, to) != ADDRESS_OK || *s.p != '\0') {
		to[0] = '\0';
		return -1;
	}
	return 0;
}
