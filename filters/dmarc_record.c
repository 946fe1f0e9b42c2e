/*
 * DMARC policy records read (filters/dmarc_record.h): one pass over the tags, a table of the known ones. Called by
 * filters/dmarc.c for whatever a _dmarc name holds, so nothing in it is trusted, and nothing wrong in it is an error
 * but the lack of a version: RFC 9989 wants mistakes passed over.
 */
#include "filters/dmarc_record.h"

#include <string.h>
#include <strings.h>

struct text {				/* a piece of the record, borrowed */
	const char	*p;
	size_t		 len;
};

struct tag {
	const char	*name;
	void		(*read)(struct dmarc_record *, struct text);
};

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static struct text
trim(struct text t)
{
	while (t.len > 0 && is_wsp(t.p[0])) {
		t.p++;
		t.len--;
	}
	while (t.len > 0 && is_wsp(t.p[t.len - 1]))
		t.len--;
	return t;
}

static bool
is_word(struct text t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.p, word, t.len) == 0;
}

static struct text
cut_at(struct text *rest, char c)
{
	const char *at = rest->len > 0 ? memchr(rest->p, c, rest->len) : NULL;
	struct text piece = { rest->p, at != NULL ? (size_t)(at - rest->p) : rest->len };
	size_t used = piece.len + (at != NULL);

	rest->p += used;
	rest->len -= used;
	return piece;
}

/* -- values -- */

static bool
read_policy(struct text value, enum dmarc_policy *to)
{
	static const enum dmarc_policy all[] = { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (is_word(value, dmarc_policy_name(all[i]))) {
			*to = all[i];
			return true;
		}
	return false;
}

static void
read_p(struct dmarc_record *r, struct text value)
{
	r->bad_policy |= !read_policy(value, &r->p);
}

static void
read_sp(struct dmarc_record *r, struct text value)
{
	r->has_sp = read_policy(value, &r->sp);
	r->bad_policy |= !r->has_sp;
}

static void
read_np(struct dmarc_record *r, struct text value)
{
	r->has_np = read_policy(value, &r->np);
	r->bad_policy |= !r->has_np;
}

static void
read_adkim(struct dmarc_record *r, struct text value)
{
	r->strict_dkim = is_word(value, "s");
}

static void
read_aspf(struct dmarc_record *r, struct text value)
{
	r->strict_spf = is_word(value, "s");
}

static void
read_psd(struct dmarc_record *r, struct text value)
{
	r->psd = is_word(value, "y") ? DMARC_PSD_YES : is_word(value, "n") ? DMARC_PSD_NO : DMARC_PSD_UNKNOWN;
}

static void
read_t(struct dmarc_record *r, struct text value)
{
	r->test = is_word(value, "y");
}

/* RFC 3986 as far as it matters: a scheme, then something without spaces; mail needs an address. */
static bool
is_uri(struct text t)
{
	size_t i = 0;

	while (i < t.len && t.p[i] != ':')
		i++;
	if (i == 0 || i + 1 >= t.len)
		return false;
	for (size_t k = 0; k < t.len; k++)
		if ((unsigned char)t.p[k] <= 0x20 || (unsigned char)t.p[k] >= 0x7f || strchr("<>\"{}|\\^`", t.p[k]) != NULL)
			return false;
	if (i == 6 && strncasecmp(t.p, "mailto", 6) == 0) {
		const char *at = memchr(t.p, '@', t.len);

		return at != NULL && at > t.p + 7 && at + 1 < t.p + t.len;
	}
	return true;
}

static void
read_rua(struct dmarc_record *r, struct text value)
{
	while (value.len > 0) {
		struct text uri = cut_at(&value, ',');

		uri = trim(cut_at(&uri, '!'));		/* the old limit of a report's size is passed over */
		if (is_uri(uri))
			r->rua++;
	}
}

static const struct tag tags[] = {
	{ "p", read_p },
	{ "sp", read_sp },
	{ "np", read_np },
	{ "adkim", read_adkim },
	{ "aspf", read_aspf },
	{ "psd", read_psd },
	{ "t", read_t },
	{ "rua", read_rua },
};

#define N_TAGS	(sizeof(tags) / sizeof(tags[0]))

/* The version comes first, without white space before it, and its value counts to the letter. */
static bool
is_version(struct text piece)
{
	struct text name, value;

	if (piece.len == 0 || is_wsp(piece.p[0]))
		return false;
	value = piece;
	name = trim(cut_at(&value, '='));
	value = trim(value);
	return is_word(name, "v") && value.len == 6 && memcmp(value.p, "DMARC1", 6) == 0;
}

int
dmarc_record_parse(struct dmarc_record *r, const char *text, size_t len)
{
	struct text rest = { text, len }, name, value;
	unsigned seen = 0;

	*r = (struct dmarc_record){ .psd = DMARC_PSD_UNKNOWN };
	if (!is_version(cut_at(&rest, ';')))
		return -1;
	while (rest.len > 0) {
		value = cut_at(&rest, ';');
		name = trim(cut_at(&value, '='));
		for (size_t i = 0; i < N_TAGS; i++)
			if (is_word(name, tags[i].name) && (seen & 1u << i) == 0) {
				seen |= 1u << i;
				tags[i].read(r, trim(value));
			}
	}
	return 0;
}

bool
dmarc_record_applies(struct dmarc_record *r)
{
	if (!r->bad_policy)
		return true;
	r->p = DMARC_POLICY_NONE;
	r->has_sp = r->has_np = false;
	return r->rua > 0;
}

enum dmarc_policy
dmarc_policy_lower(enum dmarc_policy policy)
{
	return policy == DMARC_POLICY_REJECT ? DMARC_POLICY_QUARANTINE : DMARC_POLICY_NONE;
}

const char *
dmarc_policy_name(enum dmarc_policy policy)
{
	static const char *const names[] = {
		[DMARC_POLICY_NONE] = "none",
		[DMARC_POLICY_QUARANTINE] = "quarantine",
		[DMARC_POLICY_REJECT] = "reject",
	};

	return names[policy];
}
