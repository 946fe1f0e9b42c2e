/*
 * The commentary of a session that is only tried out, and its start. Decides nothing: such a session is a real one in all
 * that filters and commands see; where it would have consequences its `pretend` is asked for. Called at those places.
 */
#include "smtpd/pretend.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain.h"
#include "filters/memory.h"
#include "lib/log.h"
#include "smtpd/guard.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/transaction.h"

#define FIELDS_MAX	(16U * 1024)

struct filters *
pretend_filters(struct smtpd *srv)
{
	char err[512];

	if (srv->filters == NULL || srv->trial != NULL)
		return srv->trial;
	srv->trial_memory = memory_new_peek(srv->memory);
	srv->trial = filters_new(srv->process.conf, srv->dns, srv->trial_memory, err, sizeof(err));
	if (srv->trial == NULL)
		log_fatal("event=no-filters what=%s", logq(err));
	return srv->trial;
}

static bool
address_of(struct sockaddr_storage *to, const char *text, size_t len)
{
	struct sockaddr_in6 *six = (void *)to;
	struct sockaddr_in *four = (void *)to;
	char address[INET6_ADDRSTRLEN];

	memset(to, 0, sizeof(*to));
	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET, address, &four->sin_addr) == 1)
		to->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1)
		to->ss_family = AF_INET6;
	return to->ss_family != 0;
}

bool
pretend_new(struct smtpd *srv, int fd, const char *words, unsigned uid)
{
	static const char as[] = "as=";
	struct sockaddr_storage address;
	struct pretend *p;
	size_t len;

	if (strncmp(words, as, sizeof(as) - 1) != 0)
		return false;
	words += sizeof(as) - 1;
	len = strcspn(words, "\t");
	if (!address_of(&address, words, len) || (words[len] != '\0' && strcmp(words + len, "\twait") != 0))
		return false;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return false;
	p->waits = words[len] != '\0';
	if (session_new_pretended(srv, fd, (struct sockaddr *)&address, p, uid) == 0)
		return true;
	free(p);
	return false;
}

void
pretend_free(struct session *s)
{
	free(s->pretend);
	s->pretend = NULL;
}

/* ---- what is said ---- */

void
pretend_say(struct session *s, const char *fmt, ...)
{
	char text[2000], safe[2400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_escape(safe, sizeof(safe), text, strlen(text));
	stream_comment(s, safe);
}

void
pretend_begin(struct session *s)
{
	if (s->exempt)
		pretend_say(s, "You are %s, which is in trusted_networks: no filters, no delays, and mail to everywhere is taken.", s->client);
	else if (s->guard == NULL)
		pretend_say(s, "You are %s, a stranger; but filters are switched off.", s->client);
	else
		pretend_say(s, "You are %s, a stranger, and judged as one.", s->client);
	pretend_say(s, "Nothing of this is queued or remembered.");
}

void
pretend_forget(struct session *s, enum facts_stage from)
{
	for (size_t i = 0; i < REGISTRY_MAX; i++)
		if (s->pretend->told[i] > (uint8_t)from)
			s->pretend->told[i] = 0;
}

static void
tell(struct session *s, const struct chain_entry *e)
{
	const struct filter_finding *f = e->finding;
	char points[32] = "", asks[64] = "";

	if (f->score != 0)
		snprintf(points, sizeof(points), ", %+d points", f->score);
	if (f->action != FILTER_PASS)
		snprintf(asks, sizeof(asks), ", asks to %s", filter_action_name(f->action));
	pretend_say(s, "%s: %s%s%s%s%s%s%s%s%s%s%s (%u ms)", e->filter->name, f->result, points, asks,
	    e->mode == FILTER_OBSERVE ? ", only observed" : e->mode == FILTER_SCORE && f->action != FILTER_PASS ? ", only counted" : "",
	    e->exempt ? ", exempt" : "", f->key[0] != '\0' ? "; " : "", f->key, f->value[0] != '\0' ? ": " : "", f->value,
	    f->why[0] != '\0' ? "; " : "", f->why, e->ms);
}

void
pretend_findings(struct session *s)
{
	struct chain_entry entry;
	size_t at = 0;

	while (s->guard != NULL && chain_next(s->guard->chain, &at, &entry)) {
		uint8_t *told = &s->pretend->told[(at - 1) % REGISTRY_MAX];

		if (*told == (uint8_t)entry.stage + 1)
			continue;
		*told = (uint8_t)(entry.stage + 1);
		tell(s, &entry);
	}
}

void
pretend_decided(struct session *s, const struct chain_decision *d)
{
	static const char *const outcomes[] = { [CHAIN_PASS] = "passes", [CHAIN_DEFER] = "is deferred", [CHAIN_REFUSE] = "is refused",
	    [CHAIN_SPLIT] = "must come in another transaction" };
	const char *what = s->guard->stage == STAGE_RCPT ? "the recipient" : "the message";

	pretend_findings(s);
	pretend_say(s, "%s %s with %d points%s%s%s%s", what, outcomes[d->outcome], d->score, d->filter[0] != '\0' ? ", by " : "",
	    d->filter, d->tagged ? "; tag_only lets it pass all the same" : "", d->quarantine ? "; it would be filed as Junk" : "");
}

void
pretend_accepted(struct session *s)
{
	char fields[FIELDS_MAX], *line, *rest = fields;

	if (s->guard != NULL && guard_fields(s, fields, sizeof(fields)) > 0) {
		pretend_say(s, "It would get these fields:");
		while ((line = strsep(&rest, "\n")) != NULL)
			if (line[strcspn(line, "\r")] = '\0', *line != '\0')
				pretend_say(s, "%s%s", *line == '\t' ? "    " : "", line + (*line == '\t'));
	}
	pretend_say(s, "It would be queued now.");
}
