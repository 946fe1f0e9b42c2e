/*
 * Rewrites sender addresses (smtpd/rewrite.h). Decides what stands for an address, and where in a field one stands: phrases,
 * comments and folds stay as they are, and so does what is no address. Called by handover.c.
 */
#include "smtpd/rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/conf.h"
#include "lib/header.h"

/* ---- an address ---- */

/* "FROM=TO" where FROM is of this length; NULL: it is another one. */
static const char *
target_of(const char *entry, const char *from, size_t len)
{
	return strncasecmp(entry, from, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}

static const char *
canonical(const struct conf *conf, const char *from, size_t len)
{
	const char *to;

	for (size_t i = 0; conf->canonical[i] != NULL; i++)
		if ((to = target_of(conf->canonical[i], from, len)) != NULL)
			return to;
	return NULL;
}

/* The whole address, then, of ours, its local part alone, then its domain. */
static bool
map(const struct conf *conf, struct address *a)
{
	const char *at = strrchr(a->text, '@'), *to = canonical(conf, a->text, strlen(a->text));
	char whole[2 * ADDRESS_MAX];

	if (to == NULL && conf_is_local(conf, a->domain))
		to = canonical(conf, a->text, (size_t)(at - a->text));
	if (to == NULL && (to = canonical(conf, at, strlen(at))) == NULL)
		return false;
	if (to[0] == '@')
		snprintf(whole, sizeof(whole), "%.*s%s", (int)(at - a->text), a->text, to);
	else
		snprintf(whole, sizeof(whole), "%s", to);
	return address_parse(a, whole, ADDRESS_UTF8, NULL) == ADDRESS_OK;
}

static bool
masquerade(const struct conf *conf, struct address *a)
{
	char whole[2 * ADDRESS_MAX];
	size_t len = strlen(a->domain), n;

	for (size_t i = 0; conf->masquerade_not[i] != NULL; i++)
		if (strcasecmp(conf->masquerade_not[i], a->local) == 0)
			return false;
	for (size_t i = 0; conf->masquerade[i] != NULL; i++) {
		n = strlen(conf->masquerade[i]);
		if (len <= n + 1 || a->domain[len - n - 1] != '.' || strcasecmp(a->domain + len - n, conf->masquerade[i]) != 0)
			continue;
		snprintf(whole, sizeof(whole), "%.*s@%s", (int)(strrchr(a->text, '@') - a->text), a->text, conf->masquerade[i]);
		return address_parse(a, whole, ADDRESS_UTF8, NULL) == ADDRESS_OK;
	}
	return false;
}

/* A missing domain. */
static bool
complete(const struct conf *conf, struct address *a)
{
	char whole[2 * ADDRESS_MAX];

	if (a->domain[0] != '\0')
		return false;
	snprintf(whole, sizeof(whole), "%s@%s", a->text, conf_origin(conf));
	return address_parse(a, whole, ADDRESS_UTF8, NULL) == ADDRESS_OK;
}

static bool
rewrite(const struct conf *conf, const char *text, bool sender, char to[ADDRESS_MAX])
{
	struct address a;
	bool changed;

	if (address_parse(&a, text, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK || a.text[0] == '\0')
		return false;
	changed = complete(conf, &a);
	if (a.domain[0] != '\0' && sender) {
		changed |= map(conf, &a);
		changed |= masquerade(conf, &a);
	}
	if (changed)
		memcpy(to, a.text, ADDRESS_MAX);
	return changed;
}

bool
rewrite_address(const struct conf *conf, const char *address, char to[ADDRESS_MAX])
{
	return rewrite(conf, address, true, to) && strcmp(to, address) != 0;
}

/* ---- a field ---- */

struct out {
	const struct conf	*conf;
	char			*text;
	size_t			 len, room;
	bool			 sender;	/* the field is about who sends */
	bool			 changed;
};

static void
put(struct out *o, const char *text, size_t len)
{
	while (o->len + len > o->room) {
		o->room = o->room > 0 ? 2 * o->room : 4096;
		o->text = alloc_resize(o->text, o->room, 1);
	}
	memcpy(o->text + o->len, text, len);
	o->len += len;
}

/* Behind a quoted string, a comment, or one character. */
static const char *
skip_one(const char *p, const char *end)
{
	int depth = 0;

	if (*p == '"') {
		for (p++; p < end && *p != '"'; p++)
			if (*p == '\\' && end - p > 1)
				p++;
		return p < end ? p + 1 : end;
	}
	if (*p != '(')
		return p + 1;
	for (; p < end; p++) {
		if (*p == '\\' && end - p > 1)
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
	}
	return end;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (is_space(*p) || *p == '('))
		p = skip_one(p, end);
	return p;
}

/* What may be an address, with what stands around it. */
static void
put_mailbox(struct out *o, const char *from, const char *p, const char *word_end, const char *end)
{
	char text[ADDRESS_MAX], to[ADDRESS_MAX];

	if ((size_t)(word_end - p) < sizeof(text) && memchr(p, '\0', (size_t)(word_end - p)) == NULL) {
		memcpy(text, p, (size_t)(word_end - p));
		text[word_end - p] = '\0';
		if (text[0] != '\0' && rewrite(o->conf, text, o->sender, to)) {
			put(o, from, (size_t)(p - from));
			put(o, to, strlen(to));
			put(o, word_end, (size_t)(end - word_end));
			o->changed = true;
			return;
		}
	}
	put(o, from, (size_t)(end - from));
}

/* Between two commas: "phrase <address>", or an address alone with comments before and behind it. */
static void
put_segment(struct out *o, const char *from, const char *end)
{
	const char *p = skip_space(from, end), *q = p, *close;

	for (; q < end && *q != '<' && !is_space(*q) && *q != '('; q = skip_one(q, end))
		continue;
	if (skip_space(q, end) == end) {
		put_mailbox(o, from, p, q, end);
		return;
	}
	while (q < end && *q != '<')
		q = skip_one(q, end);
	for (close = q; close < end && *close != '>'; close = skip_one(close, end))
		continue;
	if (close < end)
		put_mailbox(o, from, q + 1, close, end);
	else
		put(o, from, (size_t)(end - from));
}

/* What ends with ":" is the name of a group. */
static void
put_value(struct out *o, const char *value, size_t len)
{
	const char *from = value, *end = value + len, *p = value;
	bool angle = false;

	while (p < end) {
		if (!angle && (*p == ',' || *p == ';' || *p == ':')) {
			if (*p == ':')
				put(o, from, (size_t)(p - from));
			else
				put_segment(o, from, p);
			put(o, p, 1);
			from = ++p;
			continue;
		}
		angle = *p == '<' || (angle && *p != '>');
		p = skip_one(p, end);
	}
	put_segment(o, from, end);
}

/* ---- the header ---- */

static bool
is_rewritten(const struct header_field *f, bool *sender_r)
{
	static const char *const senders[] = { "From", "Sender", "Reply-To", "Resent-From", "Resent-Sender", "Resent-Reply-To" };
	static const char *const others[] = { "To", "Cc", "Resent-To", "Resent-Cc" };

	*sender_r = true;
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++)
		if (header_is(f, senders[i]))
			return true;
	*sender_r = false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (header_is(f, others[i]))
			return true;
	return false;
}

char *
rewrite_header(const struct conf *conf, const char *header, size_t len, size_t *len_r)
{
	struct out o = { .conf = conf };
	struct header_field f;
	size_t at = 0, done = 0;

	while (header_next(header, len, &at, &f)) {
		if (!is_rewritten(&f, &o.sender))
			continue;
		put(&o, header + done, (size_t)(f.value - header) - done);
		put_value(&o, f.value, f.value_len);
		done = (size_t)(f.value - header) + f.value_len;
	}
	if (!o.changed) {
		free(o.text);
		return NULL;
	}
	put(&o, header + done, len - done);
	*len_r = o.len;
	return o.text;
}
