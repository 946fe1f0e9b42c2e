/*
 * What lookup says of a client and of the recipients it names. Private to smtpd/.
 */
#ifndef SMTPD_RECIPIENT_H
#define SMTPD_RECIPIENT_H

#include "lib/ipc.h"

struct params_rcpt;
struct session;
struct smtpd;

/* Asks and suspends; the reply to RCPT follows. */
void	recipient_ask(struct session *, const char *address, const struct params_rcpt *);
void	recipient_timeout(struct session *);
void	recipient_lookup_down(struct smtpd *);

ipc_handler_fn	recipient_on_trust, recipient_on_rcpt;

#endif
