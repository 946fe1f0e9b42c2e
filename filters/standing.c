/*
 * What is remembered of who sends, as facts for other filters: how this client has behaved (standing), and whether people here
 * write to this sender (correspondents). Neither refuses anything; both save waiting.
 */
#include <stdio.h>

#include "filters/adapters.h"
#include "filters/memory.h"

#define DEADLINE_MS	4000

struct state {
	struct memory_query *query;
};

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	memory_cancel(s->query);
	s->query = NULL;
}

static enum filter_progress
ask(struct filter_run *run, const struct memory_question *q, memory_done_fn *done)
{
	struct state *s = run->state;

	if (run->memory == NULL)
		return filter_say(run, "unknown", 0, "nobody could be asked");
	s->query = memory_ask(run->memory, q, done, run);
	return FILTER_PENDING;
}

/* ---- the client ---- */

static const char *
standing_word(const struct facts_standing *s)
{
	if (s->trapped)
		return "trapped";
	if (s->known)
		return "known";
	return s->passed ? "greeted" : "stranger";
}

static void
on_standing(void *arg, const struct memory_answer *a)
{
	struct filter_run *run = arg;

	((struct state *)run->state)->query = NULL;
	run->facts->standing = a->standing;
	snprintf(run->finding.value, sizeof(run->finding.value), "good=%u bad=%u", a->standing.good, a->standing.bad);
	filter_say(run, a->failed ? "unknown" : standing_word(&a->standing), 0, "%s", a->failed ? "nobody could be asked" : "");
	filter_finish(run);
}

static enum filter_progress
run_standing(struct filter_run *run)
{
	char key[MEMORY_KEY_MAX];

	snprintf(run->finding.key, sizeof(run->finding.key), "%.200s", memory_client_key(key, &run->facts->address));
	return ask(run, &(struct memory_question){ .op = MEMORY_CLIENT, .key = key, .other = "" }, on_standing);
}

static bool
has_address(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->address.len > 0;
}

const struct filter filter_standing = {
	.name = "standing", .does = "how has this client behaved before",
	.stage = STAGE_CONNECT, .decides = STAGE_RCPT, .gives = FACT_STANDING,
	.mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .deadline_ms = DEADLINE_MS,
	.state_size = sizeof(struct state), .applies = has_address, .run = run_standing, .cancel = cancel,
};

/* ---- the sender ---- */

static void
on_sender(void *arg, const struct memory_answer *a)
{
	struct filter_run *run = arg;

	((struct state *)run->state)->query = NULL;
	run->facts->sender_standing.written_to = a->written_to;
	filter_say(run, a->failed ? "unknown" : a->written_to ? "written-to" : "stranger", 0, "%s", a->failed ?
	    "nobody could be asked" : a->written_to ? "people here have written to it" : "");
	filter_finish(run);
}

static enum filter_progress
run_sender(struct filter_run *run)
{
	snprintf(run->finding.key, sizeof(run->finding.key), "%s", run->facts->sender);
	return ask(run, &(struct memory_question){ .op = MEMORY_SENDER, .key = run->facts->sender, .other = "" }, on_sender);
}

static bool
has_sender(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->sender != NULL && f->sender[0] != '\0';
}

const struct filter filter_correspondents = {
	.name = "correspondents", .does = "do people here write to this sender",
	.stage = STAGE_MAIL, .decides = STAGE_RCPT, .gives = FACT_SENDER,
	.mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .deadline_ms = DEADLINE_MS,
	.state_size = sizeof(struct state), .applies = has_sender, .run = run_sender, .cancel = cancel,
};
