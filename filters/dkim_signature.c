/*
 * Tag-lists of DKIM and ARC taken apart. Decides whether a signature or a key record can be worked with at all; whether it is
 * right is decided by dkim.c and arc.c. Every function is one pass over its input, but for looking for doubled tags.
 */
#include "filters/dkim_signature.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/header.h"

#define TIME_DIGITS	12		/* RFC 6376, 3.5: need not be longer */

static bool
is_fws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* ---- tag-lists ---- */

static size_t
skip_fws(const char *list, size_t len, size_t at)
{
	while (at < len && is_fws(list[at]))
		at++;
	return at;
}

static bool
value_char(char c)
{
	return is_fws(c) || ((unsigned char)c > 0x20 && c != 0x7f && c != ';');
}

int
dkim_tag_next(const char *list, size_t len, size_t *at, struct dkim_tag *tag)
{
	size_t i = skip_fws(list, len, *at), end;

	if (i == len)
		return 0;
	tag->name = list + i;
	if (!isalpha((unsigned char)list[i]))
		return -1;
	while (i < len && (isalnum((unsigned char)list[i]) || list[i] == '_'))
		i++;
	tag->name_len = (size_t)(list + i - tag->name);
	i = skip_fws(list, len, i);
	if (i == len || list[i] != '=')
		return -1;
	tag->begin = ++i;
	while (i < len && value_char(list[i]))
		i++;
	if (i < len && list[i] != ';')
		return -1;
	tag->end = end = i;
	*at = i < len ? i + 1 : len;
	i = skip_fws(list, end, tag->begin);
	while (end > i && is_fws(list[end - 1]))
		end--;
	tag->value = list + i;
	tag->value_len = end - i;
	return 1;
}

static bool
tag_is(const struct dkim_tag *tag, const char *name)
{
	return is(tag->name, tag->name_len, name);
}

/* All tags at once: how many, or -1. A doubled tag makes the whole list invalid (3.2). */
static int
read_tags(struct dkim_tag *tags, const char *list, size_t len)
{
	size_t at = 0;
	int n = 0, found;

	while (n < DKIM_TAGS_MAX && (found = dkim_tag_next(list, len, &at, &tags[n])) != 0) {
		if (found == -1)
			return -1;
		for (int i = 0; i < n; i++)
			if (tags[i].name_len == tags[n].name_len &&
			    memcmp(tags[i].name, tags[n].name, tags[n].name_len) == 0)
				return -1;
		n++;
	}
	return n == DKIM_TAGS_MAX ? -1 : n;
}

/* ---- values ---- */

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int
dkim_base64(uint8_t *to, size_t size, const char *from, size_t len)
{
	size_t n = 0, digits = 0, pads = 0;
	uint32_t bits = 0;

	for (size_t i = 0; i < len; i++) {
		int digit = base64_digit(from[i]);

		if (is_fws(from[i]))
			continue;
		if (from[i] == '=' && pads < 2) {
			pads++;
			continue;
		}
		if (digit == -1 || pads > 0)
			return -1;
		bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
		if (digits++ % 4 == 0)
			continue;
		if (n == size)
			return -1;
		to[n++] = (uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4)));
	}
	return digits % 4 == 1 || (digits + pads) % 4 != 0 ? -1 : (int)n;
}

static int
number(const struct dkim_tag *tag, size_t digits_max, uint64_t *value_r)
{
	*value_r = 0;
	if (tag->value_len == 0 || tag->value_len > digits_max)
		return -1;
	for (size_t i = 0; i < tag->value_len; i++) {
		if (!isdigit((unsigned char)tag->value[i]))
			return -1;
		*value_r = *value_r * 10 + (uint64_t)(tag->value[i] - '0');
	}
	return 0;
}

