/*
 * SPF records as text: the grammar of RFC 7208, 12, and the macros of section 7. It decides what is well formed; what a term
 * matches is filters/spf.c's business. Every pass is linear in the record, and a macro's value is bounded, so that a record
 * made of macros costs what its length says.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/spf_record.h"

static const char version[] = "v=spf1";

#define VERSION_LEN	(sizeof(version) - 1)

static const char pra_begin[] = "spf2.0/";

#define PRA_LEN		(sizeof(pra_begin) - 1)

/* ASCII only, whatever the locale. */
static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_delimiter(char c)
{
	return c != '\0' && strchr(".-+,/_=", c) != NULL;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ---- macro-string ---- */

struct macro {
	char		letter;			/* as written; '%', '_', '-' for the three that stand for a character */
	unsigned	parts;			/* 0: all */
	bool		reverse;
	const char	*delimiters;
	size_t		n_delimiters;
};

/* Reads what begins with '%'. Returns its length, 0: it is wrong. explain: the letters of explanations are allowed too. */
static size_t
macro_read(struct macro *m, const char *p, size_t len, bool explain)
{
	size_t at = 3, digits;

	*m = (struct macro){ 0 };
	if (len < 2)
		return 0;
	m->letter = p[1];
	if (p[1] == '%' || p[1] == '_' || p[1] == '-')
		return 2;
	if (p[1] != '{' || len < 4 || p[2] == '\0' || strchr(explain ? "slodiphvcrt" : "slodiphv", lower(p[2])) == NULL)
		return 0;
	m->letter = p[2];
	for (digits = at; at < len && is_digit(p[at]); at++)
		if (m->parts < 1000)
			m->parts = m->parts * 10 + (unsigned)(p[at] - '0');
	if (at > digits && m->parts == 0)
		return 0;
	if (at < len && lower(p[at]) == 'r') {
		m->reverse = true;
		at++;
	}
	m->delimiters = p + at;
	while (at < len && is_delimiter(p[at]))
		at++;
	m->n_delimiters = (size_t)(p + at - m->delimiters);
	return at < len && p[at] == '}' ? at + 1 : 0;
}

/* Whether it is a macro-string; last_macro_r: it ends with a macro, which may end a domain-spec. */
static bool
macro_string_valid(struct spf_slice s, bool explain, bool *last_macro_r)
{
	struct macro m;
	size_t n;

	*last_macro_r = false;
	for (size_t at = 0; at < s.len; at += n) {
		char c = s.text[at];

		n = 1;
		*last_macro_r = c == '%';
		if (c == '%') {
			n = macro_read(&m, s.text + at, s.len - at, explain);
			if (n == 0)
				return false;
		} else if (c < (explain ? ' ' : '!') || c > '~') {
			return false;
		}
	}
	return true;
}

/* toplabel: letters, digits and inner hyphens, not digits alone. */
static bool
top_label_valid(const char *p, size_t len)
{
	bool other = false;

	if (len == 0 || p[0] == '-' || p[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_alpha(p[i]) && !is_digit(p[i]) && p[i] != '-')
			return false;
		other |= !is_digit(p[i]);
	}
	return other;
}

/* domain-spec = macro-string domain-end */
static bool
domain_spec_valid(struct spf_slice s)
{
	size_t end = s.len, dot;
	bool last_macro;

	if (s.len == 0 || !macro_string_valid(s, false, &last_macro))
		return false;
	if (last_macro)
		return true;
	if (s.text[end - 1] == '.')
		end--;
	for (dot = end; dot > 0 && s.text[dot - 1] != '.'; dot--)
		if (s.text[dot - 1] == '}')
			return false;		/* a macro and then something that is no label of its own */
	return dot > 0 && top_label_valid(s.text + dot, end - dot);
}

/* ---- terms ---- */

/* "0", or digits that begin with another one. */
static int
number_read(const char *p, size_t len, unsigned most, unsigned *value_r)
{
	unsigned value = 0;

	if (len == 0 || len > 3 || (len > 1 && p[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(p[i]))
			return -1;
		value = value * 10 + (unsigned)(p[i] - '0');
	}
	*value_r = value;
	return value <= most ? 0 : -1;
}

/* Takes "/" or "//" and digits off the end of s, where they stand. 0, or -1: what stands there is no length. */
static int
prefix_take(struct spf_slice *s, bool six, unsigned most, unsigned *value_r)
{
	size_t digits = s->len, slashes = six ? 2 : 1;

	while (digits > 0 && is_digit(s->text[digits - 1]))
		digits--;
	if (digits < slashes || s->text[digits - 1] != '/' || (six && s->text[digits - 2] != '/'))
		return 0;
	if (number_read(s->text + digits, s->len - digits, most, value_r) != 0)
		return -1;
	s->len = digits - slashes;
	return 0;
}

static int
network_read(struct spf_term *t, struct spf_slice arg)
{
	char text[INET6_ADDRSTRLEN];
	bool six = t->kind == SPF_IP6;

	if (prefix_take(&arg, false, six ? 128 : 32, six ? &t->prefix6 : &t->prefix4) != 0 || arg.len == 0 ||
	    arg.len >= sizeof(text))
		return -1;
	memcpy(text, arg.text, arg.len);
	text[arg.len] = '\0';
	return inet_pton(six ? AF_INET6 : AF_INET, text, t->address) == 1 ? 0 : -1;
}

static const struct mechanism {
	const char	*name;
	enum spf_kind	 kind;
	bool		 argument, needed, prefix;
} mechanisms[] = {
	{ "all", SPF_ALL, false, false, false },
	{ "include", SPF_INCLUDE, true, true, false },
	{ "a", SPF_A, true, false, true },
	{ "mx", SPF_MX, true, false, true },
	{ "ptr", SPF_PTR, true, false, false },
	{ "ip4", SPF_IP4, true, true, false },
	{ "ip6", SPF_IP6, true, true, false },
	{ "exists", SPF_EXISTS, true, true, false },
};

static const struct mechanism *
mechanism_named(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (strlen(mechanisms[i].name) == len && strncasecmp(mechanisms[i].name, name, len) == 0)
			return &mechanisms[i];
	return NULL;
}

/* What stands behind the mechanism's name. */
static int
argument_read(struct spf_term *t, const struct mechanism *m, struct spf_slice rest)
{
	bool colon;

	if (m->prefix && (prefix_take(&rest, true, 128, &t->prefix6) != 0 || prefix_take(&rest, false, 32, &t->prefix4) != 0))
		return -1;
	colon = rest.len > 0 && rest.text[0] == ':';
	if (rest.len == 0)
		return m->needed ? -1 : 0;
	if (!colon || !m->argument)
		return -1;
	rest.text++;
	rest.len--;
	if (t->kind == SPF_IP4 || t->kind == SPF_IP6)
		return network_read(t, rest);
	t->domain = rest;
	return domain_spec_valid(rest) ? 0 : -1;
}

static int
mechanism_read(struct spf_term *t, struct spf_slice text)
{
	const struct mechanism *m;
	size_t at = 0, name;

	*t = (struct spf_term){ .qualifier = '+', .text = text, .prefix4 = 32, .prefix6 = 128 };
	if (strchr("+-~?", text.text[0]) != NULL)
		t->qualifier = text.text[at++];
	for (name = at; at < text.len && text.text[at] != ':' && text.text[at] != '/'; at++)
		;
	m = mechanism_named(text.text + name, at - name);
	if (m == NULL)
		return -1;
	t->kind = m->kind;
	return argument_read(t, m, (struct spf_slice){ text.text + at, text.len - at });
}

/* How long the name in front of a modifier's '=' is; 0: it is no modifier. */
static size_t
modifier_name(struct spf_slice s)
{
	size_t n = 0;

	if (s.len == 0 || !is_alpha(s.text[0]))
		return 0;
	while (n < s.len && (is_alpha(s.text[n]) || is_digit(s.text[n]) || s.text[n] == '-' || s.text[n] == '_' ||
	    s.text[n] == '.'))
		n++;
	return n < s.len && s.text[n] == '=' ? n : 0;
}

static int
modifier_read(struct spf_record *r, struct spf_slice s, size_t name)
{
	struct spf_slice value = { s.text + name + 1, s.len - name - 1 }, *known = NULL;
	bool last_macro;

	if (name == 8 && strncasecmp(s.text, "redirect", 8) == 0)
		known = &r->redirect;
	else if (name == 3 && strncasecmp(s.text, "exp", 3) == 0)
		known = &r->exp;
	if (known == NULL)
		return macro_string_valid(value, false, &last_macro) ? 0 : -1;
	if (known->text != NULL)
		return -1;		/* each once, 6 */
	*known = value;
	return domain_spec_valid(value) ? 0 : -1;
}

/* The next word between spaces; false at the end. */
static bool
word_next(const struct spf_record *r, size_t *at, struct spf_slice *word_r)
{
	size_t begin = *at;

	while (begin < r->len && r->text[begin] == ' ')
		begin++;
	for (*at = begin; *at < r->len && r->text[*at] != ' '; ++*at)
		;
	*word_r = (struct spf_slice){ r->text + begin, *at - begin };
	return word_r->len > 0;
}

bool
spf_record_is(const char *text, size_t len)
{
	return len >= VERSION_LEN && strncasecmp(text, version, VERSION_LEN) == 0 &&
	    (len == VERSION_LEN || text[VERSION_LEN] == ' ');
}

/* The length of "spf2.0/…" with the scope pra in it, or 0. */
static size_t
pra_version(const char *text, size_t len)
{
	const char *space = memchr(text, ' ', len), *end = space != NULL ? space : text + len, *p, *comma;
	bool pra = false;

	if ((size_t)(end - text) < PRA_LEN || strncasecmp(text, pra_begin, PRA_LEN) != 0)
		return 0;
	for (p = text + PRA_LEN; p <= end; p = comma + 1) {
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		pra = pra || (comma - p == 3 && strncasecmp(p, "pra", 3) == 0);
	}
	return pra ? (size_t)(end - text) : 0;
}

bool
spf_record_is_pra(const char *text, size_t len)
{
	return pra_version(text, len) > 0;
}

int
spf_record_read(struct spf_record *r, const char *text, size_t len, struct spf_slice *wrong_r)
{
	struct spf_slice word;
	struct spf_term t;
	size_t at = 0, name, skip = spf_record_is(text, len) ? VERSION_LEN : pra_version(text, len);

	*r = (struct spf_record){ .text = text + skip, .len = len - skip };
	while (word_next(r, &at, &word)) {
		name = modifier_name(word);
		if ((name > 0 ? modifier_read(r, word, name) : mechanism_read(&t, word)) != 0) {
			*wrong_r = word;
			return -1;
		}
	}
	return 0;
}

bool
spf_record_next(const struct spf_record *r, size_t *at, struct spf_term *t)
{
	struct spf_slice word;

	while (word_next(r, at, &word))
		if (modifier_name(word) == 0)
			return mechanism_read(t, word) == 0;
	return false;
}

/* ---- expansion ---- */

/* What is written: an explanation stops when it is full, of a domain the end is kept (7.3). */
struct out {
	char	*to;
	size_t	 size, len;
	bool	 tail;
};

static void
out_byte(struct out *o, char c)
{
	if (o->len == o->size && !o->tail)
		return;
	if (o->len == o->size) {
		memmove(o->to, o->to + o->size / 2, o->size - o->size / 2);
		o->len -= o->size / 2;
	}
	o->to[o->len++] = c;
}

/* A capital letter asks for its value in the form that URLs take (7.3). */
static void
out_value(struct out *o, const char *p, size_t len, bool escape)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		if (!escape || is_alpha(p[i]) || is_digit(p[i]) || (p[i] != '\0' && strchr("-._~", p[i]) != NULL)) {
			out_byte(o, p[i]);
			continue;
		}
		out_byte(o, '%');
		out_byte(o, hex[(unsigned char)p[i] >> 4]);
		out_byte(o, hex[p[i] & 15]);
	}
}

