/*
 * Senders folded into lanes (queue/lanes.h). Decides what of a reverse-path tells senders apart. Called by queue/dispatch.c.
 */
#include "queue/lanes.h"

#include <ctype.h>
#include <string.h>

/* FNV-1a: it need not withstand anybody, for who shares a lane with a bulk mailing only waits longer. */
static uint32_t
mix(uint32_t hash, char c)
{
	return (hash ^ (uint32_t)tolower((unsigned char)c)) * 16777619U;
}

uint32_t
lanes_key(const char *sender)
{
	const char *at = strrchr(sender, '@');
	size_t local = at == NULL ? strlen(sender) : (size_t)(at - sender);
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < local && sender[i] != '+' && sender[i] != '='; i++)
		if (!isdigit((unsigned char)sender[i]))
			hash = mix(hash, sender[i]);
	for (; at != NULL && *at != '\0'; at++)
		hash = mix(hash, *at);
	return (hash ^ hash >> 16) % LANES;
}
