/*
 * Tells memory whom a local sender has written to. Decides which messages are a local person's: those from trusted and local
 * clients whose sender is in a domain of ours. Called by transaction.c when a message was accepted.
 */
#include "smtpd/wrote.h"

#include <string.h>
#include <xxhash.h>

#include "filters/memory.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

#define AGAIN_MS	(12LL * 3600 * 1000)	/* long before memory forgets it */

static bool
is_new(struct wrote *w, const char *sender, const char *recipient)
{
	uint64_t hash = XXH3_64bits_withSeed(recipient, strlen(recipient), XXH3_64bits(sender, strlen(sender)));
	int64_t now = clock_ms();
	size_t i = hash % WROTE_RECENT;

	if (w->recent[i].hash == hash && w->recent[i].until_ms > now)
		return false;
	w->recent[i].hash = hash;
	w->recent[i].until_ms = now + AGAIN_MS;
	return true;
}

void
wrote_note(struct session *s)
{
	const char *sender = s->tx->sender, *at = strrchr(sender, '@');
	struct smtpd *srv = s->srv;

	if (srv->filters == NULL || s->pretend != NULL || at == NULL || !conf_is_local(srv->process.conf, at + 1))
		return;
	for (const struct recipient *r = s->tx->recipients; r != NULL; r = r->hh.next)
		if (!r->local && is_new(&srv->wrote, sender, r->address))
			memory_wrote(srv->memory, sender, r->address);
}
