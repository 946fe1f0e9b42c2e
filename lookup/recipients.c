/*
 * Is this a recipient here? Aliases first, then mailboxes, then the two names that always work: postmaster and root.
 * Called for RCPT_ASK by main, and for every local target by targets.c.
 */
#include "lookup/recipients.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/mailbox.h"

bool
recipients_is_local(const struct recipients *r, const struct address *a)
{
	if (a->domain[0] == '\0')
		return strcasecmp(a->local, "postmaster") == 0;
	return conf_is_local(r->conf, a->domain);
}

/* An alias for one spelling of the local part: in this domain, then in every local one. */
static const struct alias *
find_alias(const struct aliases *aliases, const char *local, const char *domain)
{
	char name[ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX + 1];
	const struct alias *alias;

	snprintf(name, sizeof(name), "%s@%s", local, domain);
	if ((alias = aliases_find(aliases, mailbox_lower(name))) != NULL)
		return alias;
	snprintf(name, sizeof(name), "%s", local);
	return aliases_find(aliases, mailbox_lower(name));
}

static bool
is_builtin(const char *local)
{
	return strcasecmp(local, "root") == 0 || strcasecmp(local, "postmaster") == 0;
}

static enum recipient_kind
find_spelling(const struct recipients *r, const char *local, const char *domain, const struct alias **alias_r)
{
	bool is_root = strcasecmp(local, "root") == 0;

	if ((*alias_r = find_alias(r->aliases, local, domain)) != NULL)
		return RECIPIENT_ALIAS;
	if (is_root)
		return RECIPIENT_ROOT;
	switch (mailbox_find(r->conf, r->started_by, local, domain, NULL)) {
	case MAILBOX_FOUND:
		return RECIPIENT_MAILBOX;
	case MAILBOX_TEMPORARY:
		return RECIPIENT_TEMPORARY;
	case MAILBOX_NONE:
		break;
	}
	return strcasecmp(local, "postmaster") == 0 ? RECIPIENT_ROOT : RECIPIENT_NONE;
}

enum recipient_kind
recipients_find(const struct recipients *r, const char *local, const char *domain, const struct alias **alias_r)
{
	char base[ADDRESS_LOCAL_MAX + 1];
	enum recipient_kind kind;

	*alias_r = NULL;
	if (r->aliases == NULL)
		return RECIPIENT_TEMPORARY;
	if (domain[0] == '\0')
		domain = r->conf->domains[0];
	kind = find_spelling(r, local, domain, alias_r);
	if (kind == RECIPIENT_NONE && mailbox_untag(r->conf, local, base))
		kind = find_spelling(r, base, domain, alias_r);
	return kind;
}

enum recipient_kind
recipients_find_target(const struct recipients *r, const char *local, const char *domain, const struct alias **alias_r)
{
	char base[ADDRESS_LOCAL_MAX + 1];
	bool tagged = mailbox_untag(r->conf, local, base);

	*alias_r = NULL;
	if (r->aliases == NULL)
		return RECIPIENT_TEMPORARY;
	if ((*alias_r = find_alias(r->aliases, local, domain)) != NULL)
		return RECIPIENT_ALIAS;
	if (is_builtin(local) || (tagged && (is_builtin(base) || find_alias(r->aliases, base, domain) != NULL)))
		return recipients_find(r, local, domain, alias_r);
	return RECIPIENT_MAILBOX;
}