/* A host name as DNS can be asked for it, with the underscores that selectors have in practice; RFC 8616 for the rest. */
static int
name(char *to, const char *from, size_t len)
{
	char text[DKIM_NAME_MAX + 1], domain[ADDRESS_DOMAIN_MAX + 1];
	size_t label = 0;
	bool plain = true;

	if (len == 0 || len > DKIM_NAME_MAX)
		return -1;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)from[i];

		plain = plain && c < 0x80;
		if (c < 0x80 && !isalnum(c) && c != '-' && c != '_' && c != '.')
			return -1;
		label = c == '.' ? 0 : label + 1;
		if (label > 63 || (c == '.' && (i == 0 || from[i - 1] == '.' || i + 1 == len)))
			return -1;
		text[i] = (char)tolower(c);
	}
	text[len] = '\0';
	if (!plain && (address_domain(domain, text, ADDRESS_UTF8) != 0 || strlen(domain) > DKIM_NAME_MAX))
		return -1;
	snprintf(to, DKIM_NAME_MAX + 1, "%.*s", DKIM_NAME_MAX, plain ? text : domain);
	return 0;
}

/* ---- tags of signatures ---- */

/* Each of these reads one tag: NULL, or what is wrong. */
static const char *
read_v(struct dkim_signature *s, const struct dkim_tag *tag)
{
	return s->kind != DKIM_MESSAGE || is(tag->value, tag->value_len, "1") ? NULL : "unknown version in v=";
}

static const char *
read_a(struct dkim_signature *s, const struct dkim_tag *tag)
{
	for (s->algorithm = DKIM_RSA_SHA256; s->algorithm <= DKIM_RSA_SHA1; s->algorithm++)
		if (is(tag->value, tag->value_len, dkim_algorithm_name(s->algorithm)))
			return NULL;
	s->algorithm = DKIM_RSA_SHA256;
	return "unknown algorithm in a=";
}

static const char *
read_b(struct dkim_signature *s, const struct dkim_tag *tag)
{
	int n = dkim_base64(s->b, sizeof(s->b), tag->value, tag->value_len);

	s->b_len = n > 0 ? (size_t)n : 0;
	s->b_at = tag->begin;
	s->b_end = tag->end;
	return n > 0 ? NULL : "b= is not base64, or too long";
}

/* The hash of rsa-sha1 is shorter, and never looked at. */
static const char *
read_bh(struct dkim_signature *s, const struct dkim_tag *tag)
{
	int n = s->kind == ARC_SEAL ? DKIM_HASH_BYTES : dkim_base64(s->bh, sizeof(s->bh), tag->value, tag->value_len);

	return n == DKIM_HASH_BYTES || n == 20 ? NULL : "bh= is not the base64 of a hash";
}

static const char *
read_c(struct dkim_signature *s, const struct dkim_tag *tag)
{
	const char *slash = memchr(tag->value, '/', tag->value_len);
	size_t len = slash != NULL ? (size_t)(slash - tag->value) : tag->value_len;

	s->relaxed_header = is(tag->value, len, "relaxed");
	if (!s->relaxed_header && !is(tag->value, len, "simple"))
		return "unknown canonicalisation in c=";
	if (slash == NULL)
		return NULL;
	s->relaxed_body = is(slash + 1, tag->value_len - len - 1, "relaxed");
	return s->relaxed_body || is(slash + 1, tag->value_len - len - 1, "simple") ? NULL : "unknown canonicalisation in c=";
}

static const char *
read_d(struct dkim_signature *s, const struct dkim_tag *tag)
{
	return name(s->domain, tag->value, tag->value_len) == 0 ? NULL : "d= is no domain";
}

static const char *
read_s(struct dkim_signature *s, const struct dkim_tag *tag)
{
	return name(s->selector, tag->value, tag->value_len) == 0 ? NULL : "s= is no selector";
}

