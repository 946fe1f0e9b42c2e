/*
 * How many recipients a client, its network, a sender may name, and how often one may be named, within a window that slides.
 * What is refused is not counted. Beside these, smtpd has limits of its own that protect the server (network_… in
 * minimta.conf(5)): these here are about mail, count across all workers and outlive a restart.
 */
#include <stdio.h>

#include "filters/adapters.h"
#include "filters/greylist_key.h"
#include "filters/memory.h"
#include "lib/conf_table.h"

#define DEADLINE_MS	4000
#define SECOND		INT64_C(1000)

enum counted { COUNT_CLIENT, COUNT_NETWORK, COUNT_SENDER, COUNT_RECIPIENT, COUNTED };

struct options {
	uint32_t	most[COUNTED];
	int64_t		window_ms;
};

struct state {
	struct memory_query	*queries[COUNTED];
	unsigned		 waiting;
	enum counted		 over;		/* the one that is over its limit for longest */
	uint32_t		 left_s;
	bool			 failed;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "client",	CONF_COUNT,	AT(most[COUNT_CLIENT]),		0, 1000000, "0", NULL },
	{ "network",	CONF_COUNT,	AT(most[COUNT_NETWORK]),	0, 1000000, "0", NULL },
	{ "sender",	CONF_COUNT,	AT(most[COUNT_SENDER]),		0, 1000000, "0", NULL },
	{ "recipient",	CONF_COUNT,	AT(most[COUNT_RECIPIENT]),	0, 1000000, "0", NULL },
	{ "window",	CONF_DURATION,	AT(window_ms),			SECOND, 86400 * SECOND, "1h", NULL },
};

static const char *const names[COUNTED] = { "client", "network", "sender", "recipient" };

static bool
has_limits(const struct filter_config *c, const struct facts *f)
{
	const struct options *o = c->options;

	(void)f;
	for (unsigned i = 0; i < COUNTED; i++)
		if (o->most[i] > 0)
			return true;
	return false;
}

/* What is counted, into key: false when there is none, as with the null sender. */
static bool
key_of(char key[MEMORY_KEY_MAX], enum counted what, const struct facts *f)
{
	char text[MEMORY_KEY_MAX] = "";

	if (what <= COUNT_NETWORK && f->address.len == 0)
		return false;
	if (what == COUNT_CLIENT)
		memory_client_key(text, &f->address);
	else if (what == COUNT_NETWORK)
		greylist_key_network(text, &f->address);
	else
		snprintf(text, sizeof(text), "%s", what == COUNT_SENDER ? f->sender : f->recipient);
	snprintf(key, MEMORY_KEY_MAX, "%s %.300s", names[what], text);
	return text[0] != '\0';
}

static void
settle(struct filter_run *run)
{
	struct state *s = run->state;
	const struct options *o = run->config->options;
	char key[MEMORY_KEY_MAX];

	if (s->left_s == 0) {
		filter_say(run, s->failed ? "unknown" : "pass", 0, "%s", s->failed ? "nobody could be asked" : "");
		return;
	}
	run->finding.action = FILTER_DEFER;
	key_of(key, s->over, run->facts);
	snprintf(run->finding.key, sizeof(run->finding.key), "%.250s", key);
	snprintf(run->finding.text, sizeof(run->finding.text), "Too many recipients for this %s, please try again in %u seconds",
	    names[s->over], s->left_s);
	filter_say(run, "too-many", 0, "more than %u recipients in %lld seconds for this %s", o->most[s->over],
	    (long long)(o->window_ms / SECOND), names[s->over]);
}

static void
take(struct filter_run *run, enum counted what, const struct memory_answer *a)
{
	struct state *s = run->state;

	s->queries[what] = NULL;
	s->failed |= a->failed;
	if (a->left_s > s->left_s) {
		s->left_s = a->left_s;
		s->over = what;
	}
	if (--s->waiting > 0)
		return;
	settle(run);
	filter_finish(run);
}

static void
on_client(void *arg, const struct memory_answer *a)
{
	take(arg, COUNT_CLIENT, a);
}

static void
on_network(void *arg, const struct memory_answer *a)
{
	take(arg, COUNT_NETWORK, a);
}

static void
on_sender(void *arg, const struct memory_answer *a)
{
	take(arg, COUNT_SENDER, a);
}

static void
on_recipient(void *arg, const struct memory_answer *a)
{
	take(arg, COUNT_RECIPIENT, a);
}

static enum filter_progress
run_rate(struct filter_run *run)
{
	static memory_done_fn *const done[COUNTED] = { on_client, on_network, on_sender, on_recipient };
	const struct options *o = run->config->options;
	struct memory_question q = { .op = MEMORY_RATE, .other = "", .window_s = (uint32_t)(o->window_ms / SECOND) };
	struct state *s = run->state;
	char key[MEMORY_KEY_MAX];

	for (unsigned i = 0; i < COUNTED && run->memory != NULL; i++) {
		if (o->most[i] == 0 || !key_of(key, (enum counted)i, run->facts))
			continue;
		q.key = key;
		q.passes = o->most[i];
		s->waiting++;
		s->queries[i] = memory_ask(run->memory, &q, done[i], run);
	}
	if (s->waiting > 0)
		return FILTER_PENDING;
	settle(run);
	return FILTER_DONE;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	for (unsigned i = 0; i < COUNTED; i++) {
		memory_cancel(s->queries[i]);
		s->queries[i] = NULL;
	}
}

const struct filter filter_rate = {
	.name = "rate", .does = "has it named too many recipients lately",
	.stage = STAGE_RCPT, .decides = STAGE_RCPT,
	.mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .deadline_ms = DEADLINE_MS,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.state_size = sizeof(struct state), .applies = has_limits, .run = run_rate, .cancel = cancel,
};
