/*
 * The names that belong to the table in lib/messages.h, for logs and reasons.
 */
#include <stddef.h>

#include "lib/messages.h"

static const char *const proc_names[] = {
	[PROC_MASTER] = "master",
	[PROC_SMTPD] = "smtpd",
	[PROC_RESOLVER] = "resolver",
	[PROC_LOOKUP] = "lookup",
	[PROC_QUEUE] = "queue",
	[PROC_DELIVERY] = "delivery",
	[PROC_MDA] = "mda",
	[PROC_LOGGER] = "logger",
};

static const char *const msg_names[] = {
#define M(name, from, to, phase, least, most, fd) [MSG_##name] = #name,
	MESSAGES(M)
#undef M
};

/* Every row as text: what a change of the table changes. */
static const char table[] =
#define M(name, from, to, phase, least, most, fd) #name " " #from " " #to " " #phase " " #least " " #most " " #fd "\n"
	MESSAGES(M)
#undef M
	;

/* FNV-1a: it only has to differ. */
uint64_t
msg_fingerprint(void)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *p = table; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return hash;
}

const char *
proc_name(enum proc p)
{
	return (unsigned)p < PROC_COUNT ? proc_names[p] : "?";
}

const char *
msg_name(enum msg m)
{
	return (unsigned)m < MSG_COUNT && msg_names[m] != NULL ? msg_names[m] : "?";
}