/* %{i}: dotted decimal, or nibbles between dots; in capitals, which the public test cases want and DNS does not mind. */
static void
address_dotted(char *to, size_t size, const struct spf_macros *x)
{
	static const char hex[] = "0123456789ABCDEF";

	if (x->family == AF_INET) {
		inet_ntop(AF_INET, x->address, to, (socklen_t)size);
		return;
	}
	for (int i = 0; i < 16; i++) {
		*to++ = hex[x->address[i] >> 4];
		*to++ = '.';
		*to++ = hex[x->address[i] & 15];
		*to++ = i < 15 ? '.' : '\0';
	}
}

#define VALUE_MAX	(2 * SPF_SENDER_MAX + 2)

static const char *
macro_value(char letter, const struct spf_macros *x, char made[VALUE_MAX])
{
	switch (letter) {
	case 's':
		snprintf(made, VALUE_MAX, "%s@%s", x->local, x->sender_domain);
		return made;
	case 'l':
		return x->local;
	case 'o':
		return x->sender_domain;
	case 'd':
		return x->domain;
	case 'i':
		address_dotted(made, VALUE_MAX, x);
		return made;
	case 'p':
		return x->validated;
	case 'v':
		return x->family == AF_INET ? "in-addr" : "ip6";
	case 'h':
		return x->helo;
	case 'c':
		inet_ntop(x->family, x->address, made, VALUE_MAX);
		return made;
	case 'r':
		return x->receiver;
	default:
		snprintf(made, VALUE_MAX, "%lld", (long long)x->now);
		return made;
	}
}

