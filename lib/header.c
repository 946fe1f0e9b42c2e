/*
 * Header fields: found in a block, and addresses found in one. Decides where fields begin and end; which of them are
 * right or wanted is decided by the callers: smtpd (hops), queue (bounces), mda (loops), sendmail (-t).
 * Every function is one pass over its input.
 */
#include "lib/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"

#define FOUND_MAX	1200		/* an address with quotes, escapes and a route that is not stripped here */

/* Where the line that holds `at` ends: after its LF, or len. */
static size_t
line_end(const char *block, size_t len, size_t at)
{
	const char *lf = at < len ? memchr(block + at, '\n', len - at) : NULL;

	return lf != NULL ? (size_t)(lf - block) + 1 : len;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_empty_line(const char *block, size_t len, size_t at)
{
	return block[at] == '\n' || (block[at] == '\r' && at + 1 < len && block[at + 1] == '\n');
}

bool
header_next(const char *block, size_t len, size_t *at, struct header_field *f)
{
	size_t i = *at, end;

	if (i >= len || is_empty_line(block, len, i))
		return false;
	f->name = block + i;
	while (i < len && block[i] > 0x20 && block[i] < 0x7f && block[i] != ':')
		i++;
	f->name_len = i - *at;
	while (i < len && is_space(block[i]))		/* RFC 5322, 4.5: obs-optional */
		i++;
	if (f->name_len == 0 || i == len || block[i] != ':')
		return false;
	f->value = block + i + 1;
	for (end = line_end(block, len, i); end < len && is_space(block[end]); )
		end = line_end(block, len, end);
	f->value_len = end - i - 1;
	*at = end;
	return true;
}

bool
header_next_any(const char *block, size_t len, size_t *at, struct header_field *f)
{
	while (!header_next(block, len, at, f)) {
		if (*at >= len || is_empty_line(block, len, *at))
			return false;
		*at = line_end(block, len, *at);
	}
	return true;
}

bool
header_is(const struct header_field *f, const char *name)
{
	return strlen(name) == f->name_len && strncasecmp(f->name, name, f->name_len) == 0;
}

size_t
header_end(const char *block, size_t len)
{
	for (size_t at = 0; at < len; at = line_end(block, len, at))
		if (is_empty_line(block, len, at))
			return line_end(block, len, at);
	return len;
}

unsigned
header_count(const char *block, size_t len, const char *name)
{
	struct header_field f;
	unsigned count = 0;

	for (size_t at = 0; header_next_any(block, len, &at, &f); )
		if (header_is(&f, name))
			count++;
	return count;
}

/* Ends of lines go, white space around goes, controls become harmless. */
static char *
unfold(const char *value, size_t len)
{
	char *text = alloc_raw(len + 1), *to = text;

	while (len > 0 && (is_space(*value) || *value == '\r' || *value == '\n')) {
		value++;
		len--;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '\n' || (c == '\r' && i + 1 < len && value[i + 1] == '\n'))
			continue;
		*to++ = c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	while (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
	return text;
}

char *
header_value(const char *block, size_t len, const char *name)
{
	struct header_field f;

	for (size_t at = 0; header_next_any(block, len, &at, &f); )
		if (header_is(&f, name))
			return unfold(f.value, f.value_len);
	return NULL;
}

/* An address list being read. `found` gathers what may be the address: words before it turn out to be a name. */
struct list {
	const char	*p, *end;
	char		 found[FOUND_MAX + 1];
	size_t		 found_len;
	bool		 overflow;	/* found is cut: fine for a name, not for an address */
	bool		 word;		/* the last thing in found was a word: another one makes it a name */
	bool		 several;	/* words side by side: only a name can be that */
	bool		 in_angle, after_angle, in_group;
	int		 count;
	void		(*fn)(void *, const char *);
	void		*arg;
};

static void
list_clear(struct list *l)
{
	l->found_len = 0;
	l->overflow = l->word = l->several = false;
}

static void
list_append(struct list *l, const char *from, size_t len)
{
	if (len > FOUND_MAX - l->found_len) {
		l->overflow = true;
		return;
	}
	memcpy(l->found + l->found_len, from, len);
	l->found_len += len;
}

/* The end of an element: gives the address to the caller. An empty element is none (RFC 5322, 4.4). */
static int
list_emit(struct list *l)
{
	bool missing = l->found_len == 0;

	if (l->in_angle || (missing && l->after_angle) || l->several || l->overflow)
		return -1;
	if (!missing) {
		l->found[l->found_len] = '\0';
		l->fn(l->arg, l->found);
		l->count++;
	}
	l->after_angle = false;
	list_clear(l);
	return 0;
}

/* Past a comment, which may hold others; not recursive, so that depth costs nothing. */
static int
list_skip_comment(struct list *l)
{
	size_t depth = 0;

	for (; l->p < l->end; l->p++) {
		if (*l->p == '\\' && l->p + 1 < l->end)
			l->p++;
		else if (*l->p == '(')
			depth++;
		else if (*l->p == ')' && --depth == 0) {
			l->p++;
			return 0;
		}
	}
	return -1;
}

static void
list_begin_word(struct list *l)
{
	if (l->word)
		l->several = true;
	l->word = true;
}

/* A quoted string or domain literal, copied as it stands but for folds. */
static int
list_take_quoted(struct list *l, char close)
{
	list_begin_word(l);
	list_append(l, l->p++, 1);
	for (; l->p < l->end; l->p++) {
		if (*l->p == '\r' || *l->p == '\n')
			continue;
		if (((unsigned char)*l->p < 0x20 && *l->p != '\t') || *l->p == 0x7f)
			return -1;
		list_append(l, l->p, 1);
		if (*l->p == close) {
			l->p++;
			return 0;
		}
		if (*l->p == '\\' && l->p + 1 < l->end && (unsigned char)l->p[1] >= 0x20)
			list_append(l, ++l->p, 1);
	}
	return -1;
}

static int
list_take_word(struct list *l)
{
	const char *start = l->p;

	while (l->p < l->end && (unsigned char)*l->p > 0x20 && *l->p != 0x7f && strchr("()<>[]:;@\\,.\"", *l->p) == NULL)
		l->p++;
	if (l->p == start)
		return -1;
	list_begin_word(l);
	list_append(l, start, (size_t)(l->p - start));
	return 0;
}

static int
list_take_joint(struct list *l)
{
	list_append(l, l->p++, 1);
	l->word = false;
	return 0;
}

/* A character that structures the list. */
static int
list_take_special(struct list *l)
{
	bool route = l->in_angle && l->found_len > 0 && l->found[0] == '@';

	switch (*l->p) {
	case '<':
		if (l->in_angle || l->after_angle)
			return -1;
		l->in_angle = true;
		list_clear(l);
		break;
	case '>':
		if (!l->in_angle)
			return -1;
		l->in_angle = false;
		l->after_angle = true;
		break;
	case ':':		/* the end of a group's name, or of a source route */
		if (!route && (l->in_angle || l->after_angle || l->in_group))
			return -1;
		l->in_group = l->in_group || !route;
		list_clear(l);
		break;
	case ',':
		if (route)
			return list_take_joint(l);
		if (list_emit(l) == -1)
			return -1;
		break;
	case ';':
		if (!l->in_group || list_emit(l) == -1)
			return -1;
		l->in_group = false;
		break;
	default:
		return -1;
	}
	l->p++;
	return 0;
}

static int
list_step(struct list *l)
{
	char c = *l->p;

	if (is_space(c) || c == '\r' || c == '\n') {
		l->p++;
		return 0;
	}
	if (c == '(')
		return list_skip_comment(l);
	if (c != '\0' && strchr("<>:,;", c) != NULL)
		return list_take_special(l);
	if (l->after_angle)
		return -1;
	if (c == '"')
		return list_take_quoted(l, '"');
	if (c == '[')
		return list_take_quoted(l, ']');
	if (c == '.' || c == '@')
		return list_take_joint(l);
	return list_take_word(l);
}

int
header_addresses(const char *value, size_t len, void (*fn)(void *arg, const char *address), void *arg)
{
	struct list l = { .p = value, .end = value + len, .fn = fn, .arg = arg };

	while (l.p < l.end)
		if (list_step(&l) == -1)
			return -1;
	if (list_emit(&l) == -1 || l.in_group)
		return -1;
	return l.count;
}
