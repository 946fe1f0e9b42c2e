/*
 * Traps: addresses that no person was ever given. Who writes to one has bought or harvested it, is refused by its points, and is
 * remembered for a day: its other mail gets the points as well.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/adapters.h"
#include "filters/memory.h"
#include "lib/conf_table.h"

#define DEADLINE_MS	4000

struct options {
	char	**addresses;
	int	score;
};

struct state {
	struct memory_query *query;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "addresses",	CONF_TEXTS,	AT(addresses),	.value = NULL },
	{ "score",	CONF_INT,	AT(score),	0, 100, "10", NULL },
};

static int
configure(struct filter_config *c, const char **why_r)
{
	const struct options *o = c->options;

	for (char *const *a = o->addresses; a != NULL && *a != NULL; a++)
		if (strchr(*a, '@') == NULL) {
			*why_r = "a trap is a whole address; expected name@example.net";
			return -1;
		}
	return 0;
}

static bool
is_trap(const struct options *o, const char *recipient)
{
	for (char *const *a = o->addresses; a != NULL && *a != NULL; a++)
		if (strcasecmp(*a, recipient) == 0)
			return true;
	return false;
}

static bool
has_traps(const struct filter_config *c, const struct facts *f)
{
	const struct options *o = c->options;

	return o->addresses != NULL && o->addresses[0] != NULL && f->address.len > 0;
}

static enum filter_progress
say_trapped(struct filter_run *run, const char *result, const char *why)
{
	const struct options *o = run->config->options;

	run->finding.action = FILTER_REFUSE;
	snprintf(run->finding.text, sizeof(run->finding.text), "This host has sent mail to addresses that nobody was ever given");
	return filter_say(run, result, o->score, "%s", why);
}

static void
on_standing(void *arg, const struct memory_answer *a)
{
	struct filter_run *run = arg;

	((struct state *)run->state)->query = NULL;
	if (a->standing.trapped)
		say_trapped(run, "trapped", "it has written to a trap within a day");
	else
		filter_say(run, a->failed ? "unknown" : "clean", 0, "%s", a->failed ? "nobody could be asked" : "");
	filter_finish(run);
}

/* Asked anew for each recipient: the one before may have been a trap. */
static enum filter_progress
run_trap(struct filter_run *run)
{
	struct memory_question q = { .op = MEMORY_CLIENT, .other = "" };
	struct state *s = run->state;
	char key[MEMORY_KEY_MAX];

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", run->facts->recipient);
	if (is_trap(run->config->options, run->facts->recipient)) {
		memory_note(run->memory, &run->facts->address, MEMORY_TRAPPED);
		return say_trapped(run, "trap", "this address is a trap");
	}
	if (run->memory == NULL)
		return filter_say(run, "unknown", 0, "nobody could be asked");
	q.key = memory_client_key(key, &run->facts->address);
	s->query = memory_ask(run->memory, &q, on_standing, run);
	return FILTER_PENDING;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	memory_cancel(s->query);
	s->query = NULL;
}

const struct filter filter_trap = {
	.name = "trap", .does = "has it written to an address that is a trap",
	.stage = STAGE_RCPT, .decides = STAGE_RCPT,
	.mode = FILTER_SCORE, .hermes = FILTER_SCORE, .deadline_ms = DEADLINE_MS,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.state_size = sizeof(struct state), .configure = configure, .applies = has_traps, .run = run_trap, .cancel = cancel,
};