static bool
splits(const struct macro *m, char c)
{
	return m->n_delimiters == 0 ? c == '.' : memchr(m->delimiters, c, m->n_delimiters) != NULL;
}

/* Cuts the value at the delimiters, turns the parts round if asked, keeps as many on the right, joins them with dots. */
static void
macro_expand(struct out *o, const struct macro *m, const struct spf_macros *x)
{
	char made[VALUE_MAX];
	struct spf_slice parts[VALUE_MAX];
	const char *p = macro_value(lower(m->letter), x, made);
	bool escape = lower(m->letter) != m->letter;
	size_t n = 0, len = strnlen(p, VALUE_MAX - 2), begin = 0, keep;

	for (size_t i = 0; i <= len; i++)
		if (i == len || splits(m, p[i])) {
			parts[n++] = (struct spf_slice){ p + begin, i - begin };
			begin = i + 1;
		}
	keep = m->parts == 0 || m->parts > n ? n : m->parts;
	for (size_t i = 0; i < keep; i++) {
		const struct spf_slice *part = &parts[m->reverse ? keep - 1 - i : n - keep + i];

		if (i > 0)
			out_byte(o, '.');
		out_value(o, part->text, part->len, escape);
	}
}

static int
expand(struct out *o, struct spf_slice s, const struct spf_macros *x, bool explain)
{
	struct macro m;
	size_t n;

	for (size_t at = 0; at < s.len; at += n) {
		n = 1;
		if (s.text[at] != '%') {
			out_byte(o, s.text[at]);
			continue;
		}
		n = macro_read(&m, s.text + at, s.len - at, explain);
		if (n == 0)
			return -1;
		if (m.letter == '%')
			out_byte(o, '%');
		else if (m.letter == '_')
			out_byte(o, ' ');
		else if (m.letter == '-')
			out_value(o, "%20", 3, false);
		else
			macro_expand(o, &m, x);
	}
	return 0;
}