static const char *
read_h(struct dkim_signature *s, const struct dkim_tag *tag)
{
	s->h = tag->value;
	s->h_len = tag->value_len;
	if (s->kind == ARC_SEAL)
		return "a seal has no h=";		/* RFC 8617, 4.1.3 */
	return s->kind == ARC_MESSAGE || tag->value_len > 0 ? NULL : "h= is empty";
}

static const char *
read_i(struct dkim_signature *s, const struct dkim_tag *tag)
{
	const char *at = memrchr(tag->value, '@', tag->value_len);
	uint64_t instance;

	if (s->kind != DKIM_MESSAGE) {
		if (number(tag, 2, &instance) != 0 || instance == 0 || instance > ARC_SETS_MAX)
			return "i= is not from 1 to 50";
		s->instance = (unsigned)instance;
		return NULL;
	}
	if (at == NULL || name(s->identity_domain, at + 1, (size_t)(tag->value + tag->value_len - at - 1)) != 0)
		return "i= has no domain";
	return NULL;
}

static const char *
read_l(struct dkim_signature *s, const struct dkim_tag *tag)
{
	s->limited = true;
	return number(tag, 18, &s->limit) == 0 ? NULL : "l= is no number";	/* 76 digits are allowed; no mail is that long */
}

static const char *
read_t(struct dkim_signature *s, const struct dkim_tag *tag)
{
	uint64_t value;

	if (number(tag, TIME_DIGITS, &value) != 0)
		return "t= is no time";
	s->made = (time_t)value;
	return NULL;
}

static const char *
read_x(struct dkim_signature *s, const struct dkim_tag *tag)
{
	uint64_t value;

	if (number(tag, TIME_DIGITS, &value) != 0 || value == 0)
		return "x= is no time";
	s->expires = (time_t)value;
	return NULL;
}

/* Other ways to get the key may be named beside the one that there is. */
static const char *
read_q(struct dkim_signature *s, const struct dkim_tag *tag)
{
	const char *p = tag->value, *end = p + tag->value_len;

	(void)s;
	while (p < end) {
		const char *colon = memchr(p, ':', (size_t)(end - p)), *stop = colon != NULL ? colon : end;

		while (p < stop && is_fws(*p))
			p++;
		while (stop > p && is_fws(stop[-1]))
			stop--;
		if (is(p, (size_t)(stop - p), "dns/txt"))
			return NULL;
		p = colon != NULL ? colon + 1 : end;
	}
	return "q= does not name dns/txt";
}

static const char *
read_cv(struct dkim_signature *s, const struct dkim_tag *tag)
{
	for (s->cv = ARC_CV_NONE; s->cv <= ARC_CV_FAIL; s->cv++)
		if (is(tag->value, tag->value_len, arc_cv_name(s->cv)))
			return NULL;
	s->cv = ARC_CV_FAIL;
	return "cv= is not none, pass or fail";
}

#define IN(kind)	(1u << (kind))
#define ANY		(IN(DKIM_MESSAGE) | IN(ARC_MESSAGE) | IN(ARC_SEAL))
#define HASHED		(IN(DKIM_MESSAGE) | IN(ARC_MESSAGE))

static const struct known_tag {
	const char	*name;
	unsigned	 read_in, needed_in;		/* kinds */
	const char	*(*read)(struct dkim_signature *, const struct dkim_tag *);
	const char	*missing;
} known_tags[] = {			/* d and s first, so that they can be told whatever else is wrong */
	{ "d", ANY, ANY, read_d, "no d=" },
	{ "s", ANY, ANY, read_s, "no s=" },
	{ "v", IN(DKIM_MESSAGE), IN(DKIM_MESSAGE), read_v, "no v=" },
	{ "a", ANY, ANY, read_a, "no a=" },
	{ "b", ANY, ANY, read_b, "no b=" },
	{ "bh", HASHED, HASHED, read_bh, "no bh=" },
	{ "h", ANY, HASHED, read_h, "no h=" },
	{ "c", HASHED, 0, read_c, NULL },
	{ "i", ANY, IN(ARC_MESSAGE) | IN(ARC_SEAL), read_i, "no i=" },
	{ "l", HASHED, 0, read_l, NULL },
	{ "q", HASHED, 0, read_q, NULL },
	{ "t", ANY, 0, read_t, NULL },
	{ "x", HASHED, 0, read_x, NULL },
	{ "cv", IN(ARC_SEAL), IN(ARC_SEAL), read_cv, "no cv=" },
};

