/*
 * Stories out of lines (tools/story.h). Two events belong together when they name the same session or message, or one a
 * message and the other its bounce.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "filters/decision.h"
#include "lib/alloc.h"
#include "tools/lines.h"
#include "tools/story.h"

#define NAME_SIZE	40

struct name {				/* 's' or 'm' and an id, and the story that it was in first */
	char		 text[NAME_SIZE];
	unsigned	 story;
	UT_hash_handle	 hh;
};

struct reader {
	struct stories	*to;
	struct name	*names;
	unsigned	*joined;	/* story -> another one that it is a part of, or itself */
	unsigned	 n_joined;
	size_t		 room;
};

/* ---- what belongs together ---- */

static unsigned
root_of(const struct reader *r, unsigned story)
{
	while (r->joined[story] != story)
		story = r->joined[story];
	return story;
}

static unsigned
new_story(struct reader *r)
{
	r->joined = alloc_resize(r->joined, r->n_joined + 1, sizeof(*r->joined));
	r->joined[r->n_joined] = r->n_joined;
	return r->n_joined++;
}

/* The story of that session or message; it becomes that one's where it has none yet, and both are joined where it has. */
static void
join(struct reader *r, char kind, const char *id, unsigned *story)
{
	char text[NAME_SIZE];
	struct name *n;
	unsigned other;

	if (id[0] == '\0' || strcmp(id, "-") == 0)
		return;
	snprintf(text, sizeof(text), "%c%s", kind, id);
	HASH_FIND_STR(r->names, text, n);
	if (n == NULL) {
		n = alloc_new(1, sizeof(*n));
		memcpy(n->text, text, sizeof(text));
		if (*story == UINT32_MAX)
			*story = new_story(r);
		n->story = *story;
		HASH_ADD_STR(r->names, text, n);
		return;
	}
	other = root_of(r, n->story);
	if (*story == UINT32_MAX)
		*story = other;
	*story = root_of(r, *story);
	if (other < *story) {
		r->joined[*story] = other;
		*story = other;
	} else
		r->joined[other] = *story;
}

static void
place(struct reader *r, struct story_event *e)
{
	e->story = UINT32_MAX;
	join(r, 's', pairs_get(e->pairs, "session"), &e->story);
	join(r, 'm', pairs_get(e->pairs, "msg"), &e->story);
	join(r, 'm', pairs_get(e->pairs, "parent"), &e->story);
	if (e->story == UINT32_MAX)
		e->story = new_story(r);
}

/* Numbers without gaps, in the order of first events. */
static void
number(struct reader *r)
{
	unsigned *final = alloc_new(r->n_joined + 1, sizeof(*final));

	for (size_t i = 0; i < r->to->n_events; i++) {
		struct story_event *e = &r->to->events[i];
		unsigned root = root_of(r, e->story);

		if (final[root] == 0)
			final[root] = ++r->to->n;
		e->story = final[root] - 1;
	}
	free(final);
}

/* ---- lines ---- */

static void
add_event(struct reader *r, char letter, char *text, const struct pairs *ps)
{
	struct stories *s = r->to;
	struct story_event *e;

	if (s->n_events == r->room) {
		r->room = r->room * 2 + 64;
		s->events = alloc_resize(s->events, r->room, sizeof(*s->events));
	}
	e = &s->events[s->n_events++];
	*e = (struct story_event){ .letter = letter, .text = text, .pairs = alloc_raw(sizeof(*ps)) };
	*e->pairs = *ps;
	e->time_ms = pairs_number(ps, "t");
	place(r, e);
}

/* The line's text goes on living behind the head's: one pointer frees all. */
static void
add_filter(struct story_event *e, const char *line)
{
	char *text = alloc_text(line);

	e->filters = alloc_resize(e->filters, e->n_filters + 1, sizeof(*e->filters));
	if (decision_line(text, &e->filters[e->n_filters]) == 'F' && e->filters[e->n_filters].n > 0 &&
	    e->filters[e->n_filters].list[0].key == text + 2)
		e->n_filters++;
	else
		free(text);
}

/* False: the last line. */
static bool
read_line(struct reader *r, char *line)
{
	struct stories *s = r->to;
	struct pairs ps;
	char letter = line[0];
	char *text;

	if (letter == 'F') {
		if (s->n_events > 0)
			add_filter(&s->events[s->n_events - 1], line);
		return true;
	}
	if (letter == 'Z') {
		pairs_cut(&ps, line + 1);
		s->more = pairs_has(&ps, "more");
		s->since = pairs_number(&ps, "since");
		return false;
	}
	if (strchr("DSL", letter) == NULL || line[1] != ' ')
		return true;
	text = alloc_text(line);
	pairs_cut(&ps, text + 2);
	add_event(r, letter, text, &ps);
	return true;
}

/*
 * logger hears of the processes one after the other, so that a delivery can stand before the arrival of what was delivered.
 * What smtpd says of the session up to there goes in front of it.
 */
static void
set_right(struct stories *s, size_t taken)
{
	const char *message = pairs_get(s->events[taken].pairs, "msg"), *session = pairs_get(s->events[taken].pairs, "session");
	size_t first = 0;

	while (first < taken && (pairs_has(s->events[first].pairs, "session") ||
	    strcmp(pairs_get(s->events[first].pairs, "msg"), message) != 0))
		first++;
	for (size_t i = first; i <= taken; i++) {
		struct story_event e = s->events[i];

		if (strcmp(pairs_get(e.pairs, "session"), session) != 0)
			continue;
		memmove(s->events + first + 1, s->events + first, (i - first) * sizeof(e));
		s->events[first++] = e;
	}
}

static void
set_all_right(struct stories *s)
{
	for (size_t i = 0; i < s->n_events; i++)
		if (s->events[i].letter == 'L' && strcmp(pairs_get(s->events[i].pairs, "event"), "message") == 0 &&
		    strcmp(pairs_get(s->events[i].pairs, "msg"), "-") != 0)
			set_right(s, i);
}

int
stories_read(struct stories *s, FILE *from)
{
	struct reader r = { .to = s };
	struct name *n, *next;
	char *line = NULL;
	bool end = false;
	size_t room = 0;

	*s = (struct stories){ 0 };
	while (!end && getline(&line, &room, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		end = line[0] != '\0' && !read_line(&r, line);
	}
	free(line);
	set_all_right(s);
	number(&r);
	HASH_ITER(hh, r.names, n, next) {
		HASH_DEL(r.names, n);
		free(n);
	}
	free(r.joined);
	return end ? 0 : -1;
}

void
stories_free(struct stories *s)
{
	for (size_t i = 0; i < s->n_events; i++) {
		struct story_event *e = &s->events[i];

		for (size_t k = 0; k < e->n_filters; k++)
			free(e->filters[k].list[0].key - 2);
		free(e->filters);
		free(e->pairs);
		free(e->text);
	}
	free(s->events);
}
