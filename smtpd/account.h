/*
 * What is told to logger's journal of a stranger's session: each decision with what was found for it, and the end. Private to
 * smtpd/.
 */
#ifndef SMTPD_ACCOUNT_H
#define SMTPD_ACCOUNT_H

struct chain_decision;
struct session;

/* Of guard->stage. What passes at RCPT and DATA is left to the end of the message. message: our id, where it was taken; NULL. */
void	account_decision(struct session *, const struct chain_decision *, const char *message);
/* Without a guard: nothing. */
void	account_end(struct session *);

#endif