static const char *
read_known(struct dkim_signature *s, const struct known_tag *known, const struct dkim_tag *tags, int n)
{
	for (int i = 0; i < n; i++)
		if (tag_is(&tags[i], known->name))
			return (known->read_in & IN(s->kind)) != 0 ? known->read(s, &tags[i]) : NULL;
	return (known->needed_in & IN(s->kind)) != 0 ? known->missing : NULL;
}

/* Is `domain` the other, or below it? */
static bool
within(const char *domain, const char *other)
{
	size_t len = strlen(domain), other_len = strlen(other);

	return len >= other_len && strcmp(domain + len - other_len, other) == 0 &&
	    (len == other_len || domain[len - other_len - 1] == '.');
}

/* What is wrong although each tag is right. */
static enum dkim_result
consistent(struct dkim_signature *s, const char **why_r)
{
	*why_r = "";
	if (s->identity_domain[0] == '\0')
		memcpy(s->identity_domain, s->domain, sizeof(s->domain));
	if (!within(s->identity_domain, s->domain))
		*why_r = "i= is not in the domain of d=";
	else if (s->expires != 0 && s->made != 0 && s->expires <= s->made)
		*why_r = "x= is before t=";
	if (**why_r != '\0')
		return DKIM_NEUTRAL;
	if (s->kind == DKIM_MESSAGE && !dkim_signature_signs(s, "from"))
		*why_r = "From is not signed";		/* RFC 6376, 3.5 and 6.1.1 */
	else if (s->kind == ARC_MESSAGE && dkim_signature_signs(s, "arc-seal"))
		*why_r = "ARC-Seal is signed";		/* RFC 8617, 4.1.2 */
	if (**why_r != '\0')
		return DKIM_PERMERROR;
	if (s->algorithm == DKIM_RSA_SHA1) {
		*why_r = "rsa-sha1 does not count";	/* RFC 8301, 3.1 */
		return DKIM_POLICY;
	}
	return DKIM_PASS;
}

enum dkim_result
dkim_signature_parse(struct dkim_signature *s, enum dkim_kind kind, const struct header_field *f, const char **why_r)
{
	struct dkim_tag tags[DKIM_TAGS_MAX];
	const char *wrong = NULL, *here;
	int n = read_tags(tags, f->value, f->value_len);

	memset(s, 0, sizeof(*s));
	s->kind = kind;
	*why_r = "not a list of tags, or a tag twice";
	if (n == -1)
		return DKIM_NEUTRAL;
	for (size_t i = 0; i < sizeof(known_tags) / sizeof(known_tags[0]); i++)
		if ((here = read_known(s, &known_tags[i], tags, n)) != NULL && wrong == NULL)
			wrong = here;
	if (wrong == NULL)
		return consistent(s, why_r);
	*why_r = wrong;
	return DKIM_NEUTRAL;
}

bool
dkim_signature_name(const struct dkim_signature *s, size_t *at, const char **name_r, size_t *len_r)
{
	while (*at < s->h_len) {
		const char *p = s->h + *at, *colon = memchr(p, ':', s->h_len - *at);
		const char *end = colon != NULL ? colon : s->h + s->h_len;

		*at = colon != NULL ? (size_t)(colon + 1 - s->h) : s->h_len;
		while (p < end && is_fws(*p))
			p++;
		while (end > p && is_fws(end[-1]))
			end--;
		*name_r = p;
		*len_r = (size_t)(end - p);
		if (p < end)
			return true;
	}
	return false;
}

