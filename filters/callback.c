/*
 * The sender callback's verdict (filters/callback.h). Decides when nobody is called: for the null sender, so that two servers
 * never call each other in circles; for senders of ours; where something vouches for the client or its sender. It runs when DATA
 * is said, once for a mail: what is refused or greylisted before costs nobody a call. Who is called how often lookup decides,
 * and delivery calls.
 */
#include "filters/callback.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/memory.h"

#define SCORE_BAD	6

struct callback_run {
	struct memory_query	*query;
};

static bool
is_ours(const struct facts *f, const char *domain)
{
	for (char *const *d = f->domains; d != NULL && *d != NULL; d++)
		if (strcasecmp(*d, domain) == 0)
			return true;
	return f->hostname != NULL && strcasecmp(f->hostname, domain) == 0;
}

static bool
callback_applies(const struct filter_config *config, const struct facts *f)
{
	const char *at = f->sender != NULL ? strrchr(f->sender, '@') : NULL;

	(void)config;
	return at != NULL && at[1] != '[' && !is_ours(f, at + 1);
}

/* The client is known, or people here write to the sender, which is not forged. */
static bool
is_vouched_for(const struct facts *f)
{
	return facts_is_vouched_for(f) || ((f->known & FACT_SENDER) != 0 && f->sender_standing.written_to &&
	    !((f->known & FACT_SPF) != 0 && f->spf.tried && f->spf.code == SPF_FAIL));
}

static void
on_answer(void *arg, const struct memory_answer *a)
{
	static const char *const words[] = { "unknown", "good", "bad", "accepts-all" };
	struct filter_run *run = arg;
	struct callback_run *state = run->state;
	struct filter_finding *f = &run->finding;
	enum memory_callback callback = a->failed ? MEMORY_CALLBACK_UNKNOWN : a->callback;

	state->query = NULL;
	if (callback == MEMORY_CALLBACK_BAD) {
		f->action = FILTER_REFUSE;
		snprintf(f->enhanced, sizeof(f->enhanced), "5.1.8");
		snprintf(f->text, sizeof(f->text), "The mail server of the sender's own domain does not know that address");
	}
	filter_say(run, words[callback], callback == MEMORY_CALLBACK_BAD ? SCORE_BAD : 0, "%s",
	    a->failed ? "nobody could be asked" : a->why);
	filter_finish(run);
}

static enum filter_progress
callback_run(struct filter_run *run)
{
	struct callback_run *state = run->state;
	struct memory_question q = { .op = MEMORY_CALLBACK, .key = run->facts->sender, .other = "" };

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", run->facts->sender);
	if (is_vouched_for(run->facts))
		return filter_say(run, "skipped", 0, "something else vouches for the sender");
	if (run->memory == NULL)
		return filter_say(run, "unknown", 0, "nobody could be asked");
	state->query = memory_ask(run->memory, &q, on_answer, run);
	return FILTER_PENDING;
}

static void
callback_cancel(struct filter_run *run)
{
	struct callback_run *state = run->state;

	memory_cancel(state->query);
	state->query = NULL;
}

const struct filter filter_callback = {
	.name = "callback", .does = "would the sender's own mail server take an answer to it",
	.stage = STAGE_DATA, .decides = STAGE_DATA, .last = true,
	.needs = FACT_STANDING | FACT_WHITELISTS | FACT_SPF | FACT_SENDER,
	.mode = FILTER_OFF, .hermes = FILTER_OFF, .deadline_ms = 35000,
	.state_size = sizeof(struct callback_run), .applies = callback_applies, .run = callback_run, .cancel = callback_cancel,
};
