/*
 * Who is refused by a list of the administrator (refuse), and who sends for a domain that its list does not name
 * (client-domains), as filters. The lists are filters/access.c's.
 */
#include <stdio.h>

#include "filters/access.h"
#include "filters/adapters.h"

static void
ask_to_refuse(struct filter_run *run, const char *text)
{
	run->finding.action = FILTER_REFUSE;
	snprintf(run->finding.enhanced, sizeof(run->finding.enhanced), "5.7.1");
	snprintf(run->finding.text, sizeof(run->finding.text), "%s", text);
}

static bool
has_refuse_lists(const struct filter_config *config, const struct facts *facts)
{
	(void)facts;
	return config->access->n_refuse > 0;
}

static enum filter_progress
run_refuse(struct filter_run *run)
{
	const struct access_list *l = access_refused(run->config->access, run->facts);

	if (l == NULL)
		return filter_say(run, "pass", 0, "no list of refuse names it");
	snprintf(run->finding.key, sizeof(run->finding.key), "%s", l->title);
	ask_to_refuse(run, l->text[0] != '\0' ? l->text : "This server does not take your mail");
	return filter_say(run, "listed", 10, "it is on the list %.200s", l->title);
}

const struct filter filter_refuse = {
	.name = "refuse", .does = "is it on a list of those who are refused",
	.stage = STAGE_RCPT, .decides = STAGE_RCPT, .needs = FACT_REVERSE,
	.mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .applies = has_refuse_lists, .run = run_refuse,
};

static bool
has_client_lists(const struct filter_config *config, const struct facts *facts)
{
	const struct access_list *l;

	access_may_send(config->access, facts, &l);
	return l != NULL;
}

static enum filter_progress
run_client_domains(struct filter_run *run)
{
	const struct access_list *l;
	const char *domain = facts_domain(run->facts->sender);

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", domain);
	if (access_may_send(run->config->access, run->facts, &l))
		return filter_say(run, "pass", 0, "the list %.200s lets it send for this domain", l->title);
	ask_to_refuse(run, "This client may not send for that domain");
	return filter_say(run, "not-allowed", 10, "the list %.200s does not name %.200s", l->title, domain);
}

const struct filter filter_client_domains = {
	.name = "client-domains", .does = "may this client send for that domain, by the lists here",
	.stage = STAGE_MAIL, .decides = STAGE_RCPT,
	.mode = FILTER_ENFORCE, .hermes = FILTER_ENFORCE, .applies = has_client_lists, .run = run_client_domains,
};
