/*
 * A session on a person's terminal as if from some address (minimtactl session, sendmail -bh): judged as any stranger's, with a
 * commentary in lines that begin with "*** ". Nothing is queued, remembered, logged as a decision, or waited for unless asked.
 * Private to smtpd/; a session with `pretend` NULL is a real one.
 */
#ifndef SMTPD_PRETEND_H
#define SMTPD_PRETEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/facts.h"
#include "filters/registry.h"

struct chain_decision;
struct filters;
struct session;
struct smtpd;

#define PRETEND_LOOK_MS	300		/* for memory to say who it is, before the greeting */

struct pretend {
	bool	waits;			/* delays are real */
	uint8_t	told[REGISTRY_MAX];	/* of each filter: the stage of its finding that was told, and 1; 0: none */
};

/* From the rest of a submit line: "as=ADDRESS", and perhaps "wait" behind a tab. False: it is none, and nothing has happened. */
bool	pretend_new(struct smtpd *, int fd, const char *words, unsigned uid);
void	pretend_free(struct session *);
/* The filters for such sessions, whose memory only looks. */
struct filters *pretend_filters(struct smtpd *);

/* At the start: who it is taken for. */
void	pretend_begin(struct session *);
void	pretend_say(struct session *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Findings of that stage and later are none any more. */
void	pretend_forget(struct session *, enum facts_stage);
void	pretend_decided(struct session *, const struct chain_decision *);
/* What was found, and not told yet. */
void	pretend_findings(struct session *);
/* The message would be taken: says so, with the fields that it would get. */
void	pretend_accepted(struct session *);

#endif
