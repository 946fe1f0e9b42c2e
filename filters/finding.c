/*
 * Findings in as little memory as they need, one allocation each (filters/finding.h). Decides nothing. Called by the chain when
 * a run ends, and when somebody reads what was found.
 */
#include "filters/finding.h"

#include <string.h>

#include "lib/alloc.h"

#define TEXTS	6

/* The arrays of a finding in the order of their texts, with their sizes. */
struct texts {
	char	*at[TEXTS];
	size_t	 size[TEXTS];
};

static struct texts
texts_of(struct filter_finding *f)
{
	return (struct texts){ { f->enhanced, f->text, f->result, f->key, f->value, f->why },
	    { sizeof(f->enhanced), sizeof(f->text), sizeof(f->result), sizeof(f->key), sizeof(f->value), sizeof(f->why) } };
}

static struct finding *
allocate(size_t len)
{
	struct finding *p = alloc_raw(sizeof(*p) + len);

	return p;
}

struct finding *
finding_pack(const struct filter_finding *f)
{
	const char *const texts[TEXTS] = { f->enhanced, f->text, f->result, f->key, f->value, f->why };
	struct finding *p;
	size_t len = 0, one;

	for (size_t i = 0; i < TEXTS; i++)
		len += strlen(texts[i]) + 1;
	p = allocate(len);
	*p = (struct finding){ .score = f->score, .code = (int16_t)f->code, .action = (uint8_t)f->action, .at_data = f->at_data,
	    .at_end = f->at_end, .len = (uint16_t)len };
	for (size_t i = 0, at = 0; i < TEXTS; i++, at += one) {
		one = strlen(texts[i]) + 1;
		memcpy(p->texts + at, texts[i], one);
	}
	return p;
}

struct finding *
finding_copy(const struct finding *from)
{
	struct finding *p = allocate(from->len);

	memcpy(p, from, sizeof(*p) + from->len);
	return p;
}

void
finding_unpack(struct filter_finding *f, const struct finding *p)
{
	struct texts to = texts_of(f);
	const char *text = p->texts;
	size_t len;

	*f = (struct filter_finding){ .action = p->action, .score = p->score, .code = p->code, .at_data = p->at_data,
	    .at_end = p->at_end };
	for (size_t i = 0; i < TEXTS; i++, text += len + 1) {
		len = strlen(text);
		memcpy(to.at[i], text, len < to.size[i] ? len : to.size[i] - 1);	/* behind it all is zero */
	}
}

const char *
finding_enhanced(const struct finding *p)
{
	return p->texts;
}

const char *
finding_text(const struct finding *p)
{
	return p->texts + strlen(p->texts) + 1;
}
