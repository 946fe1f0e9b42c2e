/*
 * A session's socket: reading when something can be done with it, replies gathered into one write, and the one timer
 * of the wait under way. Private to smtpd/.
 */
#ifndef SMTPD_STREAM_H
#define SMTPD_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct session;

void	stream_init(struct session *);		/* fd and srv are set */
void	stream_free(struct session *);
/* After whatever happened to it: works on what was read already, writes replies, sets events and the timer. */
void	stream_go_on(struct session *);
/* Limits have become tighter: looks soon whether its time is up. */
void	stream_hurry(struct session *);
/* Formats and gathers a reply (lib/reply.h). */
void	stream_reply(struct session *, int code, const char *enhanced, const char *text);
/* The first line of a reply that has more: "220-text". */
void	stream_announce(struct session *, int code, const char *text);
/* A line of commentary, "*** text": see pretend.h. */
void	stream_comment(struct session *, const char *text);
/* Whether the client has sent more than the command that is being handled. */
bool	stream_sent_ahead(const struct session *);

#endif
