/*
 * The words of a selection (queue/selection.h). Decides what is one, and what fits; which recipients there are and in which state,
 * its callers show.c and change.c know.
 */
#include "queue/selection.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"

static const char *const states[] = { "open", "deferred", "active", "paused", "held" };

void
selection_init(struct selection *f)
{
	*f = (struct selection){ .older_s = -1, .newer_s = -1 };
}

void
selection_free(struct selection *f)
{
	free(f->ids);
	f->ids = NULL;
	f->n_ids = 0;
}

static int
wrong(char *why, size_t size, const char *what, const char *right)
{
	snprintf(why, size, "%.80s is not known; expected %s", logq(what), right);
	return -1;
}

static int
take_seconds(int64_t *to, const char *text, char *why, size_t size)
{
	char *end;

	*to = strtoll(text, &end, 10);
	if (*text == '\0' || !isdigit((unsigned char)*text) || *end != '\0' || *to > INT64_C(100) * 365 * 86400)
		return wrong(why, size, text, "a number of seconds");
	return 1;
}

static int
take_state(struct selection *f, const char *name, char *why, size_t size)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcasecmp(states[i], name) == 0) {
			f->state = states[i];
			f->by_rcpt = true;
			return 1;
		}
	return wrong(why, size, name, "a state: open, deferred, active, paused or held");
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* As mailq shows it, with its mark. */
static int
take_id(struct selection *f, const char *word, char *why, size_t size)
{
	char text[ID_TEXT + 2];
	size_t len = strlen(word), at;
	uint64_t id;

	while (len > 0 && strchr("*!", word[len - 1]) != NULL)
		len--;
	snprintf(text, sizeof(text), "%.*s", (int)(len < sizeof(text) ? len : sizeof(text) - 1), word);
	if (id_parse(text, &id) != 0)
		return 0;
	if (f->n_ids == SELECTION_IDS_MAX) {
		snprintf(why, size, "more than %d messages are named; name fewer", SELECTION_IDS_MAX);
		return -1;
	}
	f->ids = alloc_resize(f->ids, f->n_ids + 1, sizeof(*f->ids));
	for (at = f->n_ids++; at > 0 && f->ids[at - 1] > id; at--)
		f->ids[at] = f->ids[at - 1];
	f->ids[at] = id;
	return 1;
}

static const char *
after(const char *word, const char *name)
{
	size_t len = strlen(name);

	return strncmp(word, name, len) == 0 ? word + len : NULL;
}

static int
take_word(struct selection *f, const char *word, char *why, size_t size)
{
	struct { const char *name; const char **to; bool by_rcpt; } texts[] = { { "to=", &f->to, true }, { "@", &f->domain, true },
	    { "from=", &f->from, false }, { "reason=", &f->reason, true }, { "hop=", &f->hop, true } };
	const char *value;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if ((value = after(word, texts[i].name)) == NULL)
			continue;
		if (*texts[i].to != NULL) {
			snprintf(why, size, "%s is given twice; give it once", texts[i].name);
			return -1;
		}
		/* As a script's variable that is not set would have it: that is never meant to be all mail. */
		if (*value == '\0' && texts[i].to != &f->from) {
			snprintf(why, size, "%s has nothing behind it; \"*\" is any", texts[i].name);
			return -1;
		}
		*texts[i].to = value;
		f->by_rcpt |= texts[i].by_rcpt;
		return 1;
	}
	if ((value = after(word, "older=")) != NULL)
		return take_seconds(&f->older_s, value, why, size);
	if ((value = after(word, "newer=")) != NULL)
		return take_seconds(&f->newer_s, value, why, size);
	if ((value = after(word, "state=")) != NULL)
		return take_state(f, value, why, size);
	if (strcasecmp(word, "all") != 0)
		return take_id(f, word, why, size);
	f->all = true;
	return 1;
}

int
selection_take(struct selection *f, const char *word, char *why, size_t size)
{
	int taken = take_word(f, word, why, size);

	f->any |= taken > 0;
	return taken;
}

bool
selection_has_id(const struct selection *f, uint64_t id)
{
	return f->ids != NULL && bsearch(&id, f->ids, f->n_ids, sizeof(id), compare_ids) != NULL;
}

bool
selection_fits_message(const struct selection *f, uint64_t id, int64_t age_s)
{
	if (f->ids != NULL && !selection_has_id(f, id))
		return false;
	return (f->older_s < 0 || age_s >= f->older_s) && (f->newer_s < 0 || age_s < f->newer_s);
}

/* Two places are remembered at most, so that no pattern takes more than its length times the text's. */
static bool
glob(const char *p, const char *s)
{
	const char *star = NULL, *back = NULL;

	while (*s != '\0') {
		if (*p == '*') {
			star = p++;
			back = s;
		} else if (*p == '?' || tolower((unsigned char)*p) == tolower((unsigned char)*s)) {
			p++;
			s++;
		} else if (star != NULL) {
			p = star + 1;
			s = ++back;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return *p == '\0';
}

bool
selection_pattern(const char *pattern, const char *text)
{
	return strpbrk(pattern, "*?") != NULL ? glob(pattern, text) : strcasestr(text, pattern) != NULL;
}

bool
selection_fits_sender(const struct selection *f, const char *sender)
{
	if (f->from == NULL)
		return true;
	if (f->from[0] == '\0')
		return sender[0] == '\0';
	return selection_pattern(f->from, sender);
}

static bool
is_in_domain(const char *address, const char *domain)
{
	const char *at = strrchr(address, '@');

	return at != NULL && strcasecmp(at + 1, domain) == 0;
}

static bool
fits_state(const char *wanted, const struct selection_rcpt *r)
{
	if (strcmp(wanted, "deferred") == 0)
		return strcmp(r->state, "open") == 0 && r->attempts > 0;
	return strcmp(wanted, r->state) == 0;
}

bool
selection_fits_rcpt(const struct selection *f, const struct selection_rcpt *r)
{
	return (f->to == NULL || selection_pattern(f->to, r->address)) &&
	    (f->domain == NULL || is_in_domain(r->address, f->domain)) &&
	    (f->reason == NULL || selection_pattern(f->reason, r->reason)) &&
	    (f->hop == NULL || selection_pattern(f->hop, r->hop)) && (f->state == NULL || fits_state(f->state, r));
}
