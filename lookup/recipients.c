/*
 * Is this a recipient here? Aliases first, then mailboxes, then the two names that always work: postmaster and root.
 * Called for RCPT_ASK by main, and for every local target by targets.c.
 */
#include "lookup/recipients.h"

#include <stdio.h>
#include <strings.h>

#include "lib/clock.h"
#include "lib/mailbox.h"

bool
recipients_is_local(const struct recipients *r, const struct address *a)
{
	if (a->domain[0] == '\0')
		return strcasecmp(a->local, "postmaster") == 0;
	return conf_is_local(r->conf, a->domain);
}

bool
recipients_srs(const struct recipients *r, const char *local, const char *domain, char *to)
{
	char whole[ADDRESS_MAX];

	if (r->srs == NULL || r->srs->list[0] == NULL || strncasecmp(local, "srs", 3) != 0 ||
	    (size_t)snprintf(whole, sizeof(whole), "%s@%s", local, domain) >= sizeof(whole))
		return false;
	return srs_reverse(to, whole, r->srs, (time_t)clock_wall()) == SRS_OK;
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

	if ((*alias_r = aliases_find_in(r->aliases, local, domain)) != NULL)
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
	char base[ADDRESS_LOCAL_MAX + 1], srs[ADDRESS_MAX];
	enum recipient_kind kind;

	*alias_r = NULL;
	if (r->aliases == NULL)
		return RECIPIENT_TEMPORARY;
	if (domain[0] == '\0')
		domain = r->conf->domains[0];
	kind = find_spelling(r, local, domain, alias_r);
	if (kind == RECIPIENT_NONE && mailbox_untag(r->conf, local, base))
		kind = find_spelling(r, base, domain, alias_r);
	if (kind == RECIPIENT_NONE && recipients_srs(r, local, domain, srs))
		kind = RECIPIENT_SRS;
	if (kind == RECIPIENT_NONE && (*alias_r = aliases_find_catch_all(r->aliases, domain)) != NULL)
		kind = RECIPIENT_ALIAS;
	/* Who is not known here may be known there; nor matters what cannot be seen here. */
	if ((kind == RECIPIENT_NONE || kind == RECIPIENT_TEMPORARY) && r->conf->lmtp_users == CONF_LMTP_ANY &&
	    conf_is_lmtp(r->conf, domain))
		kind = RECIPIENT_MAILBOX;
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
	if ((*alias_r = aliases_find_in(r->aliases, local, domain)) != NULL)
		return RECIPIENT_ALIAS;
	/* Who would be caught is to be told from who is there. */
	if (aliases_find_catch_all(r->aliases, domain) != NULL)
		return recipients_find(r, local, domain, alias_r);
	if (is_builtin(local) || (tagged && (is_builtin(base) || aliases_find_in(r->aliases, base, domain) != NULL)))
		return recipients_find(r, local, domain, alias_r);
	return RECIPIENT_MAILBOX;
}
