/*
 * Canonical forms of header fields and bodies: RFC 6376, 3.4.1 to 3.4.4. Decides nothing: what is hashed and how far is the
 * caller's business (dkim_hash.c).
 */
#include "filters/dkim_canon.h"

#include <string.h>

#include "lib/header.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- fields ---- */

struct out {
	dkim_put_fn	*put;
	void		*arg;
	size_t		 used;
	char		 bytes[DKIM_CANON_PIECE];
};

static void
out_byte(struct out *o, char c)
{
	if (o->used == sizeof(o->bytes)) {
		o->put(o->arg, o->bytes, o->used);
		o->used = 0;
	}
	o->bytes[o->used++] = c;
}

/* The value: folds undone, runs of white space one SP, none at its ends (3.4.2). */
static void
relaxed_value(struct out *o, const char *value, size_t len)
{
	bool space = false, begun = false;

	for (size_t i = 0; i < len; i++) {
		if (value[i] == '\r' && i + 1 < len && value[i + 1] == '\n') {
			i++;
			continue;
		}
		if (is_space(value[i])) {
			space = begun;
			continue;
		}
		if (space)
			out_byte(o, ' ');
		out_byte(o, value[i]);
		space = false;
		begun = true;
	}
}

void
dkim_canon_field(const struct header_field *f, bool relaxed, bool end, dkim_put_fn *put, void *arg)
{
	struct out o = { .put = put, .arg = arg };
	size_t len = f->value_len;

	if (len >= 2 && memcmp(f->value + len - 2, "\r\n", 2) == 0)
		len -= 2;
	if (relaxed) {
		for (size_t i = 0; i < f->name_len; i++)
			out_byte(&o, lower(f->name[i]));
		out_byte(&o, ':');
		relaxed_value(&o, f->value, len);
		put(arg, o.bytes, o.used);
	} else {
		put(arg, f->name, (size_t)(f->value - f->name));	/* with the colon and what stands before it */
		put(arg, f->value, len);
	}
	if (end)
		put(arg, "\r\n", 2);
}

/* ---- bodies ---- */

void
dkim_canon_init(struct dkim_canon *c, bool relaxed, dkim_put_fn *put, void *arg)
{
	c->relaxed = relaxed;
	c->cr = c->space = c->content = false;
	c->lines = 0;
	c->used = 0;
	c->put = put;
	c->arg = arg;
}

static void
flush(struct dkim_canon *c)
{
	if (c->used > 0)
		c->put(c->arg, c->out, c->used);
	c->used = 0;
}

static void
raw_byte(struct dkim_canon *c, uint8_t byte)
{
	if (c->used == sizeof(c->out))
		flush(c);
	c->out[c->used++] = byte;
}

/* A byte that stays: what was held back before it stays too. */
static void
body_byte(struct dkim_canon *c, uint8_t byte)
{
	for (; c->lines > 0; c->lines--) {
		raw_byte(c, '\r');
		raw_byte(c, '\n');
	}
	if (c->space)
		raw_byte(c, ' ');
	raw_byte(c, byte);
	c->space = false;
	c->content = true;
}

void
dkim_canon_body(struct dkim_canon *c, const void *bytes, size_t len)
{
	const uint8_t *p = bytes, *end = p + len;

	for (; p < end; p++) {
		if (c->cr) {
			c->cr = false;
			if (*p == '\n') {
				c->space = false;
				c->lines++;
				continue;
			}
			body_byte(c, '\r');
		}
		if (*p == '\r')
			c->cr = true;
		else if (c->relaxed && is_space((char)*p))
			c->space = true;
		else
			body_byte(c, *p);
	}
}

/* Exactly one CRLF ends what has content; an empty body is CRLF when simple (3.4.3) and nothing when relaxed (3.4.4). */
void
dkim_canon_finish(struct dkim_canon *c)
{
	if (c->cr)
		body_byte(c, '\r');
	if (c->content || !c->relaxed) {
		raw_byte(c, '\r');
		raw_byte(c, '\n');
	}
	flush(c);
}