bool
spf_macros_need_name(struct spf_slice s)
{
	for (size_t at = 0; at + 2 < s.len; at++) {
		if (s.text[at] != '%')
			continue;
		if (s.text[at + 1] == '{' && lower(s.text[at + 2]) == 'p')
			return true;
		at++;			/* "%%{p" is none */
	}
	return false;
}

void
spf_macros_domain(char to[SPF_NAME_MAX + 1], struct spf_slice s, const struct spf_macros *x)
{
	char whole[4 * SPF_NAME_MAX];
	struct out o = { .to = whole, .size = sizeof(whole), .tail = true };
	size_t begin = 0;

	expand(&o, s, x, false);
	if (o.len > 0 && whole[o.len - 1] == '.')
		o.len--;
	while (o.len - begin > SPF_NAME_MAX) {
		const char *dot = memchr(whole + begin, '.', o.len - begin);

		begin = dot != NULL ? (size_t)(dot - whole) + 1 : o.len;
	}
	/* A NUL is in no name that can be asked for; the name ends there and matches nothing it should not. */
	memcpy(to, whole + begin, o.len - begin);
	to[o.len - begin] = '\0';
}

int
spf_macros_explanation(char to[SPF_EXPLANATION_MAX + 1], const char *text, size_t len, const struct spf_macros *x)
{
	struct out o = { .to = to, .size = SPF_EXPLANATION_MAX };
	struct spf_slice s = { text, len };
	bool last_macro;

	if (!macro_string_valid(s, true, &last_macro) || expand(&o, s, x, true) != 0)
		return -1;
	to[o.len] = '\0';
	for (size_t i = 0; i < o.len; i++)
		if (to[i] < ' ' || to[i] > '~')
			return -1;
	return 0;
}
