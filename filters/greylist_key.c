/*
 * The key of a greylisted mail (filters/greylist_key.h).
 */
#include "filters/greylist_key.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"

#define TOKEN_LEAST	12U		/* characters of hexadecimal that are no word any more */

char *
greylist_key_network(char *to, const struct reverse_address *address)
{
	char text[INET6_ADDRSTRLEN] = "?";
	uint8_t bytes[16] = { 0 };

	memcpy(bytes, address->bytes, address->len == 4 ? 3 : 8);
	inet_ntop(address->len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
	snprintf(to, MEMORY_KEY_MAX, "%s/%d", text, address->len == 4 ? 24 : 64);
	return to;
}

/* Behind the n-th '=' of text, or NULL. */
static const char *
behind_equals(const char *text, unsigned n)
{
	while (n-- > 0 && text != NULL)
		if ((text = strchr(text, '=')) != NULL)
			text++;
	return text;
}

/* SRS0=HASH=DAY=example.com=user: what it was before, without asking whether the hash is right, for it is another's. */
static bool
undo_srs(char *to, size_t size, const char *local)
{
	const char *inner = local, *domain, *user;

	if (strncasecmp(local, "SRS1", 4) == 0 && local[4] != '\0')
		inner = behind_equals(local + 5, 2);	/* SRS1=HASH=first.example==HASH=DAY=… */
	else if (strncasecmp(local, "SRS0", 4) != 0 || local[4] == '\0')
		return false;
	else
		inner = local + 4;
	if (inner == NULL || strchr("=+-", inner[0]) == NULL || inner[0] == '\0')
		return false;
	domain = behind_equals(inner + 1, 2);
	user = domain != NULL ? behind_equals(domain, 1) : NULL;
	if (user == NULL || *user == '\0')
		return false;
	snprintf(to, size, "%s@%.*s", user, (int)(user - domain - 1), domain);
	return true;
}

/* prvs=TAG=user, and the older prvs=user/TAG: a tag that is new each day. */
static const char *
undo_batv(const char *local)
{
	const char *user = strncasecmp(local, "prvs=", 5) == 0 ? behind_equals(local, 2) : NULL;

	return user != NULL && *user != '\0' ? user : local;
}

static size_t
span(const char *text, int (*is)(int))
{
	size_t n = 0;

	while (is((unsigned char)text[n]))
		n++;
	return n;
}

/* Whether a word of letters and digits is a number of somebody's in hexadecimal. */
static bool
is_token(const char *word, size_t len)
{
	bool digit = false;

	for (size_t i = 0; i < len; i++) {
		if (!isxdigit((unsigned char)word[i]))
			return false;
		digit |= isdigit((unsigned char)word[i]) != 0;
	}
	return digit && len >= TOKEN_LEAST;
}

/* Runs of digits, and long hexadecimal words, become '#'. Returns how much was written. */
static size_t
fold(char *to, size_t size, const char *local)
{
	size_t n = 0;

	while (*local != '\0' && n + 1 < size) {
		size_t word = span(local, isalnum), digits = span(local, isdigit);
		bool is_start = n == 0 || !isalnum((unsigned char)local[-1]);

		if (is_start && is_token(local, word)) {
			to[n++] = '#';
			local += word;
		} else if (digits > 0) {
			to[n++] = '#';
			local += digits;
		} else
			to[n++] = (char)tolower((unsigned char)*local++);
	}
	to[n] = '\0';
	return n;
}

static void
fold_sender(char *to, size_t size, const char *sender)
{
	char local[ADDRESS_MAX], undone[ADDRESS_MAX];
	const char *at = strrchr(sender, '@'), *domain = at != NULL ? at : "";
	size_t n;

	snprintf(local, sizeof(local), "%.*s", at != NULL ? (int)(at - sender) : (int)sizeof(local) - 1, sender);
	if (undo_srs(undone, sizeof(undone), local)) {
		domain = strrchr(undone, '@');
		snprintf(local, sizeof(local), "%.*s", (int)(domain - undone), undone);
	}
	n = fold(to, size, undo_batv(local));
	for (; *domain != '\0' && n + 1 < size; domain++)
		to[n++] = (char)tolower((unsigned char)*domain);
	to[n] = '\0';
}

char *
greylist_key_other(char *to, const char *sender, const char *helo, const char *recipient)
{
	char folded[ADDRESS_MAX];

	if (sender[0] != '\0')
		fold_sender(folded, sizeof(folded), sender);
	else
		snprintf(folded, sizeof(folded), "<> %.255s", helo != NULL ? helo : "");
	snprintf(to, MEMORY_OTHER_MAX, "%s\n%.*s", folded, ADDRESS_MAX, recipient);
	return to;
}
