/*
 * The record of a decision, written and read (filters/decision.h). Decides its form only.
 */
#include <stdio.h>
#include <string.h>

#include "filters/decision.h"

#define END_ROOM	64		/* kept for the last line */
#define MESSAGE_ID_MAX	250

static const char letters[] = "DSFE";

static const char *
outcome_name(enum chain_outcome o)
{
	static const char *const names[] = { [CHAIN_PASS] = "pass", [CHAIN_DEFER] = "defer", [CHAIN_REFUSE] = "refuse",
		[CHAIN_SPLIT] = "split" };

	return (unsigned)o < sizeof(names) / sizeof(names[0]) ? names[o] : "?";
}

static void
begin(struct decision_text *d, char *room, size_t size, char letter)
{
	*d = (struct decision_text){ 0 };
	pairs_init(&d->text, room, size - END_ROOM);
	pairs_put_plain(&d->text, "%c v=%d", letter, DECISION_VERSION);
}

/* A line is there whole or not at all. */
static void
end_line(struct decision_text *d, size_t began)
{
	pairs_put_plain(&d->text, "\n");
	if (!d->text.full)
		return;
	d->text.len = began;
	d->text.to[began] = '\0';
	d->left_out++;
}

static void
put_verdict(struct pairs_text *t, const struct chain_decision *c)
{
	pairs_put(t, "outcome", outcome_name(c->outcome));
	if (c->code != 0)
		pairs_put_number(t, "code", c->code);
	pairs_put(t, "enhanced", c->enhanced);
	pairs_put(t, "ref", c->ref);
	pairs_put(t, "filter", c->filter);
	pairs_put_number(t, "score", c->score);
	if (c->quarantine)
		pairs_put(t, "quarantine", "yes");
	if (c->tagged)
		pairs_put(t, "tagged", "yes");
	pairs_put(t, "text", c->text);
}

void
decision_begin(struct decision_text *d, char *room, size_t size, const struct decision_head *h, const struct chain_decision *c)
{
	struct pairs_text *t = &d->text;
	char message_id[MESSAGE_ID_MAX + 1];

	snprintf(message_id, sizeof(message_id), "%s", h->message_id != NULL ? h->message_id : "");
	begin(d, room, size, 'D');
	pairs_put_number(t, "t", h->time_ms);
	pairs_put(t, "session", h->session);
	pairs_put(t, "msg", h->message);
	pairs_put(t, "client", h->client);
	pairs_put(t, "helo", h->helo);
	pairs_put(t, "listener", h->listener);
	if (h->mail)
		pairs_put(t, "from", h->from != NULL && h->from[0] != '\0' ? h->from : "<>");
	pairs_put(t, "to", h->to);
	pairs_put_number(t, "nrcpt", h->recipients);
	pairs_put(t, "message-id", message_id);
	pairs_put(t, "stage", facts_stage_name(h->stage));
	pairs_put_number(t, "waited", h->waited_ms);
	put_verdict(t, c);
	end_line(d, 0);
}

void
decision_begin_session(struct decision_text *d, char *room, size_t size, const struct decision_session *s)
{
	struct pairs_text *t = &d->text;

	begin(d, room, size, 'S');
	pairs_put_number(t, "t", s->time_ms);
	pairs_put(t, "session", s->session);
	pairs_put(t, "client", s->client);
	pairs_put(t, "helo", s->helo);
	pairs_put(t, "listener", s->listener);
	pairs_put_number(t, "waited", s->waited_ms);
	if (s->would_ms > 0)
		pairs_put_number(t, "would-wait", s->would_ms);
	pairs_put_number(t, "lasted", s->lasted_ms);
	pairs_put_number(t, "messages", s->messages);
	pairs_put_number(t, "refused", s->refused);
	pairs_put(t, "end", s->end);
	end_line(d, 0);
}

void
decision_add(struct decision_text *d, const struct chain_entry *e)
{
	const struct filter_finding *f = e->finding;
	struct pairs_text *t = &d->text;
	size_t began = t->len;

	d->filters++;
	pairs_put_plain(t, "F");
	pairs_put(t, "filter", e->filter->name);
	pairs_put(t, "mode", filter_mode_name(e->mode));
	pairs_put(t, "stage", facts_stage_name(e->stage));
	pairs_put(t, "key", f->key);
	pairs_put(t, "value", f->value);
	pairs_put(t, "result", f->result);
	if (f->score != 0)
		pairs_put_number(t, "points", f->score);
	if (f->action != FILTER_PASS)
		pairs_put(t, "asks", filter_action_name(f->action));
	pairs_put(t, "why", f->why);
	pairs_put_number(t, "ms", e->ms);
	pairs_put(t, "mark", e->counted ? "counted" : e->exempt ? "exempt" : "");
	end_line(d, began);
}

/* It has room of its own. */
size_t
decision_end(struct decision_text *d)
{
	struct pairs_text *t = &d->text;

	t->size += END_ROOM;
	t->full = false;
	pairs_put_plain(t, d->left_out > 0 ? "E filters=%u left_out=%u\n" : "E filters=%u\n", d->filters, d->left_out);
	return t->len;
}

/* ---- reading ---- */

char
decision_line(char *line, struct pairs *ps)
{
	char letter = line[0];

	ps->n = 0;
	if (letter == '\0' || strchr(letters, letter) == NULL || line[1] != ' ')
		return '\0';
	pairs_cut(ps, line + 2);
	return letter;
}

/* The line at p, as a letter, when it has the form of one; its end with the LF in *next_r. */
static char
look_at_line(const char *p, const char *end, const char **next_r)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	if (lf == NULL || lf - p < 2 || strchr(letters, p[0]) == NULL || p[0] == '\0' || p[1] != ' ')
		return '\0';
	for (const char *c = p; c < lf; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
			return '\0';
	*next_r = lf + 1;
	return *p;
}

bool
decision_is_sound(const char *p, size_t len)
{
	const char *end = p + len;
	char letter = len > 0 ? look_at_line(p, end, &p) : '\0';

	if (letter != 'D' && letter != 'S')
		return false;
	while (p < end && (letter = look_at_line(p, end, &p)) == 'F')
		;
	return letter == 'E' && p == end;
}
