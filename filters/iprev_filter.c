/*
 * The reverse name as a filter: points for having none, for one that does not lead back, and for one that a provider made from
 * the address. No answer is not "no name".
 */
#include <stdio.h>

#include "filters/adapters.h"
#include "lib/conf_table.h"

struct options {
	int	none, no_match, dynamic;
	bool	tempfail;
};

struct state {
	struct iprev_lookup *lookup;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "none",	CONF_INT,	AT(none),	0, 100, "4", NULL },
	{ "no_match",	CONF_INT,	AT(no_match),	0, 100, "2", NULL },
	{ "dynamic",	CONF_INT,	AT(dynamic),	0, 100, "2", NULL },
	{ "tempfail",	CONF_BOOL,	AT(tempfail),	.value = "no" },
};

static void
ask(struct filter_finding *f, enum filter_action action, const char *text)
{
	f->action = action;
	f->code = action == FILTER_DEFER ? 451 : 550;
	snprintf(f->enhanced, sizeof(f->enhanced), action == FILTER_DEFER ? "4.7.25" : "5.7.25");
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static void
on_verdict(void *arg, const struct iprev_verdict *v)
{
	struct filter_run *run = arg;
	const struct options *o = run->config->options;
	int score = 0;

	((struct state *)run->state)->lookup = NULL;
	run->facts->reverse.result = v->result;
	run->facts->reverse.look = v->look;
	snprintf(run->facts->reverse.name, sizeof(run->facts->reverse.name), "%s", v->name);
	snprintf(run->finding.value, sizeof(run->finding.value), "%s%s%s%s", v->name, v->name[0] != '\0' ? " (" : "",
	    v->name[0] != '\0' ? iprev_look_name(v->look) : "", v->name[0] != '\0' ? ")" : "");
	if (v->result == IPREV_PERMERROR) {
		score = o->none;
		ask(&run->finding, FILTER_REFUSE, "The address of this client has no name");
	} else if (v->result == IPREV_FAIL) {
		score = o->no_match;
		ask(&run->finding, FILTER_REFUSE, "The name of this client's address does not lead back to it");
	} else if (v->result == IPREV_TEMPERROR && o->tempfail) {
		ask(&run->finding, FILTER_DEFER, "The name of this client's address cannot be looked up now");
	}
	if (v->look == IPREV_DYNAMIC && v->name[0] != '\0')
		score += o->dynamic;
	filter_say(run, iprev_result_name(v->result), score, "%s", v->why);
	filter_finish(run);
}

static enum filter_progress
run_iprev(struct filter_run *run)
{
	struct state *s = run->state;

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", run->facts->client_text);
	s->lookup = iprev_start(run->dns, &run->facts->address, NULL, run->deadline_ms, on_verdict, run);
	return FILTER_PENDING;
}

static void
cancel(struct filter_run *run)
{
	struct state *s = run->state;

	iprev_cancel(s->lookup);
	s->lookup = NULL;
}

static bool
has_address(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->address.len > 0;
}

const struct filter filter_iprev = {
	.name = "iprev", .does = "does its address have a name that leads back",
	.stage = STAGE_CONNECT, .decides = STAGE_RCPT, .gives = FACT_REVERSE,
	.mode = FILTER_SCORE, .hermes = FILTER_SCORE, .deadline_ms = IPREV_DEADLINE_MS,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.state_size = sizeof(struct state), .applies = has_address, .run = run_iprev, .cancel = cancel,
};
