/*
 * Lines of key=value, both ways (lib/pairs.h).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pairs.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Moves behind the value at p, which is made what it was where it stands. */
static char *
cut_value(char *p)
{
	bool quoted = *p == '"';
	char *from = p + quoted, *to = p;

	while (*from != '\0' && (quoted ? *from != '"' : *from != ' ')) {
		int byte = -1;

		if (from[0] == '\\' && from[1] == 'x' && hex(from[2]) >= 0 && hex(from[3]) >= 0)
			byte = hex(from[2]) << 4 | hex(from[3]);
		if (byte > 0) {
			*to++ = (char)byte;
			from += 4;
		} else
			*to++ = *from++;
	}
	if (*from != '\0')
		from++;
	*to = '\0';
	return from;
}

unsigned
pairs_cut(struct pairs *ps, char *p)
{
	ps->n = 0;
	while (*(p += strspn(p, " ")) != '\0' && ps->n < PAIRS_MAX) {
		size_t len = strcspn(p, " =");
		char *key = p;

		p += len;
		if (*p != '=')
			continue;
		*p++ = '\0';
		ps->list[ps->n].key = key;
		ps->list[ps->n++].value = p;
		p = cut_value(p);
	}
	return ps->n;
}

static const char *
find(const struct pairs *ps, const char *key)
{
	for (unsigned i = 0; i < ps->n; i++)
		if (strcmp(ps->list[i].key, key) == 0)
			return ps->list[i].value;
	return NULL;
}

const char *
pairs_get(const struct pairs *ps, const char *key)
{
	const char *value = find(ps, key);

	return value != NULL ? value : "";
}

bool
pairs_has(const struct pairs *ps, const char *key)
{
	return find(ps, key) != NULL;
}

long long
pairs_number(const struct pairs *ps, const char *key)
{
	return strtoll(pairs_get(ps, key), NULL, 10);
}

/* ---- writing ---- */

void
pairs_init(struct pairs_text *t, char *to, size_t size)
{
	*t = (struct pairs_text){ .to = to, .size = size };
	to[0] = '\0';
}

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
}

/* What a value takes at most is asked for before anything is written: a pair is there whole or not at all. */
void
pairs_put(struct pairs_text *t, const char *key, const char *value)
{
	const unsigned char *v = (const unsigned char *)value;
	size_t room = strlen(key) + 5;
	bool quoted;

	if (value == NULL || *value == '\0')
		return;
	for (const unsigned char *p = v; *p != '\0'; p++)
		room += is_plain(*p) ? 1 : 4;
	if (t->full || room > t->size - t->len) {
		t->full = true;
		return;
	}
	quoted = strpbrk(value, " =\"\\") != NULL;
	t->len += (size_t)snprintf(t->to + t->len, t->size - t->len, "%s%s=%s", t->len > 0 ? " " : "", key, quoted ? "\"" : "");
	for (; *v != '\0'; v++)
		if (is_plain(*v))
			t->to[t->len++] = (char)*v;
		else
			t->len += (size_t)snprintf(t->to + t->len, t->size - t->len, "\\x%02x", *v);
	if (quoted)
		t->to[t->len++] = '"';
	t->to[t->len] = '\0';
}

void
pairs_put_number(struct pairs_text *t, const char *key, long long value)
{
	pairs_put_plain(t, "%s%s=%lld", t->len > 0 ? " " : "", key, value);
}

void
pairs_put_plain(struct pairs_text *t, const char *fmt, ...)
{
	size_t room = t->size - t->len;
	va_list ap;
	int n;

	if (t->full)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->to + t->len, room, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < room) {
		t->len += (size_t)n;
		return;
	}
	t->to[t->len] = '\0';
	t->full = true;
}
