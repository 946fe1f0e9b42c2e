/*
 * Authentication-Results fields (filters/authres.h). The writer gives no stranger's byte a chance to become syntax: what
 * is no token or address is quoted, and what is no printable ASCII becomes '?'. The reader goes only as far as the id,
 * which may stand behind comments, folds and quotes; where it cannot tell, the field goes.
 */
#include "filters/authres.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"

#define LINE_LENGTH	78		/* RFC 5322, 2.1.1: folded before it, where a fold may be */
#define ID_MAX		255
#define FIELD		"Authentication-Results"

/* -- writing -- */

static void
append(struct authres *a, const char *text, size_t len)
{
	if (a->full || len > AUTHRES_MAX - 8 - a->len) {	/* 8: the end always fits */
		a->full = true;
		return;
	}
	memcpy(a->text + a->len, text, len);
	a->len += len;
	a->text[a->len] = '\0';
	a->column += len;
}

/* A word with a space before it, or on a line of its own where it would be too long. */
static void
append_word(struct authres *a, const char *word, size_t len)
{
	if (a->column + 1 + len > LINE_LENGTH && a->column > 1) {
		append(a, "\r\n\t", 3);
		a->column = 8;
	} else {
		append(a, " ", 1);
	}
	append(a, word, len);
}

static bool
is_token_char(char c)
{
	return c > 0x20 && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* RFC 8601, 2.2: pvalue is a token or "[local]@domain"; both can stand without quotes. */
static bool
is_plain(const char *value, size_t len)
{
	size_t ats = 0;

	for (size_t i = 0; i < len; i++) {
		if (value[i] == '@')
			ats++;
		else if (!is_token_char(value[i]))
			return false;
	}
	return len > 0 && (ats == 0 || (ats == 1 && value[len - 1] != '@'));
}

/* Into `to`, which holds twice the most and the quotes; returns the length. */
static size_t
write_value(char to[2 * AUTHRES_VALUE_MAX + 3], const char *value, bool may_be_plain)
{
	size_t len = strlen(value), n = 0;

	if (len > AUTHRES_VALUE_MAX)
		len = AUTHRES_VALUE_MAX;
	if (may_be_plain && is_plain(value, len)) {
		memcpy(to, value, len);
		return len;
	}
	to[n++] = '"';
	for (size_t i = 0; i < len; i++) {
		if (value[i] == '"' || value[i] == '\\')
			to[n++] = '\\';
		to[n++] = value[i] >= 0x20 && value[i] < 0x7f ? value[i] : '?';
	}
	to[n++] = '"';
	return n;
}

void
authres_begin(struct authres *a, const char *id)
{
	char value[2 * AUTHRES_VALUE_MAX + 3];
	size_t len = write_value(value, id, true);

	*a = (struct authres){ .len = 0 };
	append(a, FIELD ": ", sizeof(FIELD ": ") - 1);
	append(a, value, len);
}

/* A result that did not fit goes as a whole: half of one could say something else. */
static void
finish_result(struct authres *a)
{
	if (a->full && a->result_at > 0) {
		a->len = a->result_at;
		a->text[a->len] = '\0';
	}
}

void
authres_result(struct authres *a, const char *method, const char *result, const char *reason)
{
	char word[2 * AUTHRES_VALUE_MAX + 64];
	int n = snprintf(word, sizeof(word), "%.60s=%.60s", method, result);

	if (a->full)
		return;
	a->result_at = a->len;
	append(a, ";\r\n\t", 4);
	a->column = 8;
	append(a, word, (size_t)n);
	if (reason != NULL) {
		memcpy(word, "reason=", 7);
		append_word(a, word, 7 + write_value(word + 7, reason, false));
	}
	a->any |= !a->full;
	finish_result(a);
}

void
authres_property(struct authres *a, const char *type, const char *property, const char *value)
{
	char word[2 * AUTHRES_VALUE_MAX + 3 + 130];
	int n = snprintf(word, sizeof(word), "%.60s.%.60s=", type, property);

	if (a->full)
		return;
	append_word(a, word, (size_t)n + write_value(word + n, value, true));
	finish_result(a);
}

void
authres_end(struct authres *a)
{
	const char *end = a->any ? "\r\n" : "; none\r\n";
	size_t len = strlen(end);

	memcpy(a->text + a->len, end, len + 1);		/* append() has left room */
	a->len += len;
}

/* -- finding ours -- */

/* Past white space, folds and comments; -1 where a comment has no end. */
static int
skip_cfws(const char **p, const char *end)
{
	size_t depth = 0;

	for (; *p < end; (*p)++) {
		char c = **p;

		if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth > 0 && c == '\\' && *p + 1 < end)
			(*p)++;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			return 0;
	}
	return depth == 0 ? 0 : -1;
}

/* A token or quoted string into `id`, cut where it is too long to be ours; -1 when there is neither. */
static int
read_id(char id[ID_MAX + 1], const char *p, const char *end)
{
	bool quoted = p < end && *p == '"';
	size_t n = 0;

	for (p += quoted; p < end && n < ID_MAX; p++) {
		if (quoted ? *p == '"' : (unsigned char)*p < 0x80 && !is_token_char(*p))
			break;
		if (quoted && *p == '\\' && p + 1 < end)
			p++;
		if (*p != '\r' && *p != '\n')
			id[n++] = *p;
	}
	id[n] = '\0';
	return n == 0 || (quoted && n < ID_MAX && p == end) ? -1 : 0;
}

/* Without case, whether in U- or A-labels, with or without a final dot. */
static bool
same_id(const char *a, const char *b)
{
	char da[ADDRESS_DOMAIN_MAX + 1], db[ADDRESS_DOMAIN_MAX + 1];

	if (strcasecmp(a, b) == 0)
		return true;
	return address_domain(da, a, ADDRESS_UTF8) == 0 && address_domain(db, b, ADDRESS_UTF8) == 0 && strcmp(da, db) == 0;
}

bool
authres_is_ours(const struct header_field *f, const char *id)
{
	const char *p = f->value, *end = f->value + f->value_len;
	char theirs[ID_MAX + 1];

	if (!header_is(f, FIELD))
		return false;
	if (skip_cfws(&p, end) == -1 || read_id(theirs, p, end) == -1)
		return true;
	return same_id(theirs, id);
}

static bool
is_at_end(const char *block, size_t len, size_t at)
{
	return at >= len || block[at] == '\n' || (block[at] == '\r' && at + 1 < len && block[at + 1] == '\n');
}

static size_t
skip_line(const char *block, size_t len, size_t at)
{
	const char *lf = memchr(block + at, '\n', len - at);

	return lf != NULL ? (size_t)(lf - block) + 1 : len;
}

size_t
authres_strip(char *block, size_t len, const char *id, unsigned *removed_r)
{
	size_t from = 0, to = 0, next;
	struct header_field f;

	*removed_r = 0;
	while (!is_at_end(block, len, from)) {
		bool ours;

		next = from;
		ours = header_next(block, len, &next, &f) && (authres_is_ours(&f, id) || header_is(&f, AUTHRES_SCORE));
		if (next == from)
			next = skip_line(block, len, from);
		if (ours) {
			(*removed_r)++;
		} else {
			memmove(block + to, block + from, next - from);
			to += next - from;
		}
		from = next;
	}
	memmove(block + to, block + from, len - from);
	return to + len - from;
}