bool
dkim_signature_signs(const struct dkim_signature *s, const char *wanted)
{
	const char *p;
	size_t at = 0, len;

	while (dkim_signature_name(s, &at, &p, &len))
		if (len == strlen(wanted) && strncasecmp(p, wanted, len) == 0)
			return true;
	return false;
}

char *
dkim_key_name(char *to, const struct dkim_signature *s)
{
	snprintf(to, DKIM_KEY_NAME_MAX + 1, "%s._domainkey.%s", s->selector, s->domain);
	return to;
}

/* ---- key records ---- */

/* Is the word among those between colons? */
static bool
lists(const struct dkim_tag *tag, const char *word)
{
	struct dkim_signature list = { .h = tag->value, .h_len = tag->value_len };

	return dkim_signature_signs(&list, word);
}

/* NULL or what is wrong. */
static const char *
read_key_tag(struct dkim_key_record *k, const struct dkim_tag *tag, bool first)
{
	int n;

	if (tag_is(tag, "v") && (!first || !is(tag->value, tag->value_len, "DKIM1")))
		return "the key record is of another version";
	if (tag_is(tag, "h") && !lists(tag, "sha256"))
		return "the key is not for sha256";
	if (tag_is(tag, "s") && !lists(tag, "*") && !lists(tag, "email"))
		return "the key is not for mail";
	if (tag_is(tag, "k")) {
		if (is(tag->value, tag->value_len, "ed25519"))
			k->algorithm = DKIM_ED25519_SHA256;
		else if (!is(tag->value, tag->value_len, "rsa"))
			return "the key is of an unknown kind";
	}
	if (tag_is(tag, "t")) {
		k->same_domain = lists(tag, "s");
		k->testing = lists(tag, "y");
	}
	if (tag_is(tag, "p")) {
		n = dkim_base64(k->key, sizeof(k->key), tag->value, tag->value_len);
		if (n == -1)
			return "the key is not base64, or too long";
		k->len = (size_t)n;
	}
	return NULL;
}

enum dkim_result
dkim_key_parse(struct dkim_key_record *k, const char *text, size_t len, const char **why_r)
{
	struct dkim_tag tags[DKIM_TAGS_MAX];
	bool has_key = false;
	int n = read_tags(tags, text, len);

	memset(k, 0, sizeof(*k));
	*why_r = n == -1 ? "the key record is not a list of tags" : NULL;
	for (int i = 0; i < n && *why_r == NULL; i++) {
		*why_r = read_key_tag(k, &tags[i], i == 0);
		has_key = has_key || tag_is(&tags[i], "p");
	}
	if (*why_r == NULL && !has_key)
		*why_r = "the key record has no p=";
	return *why_r == NULL ? DKIM_PASS : DKIM_PERMERROR;
}

/* ---- ARC-Authentication-Results ---- */

unsigned
arc_results_instance(const struct header_field *f)
{
	struct dkim_signature s = { .kind = ARC_MESSAGE };
	const char *end = memchr(f->value, ';', f->value_len);
	size_t at = 0;
	struct dkim_tag tag;

	if (end == NULL || dkim_tag_next(f->value, (size_t)(end - f->value), &at, &tag) != 1 || !tag_is(&tag, "i") ||
	    read_i(&s, &tag) != NULL)
		return 0;
	return s.instance;
}

/* ---- names ---- */

const char *
dkim_result_name(enum dkim_result r)
{
	static const char *const names[] = { "none", "pass", "fail", "policy", "neutral", "temperror", "permerror" };

	return names[r];
}

const char *
dkim_algorithm_name(enum dkim_algorithm a)
{
	static const char *const names[] = { "rsa-sha256", "ed25519-sha256", "rsa-sha1" };

	return names[a];
}

const char *
arc_cv_name(enum arc_cv cv)
{
	static const char *const names[] = { "none", "pass", "fail" };

	return names[cv];
}
