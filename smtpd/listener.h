/*
 * The sockets that clients connect to, handed down by master. Private to smtpd/.
 */
#ifndef SMTPD_LISTENER_H
#define SMTPD_LISTENER_H

struct smtpd;

void	listener_start(struct smtpd *);
/* No connection is accepted any more: what waits in the backlog is for the next smtpd. */
void	listener_stop(struct smtpd *);

/* The same, but for those who wait already: our successor may not have this address any more. */
void	listener_drain(struct smtpd *);

#endif
