/*
 * Whom local people write to: told to memory, so that the answer is not made to wait. Private to smtpd/.
 */
#ifndef SMTPD_WROTE_H
#define SMTPD_WROTE_H

#include <stdint.h>

struct session;

#define WROTE_RECENT	1024

struct wrote {				/* what was told lately, by hash: a newsletter to the same people costs nothing */
	struct { uint64_t hash; int64_t until_ms; } recent[WROTE_RECENT];
};

/* The message under way, of a trusted or local client, was accepted. */
void	wrote_note(struct session *);

#endif
