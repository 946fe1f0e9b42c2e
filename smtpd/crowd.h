/*
 * When there is too much: who gets a place, who loses one, and how much tighter limits are now. Private to smtpd/.
 */
#ifndef SMTPD_CROWD_H
#define SMTPD_CROWD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct network;
struct session;
struct smtpd;

/* Why a client gets no session: a word for the log and the reply. */
struct crowd_reason {
	const char	*word;
	const char	*reply;		/* with code and CRLF */
};

/* Once, with the number of descriptors that may be open. */
void	crowd_start(struct smtpd *, uint64_t descriptors);
/*
 * A place for a client, somebody else's if need be; NULL, or why there is none. has_one: it is in a session already, and
 * known by another name now. *network_r is to be handed to network_leave() once the connection is over, in either case,
 * unless it is NULL.
 */
const struct crowd_reason *crowd_admit(struct smtpd *, const struct sockaddr *, bool has_one, struct network **network_r);
/* Whether one more program of a user of this machine gets a session; NULL, or why not. */
const struct crowd_reason *crowd_admit_local(const struct smtpd *, unsigned uid);
/* Closes the session that sits idle longest in the most crowded network; false when nobody does. */
bool	crowd_evict(struct smtpd *, const struct network *newcomer);

/* So many bytes more (or less) are held for a session. */
void	crowd_hold(struct smtpd *, int64_t bytes);
/* Whether sessions hold so much that no further mail is begun. */
bool	crowd_is_full(struct smtpd *);
/* The system has no memory for something. Until it has again, nothing new is begun, so that what is under way can end. */
void	crowd_starve(struct smtpd *);
/* A time limit and a count as they hold for this session now. */
int64_t	crowd_time(const struct session *, int64_t ms);
uint32_t crowd_count(const struct session *, uint32_t count);

#endif
