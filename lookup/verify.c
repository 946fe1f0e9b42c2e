/*
 * The path of a decision about an address (lookup/verify.h): the same questions that RCPT and an expansion ask, with each
 * step told. Sends nothing and decides nothing.
 */
#include "lookup/verify.h"

#include <string.h>

#include "lib/log.h"
#include "lib/route.h"
#include "lookup/relayed.h"

struct story {
	const struct recipients	*r;
	FILE			*out;
	long			 most;
	unsigned		 left_out;
};

static void
tell_hop(struct story *s, const char *address)
{
	const char *at = strrchr(address, '@');
	char hop[ROUTE_HOP_MAX];

	if (at != NULL)
		fprintf(s->out, "%s", route_hop(hop, s->r->conf, "", at + 1));
}

static void
tell(void *arg, unsigned depth, const char *kind, const char *value, const char *detail)
{
	struct story *s = arg;

	if (ftell(s->out) > s->most) {
		s->left_out++;
		return;
	}
	fprintf(s->out, "S\t%u\t%s\t%s\t%s", depth, kind, value, detail);
	if (strcmp(kind, "remote") == 0)
		tell_hop(s, value);
	fprintf(s->out, "\n");
}

static const char *
verdict_of(enum recipient_kind kind, const struct alias *alias, const char *file, char *text, size_t size)
{
	switch (kind) {
	case RECIPIENT_ALIAS:
		snprintf(text, size, "the alias %s (%s, line %u)", alias->name, file, alias->line);
		return "local";
	case RECIPIENT_MAILBOX:
		snprintf(text, size, "a mailbox here");
		return "local";
	case RECIPIENT_ROOT:
		snprintf(text, size, "root's mail");
		return "local";
	case RECIPIENT_SRS:
		snprintf(text, size, "a rewritten sender of ours: bounces go back to him");
		return "local";
	case RECIPIENT_TEMPORARY:
		snprintf(text, size, "cannot be looked up now: 451 4.3.0");
		return "temporary";
	case RECIPIENT_NONE:
		break;
	}
	snprintf(text, size, "no such mailbox or alias here: 550 5.1.1");
	return "unknown";
}

static void
tell_expansion(struct story *s, const struct address *a)
{
	struct recipients r = *s->r;
	struct expansion e;

	r.tell = tell;
	r.tell_arg = s;
	targets_find(&r, a, "somebody@elsewhere.invalid", &e);
	if (s->left_out > 0)
		fprintf(s->out, "S\t0\tmore\t%u more\t\n", s->left_out);
	if (e.verdict != EXPAND_OK)
		fprintf(s->out, "S\t0\terror\t%s\t\n", e.text);
	expansion_free(&e);
}

void
verify_address(const struct recipients *r, const char *text, bool privileged, FILE *out, long most)
{
	struct story s = { .r = r, .out = out, .most = most - (long)(2 * ROUTE_HOP_MAX + 2048) };
	const char *why = "", *verdict;
	const struct alias *alias = NULL;
	enum recipient_kind kind;
	char whole[ADDRESS_MAX + ADDRESS_DOMAIN_MAX + 2], said[ADDRESS_MAX + 600];
	struct address a;

	if (address_parse(&a, text, ADDRESS_UTF8 | ADDRESS_BARE, &why) != ADDRESS_OK) {
		fprintf(out, "error: %s: %s; expected user@domain, or user\n", logq(text), why);
		return;
	}
	if (a.domain[0] == '\0') {
		snprintf(whole, sizeof(whole), "%s@%s", a.text, conf_origin(r->conf));
		if (address_parse(&a, whole, ADDRESS_UTF8, &why) != ADDRESS_OK)
			return;
	}
	fprintf(out, "ok\n");
	if (!recipients_is_local(r, &a)) {
		fprintf(out, "V\t%s\trelay\t%s: it goes on to another host\n", a.text, relayed_domain(r->conf, a.domain) ?
		    "mail for this domain is relayed" : "no domain of ours");
		tell(&s, 0, "remote", a.text, "");
	} else {
		kind = recipients_find(r, a.local, a.domain, &alias);
		verdict = verdict_of(kind, alias, r->conf->aliases, said, sizeof(said));
		fprintf(out, "V\t%s\t%s\t%s\n", a.text, verdict, said);
		if (strcmp(verdict, "local") == 0 && privileged)
			tell_expansion(&s, &a);
		else if (strcmp(verdict, "local") == 0)
			fprintf(out, "S\t0\tnote\twhat it leads to is shown to root only\t\n");
	}
	fprintf(out, "E\n");
}
